//! The three wire forms: EC2's query protocol, the other services' query protocol, JSON 1.1.

use http::Response;
use serde_json::json;

use super::xml::Xml;
use super::{ApiError, Trouble};
use crate::sigv4::Unsigned;
use crate::world::Identity;

/// How a service is talked to.
pub(crate) enum Wire {
    /// Forms in; XML out, with EC2's own shape of errors.
    Ec2 {
        version: &'static str,
        namespace: &'static str,
    },
    /// Forms in; XML out, with a result element and `ResponseMetadata`.
    Query {
        version: &'static str,
        namespace: &'static str,
    },
    /// JSON both ways, the operation in `X-Amz-Target`.
    Json { target: &'static str },
}

impl Wire {
    pub(crate) fn is_target(&self, prefix: &str) -> bool {
        matches!(self, Self::Json { target } if *target == prefix)
    }

    pub(crate) fn is_version(&self, wanted: &str) -> bool {
        match self {
            Self::Ec2 { version, .. } | Self::Query { version, .. } => *version == wanted,
            Self::Json { .. } => false,
        }
    }

    /// The answer to a call that went well.
    pub(crate) fn answer(&self, operation: &str, body: &str, request_id: &str) -> Response<String> {
        let text = match self {
            Self::Ec2 { namespace, .. } => {
                let mut xml = Xml::document();
                xml.root(&format!("{operation}Response"), namespace, |xml| {
                    xml.leaf("requestId", request_id);
                    xml.raw(body);
                });
                xml.finish()
            }
            Self::Query { namespace, .. } => {
                let mut xml = Xml::document();
                xml.root(&format!("{operation}Response"), namespace, |xml| {
                    xml.node(&format!("{operation}Result"), |xml| xml.raw(body));
                    xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
                });
                xml.finish()
            }
            Self::Json { .. } => body.to_owned(),
        };
        self.response(200, text, request_id)
    }

    /// The answer to one that did not.
    pub(crate) fn refuse(&self, error: &ApiError, request_id: &str) -> Response<String> {
        let text = match self {
            Self::Ec2 { .. } => {
                let mut xml = Xml::document();
                xml.node("Response", |xml| {
                    xml.node("Errors", |xml| {
                        xml.node("Error", |xml| {
                            xml.leaf("Code", &error.code);
                            xml.leaf("Message", &error.message);
                        });
                    });
                    xml.leaf("RequestID", request_id);
                });
                xml.finish()
            }
            Self::Query { namespace, .. } => {
                let mut xml = Xml::document();
                xml.root("ErrorResponse", namespace, |xml| {
                    xml.node("Error", |xml| {
                        let fault = if error.status < 500 { "Sender" } else { "Receiver" };
                        xml.leaf("Type", fault);
                        xml.leaf("Code", &error.code);
                        xml.leaf("Message", &error.message);
                    });
                    xml.leaf("RequestId", request_id);
                });
                xml.finish()
            }
            Self::Json { .. } => json!({ "__type": error.code, "message": error.message }).to_string(),
        };
        self.response(error.status, text, request_id)
    }

    pub(crate) fn unknown_operation(&self, operation: &str) -> ApiError {
        match self {
            Self::Json { .. } => ApiError::new("UnknownOperationException", ""),
            _ => ApiError::new(
                "InvalidAction",
                format!("The action {operation} is not valid for this web service."),
            ),
        }
    }

