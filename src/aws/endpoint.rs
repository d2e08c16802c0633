//! Where a service is that we call without the SDK's client for it.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::Settings;
use super::error::{ErrorKind, ServiceError};

/// The endpoint that somebody chose for a service, by the rules of the SDK: the option, the variable or the
/// profile's line for this service, those for all.
pub(super) fn chosen(settings: &Settings, sdk: &SdkConfig, service: &str) -> Option<String> {
    if let Some(url) = &settings.endpoint_url {
        return Some(url.clone());
    }
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let special = key.ok().and_then(|key| sdk.service_config()?.load_config(key));
    special.or_else(|| sdk.endpoint_url().map(ToOwned::to_owned))
}

/// Holds the endpoints that were chosen against what a URL of a service is, before anything is sent to one.
///
/// # Errors
/// [`ErrorKind::Setting`], with the first that is none.
pub(super) fn check(settings: &Settings, sdk: &SdkConfig) -> Result<(), ServiceError> {
    let chosen = ["ec2", "ssm", "sts"].map(|service| chosen(settings, sdk, service));
    match chosen.into_iter().flatten().find(|url| !is_usable(url)) {
        Some(url) => Err(ServiceError::local(
            ErrorKind::Setting,
            format!(
                "the endpoint `{url}` is no URL; such as https://vpce-1a2b.ssm.eu-west-2.vpce.amazonaws.com was expected"
            ),
        )),
        None => Ok(()),
    }
}

fn is_usable(url: &str) -> bool {
    let url = url.parse::<http::Uri>().ok();
    url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    })
}

/// A value as a part of a URL's query.
pub(super) fn query_part(value: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(value, KEPT).to_string()
}

/// Names and values as a URL's query or a form.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", query_part(name), query_part(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_of_a_host() {
        for url in [
            "http://127.0.0.1:4566",
            "https://ssm.eu-west-2.amazonaws.com/",
            "http://[::1]:80",
        ] {
            assert!(is_usable(url), "{url}");
        }
        for url in [
            "",
            "not a url",
            "localhost:4566",
            "ftp://x",
            "http://",
            "https:///path",
            "/path",
        ] {
            assert!(!is_usable(url), "{url}");
        }
    }
}
