//! Names that other tools know, as named targets.

mod aws_gate;
mod ssh;

use std::net::IpAddr;

use toml_edit::Value;

use super::edit::value_of;
use super::keys::{KeyPath, check_name};
use crate::ids::NodeId;

pub use aws_gate::aws_gate;
pub use ssh::ssh_config;

/// What a file of another tool came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Named targets.
    pub targets: Vec<NamedTarget>,
    /// What was passed over, and why: a sentence each. Holds text of the file.
    pub passed_over: Vec<String>,
}

/// A target to be.
#[derive(Debug)]
pub struct NamedTarget {
    /// Its name.
    pub name: String,
    /// Its keys, each checked.
    pub values: Vec<(KeyPath, Value)>,
}

impl Found {
    /// Takes a target, or tells why not.
    fn take(&mut self, name: &str, keys: &[(&[&str], &str)]) {
        if let Err(reason) = check_name("targets", name) {
            self.passed_over.push(format!("`{name}` {reason}"));
            return;
        }
        let mut values = Vec::new();
        for (key, text) in keys {
            let key = KeyPath(key.iter().map(|part| (*part).to_owned()).collect());
            let parts = ["targets", name]
                .map(str::to_owned)
                .into_iter()
                .chain(key.0.clone());
            match value_of(&KeyPath(parts.collect()), text) {
                // Everything here is text in the other tool: a number is a name that looks like one.
                Ok(_) => values.push((key, Value::from(*text))),
                Err(error) => {
                    let problems = error.problems.iter().map(|problem| problem.message.clone());
                    self.passed_over.extend(problems);
                    return;
                }
            }
        }
        self.targets.push(NamedTarget {
            name: name.to_owned(),
            values,
        });
    }
}

/// The key by which a node is found that another tool calls by this word.
fn selecting_key(word: &str) -> &'static str {
    if word.parse::<NodeId>().is_ok() {
        "id"
    } else if word.parse::<IpAddr>().is_ok() {
        "address"
    } else {
        "name"
    }
}

#[cfg(test)]
fn lines(found: &Found) -> Vec<String> {
    let targets = found.targets.iter().map(|target| {
        let values: Vec<String> = target
            .values
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("?")))
            .collect();
        format!("{}: {}", target.name, values.join(" "))
    });
    targets
        .chain(found.passed_over.iter().map(|why| format!("- {why}")))
        .collect()
}
