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

/// Checks the URL's scheme, host and port. Accepted are, for the region's partition and at TLS's own port,
/// `ssmmessages` and `ssmmessages-fips` under AWS's suffix, the dual-stack forms under `api.aws`, VPC endpoints;
/// further hosts of `allowed` (`host` or `*.suffix`, at any port, or at the one that `host:port` names); and
/// loopback.
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
    // `Uri::port` passes over what is no port.
    let port = match authority.strip_prefix(uri.host().unwrap_or_default()) {
        Some("") => 443,
        Some(rest) => rest
            .strip_prefix(':')
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| refused(authority))?,
        None => return Err(refused(authority)),
    };
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let accepted = match uri.scheme_str() {
        Some("wss") => {
            is_loopback
                || (port == 443 && is_endpoint(&host, region))
                || allowed.iter().any(|rule| matches(rule, &host, port))
        }
        Some("ws") => is_loopback,
        _ => false,
    };
    if accepted { Ok(()) } else { Err(refused(&host)) }
}

fn is_endpoint(host: &str, region: &Region) -> bool {
    let partition = region.partition();
    let suffix = partition.dns_suffix();
    let dual_stack = partition.dual_stack_suffix();
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
    ["ssmmessages", "ssmmessages-fips"].iter().any(|service| {
        let vpce = format!(".{service}.{region}.vpce.{suffix}");
        let id = host
            .strip_suffix(&vpce)
            .and_then(|label| label.strip_prefix("vpce-"));
        id.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    })
}

fn matches(rule: &str, host: &str, port: u16) -> bool {
    let rule = rule.to_ascii_lowercase();
    // An IPv6 address has colons of its own; with a port it stands in brackets.
    let (rule, wanted) = match rule.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse() {
            Ok(wanted) => (name.to_owned(), Some(wanted)),
            Err(_) => return false,
        },
        _ => (rule, None),
    };
    let rule = rule.trim_matches(['[', ']']);
    if wanted.is_some_and(|wanted: u16| wanted != port) {
        return false;
    }
    match rule.strip_prefix('*') {
        Some(suffix) => suffix.starts_with('.') && host.len() > suffix.len() && host.ends_with(suffix),
        None => host == rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(url: &str) -> bool {
        let allowed = [
            "mgs.corp.example",
            "*.mgs.example",
            "Pinned.example:8443",
            "2001:db8::1",
            "[2001:db8::2]:99",
            "x:y",
        ];
        let allowed = allowed.map(ToOwned::to_owned);
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
            "wss://SSMMessages.EU-West-2.amazonaws.com:443/x",
            "wss://vpce-0a1b2c-3d4e.ssmmessages-fips.eu-west-2.vpce.amazonaws.com/x",
            "wss://pinned.example:8443/x",
            "wss://[2001:db8::1]/x",
            "wss://[2001:db8::2]:99/x",
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
            "wss://ssmmessages.eu-west-2.amazonaws.com:8443/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com:99999/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com:/x",
            "ws://127.0.0.1:70000/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com:443@evil.example/x",
            "wss://user@ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://evil.example\\@ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://evil.example#@ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://evil.example?.ssmmessages.eu-west-2.amazonaws.com/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com%2eevil.example/x",
            "wss://ssmmessages\u{3002}eu-west-2.amazonaws.com/x",
            "wss://vpce-.ssmmessages.eu-west-2.vpce.amazonaws.com/x",
            "wss://vpce-x.ssmmessages.eu-west-1.vpce.amazonaws.com/x",
            "wss://ssmmessages.eu-west-2.amazonaws.com.cn/x",
            "wss://pinned.example/x",
            "wss://pinned.example:443/x",
            "wss://xmgs.example/x",
            "wss://[2001:db8::2]/x",
            "ws://localhost.evil.example/x",
            "ws://2130706433/x",
            "ws://10.0.0.1/x",
            "//127.0.0.1/x",
            "/x",
            "",
            "wss://",
        ] {
            assert!(!accepted(bad), "{bad}");
        }
    }

    #[test]
    fn every_partition_has_its_own() {
        for (region, host) in [
            ("cn-north-1", "ssmmessages.cn-north-1.amazonaws.com.cn"),
            (
                "cn-north-1",
                "ssmmessages.cn-north-1.api.amazonwebservices.com.cn",
            ),
            ("us-gov-west-1", "ssmmessages-fips.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", "ssmmessages.us-gov-west-1.api.aws"),
            ("us-iso-east-1", "ssmmessages.us-iso-east-1.c2s.ic.gov"),
            ("eusc-de-east-1", "ssmmessages.eusc-de-east-1.amazonaws.eu"),
        ] {
            let url = format!("wss://{host}/v1/data-channel/x");
            assert_eq!(check(&url, &region.parse().unwrap(), &[]), Ok(()), "{url}");
            assert!(check(&url, &"eu-west-2".parse().unwrap(), &[]).is_err(), "{url}");
        }
    }
}
