//! The single values that keys take: each parsed once, each with the words that say what was expected.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::shape::{Json, Leaf, Shape, Shaped, leaf};
use crate::ids::{AccountId, NodeId, Region, Version};
pub use crate::ids::{Bind, Host};

/// Names, patterns, words: empty ones never mean anything, and a control character is never meant.
impl Shaped for String {
    const SHAPE: Shape = Shape::Leaf(Leaf {
        expected: "a string that is not empty",
        choices: &[],
        json: Json::Text,
        check: |value| {
            value
                .as_str()
                .is_some_and(|text| !text.is_empty() && !text.contains(char::is_control))
        },
    });
}

leaf!(bool, "true or false", Json::Boolean);
leaf!(AccountId, "an account id: a string of twelve digits", Json::Text);
leaf!(Region, "a region, such as \"eu-west-2\"", Json::Text);
leaf!(
    NodeId,
    "a node id: i-… or mi-… and hexadecimal digits",
    Json::Text
);

/// A set of words, one of which a key takes.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        $name:ident, $expected:literal { $( $(#[$attribute:meta])* $word:ident = $text:literal ),* $(,)? }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize)]
        pub enum $name {
            $( $(#[$attribute])* #[serde(rename = $text)] $word, )*
        }

        leaf!($name, $expected, Json::Text, [$($text),*]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( Self::$word => $text, )* })
            }
        }
    };
}

words!(
    /// How the person is asked before a session. Stricter ones are greater.
    Confirm, "\"never\", \"ask\" or \"type-name\"" {
        /// Not at all.
        #[default] Never = "never",
        /// With a yes or no.
        Ask = "ask",
        /// By typing the target's name.
        TypeName = "type-name",
    }
);
words!(
    /// Whether a session needs a reason, which is sent with StartSession. Stricter ones are greater.
    Reason, "\"optional\" or \"required\"" {
        /// It may be given.
        #[default] Optional = "optional",
        /// No session without one.
        Required = "required",
    }
);
words!(
    /// Which transport carries sessions.
    Transport, "\"auto\", \"native\" or \"plugin\"" {
        /// Our own engine; the plugin where the far end speaks what we do not understand.
        #[default] Auto = "auto",
        /// Our own engine.
        Native = "native",
        /// AWS's session-manager-plugin.
        Plugin = "plugin",
    }
);
words!(
    /// What to do when a named target fits several nodes.
    Pick, "\"ask\", \"newest\", \"oldest\" or \"any\"" {
        /// Ask the person; an error where there is none.
        #[default] Ask = "ask",
        /// The one launched last.
        Newest = "newest",
        /// The one launched first.
        Oldest = "oldest",
        /// Any that is online.
        Any = "any",
    }
);
words!(
    /// The shape of data on stdout.
    Output, "\"table\", \"wide\", \"json\", \"yaml\", \"csv\", \"text\" or \"name\"" {
        /// Columns for people.
        #[default] Table = "table",
        /// More columns.
        Wide = "wide",
        /// One JSON document.
        Json = "json",
        /// One YAML document.
        Yaml = "yaml",
        /// Comma-separated values.
        Csv = "csv",
        /// Tab-separated values, as the AWS CLI prints them.
        Text = "text",
        /// A line each, for scripts: `instance/i-…`.
        Name = "name",
    }
);
words!(
    /// When the snapshot of a scope is renewed.
    Refresh, "\"on-use\", \"background\" or \"off\"" {
        /// By commands that talk to AWS in that scope anyway.
        #[default] OnUse = "on-use",
        /// By a TAB too, with credentials that are cached and unexpired.
        Background = "background",
        /// Only when asked to.
        Off = "off",
    }
);
words!(
    /// What an administrator says of recording sessions.
    Recording, "\"allowed\", \"forbidden\" or \"required\"" {
        /// Whoever likes may.
        #[default] Allowed = "allowed",
        /// Nobody may.
        Forbidden = "forbidden",
        /// Every shell is recorded.
        Required = "required",
    }
);

