//! AWS's config and credentials files, read by the line: what a completion may know of them. No SDK, no future, no
//! error: what cannot be read is left out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::env;

/// The profiles of AWS's files, each with its own keys.
#[derive(Debug, Default)]
pub struct Sections {
    profiles: BTreeMap<String, BTreeMap<String, String>>,
}

impl Sections {
    /// Reads both files, where AWS's variables or the defaults say.
    pub fn load() -> Self {
        let mut sections = Self::default();
        let read = |path: Option<PathBuf>| {
            path.and_then(|path| std::fs::read_to_string(path).ok())
                .unwrap_or_default()
        };
        sections.read(&read(env::config_file()), |heading| match heading {
            "default" => Some("default"),
            other => other
                .strip_prefix("profile")
                .filter(|rest| rest.starts_with([' ', '\t']))
                .map(str::trim),
        });
        sections.read(&read(env::credentials_file()), |heading| Some(heading));
        sections
    }

    fn read(&mut self, text: &str, profile: fn(&str) -> Option<&str>) {
        let mut current: Option<String> = None;
        for line in text.lines() {
            let line = line.trim_end();
            if let Some(heading) = line.strip_prefix('[') {
                let heading = heading.split(']').next().unwrap_or_default().trim();
                current = profile(heading).map(|name| name.trim_matches(['"', '\'']).to_owned());
                if let Some(name) = &current {
                    self.profiles.entry(name.clone()).or_default();
                }
            } else if line.starts_with(['#', ';', ' ', '\t']) {
                // Comments, and the nested keys of services.
            } else if let (Some(name), Some((key, value))) = (&current, line.split_once('=')) {
                let keys = self.profiles.entry(name.clone()).or_default();
                keys.entry(key.trim().to_lowercase())
                    .or_insert_with(|| value.trim().to_owned());
            }
        }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// A profile's own value of a key.
    pub fn value(&self, profile: &str, key: &str) -> Option<&str> {
        self.profiles.get(profile)?.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_their_keys_are_found() {
        let mut sections = Sections::default();
        let text = "[default]\nregion=eu-west-2\n# x = 1\n[profile prod]\nregion = eu-west-1\ncli_pager=\ns3 =\n  region = no\n[sso-session x]\nregion = no\n";
        sections.read(text, |heading| match heading {
            "default" => Some("default"),
            other => other.strip_prefix("profile ").map(str::trim),
        });
        sections.read("[prod]\nregion = ignored\n[keys]\n", |heading| Some(heading));
        assert_eq!(sections.names().collect::<Vec<_>>(), ["default", "keys", "prod"]);
        assert_eq!(sections.value("prod", "region"), Some("eu-west-1"));
        assert_eq!(sections.value("prod", "cli_pager"), Some(""));
    }
}
