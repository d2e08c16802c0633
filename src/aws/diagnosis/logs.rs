//! Where shells are logged to: whether it is there, and encrypted.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::Aws;
use super::super::call::Service;
use super::super::endpoint::query_part;
use super::super::error::{ErrorKind, ServiceError};
use super::super::query::refusal;
use super::super::request::{Address, signed_get};

const LOGS: Service = Service {
    name: "logs",
    target: "Logs_20140328",
};

/// A place for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPlace {
    /// It is there.
    There {
        /// Whether what is put there is encrypted by a key of the account's, or by S3.
        encrypted: bool,
    },
    /// It is not.
    Missing,
}

impl Aws {
    /// The bucket that shells are logged to.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn log_bucket(&self, bucket: &str) -> Result<LogPlace, ServiceError> {
        const OPERATION: &str = "s3:GetEncryptionConfiguration";
        let named = |error: ServiceError| ServiceError {
            operation: OPERATION.to_owned(),
            ..error
        };
        self.pace().await;
        let credentials = self.credentials.credentials().await.map_err(named)?;
        let endpoint = self.endpoint_of("s3");
        let address = Address {
            endpoint: &endpoint,
            service: "s3",
            region: self.region().as_str(),
        };
        let path = format!("{}?encryption=", query_part(bucket));
        let request = signed_get(address, &path, credentials, SystemTime::now()).map_err(named)?;
        let answer = self.http.send(request).await.map_err(named)?;
        // A bucket of another region answers with the way there: it exists.
        if (200..400).contains(&answer.status) {
            return Ok(LogPlace::There { encrypted: true });
        }
        let error = refusal(OPERATION, &answer);
        match error.code.as_deref() {
            Some("NoSuchBucket") => Ok(LogPlace::Missing),
            Some("ServerSideEncryptionConfigurationNotFoundError") => {
                Ok(LogPlace::There { encrypted: false })
            }
            _ => Err(error),
        }
    }

    /// The log group that shells are logged to.
    ///
    /// # Errors
    /// What AWS refuses; an answer that is none.
    pub async fn log_group(&self, name: &str) -> Result<LogPlace, ServiceError> {
        const OPERATION: &str = "DescribeLogGroups";
        let request = json!({ "logGroupNamePrefix": name });
        let body = self.call(LOGS, OPERATION, &request).await?;
        read(body.expose(), name).ok_or_else(|| ServiceError {
            operation: format!("{}:{OPERATION}", LOGS.name),
            ..ServiceError::local(ErrorKind::Other, "the answer lists no log groups")
        })
    }
}

/// Names that begin alike follow in order, so that the one that is meant is the first.
fn read(body: &[u8], name: &str) -> Option<LogPlace> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let groups = answer.get("logGroups")?.as_array()?;
    let text = |group: &Value, key: &str| group.get(key)?.as_str().map(str::to_owned);
    let found = groups
        .iter()
        .find(|group| text(group, "logGroupName").as_deref() == Some(name));
    Some(found.map_or(LogPlace::Missing, |group| LogPlace::There {
        encrypted: text(group, "kmsKeyId").is_some(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_that_very_name_counts() {
        let body = br#"{"logGroups":[{"logGroupName":"ssm"},{"logGroupName":"ssm-2","kmsKeyId":"arn:k"}]}"#;
        assert_eq!(read(body, "ssm"), Some(LogPlace::There { encrypted: false }));
        assert_eq!(read(body, "ssm-2"), Some(LogPlace::There { encrypted: true }));
        assert_eq!(read(body, "ss"), Some(LogPlace::Missing));
        assert_eq!(read(b"<html>", "ssm"), None);
    }
}
