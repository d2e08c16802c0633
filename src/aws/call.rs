//! A JSON call to a service that ssmx has no SDK client for.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::error::{ErrorKind, ServiceError};
use super::request::{Address, signed};
use super::{Aws, endpoint};
use crate::ids::Region;
use crate::secret::Secret;

/// One attempt; somebody is waiting.
const PATIENCE: Duration = Duration::from_secs(4);
/// After a failed one, doubled.
const PAUSE: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 3;

/// Which service, and how it is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    /// Its id as in `AWS_ENDPOINT_URL_…`, in lower case; also its name in hosts, IAM actions and signatures.
    pub(super) name: &'static str,
    /// What stands before the operation in `X-Amz-Target`.
    pub(super) target: &'static str,
}

impl Aws {
    /// Calls a service that speaks AWS JSON 1.1.
    ///
    /// # Errors
    /// As for the SDK's calls.
    pub(super) async fn call(
        &self,
        service: Service,
        operation: &str,
        request: &Value,
    ) -> Result<Secret<Vec<u8>>, ServiceError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.call_once(service, operation, request).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            let passes = matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable);
            if !passes || attempt == ATTEMPTS {
                return Err(error);
            }
            sleep(PAUSE * attempt * attempt).await;
        }
    }

    async fn call_once(
        &self,
        service: Service,
        operation: &str,
        request: &Value,
    ) -> Result<Secret<Vec<u8>>, ServiceError> {
        let name = format!("{}:{operation}", service.name);
        let named = |error: ServiceError| ServiceError {
            operation: name.clone(),
            ..error
        };
        let credentials = self.credentials.credentials().await.map_err(named)?;
        let endpoint = self.endpoint_of(service.name);
        let target = format!("{}.{operation}", service.target);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let address = Address {
            endpoint: &endpoint,
            service: service.name,
            region: self.region.as_str(),
        };
        let body = Secret::new(request.to_string());
        let request = signed(address, &headers, body.expose(), credentials, SystemTime::now());
        let answer = timeout(PATIENCE, self.http.send(request.map_err(named)?)).await;
        let answer = answer.unwrap_or_else(|_| {
            let words = format!("no answer came within {} s", PATIENCE.as_secs());
            Err(ServiceError::local(ErrorKind::Unreachable, words))
        });
        let answer = answer.map_err(named)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(ServiceError::from_json(
            &name,
            answer.status,
            answer.request_id,
            answer.body.expose(),
        ))
    }

    /// Where a service is: where somebody chose, else AWS's own place.
    pub(super) fn endpoint_of(&self, service: &'static str) -> String {
        endpoint::chosen(&self.settings, &self.sdk, service).unwrap_or_else(|| {
            let fips = self.sdk.use_fips().unwrap_or_default();
            let dual_stack = self.sdk.use_dual_stack().unwrap_or_default();
            default_endpoint(
                service,
                &self.region,
                if fips { "-fips" } else { "" },
                if dual_stack { Stack::Dual } else { Stack::Four },
            )
        })
    }
}

#[derive(Clone, Copy)]
enum Stack {
    Four,
    Dual,
}

fn default_endpoint(service: &str, region: &Region, fips: &str, stack: Stack) -> String {
    let partition = region.partition();
    let suffix = match stack {
        Stack::Four => partition.dns_suffix(),
        Stack::Dual => partition.dual_stack_suffix(),
    };
    format!("https://{service}{fips}.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_partition_fips_and_stack() {
        let region = |name: &str| name.parse().unwrap();
        for (name, fips, stack, expected) in [
            (
                "eu-west-2",
                "",
                Stack::Four,
                "https://kms.eu-west-2.amazonaws.com",
            ),
            (
                "us-gov-west-1",
                "-fips",
                Stack::Four,
                "https://kms-fips.us-gov-west-1.amazonaws.com",
            ),
            ("eu-west-2", "", Stack::Dual, "https://kms.eu-west-2.api.aws"),
            (
                "cn-north-1",
                "",
                Stack::Four,
                "https://kms.cn-north-1.amazonaws.com.cn",
            ),
        ] {
            assert_eq!(default_endpoint("kms", &region(name), fips, stack), expected);
        }
    }
}
