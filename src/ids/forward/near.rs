//! What a word that is no forward was probably meant as.

use super::ForwardSpec;

/// What people append who know Docker or a firewall.
const PROTOCOLS: [&str; 2] = ["/tcp", "/udp"];

/// Services that people call by name, and their ports.
const SERVICES: [(&str, u16); 11] = [
    ("ssh", 22),
    ("http", 80),
    ("https", 443),
    ("ldap", 389),
    ("mssql", 1433),
    ("mysql", 3306),
    ("rdp", 3389),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("redis", 6379),
    ("mongodb", 27017),
];

/// A word without the protocol behind it, and that.
pub(super) fn protocol(text: &str) -> (&str, Option<&'static str>) {
    let found = PROTOCOLS
        .into_iter()
        .find_map(|protocol| Some((text.strip_suffix(protocol)?, protocol)));
    match found {
        Some((rest, protocol)) => (rest, Some(protocol)),
        None => (text, None),
    }
}

/// What to write instead, as far as that can be told.
pub(super) fn hint(text: &str) -> Option<String> {
    let is_spec = |text: &str| text.parse::<ForwardSpec>().is_ok();
    match protocol(text) {
        (_, Some("/udp")) => return Some("Session Manager carries TCP alone".to_owned()),
        (rest, Some(_)) if is_spec(rest) => {
            return Some(format!("TCP is what is carried anyway: `{rest}`"));
        }
        _ => {}
    }
    if let Some(below) = text.strip_prefix("~/") {
        return Some(format!("`\"$HOME\"/{below}` is spelled out by every shell"));
    }
    if let Some(below) = text.strip_prefix("./") {
        return Some(format!("for one in this directory: `\"$PWD\"/{below}`"));
    }
    let several: Vec<&str> = text.split(',').collect();
    if several.len() > 1 && several.iter().all(|one| is_spec(one)) {
        return Some(format!("several are words of their own: `{}`", several.join(" ")));
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
        && first < last
    {
        let more = if last - first > 1 { " …" } else { "" };
        return Some(format!(
            "each port of a range is a word of its own: `{first} {}{more}`",
            first + 1
        ));
    }
    if let Some(local) = text.strip_suffix(':') {
        let whole = format!("{text}REMOTE");
        return match local.parse::<u16>() {
            Ok(1..) => Some(format!(
                "write `{whole}`, or `{local}` alone for the same port at both ends"
            )),
            _ if is_spec(&format!("{text}1")) => Some(format!("write `{whole}`")),
            _ => None,
        };
    }
    let (front, tail) = match text.rfind(':') {
        Some(colon) => text.split_at(colon + 1),
        None => ("", text),
    };
    let digits = tail.trim_start_matches('+');
    let digits = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let port = SERVICES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(tail))
        .map(|(_, port)| port.to_string())
        .unwrap_or_else(|| digits.to_owned());
    let meant = format!("{front}{port}");
    (meant != text && is_spec(&meant)).then(|| format!("did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_told_where_it_can_be() {
        for (text, told) in [
            ("8080:http", "did you mean `8080:80`?"),
            ("8080:db:5432x", "did you mean `8080:db:5432`?"),
            ("+80", "did you mean `80`?"),
            (
                "80:",
                "write `80:REMOTE`, or `80` alone for the same port at both ends",
            ),
            ("8080:host:", "write `8080:host:REMOTE`"),
            ("80/tcp", "TCP is what is carried anyway: `80`"),
            ("8080:80/tcp", "TCP is what is carried anyway: `8080:80`"),
            ("53/udp", "Session Manager carries TCP alone"),
            ("22,80", "several are words of their own: `22 80`"),
            (
                "8000-8010",
                "each port of a range is a word of its own: `8000 8001 …`",
            ),
            ("80-81", "each port of a range is a word of its own: `80 81`"),
            (
                "~/x.sock:80",
                "`\"$HOME\"/x.sock:80` is spelled out by every shell",
            ),
            ("./x.sock:80", "for one in this directory: `\"$PWD\"/x.sock:80`"),
        ] {
            assert_eq!(hint(text).as_deref(), Some(told), "{text}");
        }
        for text in [
            "",
            "0",
            "db",
            "8080:/var/run/docker.sock",
            "1:2:3:4:5",
            "80:-1",
            "9-1",
            "10.0.0.7",
        ] {
            assert_eq!(hint(text), None, "{text}");
        }
    }
}
