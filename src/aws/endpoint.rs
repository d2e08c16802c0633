//! Where a service is that we call without the SDK's client for it.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::Settings;

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
