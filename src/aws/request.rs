//! A signed request of ours, for the few calls to services that ssmx has no SDK client for: one rare call is not
//! worth the minutes that another client's crate takes to build.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use super::error::{ErrorKind, ServiceError};

/// Where a request goes and whom its signature is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    /// The service's URL.
    pub(super) endpoint: &'a str,
    /// The service's name in the signature.
    pub(super) service: &'a str,
    /// The region in the signature.
    pub(super) region: &'a str,
}

/// A POST of `body` with its signature; `headers` are signed too.
///
/// # Errors
/// When the address is no URL or a header cannot be sent.
pub(super) fn signed(
    address: Address<'_>,
    headers: &[(&'static str, &str)],
    body: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Result<HttpRequest, ServiceError> {
    let url = format!("{}/", address.endpoint.trim_end_matches('/'));
    let settings = SigningSettings::default();
    let mut request = sign_one(
        address,
        ("POST", &url),
        headers,
        body,
        (credentials, at, settings),
    )?;
    request
        .headers_mut()
        .insert("content-length", body.len().to_string());
    Ok(request)
}

/// A GET of a path and query below the endpoint, signed as S3 wants it.
///
/// # Errors
/// As for [`signed`].
pub(super) fn signed_get(
    address: Address<'_>,
    path: &str,
    credentials: Credentials,
    at: SystemTime,
) -> Result<HttpRequest, ServiceError> {
    let url = format!("{}/{path}", address.endpoint.trim_end_matches('/'));
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    sign_one(address, ("GET", &url), &[], "", (credentials, at, settings))
}

fn sign_one(
    address: Address<'_>,
    (method, url): (&str, &str),
    headers: &[(&'static str, &str)],
    body: &str,
    (credentials, at, settings): (Credentials, SystemTime, SigningSettings),
) -> Result<HttpRequest, ServiceError> {
    let failed = |cause: &dyn std::fmt::Display| {
        ServiceError::local(
            ErrorKind::Other,
            format!("the request to `{}` cannot be made: {cause}", address.endpoint),
        )
    };
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(address.region)
        .name(address.service)
        .time(at)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?;
    let body_bytes = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new(method, url, headers.iter().copied(), body_bytes);
    let signable = signable.map_err(|error| failed(&error))?;
    let output = sign(signable, &params.into()).map_err(|error| failed(&error))?;
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method(method).map_err(|error| failed(&error))?;
    request.set_uri(url).map_err(|error| failed(&error))?;
    let sent = request.headers_mut();
    for (name, value) in headers {
        sent.insert(*name, (*value).to_owned());
    }
    for (name, value) in output.output().headers() {
        sent.insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_signature_is_for_the_service_and_its_region() {
        let address = Address {
            endpoint: "https://iam.amazonaws.com",
            service: "iam",
            region: "us-east-1",
        };
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let request = signed(
            address,
            &[("x-amz-target", "T")],
            "Action=X",
            credentials.clone(),
            at,
        )
        .unwrap();
        let authorization = request.headers().get("authorization").unwrap();
        assert!(
            authorization.starts_with(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/iam/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-target, Signature="
            ),
            "{authorization}"
        );
        assert_eq!(request.uri(), "https://iam.amazonaws.com/");
        let nowhere = Address {
            endpoint: "no URL at all",
            ..address
        };
        assert!(signed(nowhere, &[], "", credentials, at).is_err());
    }
}
