//! A signed JSON call to a service that ssmx has no SDK client for: one rare call is not worth the minutes that
//! another client's crate takes to build.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::ServiceConfigKey;
use serde_json::Value;
use tokio::time::sleep;

use super::Aws;
use super::error::{ErrorKind, ServiceError, chain, credentials_trouble};
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

/// What came back: the body may be a secret.
#[derive(Debug)]
struct Answer {
    status: u16,
    request_id: Option<String>,
    body: Secret<Vec<u8>>,
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
            let error = match self.attempt_call(service, operation, request).await {
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

    async fn attempt_call(
        &self,
        service: Service,
        operation: &str,
        request: &Value,
    ) -> Result<Secret<Vec<u8>>, ServiceError> {
        let name = format!("{}:{operation}", service.name);
        let failed = |kind, message: String| ServiceError {
            operation: name.clone(),
            ..ServiceError::local(kind, message)
        };
        let credentials = self.credentials.provide_credentials().await.map_err(|error| {
            let (kind, message) = credentials_trouble(&error);
            failed(kind, message)
        })?;
        let endpoint = self.endpoint_of(service.name);
        let target = format!("{}.{operation}", service.target);
        let body = request.to_string();
        let signed = signed(&endpoint, &target, &body, credentials, &self.region, service.name);
        let signed = signed
            .map_err(|cause| failed(ErrorKind::Other, format!("the request cannot be signed: {cause}")))?;
        let client = self
            .sdk
            .http_client()
            .ok_or_else(|| failed(ErrorKind::Other, "there is no HTTP client".to_owned()))?;
        let mut call = Operation::builder()
            .service_name(service.name)
            .operation_name(operation.to_owned())
            .behavior_version(aws_config::BehaviorVersion::latest())
            .http_client(client)
            .endpoint_url(&endpoint)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .interceptor(self.user_agent());
        if let Some(sleep) = self.sdk.sleep_impl() {
            call = call.sleep_impl(sleep);
        }
        let call = call
            .serializer(move |request: Signed| Ok(request.into_http()))
            .deserializer::<Answer, Infallible>(|response: &HttpResponse| {
                Ok(Answer {
                    status: response.status().as_u16(),
                    request_id: response.headers().get("x-amzn-requestid").map(ToOwned::to_owned),
                    body: Secret::new(response.body().bytes().unwrap_or_default().to_vec()),
                })
            });
        let answer = call.build().invoke(signed).await;
        let answer = answer.map_err(|error| failed(ErrorKind::Unreachable, chain(&error)))?;
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

    /// Where a service is, by the rules of the SDK: the option, the variable or the profile's line for this
    /// service, those for all, AWS's own.
    fn endpoint_of(&self, service: &'static str) -> String {
        if let Some(url) = &self.settings.endpoint_url {
            return url.clone();
        }
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let chosen = key
            .ok()
            .and_then(|key| self.sdk.service_config()?.load_config(key));
        let chosen = chosen.or_else(|| self.sdk.endpoint_url().map(ToOwned::to_owned));
        chosen.unwrap_or_else(|| {
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

/// A request with its signature.
#[derive(Debug)]
struct Signed {
    headers: Vec<(String, Secret<String>)>,
    body: Secret<String>,
}

impl Signed {
    fn into_http(self) -> HttpRequest {
        let mut request = HttpRequest::new(SdkBody::from(self.body.expose().as_str()));
        request.set_method("POST").unwrap_or_default();
        // The endpoint is laid over this path.
        request.set_uri("/").unwrap_or_default();
        for (name, value) in self.headers {
            request.headers_mut().insert(name, value.expose().clone());
        }
        request
    }
}

fn signed(
    endpoint: &str,
    target: &str,
    body: &str,
    credentials: Credentials,
    region: &Region,
    service: &str,
) -> Result<Signed, String> {
    let url = format!("{}/", endpoint.trim_end_matches('/'));
    let fixed = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", target),
    ];
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let request = SignableRequest::new(
        "POST",
        url.as_str(),
        fixed.into_iter(),
        SignableBody::Bytes(body.as_bytes()),
    );
    let request = request.map_err(|error| error.to_string())?;
    let output = sign(request, &params.into()).map_err(|error| error.to_string())?;
    let mut headers: Vec<(String, Secret<String>)> = Vec::new();
    for (name, value) in fixed {
        headers.push((name.to_owned(), value.to_owned().into()));
    }
    for (name, value) in output.output().headers() {
        headers.push((name.to_owned(), value.to_owned().into()));
    }
    Ok(Signed {
        headers,
        body: body.to_owned().into(),
    })
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
