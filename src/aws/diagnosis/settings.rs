//! The account's settings of Session Manager in a region.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Aws;
use super::super::error::{ErrorKind, ServiceError};

/// The document that holds the preferences of shells; it exists only once somebody saved them.
pub const PREFERENCES: &str = "SSM-SessionManagerRunShell";

/// Session Manager's preferences. Empty values are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preferences {
    /// The KMS key that sessions are encrypted with.
    pub kms_key: Option<String>,
    /// The bucket that shells are logged to.
    pub log_bucket: Option<String>,
    /// Whether that bucket has to be encrypted.
    pub bucket_encrypted: bool,
    /// The log group that shells are logged to.
    pub log_group: Option<String>,
    /// Whether that log group has to be encrypted.
    pub group_encrypted: bool,
    /// Whether shells run as another user than `ssm-user`.
    pub run_as: bool,
    /// As which, where the caller's tag does not say.
    pub run_as_user: Option<String>,
    /// Minutes without input after which a session ends.
    pub idle_minutes: Option<String>,
    /// Minutes after which a session ends.
    pub most_minutes: Option<String>,
    /// What each shell begins with, for Linux.
    pub shell_profile: Option<String>,
}

/// Where AWS logs what shells show. Port and ssh sessions are logged nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Logging {
    /// To this bucket.
    pub bucket: Option<String>,
    /// To this log group.
    pub group: Option<String>,
}

impl Logging {
    /// The places in words; `None`: there is none. Untrusted text.
    pub fn places(&self) -> Option<String> {
        let bucket = self
            .bucket
            .as_ref()
            .map(|bucket| format!("to the bucket {bucket}"));
        let group = self
            .group
            .as_ref()
            .map(|group| format!("to the log group {group}"));
        let places: Vec<String> = bucket.into_iter().chain(group).collect();
        (!places.is_empty()).then(|| places.join(" and "))
    }
}

impl Preferences {
    /// Where shells are logged.
    pub fn logging(&self) -> Logging {
        Logging {
            bucket: self.log_bucket.clone(),
            group: self.log_group.clone(),
        }
    }

    /// Reads the document's content.
    pub fn read(content: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(content).ok()?;
        let inputs = document.get("inputs")?;
        let text = |key: &str| {
            let value = inputs.get(key)?;
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            (!text.is_empty()).then_some(text)
        };
        let flag = |key: &str| inputs.get(key).and_then(Value::as_bool).unwrap_or(false);
        let profile = inputs.pointer("/shellProfile/linux").and_then(Value::as_str);
        Some(Self {
            kms_key: text("kmsKeyId"),
            log_bucket: text("s3BucketName"),
            bucket_encrypted: flag("s3EncryptionEnabled"),
            log_group: text("cloudWatchLogGroupName"),
            group_encrypted: flag("cloudWatchEncryptionEnabled"),
            run_as: flag("runAsEnabled"),
            run_as_user: text("runAsDefaultUser"),
            idle_minutes: text("idleSessionTimeout"),
            most_minutes: text("maxSessionDuration"),
            shell_profile: profile
                .map(|profile| profile.trim().to_owned())
                .filter(|profile| !profile.is_empty()),
        })
    }
}

impl Aws {
    /// The preferences of shells; `None` where nobody saved any. Where they are logged is remembered.
    ///
    /// # Errors
    /// What AWS refuses; a document that is none of Session Manager's.
    pub async fn preferences(&self) -> Result<Option<Preferences>, ServiceError> {
        const OPERATION: &str = "ssm:GetDocument";
        self.pace().await;
        let call = self.ssm().get_document().name(PREFERENCES);
        let answer = match call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))
        {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.remember_logging(&Logging::default()).await;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let read = Preferences::read(answer.content.as_deref().unwrap_or_default());
        if let Some(preferences) = &read {
            self.remember_logging(&preferences.logging()).await;
        }
        read.map(Some).ok_or_else(|| {
            let mut error = ServiceError::local(
                ErrorKind::Other,
                format!("`{PREFERENCES}` is not as it should be"),
            );
            error.operation = OPERATION.to_owned();
            error
        })
    }

    /// The type of a document, such as `Session`.
    ///
    /// # Errors
    /// What AWS refuses; [`ErrorKind::NotFound`] where there is none.
    pub async fn document_type(&self, name: &str) -> Result<String, ServiceError> {
        self.pace().await;
        let call = self.ssm().describe_document().name(name);
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ssm:DescribeDocument", error))?;
        let kind = answer.document.and_then(|document| document.document_type);
        Ok(kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default())
    }

    /// A setting of SSM in this account and region, such as
    /// `/ssm/managed-instance/default-ec2-instance-management-role`.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn service_setting(&self, id: &str) -> Result<String, ServiceError> {
        self.pace().await;
        let call = self.ssm().get_service_setting().setting_id(id);
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ssm:GetServiceSetting", error))?;
        let setting = answer.service_setting.and_then(|setting| setting.setting_value);
        Ok(setting.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_and_empty_ones_are_none() {
        let content = r#"{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{
            "s3BucketName":"","cloudWatchLogGroupName":"sessions","cloudWatchEncryptionEnabled":true,"kmsKeyId":"arn:aws:kms:eu-west-2:1:key/k",
            "runAsEnabled":true,"runAsDefaultUser":"app","idleSessionTimeout":"20","maxSessionDuration":60,
            "shellProfile":{"windows":"","linux":"exec bash"}}}"#;
        assert_eq!(
            Preferences::read(content),
            Some(Preferences {
                kms_key: Some("arn:aws:kms:eu-west-2:1:key/k".into()),
                log_bucket: None,
                bucket_encrypted: false,
                log_group: Some("sessions".into()),
                group_encrypted: true,
                run_as: true,
                run_as_user: Some("app".into()),
                idle_minutes: Some("20".into()),
                most_minutes: Some("60".into()),
                shell_profile: Some("exec bash".into()),
            })
        );
        assert_eq!(Preferences::read("{}"), None);
        assert_eq!(Preferences::read("no JSON"), None);
    }
}
