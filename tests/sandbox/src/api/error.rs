//! How a call fails, before it is put into a wire form.

use std::borrow::Cow;

use crate::sigv4::Unsigned;

/// An error of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) status: u16,
}

impl ApiError {
    /// The caller's fault: HTTP 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            status: 400,
        }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// What goes wrong in every service alike, and in each under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unsigned(Unsigned),
    Denied,
    Throttled,
    Unavailable,
    Internal,
}
