//! Signing in to the console with the credentials in use, by AWS's federation endpoint.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::json;

use super::Aws;
use super::endpoint::{query, query_part};
use super::error::{ErrorKind, ServiceError};
use crate::ids::Region;
use crate::secret::Secret;

/// A token for the sign-in page is good for a quarter of an hour, whatever is asked for.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// Where a partition's console is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Console {
    /// Where tokens for signing in are had; `None`: nobody has said so in public.
    federation: Option<String>,
    /// The host of the pages.
    host: String,
}

impl Console {
    fn of(region: &Region) -> Self {
        let partition = region.partition();
        let (federation, host) = match partition.as_str() {
            "aws-cn" => (
                "signin.amazonaws.cn".to_owned(),
                format!("{region}.console.amazonaws.cn"),
            ),
            // One host for both regions.
            "aws-us-gov" => (
                "signin.amazonaws-us-gov.com".to_owned(),
                "console.amazonaws-us-gov.com".to_owned(),
            ),
            "aws-eusc" => (
                format!("{region}.signin.amazonaws-eusc.eu"),
                "console.amazonaws-eusc.eu".to_owned(),
            ),
            "aws-iso" => (String::new(), "console.c2shome.ic.gov".to_owned()),
            "aws-iso-b" => (String::new(), "console.sc2shome.sgov.gov".to_owned()),
            "aws-iso-e" => (String::new(), "console.csphome.adc-e.uk".to_owned()),
            "aws-iso-f" => (String::new(), "console.csphome.hci.ic.gov".to_owned()),
            _ => (
                "signin.aws.amazon.com".to_owned(),
                format!("{region}.console.aws.amazon.com"),
            ),
        };
        Self {
            federation: (!federation.is_empty()).then(|| format!("https://{federation}/federation")),
            host,
        }
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
    pub fn console_url(&self, path_and_fragment: &str) -> String {
        format!("https://{}{path_and_fragment}", Console::of(self.region()).host)
    }

    /// An address that signs in to the console and goes on to `destination`. `federation` is an endpoint of the
    /// user's own choice.
    ///
    /// # Errors
    /// When credentials cannot be had, or the endpoint does not answer as it should.
    pub async fn sign_in(&self, destination: &str, federation: Option<&str>) -> Result<SignIn, ServiceError> {
        const OPERATION: &str = "signin:GetSigninToken";
        let own = federation.map(ToOwned::to_owned);
        let Some(federation) = own.or_else(|| Console::of(self.region()).federation) else {
            let partition = self.region().partition();
            let why = format!(
                "where the partition {partition} exchanges credentials for a sign-in is not known to ssmx; `federation_endpoint` in the profile's section tells it"
            );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_console() {
        for (region, federation, host) in [
            (
                "eu-west-2",
                "https://signin.aws.amazon.com/federation",
                "eu-west-2.console.aws.amazon.com",
            ),
            (
                "cn-northwest-1",
                "https://signin.amazonaws.cn/federation",
                "cn-northwest-1.console.amazonaws.cn",
            ),
            (
                "us-gov-east-1",
                "https://signin.amazonaws-us-gov.com/federation",
                "console.amazonaws-us-gov.com",
            ),
            (
                "eusc-de-east-1",
                "https://eusc-de-east-1.signin.amazonaws-eusc.eu/federation",
                "console.amazonaws-eusc.eu",
            ),
            ("us-iso-east-1", "", "console.c2shome.ic.gov"),
            ("us-isob-east-1", "", "console.sc2shome.sgov.gov"),
            ("eu-isoe-west-1", "", "console.csphome.adc-e.uk"),
            ("us-isof-south-1", "", "console.csphome.hci.ic.gov"),
        ] {
            let console = Console::of(&region.parse().unwrap());
            assert_eq!(console.federation.unwrap_or_default(), federation, "{region}");
            assert_eq!(console.host, host, "{region}");
        }
    }
}
