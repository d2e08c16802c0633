//! Session documents: AWS's public ones, the accounts' own, and the preferences.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Place;
use crate::scenario::{Preferences, Scenario};

/// The document that holds Session Manager's preferences, and that a session without a document uses.
pub const PREFERENCES: &str = "SSM-SessionManagerRunShell";

const PORT: &str =
    "^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";
const LOCAL_PORT: &str =
    "^([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";

/// All documents.
#[derive(Debug, Default)]
pub struct Library {
    own: BTreeMap<(Place, String), Value>,
    preferences: BTreeMap<Place, Preferences>,
}

/// What a document and its parameters come to: what the agent is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Standard_Stream, Port, InteractiveCommands or NonInteractiveCommands.
    pub session_type: String,
    /// The document's `properties` with the parameters filled in; null where it has none.
    pub properties: Value,
}

impl Library {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let place = |account: &Option<String>, region: &str| Place {
            account: account.clone().unwrap_or_default(),
            region: region.to_owned(),
        };
        let own = scenario.documents.iter().map(|document| {
            // The scenario was checked: the content is JSON.
            let content = serde_json::from_str(&document.content).unwrap_or_default();
            (
                (place(&document.account, &document.region), document.name.clone()),
                content,
            )
        });
        let preferences = scenario
            .preferences
            .iter()
            .map(|entry| (place(&entry.account, &entry.region), entry.clone()));
        Self {
            own: own.collect(),
            preferences: preferences.collect(),
        }
    }

    /// What a document holds, for those who may see it in this place.
    pub fn content(&self, place: &Place, name: &str) -> Option<Value> {
        if name == PREFERENCES {
            return self.preferences.get(place).map(preferences_document);
        }
        self.own
            .get(&(place.clone(), name.to_owned()))
            .cloned()
            .or_else(|| public(name))
    }

    /// Whether it is one of AWS's.
    pub fn is_public(name: &str) -> bool {
        public(name).is_some()
    }

    /// The preferences of a place, if anybody has ever set them.
    pub fn preferences(&self, place: &Place) -> Option<&Preferences> {
        self.preferences.get(place)
    }
}

/// Fills the parameters into a document.
///
/// # Errors
/// With a sentence: a parameter that the document does not have, lacks, or does not allow.
pub fn plan(content: &Value, given: &BTreeMap<String, Vec<String>>) -> Result<Plan, String> {
    let none = serde_json::Map::new();
    let declared = content
        .get("parameters")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    if let Some(name) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(format!("Parameter {name} is not defined in the document."));
    }
    let mut values = BTreeMap::new();
    for (name, rules) in declared {
        let rule = |key: &str| rules.get(key).and_then(Value::as_str);
        let value = match given.get(name).map(Vec::as_slice) {
            None => rule("default")
                .map(ToOwned::to_owned)
                .ok_or_else(|| format!("Parameter {name} is required by the document."))?,
            Some([value]) => value.clone(),
            Some(list) if rule("type") == Some("StringList") => list.join(" "),
            Some(_) => return Err(format!("Parameter {name} takes exactly one value.")),
        };
        if let Some(pattern) = rule("allowedPattern") {
            let allowed =
                regex_lite::Regex::new(pattern).map_err(|_| format!("The pattern of {name} is invalid."))?;
            if !allowed.is_match(&value) {
                return Err(format!("Parameter {name} does not match the pattern {pattern}."));
            }
        }
        if let Some(choices) = rules.get("allowedValues").and_then(Value::as_array)
            && !choices
                .iter()
                .any(|choice| choice.as_str() == Some(value.as_str()))
        {
            return Err(format!("Parameter {name} is none of the allowed values."));
        }
        values.insert(name.as_str(), value);
    }
    let mut properties = content.get("properties").cloned().unwrap_or(Value::Null);
    fill(&mut properties, &values);
    Ok(Plan {
        session_type: content
            .get("sessionType")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        properties,
    })
}

fn fill(value: &mut Value, parameters: &BTreeMap<&str, String>) {
    match value {
        Value::String(text) => *text = filled(text, parameters),
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, parameters)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, parameters)),
        _ => {}
    }
}

/// `{{ name }}` becomes the value; what a value contains is never taken for a placeholder.
fn filled(text: &str, parameters: &BTreeMap<&str, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}") {
            Some((name, behind)) if parameters.contains_key(name.trim()) => {
                out.push_str(&parameters[name.trim()]);
                rest = behind;
            }
            _ => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out + rest
}