    /// The same trouble under each form's own name.
    pub(crate) fn error(&self, trouble: Trouble, operation: &str, caller: Option<&Identity>) -> ApiError {
        let who = caller.map(|caller| caller.arn.as_str()).unwrap_or_default();
        let denied = format!(
            "User: {who} is not authorized to perform: {operation} because no identity-based policy allows the {operation} action"
        );
        match self {
            Self::Ec2 { .. } => match trouble {
                Trouble::Unsigned(unsigned) => ec2_unsigned(unsigned),
                Trouble::Denied => ApiError::new(
                    "UnauthorizedOperation",
                    format!("You are not authorized to perform this operation. {denied}"),
                )
                .with_status(403),
                Trouble::Throttled => {
                    ApiError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503)
                }
                Trouble::Unavailable => ApiError::new(
                    "Unavailable",
                    "The service is unavailable. Please try again shortly.",
                )
                .with_status(503),
                Trouble::Internal => {
                    ApiError::new("InternalError", "An internal error has occurred").with_status(500)
                }
            },
            Self::Query { .. } => match trouble {
                Trouble::Unsigned(unsigned) => query_unsigned(unsigned),
                Trouble::Denied => ApiError::new("AccessDenied", denied).with_status(403),
                Trouble::Throttled => ApiError::new("Throttling", "Rate exceeded"),
                Trouble::Unavailable => {
                    ApiError::new("ServiceUnavailable", "Service is unavailable").with_status(503)
                }
                Trouble::Internal => ApiError::new("InternalFailure", "Internal failure").with_status(500),
            },
            Self::Json { .. } => match trouble {
                Trouble::Unsigned(unsigned) => json_unsigned(unsigned),
                Trouble::Denied => ApiError::new("AccessDeniedException", denied),
                Trouble::Throttled => ApiError::new("ThrottlingException", "Rate exceeded"),
                Trouble::Unavailable => {
                    ApiError::new("ServiceUnavailableException", "Service is unavailable").with_status(503)
                }
                Trouble::Internal => {
                    ApiError::new("InternalServerError", "Internal server error").with_status(500)
                }
            },
        }
    }

    fn response(&self, status: u16, text: String, request_id: &str) -> Response<String> {
        let (kind, id) = match self {
            Self::Ec2 { .. } => ("text/xml;charset=UTF-8", "x-amzn-requestid"),
            Self::Query { .. } => ("text/xml", "x-amzn-requestid"),
            Self::Json { .. } => ("application/x-amz-json-1.1", "x-amzn-requestid"),
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", kind)
            .header(id, request_id);
        // The parts are known to be valid; a status out of range would be a slip of a service's file.
        response.body(text).unwrap_or_default()
    }
}

fn ec2_unsigned(unsigned: Unsigned) -> ApiError {
    let refused = "AWS was not able to validate the provided access credentials";
    match unsigned {
        Unsigned::Missing => ApiError::new(
            "MissingParameter",
            "The request must contain the parameter AWSAccessKeyId",
        ),
        Unsigned::Malformed(how) => ApiError::new("AuthFailure", how).with_status(401),
        Unsigned::Expired => ApiError::new("RequestExpired", "Request has expired."),
        Unsigned::Skewed => ApiError::new("RequestExpired", "Request has expired."),
        Unsigned::UnknownKey | Unsigned::WrongScope(_) | Unsigned::Wrong => {
            ApiError::new("AuthFailure", refused).with_status(401)
        }
    }
}

fn query_unsigned(unsigned: Unsigned) -> ApiError {
    let error = match unsigned {
        Unsigned::Missing => ApiError::new(
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
        Unsigned::Malformed(how) => ApiError::new("IncompleteSignature", how),
        Unsigned::UnknownKey => ApiError::new(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        Unsigned::Expired => ApiError::new(
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
        Unsigned::WrongScope(how) => ApiError::new("SignatureDoesNotMatch", how),
        Unsigned::Skewed => ApiError::new("SignatureDoesNotMatch", "Signature expired."),
        Unsigned::Wrong => ApiError::new("SignatureDoesNotMatch", WRONG),
    };
    error.with_status(403)
}

fn json_unsigned(unsigned: Unsigned) -> ApiError {
    match unsigned {
        Unsigned::Missing => ApiError::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        Unsigned::Malformed(how) => ApiError::new("IncompleteSignatureException", how),
        Unsigned::UnknownKey => ApiError::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Unsigned::Expired => ApiError::new(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        Unsigned::WrongScope(how) => ApiError::new("InvalidSignatureException", how),
        Unsigned::Skewed => ApiError::new("InvalidSignatureException", "Signature expired."),
        Unsigned::Wrong => ApiError::new("InvalidSignatureException", WRONG),
    }
}

const WRONG: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
