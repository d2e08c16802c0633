//! Whether a stream URL may be given a token: only AWS's own hosts, what the person allowed, and loopback.

use std::net::IpAddr;

use http::Uri;

use crate::ids::Region;

/// The URL points somewhere that must not see the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the session's stream URL points to `{host}`, which is no Session Manager endpoint of {region}")]
pub struct StreamUrlRefused {
    host: String,
    region: Region,
}

/// Checks the URL's scheme and host. Accepted are, for the region's partition, `ssmmessages` and
/// `ssmmessages-fips` under AWS's suffix, the dual-stack forms under `api.aws`, VPC endpoints; further hosts
/// of `allowed` (exact, or `*.suffix`); and loopback.
///
/// # Errors
/// With the host that was refused.
pub fn check(url: &str, region: &Region, allowed: &[String]) -> Result<(), StreamUrlRefused> {
    let refused = |host: &str| StreamUrlRefused {
        host: host.chars().take(100).collect(),
        region: region.clone(),
    };
    let uri: Uri = url.parse().map_err(|_| refused("?"))?;
    let authority = uri
        .authority()
        .map(http::uri::Authority::as_str)
        .unwrap_or_default();
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_ascii_lowercase();
    if authority.contains('@') || host.is_empty() {
        return Err(refused(authority));
    }
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let accepted = match uri.scheme_str() {
        Some("wss") => {
            is_loopback || is_endpoint(&host, region) || allowed.iter().any(|rule| matches(rule, &host))
        }
        Some("ws") => is_loopback,
        _ => false,
    };
    if accepted { Ok(()) } else { Err(refused(&host)) }
}

fn is_endpoint(host: &str, region: &Region) -> bool {
    let partition = region.partition();
    let suffix = partition.dns_suffix();
    let dual_stack = match partition.as_str() {
        "aws-cn" => "api.amazonwebservices.com.cn",
        _ => "api.aws",
    };
    let exact = [
        format!("ssmmessages.{region}.{suffix}"),
        format!("ssmmessages-fips.{region}.{suffix}"),
        format!("ssmmessages.{region}.{dual_stack}"),
        format!("ssmmessages-fips.{region}.{dual_stack}"),
    ];
    if exact.iter().any(|known| known == host) {
        return true;
    }
    // vpce-0123-abcd[-eu-west-2a].ssmmessages.eu-west-2.vpce.amazonaws.com
    let vpce = format!(".ssmmessages.{region}.vpce.{suffix}");
    host.strip_suffix(&vpce).is_some_and(|id| {
        id.starts_with("vpce-") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

fn matches(rule: &str, host: &str) -> bool {
    let rule = rule.to_ascii_lowercase();
    match rule.strip_prefix('*') {
        Some(suffix) => suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix),
        None => host == rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(url: &str) -> bool {
        let allowed = ["mgs.corp.example".to_owned(), "*.mgs.example".to_owned()];
        check(url, &"eu-west-2".parse().unwrap(), &allowed).is_ok()
    }

    #[test]
    fn the_forms_of_aws_and_what_was_allowed() {
        for good in [
            "wss://ssmmessages.eu-west-2.amazonaws.com/v1/data-channel/x?role=publish_subscribe",
            "wss://ssmmessages-fips.eu-west-2.amazonaws.com/x",
            "wss://ssmmessages.eu-west-2.api.aws/x",
            "wss://vpce-0a1b2c-3d4e-eu-west-2a.ssmmessages.eu-west-2.vpce.amazonaws.com/x",
            "wss://mgs.corp.example/x",
            "wss://a.mgs.example:8443/x",
            "ws://127.0.0.1:4567/x",
            "wss://localhost:4567/x",
            "ws://[::1]:4567/x",
        ] {
            assert!(accepted(good), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "ws://ssmmessages.eu-west-2.amazonaws.com/x",
            "https://ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://ssmmessages.us-east-1.amazonaws.com/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com.evil.example/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com@evil.example/x",
            "wss://evil.example/ssmmessages.eu-west-2.amazonaws.com",
            "wss://ssmmessages.eu-west-2.amazonaws.com./x",
            "wss://evil-ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://vpce-x.evil.ssmmessages.eu-west-2.vpce.amazonaws.com/x",
            "wss://mgs.example/x",
            "ws://127.0.0.1.evil.example/x",
            "",
            "wss://",
        ] {
            assert!(!accepted(bad), "{bad}");
        }
    }
}