/// Strings that are parsed into a value: `Deserialize` by `FromStr`.
macro_rules! parsed {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(|_| serde::de::Error::custom("malformed"))
            }
        }
    };
}

/// A text that is not what was expected. The key's shape has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A length of time: a number and `s`, `m`, `h` or `d`, several one after another (`1h30m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

parsed!(Period);
leaf!(
    Period,
    "a length of time above zero, such as \"30m\" or \"1h30m\"",
    Json::Text
);

impl FromStr for Period {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut total = Duration::ZERO;
        let mut digits = String::new();
        for c in text.chars() {
            let unit = match c {
                '0'..='9' => {
                    digits.push(c);
                    continue;
                }
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return Err(Malformed),
            };
            let count: u64 = digits.parse().map_err(|_| Malformed)?;
            digits.clear();
            let seconds = count.checked_mul(unit).ok_or(Malformed)?;
            total = total.checked_add(Duration::from_secs(seconds)).ok_or(Malformed)?;
        }
        if !digits.is_empty() || total.is_zero() || total > Duration::from_secs(366 * 86_400) {
            return Err(Malformed);
        }
        Ok(Self(total))
    }
}

/// A number of bytes: `1500`, `32KiB`, `2MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

parsed!(Size);
leaf!(
    Size,
    "a number of bytes, such as \"1024\", \"32KiB\" or \"2MiB\"",
    Json::Text
);

impl FromStr for Size {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (number, unit) = [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)]
            .iter()
            .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
            .unwrap_or((text, 1));
        let number: u64 = number.trim_end().parse().map_err(|_| Malformed)?;
        number
            .checked_mul(unit)
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or(Malformed)
    }
}

parsed!(Bind);
leaf!(Bind, "\"loopback\" or an IP address", Json::Text);

parsed!(Host);
leaf!(Host, "a host name or an IP address, without a port", Json::Text);

/// A TCP port of the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u16")]
pub struct Port(u16);

leaf!(Port, "a port: a number from 1 to 65535", Json::Integer(1, 65_535));

impl Port {
    /// The number, never 0.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Port {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        if number == 0 {
            Err("port 0")
        } else {
            Ok(Self(number))
        }
    }
}

/// The near end of a forward.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Local {
    /// A TCP port; 0: a free one.
    Port(u16),
    /// A Unix socket's path.
    Socket(SocketPath),
}

leaf!(
    Local,
    "a port from 0 to 65535 (0: a free one), or the absolute path of a Unix socket",
    Json::IntegerOrText(0, 65_535)
);

/// The path of a Unix socket: absolute, or from the home directory by `~/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPath(pub PathBuf);

parsed!(SocketPath);

impl FromStr for SocketPath {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let absolute = text.starts_with('/') || text.starts_with("~/");
        if absolute && !text.contains('\0') && !text.ends_with('/') {
            Ok(Self(PathBuf::from(text)))
        } else {
            Err(Malformed)
        }
    }
}

/// How many sessions a forward may spread its connections over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u16")]
pub struct Sessions(u16);

leaf!(Sessions, "a number from 1 to 32", Json::Integer(1, 32));

impl Sessions {
    /// The number, never 0.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u16> for Sessions {
    type Error = &'static str;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        if (1..=32).contains(&number) {
            Ok(Self(number))
        } else {
            Err("out of bounds")
        }
    }
}

/// The character that begins `~.` and `~?` in a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapeChar {
    /// `none`: every byte goes to the remote.
    None,
    /// One printable ASCII character.
    Char(u8),
}

parsed!(EscapeChar);
leaf!(
    EscapeChar,
    "one printable ASCII character, or \"none\"",
    Json::Text
);

impl Default for EscapeChar {
    fn default() -> Self {
        Self::Char(b'~')
    }
}

