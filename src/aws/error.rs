//! One error for every call: what was asked, what AWS said, and what kind of trouble that is.

/// What a caller can do about a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// No credentials were found, or they could not be had (a profile that does not exist, a failing
    /// `credential_process`, an absent SSO login).
    Credentials,
    /// Credentials were found and have expired.
    Expired,
    /// No region was chosen, or it is none.
    Region,
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
    /// AWS's message, or the chain of causes where no answer came.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
}

impl ServiceError {
    fn sentence(&self) -> String {
        let mut text = self.message.clone();
        if let Some(code) = &self.code {
            text = format!("{code}: {text}");
        }
        if !self.operation.is_empty() {
            text = format!("{}: {text}", self.operation);
        }
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (request id {id})"));
        }
        text
    }
}
