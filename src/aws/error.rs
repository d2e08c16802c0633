//! One error for every call: what was asked, what AWS said, and what kind of trouble that is.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::request_id::RequestId as _;

/// What a caller can do about a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// No credentials were found, or they could not be had (a profile that does not exist, a failing
    /// `credential_process`, an absent SSO login), or AWS does not know them.
    Credentials,
    /// Nothing was found to sign with.
    NoCredentials,
    /// Credentials were found and have expired.
    Expired,
    /// A person has to log in first (SSO, `aws login`).
    LoginNeeded,
    /// A person was asked for a code and left.
    Cancelled,
    /// No region was chosen, or it is none.
    Region,
    /// A setting of how AWS is reached cannot be used: an endpoint that is no URL, certificates that are none.
    Setting,
    /// The caller may not do this; the IAM action where AWS named it or the operation implies it.
    AccessDenied {
        /// Such as `ssm:StartSession`.
        action: String,
    },
    /// AWS asked us to slow down, and retries did not help.
    Throttled,
    /// The node is not connected to Session Manager.
    TargetNotConnected,
    /// The thing that was named is not there (an instance, a session, a document).
    NotFound,
    /// The endpoint did not answer: name, connection, TLS or time.
    Unreachable,
    /// Anything else that AWS or the SDK said.
    Other,
}

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ServiceError {
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// The operation, such as `ssm:StartSession`; empty where no call was made.
    pub operation: String,
    /// AWS's error code, where there is one.
    pub code: Option<String>,
    /// AWS's message, or the chain of causes where no answer came. Untrusted text.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
}

impl ServiceError {
    /// Trouble before any call.
    pub fn local(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation: String::new(),
            code: None,
            message: message.into(),
            request_id: None,
        }
    }

    /// What a service said no with.
    pub(super) fn refused(operation: &str, code: &str, message: String, request_id: Option<String>) -> Self {
        Self {
            kind: kind_of(operation, code, &message),
            operation: operation.to_owned(),
            code: Some(code.to_owned()),
            message,
            request_id,
        }
    }

    /// What the SDK gave, for the named operation (`ssm:StartSession`).
    pub fn from_sdk<E>(operation: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let request_id = error.request_id().map(ToOwned::to_owned);
        let code = error.code().map(ToOwned::to_owned);
        let (kind, message) = match &error {
            SdkError::ServiceError(answer) => {
                let message = error.message().unwrap_or_default().to_owned();
                match &code {
                    Some(code) => (kind_of(operation, code, &message), message),
                    None => (ErrorKind::Other, no_aws(answer.raw())),
                }
            }
            SdkError::ResponseError(answer) => (ErrorKind::Other, no_aws(answer.raw())),
            other => match find::<CredentialsError>(other) {
                Some(cause) => credentials_trouble(cause),
                None => no_answer(other),
            },
        };
        Self {
            kind,
            operation: operation.to_owned(),
            code,
            message,
            request_id,
        }
    }

    /// An answer of a JSON service that is no success.
    pub(super) fn from_json(operation: &str, status: u16, request_id: Option<String>, body: &[u8]) -> Self {
        let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| answer.get(key).and_then(serde_json::Value::as_str);
        // Some services say `com.amazonaws.kms#NotFoundException`.
        let code = text("__type").and_then(|code| code.rsplit('#').next());
        let message = text("message").or_else(|| text("Message")).unwrap_or_default();
        let (kind, message) = match code {
            Some(code) => (kind_of(operation, code, message), message.to_owned()),
            None => (
                ErrorKind::Other,
                format!(
                    "the endpoint answered HTTP {status} in a form that is not AWS's; does it offer this service?"
                ),
            ),
        };
        let kind = match kind {
            // As the SDK does, such answers are asked for again.
            ErrorKind::Other if matches!(status, 500 | 502 | 503 | 504) => ErrorKind::Unreachable,
            kind => kind,
        };
        Self {
            kind,
            operation: operation.to_owned(),
            code: code.map(ToOwned::to_owned),
            message,
            request_id,
        }
    }

    /// Whether AWS said that the caller may not.
    pub fn is_denied(&self) -> bool {
        matches!(self.kind, ErrorKind::AccessDenied { .. })
    }

    fn sentence(&self) -> String {
        let mut text = String::new();
        if !self.operation.is_empty() {
            text.push_str(&self.operation);
            text.push_str(": ");
        }
        if let Some(code) = &self.code {
            text.push_str(code);
            text.push_str(if self.message.is_empty() { "" } else { ": " });
        }
        text.push_str(&self.message);
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (request id {id})"));
        }
        text
    }
}

