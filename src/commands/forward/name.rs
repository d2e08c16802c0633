//! What a detached process is called where nobody says.

use crate::config::Config;
use crate::detached::LONGEST_NAME;

/// By the preset that it is saved as, by the group where that is all it was asked for, else by its first forward.
pub fn usual(config: &Config, saved: Option<&str>, words: &[String], first: Option<&str>) -> String {
    let group = match words {
        [word] if config.groups.contains_key(word.as_str()) => Some(word.as_str()),
        _ => None,
    };
    sound(saved.or(group).or(first).unwrap_or_default())
}

/// The text with what no name can have replaced, as far as a name is long.
pub fn sound(text: &str) -> String {
    let is_sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = text.chars().map(|c| if is_sound(c) { c } else { '-' }).collect();
    match name.trim_start_matches(['.', '-']) {
        "" => "forward".to_owned(),
        name => name.chars().take(LONGEST_NAME).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_makes_a_name() {
        for (text, name) in [
            ("prod-db", "prod-db"),
            ("db.internal:5432", "db.internal-5432"),
            ("[::1]:80", "1--80"),
            ("\u{540d}", "forward"),
            ("", "forward"),
        ] {
            assert_eq!(sound(text), name);
        }
        assert_eq!(sound(&"x".repeat(99)).len(), LONGEST_NAME);
    }
}
