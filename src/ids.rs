//! The identifiers of the field, parsed once where they enter and trusted from there on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod forward;

pub use forward::{Bind, ForwardSpec, Host, InvalidSpec, Local, Remote};

/// Why a text is not the identifier that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

impl InvalidId {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId::new(text, $expected))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A node that SSM manages: an EC2 instance (`i-` and 8 or 17 hexadecimal digits) or a hybrid
    /// machine (`mi-` and 17).
    NodeId,
    "a node id (i-… or mi-… and hexadecimal digits)",
    |text| {
        let lower_hex = |digits: &str| {
            digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match (text.strip_prefix("i-"), text.strip_prefix("mi-")) {
            (Some(digits), _) => matches!(digits.len(), 8 | 17) && lower_hex(digits),
            (_, Some(digits)) => digits.len() == 17 && lower_hex(digits),
            _ => false,
        }
    }
);

impl NodeId {
    /// Whether this is a hybrid machine, which EC2 knows nothing of.
    pub fn is_hybrid(&self) -> bool {
        self.0.starts_with("mi-")
    }
}

text_id!(
    /// An AWS account: twelve digits.
    AccountId,
    "an account id (twelve digits)",
    |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
);

text_id!(
    /// A region's code, such as `eu-west-2`. Only its form is checked: AWS adds regions.
    Region,
    "a region (such as eu-west-2)",
    |text| {
        let parts: Vec<&str> = text.split('-').collect();
        parts.len() >= 3
            && text.len() <= 40
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
            && parts.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
    }
);

impl Region {
    /// The partition that the region's name puts it in.
    pub fn partition(&self) -> Partition {
        let of = |name: &str| Partition(name.to_owned());
        match self.0.as_str() {
            r if r.starts_with("cn-") => of("aws-cn"),
            r if r.starts_with("us-gov-") => of("aws-us-gov"),
            r if r.starts_with("us-iso-") => of("aws-iso"),
            r if r.starts_with("us-isob-") => of("aws-iso-b"),
            r if r.starts_with("eu-isoe-") => of("aws-iso-e"),
            r if r.starts_with("us-isof-") => of("aws-iso-f"),
            r if r.starts_with("eusc-") => of("aws-eusc"),
            _ => of("aws"),
        }
    }
}

text_id!(
    /// A partition of AWS, such as `aws`, `aws-cn` or `aws-us-gov`.
    Partition,
    "a partition (such as aws or aws-cn)",
    |text| {
        text.starts_with("aws")
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

impl Partition {
    /// The domain under which the partition's services live, without a leading dot.
    pub fn dns_suffix(&self) -> &'static str {
        match self.0.as_str() {
            "aws-cn" => "amazonaws.com.cn",
            "aws-iso" => "c2s.ic.gov",
            "aws-iso-b" => "sc2s.sgov.gov",
            "aws-iso-e" => "cloud.adc-e.uk",
            "aws-iso-f" => "csp.hci.ic.gov",
            "aws-eusc" => "amazonaws.eu",
            _ => "amazonaws.com",
        }
    }

    /// The domain of the endpoints that IPv6 reaches as well, without a leading dot.
    pub fn dual_stack_suffix(&self) -> &'static str {
        match self.0.as_str() {
            "aws-cn" => "api.amazonwebservices.com.cn",
            "aws-iso" => "api.aws.ic.gov",
            "aws-iso-b" => "api.aws.scloud",
            "aws-iso-e" => "api.cloud-aws.adc-e.uk",
            "aws-iso-f" => "api.aws.hci.ic.gov",
            "aws-eusc" => "api.amazonwebservices.eu",
            _ => "api.aws",
        }
    }
}

text_id!(
    /// A session's id: the caller's name, a dash and a random tail. Opaque, but it becomes part of URLs
    /// and lines on the screen, so its alphabet is checked.
    SessionId,
    "a session id",
    |text| {
        (1..=160).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.@+=,".contains(&b))
    }
);

/// Where nodes live and what a snapshot covers: never a profile's name, since a profile can come to mean
/// another account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The partition, `aws` for most.
    pub partition: Partition,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.account, self.region)
    }
}

/// An agent's or a plugin's version: up to four numbers, missing ones being zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u32; 4]);

impl FromStr for Version {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "a version (one to four numbers with dots)");
        let mut numbers = [0; 4];
        let mut parts = text.split('.');
        for slot in &mut numbers {
            match parts.next() {
                Some(part) => *slot = part.parse().map_err(|_| invalid())?,
                None => break,
            }
        }
        if text.is_empty() || parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_exact() {
        for good in ["i-0123456789abcdef0", "i-01234567", "mi-0123456789abcdef0"] {
            assert!(good.parse::<NodeId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "i-",
            "i-0123456789ABCDEF0",
            "i-0123",
            "mi-01234567",
            "x-0123456789abcdef0",
        ] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn regions_know_their_partition() {
        let partition = |region: &str| region.parse::<Region>().unwrap().partition().to_string();
        assert_eq!(partition("eu-west-2"), "aws");
        assert_eq!(partition("cn-north-1"), "aws-cn");
        assert_eq!(partition("us-gov-east-1"), "aws-us-gov");
        assert!("eu_west_2".parse::<Region>().is_err());
        assert!("euwest2".parse::<Region>().is_err());
    }

    #[test]
    fn versions_compare_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("1.2.764.0") > version("1.2.497.0"));
        assert!(version("3.10") > version("3.9.9.9"));
        assert!("".parse::<Version>().is_err());
        assert!("1.2.3.4.5".parse::<Version>().is_err());
        assert!("1.x".parse::<Version>().is_err());
    }
}