fn preferences_document(preferences: &Preferences) -> Value {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let minutes = |value: Option<u32>| value.map(|minutes| minutes.to_string());
    json!({
        "schemaVersion": "1.0",
        "description": "Document to hold regional settings for Session Manager",
        "sessionType": "Standard_Stream",
        "inputs": {
            "s3BucketName": text(&preferences.s3_bucket_name),
            "s3KeyPrefix": "",
            "s3EncryptionEnabled": true,
            "cloudWatchLogGroupName": text(&preferences.cloud_watch_log_group_name),
            "cloudWatchEncryptionEnabled": true,
            "cloudWatchStreamingEnabled": false,
            "kmsKeyId": text(&preferences.kms_key_id),
            "runAsEnabled": preferences.run_as.is_some(),
            "runAsDefaultUser": text(&preferences.run_as),
            "idleSessionTimeout": minutes(preferences.idle_session_timeout).unwrap_or_else(|| "20".to_owned()),
            "maxSessionDuration": minutes(preferences.max_session_duration).unwrap_or_default(),
            "shellProfile": { "windows": "", "linux": text(&preferences.linux_shell_profile) },
        },
    })
}

fn public(name: &str) -> Option<Value> {
    let document = |session_type: &str, description: &str, parameters: Value, properties: Value| {
        Some(json!({
            "schemaVersion": "1.0",
            "description": description,
            "sessionType": session_type,
            "parameters": parameters,
            "properties": properties,
        }))
    };
    let port = |default: &str| json!({ "type": "String", "description": "(Optional) Port number on the instance", "allowedPattern": PORT, "default": default });
    let local = json!({ "type": "String", "description": "(Optional) Port number on the local machine", "allowedPattern": LOCAL_PORT, "default": "0" });
    let command = json!({ "command": { "type": "String", "description": "The command to run" } });
    let commands = json!({ "commands": "{{ command }}", "runAsElevated": false });
    let by_platform = json!({ "linux": commands, "macos": commands, "windows": commands });
    match name {
        "AWS-StartSSHSession" => document(
            "Port",
            "Document to start an SSH session",
            json!({ "portNumber": port("22") }),
            json!({ "portNumber": "{{ portNumber }}" }),
        ),
        "AWS-StartPortForwardingSession" => document(
            "Port",
            "Document to start port forwarding session over Session Manager",
            json!({ "portNumber": port("80"), "localPortNumber": local }),
            json!({
                "portNumber": "{{ portNumber }}",
                "type": "LocalPortForwarding",
                "localPortNumber": "{{ localPortNumber }}",
            }),
        ),
        "AWS-StartPortForwardingSessionToRemoteHost" => document(
            "Port",
            "Document to start port forwarding session over Session Manager to remote host",
            json!({
                "host": { "type": "String", "description": "(Optional) Hostname or IP address", "default": "localhost", "allowedPattern": "^[^,$^&\\(\\)!;'\"<>\\`{}\\[\\]\\|#=]{3,}$" },
                "portNumber": port("80"),
                "localPortNumber": local,
            }),
            json!({
                "portNumber": "{{ portNumber }}",
                "type": "LocalPortForwarding",
                "localPortNumber": "{{ localPortNumber }}",
                "host": "{{ host }}",
            }),
        ),
        "AWS-StartInteractiveCommand" => document(
            "InteractiveCommands",
            "Document to run single interactive command on an instance",
            command,
            by_platform,
        ),
        "AWS-StartNonInteractiveCommand" => document(
            "NonInteractiveCommands",
            "Document to run single non-interactive command on an instance",
            command,
            by_platform,
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect()
    }

    #[test]
    fn parameters_fill_the_properties() {
        let content = public("AWS-StartPortForwardingSessionToRemoteHost").unwrap();
        let plan = plan(
            &content,
            &given(&[("host", "db.internal"), ("portNumber", "5432")]),
        )
        .unwrap();
        assert_eq!(plan.session_type, "Port");
        assert_eq!(plan.properties["host"], "db.internal");
        assert_eq!(plan.properties["portNumber"], "5432");
        assert_eq!(plan.properties["localPortNumber"], "0", "the default");
    }

    #[test]
    fn a_value_is_never_a_placeholder() {
        let content = public("AWS-StartInteractiveCommand").unwrap();
        let command = "echo {{ command }} {{x}} {{";
        let plan = plan(&content, &given(&[("command", command)])).unwrap();
        assert_eq!(plan.properties["linux"]["commands"], command);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let ports = public("AWS-StartPortForwardingSession").unwrap();
        let error = |content: &Value, pairs: &[(&str, &str)]| plan(content, &given(pairs)).unwrap_err();
        assert!(error(&ports, &[("port", "1")]).contains("Parameter port is not defined"));
        assert!(error(&ports, &[("portNumber", "65536")]).contains("does not match"));
        let command = public("AWS-StartInteractiveCommand").unwrap();
        assert!(error(&command, &[]).contains("command is required"));
        let two = BTreeMap::from([("command".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        assert!(plan(&command, &two).unwrap_err().contains("exactly one value"));
    }
}
