//! Signing in to the console with the credentials in use, by AWS's federation endpoint.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::json;

use super::Aws;
use super::endpoint::{query, query_part};
use super::error::{ErrorKind, ServiceError};
use crate::secret::Secret;

/// A token for the sign-in page is good for a quarter of an hour, whatever is asked for.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// Hosts of a partition's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Console {
    /// Where tokens for signing in are had.
    pub(super) federation: &'static str,
    /// The console's own host; a region in front of it makes it the regional one.
    pub(super) console: &'static str,
}

impl Console {
    /// `None`: the partition's console is not known to us.
    fn of(partition: &str) -> Option<Self> {
        let (federation, console) = match partition {
            "aws" => (
                "https://signin.aws.amazon.com/federation",
                "console.aws.amazon.com",
            ),
            "aws-cn" => ("https://signin.amazonaws.cn/federation", "console.amazonaws.cn"),
            "aws-us-gov" => (
                "https://signin.amazonaws-us-gov.com/federation",
                "console.amazonaws-us-gov.com",
            ),
            "aws-eusc" => ("https://signin.amazonaws.eu/federation", "console.amazonaws.eu"),
            _ => return None,
        };
        Some(Self { federation, console })
    }
}

/// How the console can be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Signed in: the address carries the token, good once or for a quarter of an hour.
    Signed(Secret<String>),
    /// Not with these credentials, and why not.
    Plain {
        /// For people.
        why: String,
    },
}

impl Aws {
    /// The address of a page of the console in this region.
    ///
    /// # Errors
    /// For a partition whose console we do not know.
    pub fn console_url(&self, path_and_fragment: &str) -> Result<String, ServiceError> {
        let region = self.region();
        let partition = region.partition();
        let console = Console::of(partition.as_str()).ok_or_else(|| {
            ServiceError::local(
                ErrorKind::Region,
                format!("the console of the partition {partition} is not known to ssmx"),
            )
        })?;
        let host = match partition.as_str() {
            // The regional host works everywhere but in GovCloud, which has one.
            "aws-us-gov" => console.console.to_owned(),
            _ => format!("{region}.{}", console.console),
        };
        Ok(format!("https://{host}{path_and_fragment}"))
    }

    /// An address that signs in to the console and goes on to `destination`. `federation` is an endpoint of the
    /// user's own choice.
    ///
    /// # Errors
    /// When credentials cannot be had, or the endpoint does not answer as it should.
    pub async fn sign_in(&self, destination: &str, federation: Option<&str>) -> Result<SignIn, ServiceError> {
        const OPERATION: &str = "signin:GetSigninToken";
        let partition = self.region().partition();
        let known = Console::of(partition.as_str()).map(|console| console.federation.to_owned());
        let own = federation.map(ToOwned::to_owned).or(known);
        let Some(federation) = own else {
            let why = format!("the federation endpoint of the partition {partition} is not known to ssmx");
            return Ok(SignIn::Plain { why });
        };
        let credentials = self.credentials.credentials().await?;
        let Some(token) = credentials.session_token() else {
            return Ok(SignIn::Plain {
                why: "keys of a user cannot be exchanged for a sign-in; the credentials of a role can"
                    .to_owned(),
            });
        };
        let session = Secret::new(
            json!({
                "sessionId": credentials.access_key_id(),
                "sessionKey": credentials.secret_access_key(),
                "sessionToken": token,
            })
            .to_string(),
        );
        let failed = |kind, message: String| {
            let mut error = ServiceError::local(kind, message);
            error.operation = OPERATION.to_owned();
            error
        };
        let form = Secret::new(query(&[
            ("Action", "getSigninToken"),
            ("Session", session.expose()),
        ]));
        let url = Secret::new(format!("{federation}?{}", form.expose()));
        let mut request = HttpRequest::new(SdkBody::empty());
        request
            .set_uri(url.expose().as_str())
            .map_err(|_| failed(ErrorKind::Other, format!("`{federation}` is no URL")))?;
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|error| failed(error.kind, error.message))?;
        if answer.status == 400 || answer.status == 401 || answer.status == 403 {
            return Ok(SignIn::Plain {
                why: format!(
                    "the federation endpoint does not take these credentials (HTTP {}); they may have expired, or be of GetSessionToken",
                    answer.status
                ),
            });
        }
        let given: serde_json::Value = serde_json::from_slice(answer.body.expose()).unwrap_or_default();
        let given = given.get("SigninToken").and_then(serde_json::Value::as_str);
        let given = given.ok_or_else(|| {
            failed(
                ErrorKind::Other,
                format!(
                    "the federation endpoint answered HTTP {} without a token",
                    answer.status
                ),
            )
        })?;
        Ok(SignIn::Signed(Secret::new(format!(
            "{federation}?Action=login&Issuer=ssmx&Destination={}&SigninToken={}",
            query_part(destination),
            query_part(given)
        ))))
    }
}