impl FromStr for EscapeChar {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.as_bytes() {
            b"none" => Ok(Self::None),
            [c] if c.is_ascii_graphic() => Ok(Self::Char(*c)),
            _ => Err(Malformed),
        }
    }
}

/// Whether an idle session is kept from its idle timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keepalive {
    /// `off`: the administrator's idle timeout holds.
    #[default]
    Off,
    /// So often something harmless is sent.
    Every(Period),
}

parsed!(Keepalive);
leaf!(
    Keepalive,
    "\"off\" or a length of time, such as \"5m\"",
    Json::Text
);

impl FromStr for Keepalive {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text == "off" {
            Ok(Self::Off)
        } else {
            text.parse().map(Self::Every)
        }
    }
}

/// An address that a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub IpAddr);

parsed!(Address);
leaf!(Address, "an IP address", Json::Text);

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.parse().map(Self).map_err(|_| Malformed)
    }
}

/// An http or https URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(String);

parsed!(WebUrl);
leaf!(
    WebUrl,
    "a URL that begins with https:// (or http:// on loopback)",
    Json::Text
);

impl WebUrl {
    /// The URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebUrl {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let url: http::Uri = text.parse().map_err(|_| Malformed)?;
        let loopback = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme_str() {
            Some("https") if url.host().is_some_and(|host| !host.is_empty()) => Ok(Self(text.to_owned())),
            Some("http") if loopback => Ok(Self(text.to_owned())),
            _ => Err(Malformed),
        }
    }
}

/// A host that a StreamUrl may name besides AWS's own: exact, or a domain's every host by `*.domain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHost(String);

parsed!(StreamHost);
leaf!(
    StreamHost,
    "a host name, with a port or without, or every host of a domain by \"*.domain\"",
    Json::Text
);

impl StreamHost {
    /// The host as it was written, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamHost {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.strip_prefix("wss://").unwrap_or(text);
        let authority: http::uri::Authority = text
            .strip_prefix("*.")
            .unwrap_or(text)
            .parse()
            .map_err(|_| Malformed)?;
        let dotted = !text.starts_with("*.") || authority.host().contains('.');
        if dotted && !authority.as_str().contains(['@', '*']) && !authority.host().is_empty() {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Malformed)
        }
    }
}

/// The name of a session document, or the ARN of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(String);

parsed!(Document);
leaf!(
    Document,
    "the name of a session document (letters, digits and _ - . : /) or its ARN",
    Json::Text
);

impl Document {
    /// The name as StartSession takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Document {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let sound = (3..=500).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b));
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed)
        }
    }
}

/// A version of ssmx that is the oldest allowed, as `0.3` or `>=0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OldestVersion(pub Version);

parsed!(OldestVersion);
leaf!(
    OldestVersion,
    "the oldest version allowed, such as \"0.3.0\"",
    Json::Text
);

impl FromStr for OldestVersion {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bare = text.strip_prefix(">=").unwrap_or(text).trim_start();
        bare.parse().map(Self).map_err(|_| Malformed)
    }
}

/// The version of the file's format: this program knows 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "i64")]
pub struct SchemaVersion;

leaf!(SchemaVersion, "1", Json::Integer(1, 1));

impl TryFrom<i64> for SchemaVersion {
    type Error = &'static str;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        if number == 1 {
            Ok(Self)
        } else {
            Err("another schema")
        }
    }
}

/// One value, or a list that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrList<T>(Vec<T>);

impl<T: Shaped> Shaped for OneOrList<T> {
    const SHAPE: Shape = Shape::OneOrList(&T::SHAPE);
}

impl<T> OneOrList<T> {
    /// The values in the order of the file.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrList<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            One(T),
            List(Vec<T>),
        }
        match Either::deserialize(deserializer)? {
            Either::One(value) => Ok(Self(vec![value])),
            Either::List(values) if values.is_empty() => Err(serde::de::Error::custom("an empty list")),
            Either::List(values) => Ok(Self(values)),
        }
    }
}
