//! Which proxy a connection goes through, by the variables that every tool reads.

use std::net::IpAddr;

use crate::secret::Secret;

/// The proxies of this process.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    https: Option<String>,
    http: Option<String>,
    exceptions: Vec<String>,
}

/// One proxy: where it listens and what it wants to hear.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The value of Proxy-Authorization, where the URL names a user.
    pub authorization: Option<Secret<String>>,
}

/// A proxy variable that cannot be used. Its text is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy in `{variable}` is no URL of the form http://[user:password@]host:port")]
pub struct ProxyError {
    variable: &'static str,
}

impl Proxies {
    /// Reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY through `lookup`; lower case counts first, as in
    /// curl.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| {
            let value = lookup(&name.to_lowercase()).or_else(|| lookup(name));
            value.filter(|value| !value.trim().is_empty())
        };
        let all = read("ALL_PROXY");
        let exceptions = read("NO_PROXY").unwrap_or_default();
        Self {
            https: read("HTTPS_PROXY").or_else(|| all.clone()),
            http: read("HTTP_PROXY").or(all),
            exceptions: exceptions
                .split(',')
                .map(|rule| rule.trim().to_lowercase())
                .filter(|rule| !rule.is_empty())
                .collect(),
        }
    }

    /// The proxy for a host, if one is to be used. Loopback is never proxied.
    ///
    /// # Errors
    /// When the variable that counts is no URL.
    pub fn proxy_for(
        &self,
        tls: super::dialer::Tls,
        host: &str,
        port: u16,
    ) -> Result<Option<Proxy>, ProxyError> {
        let (variable, url) = match tls {
            super::dialer::Tls::Yes => ("HTTPS_PROXY", &self.https),
            super::dialer::Tls::No => ("HTTP_PROXY", &self.http),
        };
        match url {
            Some(url) if !self.is_exception(host, port) => {
                parse(url).map(Some).ok_or(ProxyError { variable })
            }
            _ => Ok(None),
        }
    }

    fn is_exception(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.exceptions.iter().any(|rule| {
            let (rule, port_fits) = match rule.rsplit_once(':') {
                Some((name, rule_port)) if !name.contains(':') => (name, rule_port.parse() == Ok(port)),
                _ => (rule.as_str(), true),
            };
            port_fits && (rule == "*" || matches_name(rule, &host) || matches_address(rule, address))
        })
    }
}

/// `example.com` and `.example.com` both mean the domain below, the first also the name itself.
fn matches_name(rule: &str, host: &str) -> bool {
    let suffix = rule.trim_start_matches('*').trim_start_matches('.');
    let is_domain_only = rule.starts_with('.') || rule.starts_with("*.");
    (host == suffix && !is_domain_only)
        || host
            .strip_suffix(suffix)
            .is_some_and(|front| !suffix.is_empty() && front.ends_with('.'))
}

/// An address, or a network in CIDR form.
fn matches_address(rule: &str, address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return false };
    let Some((network, bits)) = rule.split_once('/') else {
        return rule.trim_matches(['[', ']']).parse() == Ok(address);
    };
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

fn parse(url: &str) -> Option<Proxy> {
    use base64::Engine as _;
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    let authorization = user.map(|user| {
        let plain = percent_decode(user);
        let plain = if plain.contains(':') { plain } else { plain + ":" };
        Secret::new(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(plain)
        ))
    });
    let port = port.map_or(Some(80), |port| port.parse().ok())?;
    Some(Proxy {
        host: host.to_owned(),
        port,
        authorization,
    })
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::dialer::Tls;
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_lookup(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_rules_of_no_proxy() {
        let rules = "example.com,.internal,10.0.0.0/8,*.corp,fd00::/8,only:8443";
        let proxies = proxies(&[("HTTPS_PROXY", "http://proxy:3128"), ("NO_PROXY", rules)]);
        let used = |host: &str, port| proxies.proxy_for(Tls::Yes, host, port).unwrap().is_some();
        for direct in [
            "example.com",
            "a.example.com",
            "x.internal",
            "10.9.8.7",
            "a.corp",
            "fd00::1",
            "::1",
            "localhost",
        ] {
            assert!(!used(direct, 443), "{direct}");
        }
        for proxied in [
            "notexample.com",
            "internal",
            "11.0.0.1",
            "ssm.eu-west-2.amazonaws.com",
            "only",
        ] {
            assert!(used(proxied, 443), "{proxied}");
        }
        assert!(!used("only", 8443));
    }

    #[test]
    fn forms_of_the_url() {
        let proxy = |url: &str| parse(url).map(|proxy| (proxy.host, proxy.port));
        assert_eq!(proxy("http://proxy:3128/"), Some(("proxy".into(), 3128)));
        assert_eq!(proxy("proxy"), Some(("proxy".into(), 80)));
        assert_eq!(proxy("http://[::1]:3128"), Some(("::1".into(), 3128)));
        assert_eq!(proxy("socks5://proxy:1080"), None);
        assert_eq!(proxy("http://proxy:99999"), None);
        let basic = parse("http://al%40ice:p%3Aw@proxy:1")
            .unwrap()
            .authorization
            .unwrap();
        assert_eq!(basic.expose(), "Basic YWxAaWNlOnA6dw==");
    }
}
