//! Which profile has reached which scopes: a hint for completions, never a reason to trust an account.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::lock::Lock;
use crate::ids::{Region, Scope};
use crate::private;

/// The file that remembers it.
#[derive(Debug, Clone)]
pub struct Reach {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    /// Profile → scopes, the last one first. The empty name stands for ambient credentials.
    #[serde(default)]
    profiles: BTreeMap<String, Vec<Scope>>,
}

/// Scopes of one profile that are kept.
const MOST: usize = 64;

impl Reach {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The scopes that a profile (`None`: ambient credentials) reached, the last one first; those of one
    /// region alone where one is given.
    pub fn of(&self, profile: Option<&str>, region: Option<&Region>) -> Vec<Scope> {
        let mut scopes = self
            .read()
            .profiles
            .remove(profile.unwrap_or_default())
            .unwrap_or_default();
        scopes.retain(|scope| region.is_none_or(|region| scope.region == *region));
        scopes
    }

    /// The profiles that have reached anything, sorted.
    pub fn profiles(&self) -> Vec<String> {
        let profiles = self.read().profiles.into_keys();
        profiles.filter(|name| !name.is_empty()).collect()
    }

    /// Remembers that a profile leads to a scope. In one region it leads to one account: the last.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember(&self, profile: Option<&str>, scope: &Scope) -> io::Result<()> {
        let name = profile.unwrap_or_default();
        let known = |remembered: &Remembered| {
            remembered.profiles.get(name).and_then(|scopes| scopes.first()) == Some(scope)
        };
        if known(&self.read()) {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(&self.path);
        let _turn = Lock::take(directory)?;
        let mut remembered = self.read();
        let scopes = remembered.profiles.entry(name.to_owned()).or_default();
        scopes.retain(|old| old.region != scope.region);
        scopes.insert(0, scope.clone());
        scopes.truncate(MOST);
        private::replace(&self.path, &serde_json::to_vec_pretty(&remembered)?)
    }

    /// What cannot be read counts as nothing.
    fn read(&self) -> Remembered {
        let text = fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}