/// Credentials that could not be had, in a person's words.
pub(super) fn credentials_trouble(error: &CredentialsError) -> (ErrorKind, String) {
    if let Some(known) = find::<ServiceError>(error) {
        return (known.kind.clone(), known.to_string());
    }
    let cause = chain(error);
    if find::<ConnectorError>(error).is_some() {
        return (
            ErrorKind::Unreachable,
            format!("the credentials could not be had: {cause}"),
        );
    }
    let lower = cause.to_lowercase();
    if lower.contains("expired") {
        return (
            ErrorKind::Expired,
            format!("the credentials have expired: {cause}"),
        );
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            ErrorKind::NoCredentials,
            format!(
                "no credentials were found (looked in the environment, AWS's files and the machine's role): {cause}"
            ),
        ),
        _ => (
            ErrorKind::Credentials,
            format!("the credentials could not be had: {cause}"),
        ),
    }
}

/// No answer came: what kept it. A request that could not even be made is never shown, since it can hold secrets.
fn no_answer<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> (ErrorKind, String) {
    if matches!(error, SdkError::ConstructionFailure(_)) {
        return (
            ErrorKind::Other,
            format!("the request could not be made: {}", innermost(error)),
        );
    }
    match find::<ConnectorError>(error) {
        Some(cause) if cause.is_user() => (ErrorKind::Setting, innermost(cause)),
        Some(cause) => (ErrorKind::Unreachable, innermost(cause)),
        None => (ErrorKind::Unreachable, chain(error)),
    }
}

/// The cause of all causes.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// An error and its causes in one line; what a cause repeats of the one above is left out.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !last.contains(&cause_text) {
            if text == "dispatch failure" {
                text.clear();
            } else {
                text.push_str(": ");
            }
            text.push_str(&cause_text);
        }
        last = cause_text;
        source = cause.source();
    }
    text
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// An answer that no AWS service gives: a proxy's page, another server.
fn no_aws(response: &HttpResponse) -> String {
    format!(
        "the endpoint answered HTTP {} in a form that is not AWS's; does it offer this service?",
        response.status().as_u16()
    )
}

fn kind_of(operation: &str, code: &str, message: &str) -> ErrorKind {
    // EC2 and query services use the short names, JSON services the long ones.
    let code = code.strip_suffix("Exception").unwrap_or(code);
    match code {
        "AccessDenied" | "UnauthorizedOperation" | "Client.UnauthorizedOperation" | "NotAuthorized" => {
            ErrorKind::AccessDenied {
                action: denied_action(message).unwrap_or(operation).to_owned(),
            }
        }
        "ExpiredToken" | "RequestExpired" | "TokenRefreshRequired" | "ExpiredTokenId" => ErrorKind::Expired,
        "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "AuthFailure"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "OptInRequired"
        | "RequestTimeTooSkewed" => ErrorKind::Credentials,
        "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "ThrottledException"
        | "SlowDown"
        | "RequestThrottled" => ErrorKind::Throttled,
        "TargetNotConnected" => ErrorKind::TargetNotConnected,
        "NotFound"
        | "InvalidInstanceId"
        | "InvalidInstanceID.NotFound"
        | "InvalidInstanceID.Malformed"
        | "InvalidDocument"
        | "DoesNotExist"
        | "InvalidTarget" => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    }
}

/// IAM says `… is not authorized to perform: ssm:StartSession on resource: …`.
fn denied_action(message: &str) -> Option<&str> {
    let rest = message.split_once("to perform: ")?.1;
    let action = rest.split([' ', '\n']).next()?;
    let (service, name) = action.split_once(':')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (plain(service) && plain(name)).then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_families_mean_the_same() {
        let kind = |code| kind_of("ec2:DescribeInstances", code, "");
        for code in ["UnauthorizedOperation", "AccessDeniedException", "AccessDenied"] {
            assert_eq!(
                kind(code),
                ErrorKind::AccessDenied {
                    action: "ec2:DescribeInstances".into()
                }
            );
        }
        for code in ["ExpiredToken", "ExpiredTokenException", "RequestExpired"] {
            assert_eq!(kind(code), ErrorKind::Expired);
        }
        for code in ["ThrottlingException", "RequestLimitExceeded", "Throttling"] {
            assert_eq!(kind(code), ErrorKind::Throttled);
        }
        assert_eq!(kind("TargetNotConnected"), ErrorKind::TargetNotConnected);
        assert_eq!(kind("Whatever"), ErrorKind::Other);
    }

    #[test]
    fn a_json_services_refusal_is_read() {
        let body = br#"{"__type":"com.amazonaws.kms#NotFoundException","message":"no key"}"#;
        let error = ServiceError::from_json("kms:GenerateDataKey", 400, Some("r-1".to_owned()), body);
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "kms:GenerateDataKey: NotFoundException: no key (request id r-1)"
        );
        let page = ServiceError::from_json("kms:GenerateDataKey", 502, None, b"<html>");
        assert_eq!(page.kind, ErrorKind::Unreachable);
        assert!(page.to_string().contains("HTTP 502"), "{page}");
    }

    #[test]
    fn the_denied_action_is_read_from_the_message_and_only_if_it_is_one() {
        let said =
            "User: arn:aws:iam::1:user/a is not authorized to perform: ssm:StartSession on resource: x";
        assert_eq!(denied_action(said), Some("ssm:StartSession"));
        assert_eq!(denied_action("not authorized to perform: \x1b[2J on"), None);
    }
}
