//! Keys as paths, and the names that users may give.

use std::fmt;
use std::str::FromStr;

use super::schema::Config;
use super::shape::{Shape, Shaped as _};
use crate::ids::NodeId;

/// The way to a value: `["targets", "prod-web", "region"]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// The path of what stands under `key` here.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// What the key at the end of the path takes; `None`: there is no such key.
    pub fn shape(&self) -> Option<Shape> {
        self.0.iter().try_fold(Config::SHAPE, |shape, part| match shape {
            Shape::Table(keys) => keys.iter().find(|key| key.name == *part).map(|key| key.shape),
            Shape::Named(entry) => Some(*entry),
            _ => None,
        })
    }
}

impl<const N: usize> From<[&str; N]> for KeyPath {
    fn from(parts: [&str; N]) -> Self {
        Self(parts.map(str::to_owned).to_vec())
    }
}

impl FromStr for KeyPath {
    type Err = String;

    /// The dotted form of TOML; parts with other characters than letters, digits, `-` and `_` are quoted.
    fn from_str(text: &str) -> Result<Self, String> {
        let keys = toml_edit::Key::parse(text).map_err(|error| error.message().to_owned())?;
        Ok(Self(keys.iter().map(|key| key.get().to_owned()).collect()))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let bare = !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if bare {
                f.write_str(part)?;
            } else {
                write!(f, "{part:?}")?;
            }
        }
        Ok(())
    }
}

/// The sections whose keys are names of the user's own, in pairs that share one set of names.
pub const SHARED_NAMES: &[&[&str]] = &[&["targets", "aliases"], &["presets", "groups"], &["profiles"]];

/// Commands of `ssmx forward`, which presets and groups cannot be called.
const FORWARD_COMMANDS: &[&str] = &["ps", "stop", "logs"];

/// The longest name.
const LONGEST_NAME: usize = 64;

/// Checks the name of an entry of a section. Names are typed in shells and offered by completion: they are safe
/// there without quotes, and cannot be taken for an id, a selector or a port.
///
/// # Errors
/// With what is expected instead, to follow the name in a sentence.
pub fn check_name(section: &str, name: &str) -> Result<(), String> {
    if section == "profiles" {
        return if name.is_empty() || name.chars().any(char::is_control) {
            Err("cannot be an AWS profile's name".to_owned())
        } else {
            Ok(())
        };
    }
    let sound = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.bytes().any(|b| b.is_ascii_alphabetic())
        && name.len() <= LONGEST_NAME;
    if !sound {
        return Err(format!(
            "cannot be a name: expected letters, digits, `-`, `_` and `.`, at least one letter, no `-` or `.` at the \
             start, {LONGEST_NAME} characters at most"
        ));
    }
    if name.parse::<NodeId>().is_ok() {
        return Err("cannot be a name: it reads as a node's id, which would always win".to_owned());
    }
    if matches!(section, "presets" | "groups") && FORWARD_COMMANDS.contains(&name) {
        return Err(format!(
            "cannot be a name: it is a command of `ssmx forward` ({})",
            FORWARD_COMMANDS.join(", ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_to_type() {
        for good in ["prod-web", "a", "1a", "db.eu_1", "_x", "i-am-a-name", "PROD"] {
            assert_eq!(check_name("targets", good), Ok(()), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "-a",
            ".a",
            "a b",
            "a/b",
            "a=b",
            "a:b",
            "5432",
            "é",
            "$(x)",
            "i-0123456789abcdef0",
            &long,
        ] {
            assert!(check_name("targets", bad).is_err(), "{bad}");
        }
        for word in ["ps", "stop", "logs"] {
            assert_eq!(check_name("targets", word), Ok(()));
            assert!(check_name("presets", word).is_err());
            assert!(check_name("groups", word).is_err());
        }
        assert_eq!(check_name("profiles", "a b/c@d"), Ok(()));
        assert!(check_name("profiles", "a\nb").is_err());
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        for text in [
            "defaults.region",
            "profiles.\"a b.c\".account",
            "targets.x.tags.\"aws:x\"",
        ] {
            assert_eq!(text.parse::<KeyPath>().unwrap().to_string(), text);
        }
        assert!("a..b".parse::<KeyPath>().is_err());
        assert!("".parse::<KeyPath>().is_err());
    }

    #[test]
    fn paths_know_what_they_take() {
        let shape = |text: &str| text.parse::<KeyPath>().unwrap().shape();
        assert!(matches!(shape("defaults.region"), Some(Shape::Leaf(_))));
        assert!(matches!(shape("targets.x"), Some(Shape::Table(_))));
        assert!(matches!(shape("targets.x.tags.\"a.b\""), Some(Shape::Leaf(_))));
        assert!(matches!(shape("presets.x.target"), Some(Shape::OneOrList(_))));
        assert!(shape("defaults.regoin").is_none());
        assert!(shape("defaults.region.x").is_none());
    }
}
