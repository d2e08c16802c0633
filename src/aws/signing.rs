//! The signature of a data channel's upgrade request (SigV4, service `ssmmessages`, empty body).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;

use super::Aws;
use super::error::{ErrorKind, ServiceError};
use crate::secret::Secret;

/// A URL with one of these in its query is signed already (the plugin's list).
const PRESIGNED: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
];

impl Aws {
    /// Signs the WebSocket upgrade of `url` with fresh credentials: the headers to add to the request. Empty
    /// for a URL that is presigned already.
    ///
    /// # Errors
    /// When credentials cannot be had.
    pub async fn sign_upgrade(&self, url: &str) -> Result<Vec<(String, Secret<String>)>, ServiceError> {
        if is_presigned(url) {
            return Ok(Vec::new());
        }
        let credentials = self.credentials.credentials().await?;
        headers(url, credentials, self.region().as_str(), SystemTime::now())
    }
}

fn is_presigned(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| {
        let key = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
        PRESIGNED.contains(&key.as_str())
    })
}

fn headers(
    url: &str,
    credentials: Credentials,
    region: &str,
    at: SystemTime,
) -> Result<Vec<(String, Secret<String>)>, ServiceError> {
    let failed = |cause: String| {
        ServiceError::local(
            ErrorKind::Other,
            format!("the data channel's request cannot be signed: {cause}"),
        )
    };
    // The signature is over an HTTP request; only the scheme's name differs.
    let url = url.replacen("ws", "http", 1);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ssmmessages")
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| failed(error.to_string()))?;
    let signed = sign(request, &params.into()).map_err(|error| failed(error.to_string()))?;
    let headers = signed.output().headers();
    Ok(headers
        .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn presigned_urls_are_left_alone() {
        assert!(is_presigned("wss://h/v1?role=x&X-Amz-Signature=1"));
        assert!(!is_presigned("wss://h/v1?role=x&cell-number=AAEA"));
    }

    /// The expected signature was computed with botocore's SigV4Auth for the same request, keys and time.
    #[test]
    fn the_signature_is_botocores() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        let url = "wss://ssmmessages.eu-west-2.amazonaws.com/v1/data-channel/alice-0123?role=publish_subscribe&cell-number=AA%2BB%3D";
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let headers = headers(url, credentials, "eu-west-2", at).unwrap();
        let value = |name: &str| {
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.expose().clone()).unwrap_or_default()
        };
        assert_eq!(value("x-amz-date"), "20231114T221320Z");
        assert_eq!(value("x-amz-security-token"), "token");
        assert_eq!(value("authorization"), BOTOCORE);
    }

    const BOTOCORE: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/eu-west-2/ssmmessages/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=814eb505974b0212e7fee87709e44d89d07565ad7ac2cd5f739ae8afda7606ae";
}
