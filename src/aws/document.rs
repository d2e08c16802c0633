//! What a session document offers, looked up once and remembered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Aws;
use super::diagnosis::settings::Logging;
use super::error::{ErrorKind, ServiceError};
use super::memory;
use crate::ids::Scope;
use crate::private;

const PARAMETER: &str = "separateOutputStream";
/// What the preferences say of logs is kept apart from what they offer as a document: no document has a space.
const LOGGING: &str = "SSM-SessionManagerRunShell logging";
/// AWS's own documents hardly ever change.
const AWS_OWN: &str = "AWS-";
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
const REMEMBERED_AWS_OWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Whether the output of a document's command comes as two streams, with the status after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeparateOutput {
    /// Where the parameter `separateOutputStream` has this value.
    Asked(String),
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Aws {
    /// How the document hands out the output of its command.
    ///
    /// # Errors
    /// What AWS refuses; a document that is no JSON.
    pub async fn separate_output(&self, document: &str) -> Result<SeparateOutput, ServiceError> {
        const OPERATION: &str = "ssm:GetDocument";
        let scope = self.scope().await?;
        let file = self.memory_of(document, &scope);
        let lasts = if document.starts_with(AWS_OWN) {
            REMEMBERED_AWS_OWN
        } else {
            REMEMBERED
        };
        if let Some(known) = file.as_deref().and_then(|file| remembered(file, lasts)) {
            return Ok(known);
        }
        let call = self.ssm().get_document().name(document);
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        let content = answer.content().unwrap_or_default();
        let found = read(content).ok_or_else(|| ServiceError {
            operation: OPERATION.to_owned(),
            ..ServiceError::local(
                ErrorKind::Other,
                format!("the content of document {document} is not JSON"),
            )
        })?;
        if let Some(file) = file
            && let Err(error) = remember(&file, &found)
        {
            tracing::debug!(%error, file = %file.display(), "what the document offers is not remembered");
        }
        Ok(found)
    }

    /// Where that is kept which was learnt from a document of a scope; `None`: nothing is kept.
    fn memory_of(&self, document: &str, scope: &Scope) -> Option<PathBuf> {
        let cache = self.settings.cache.as_deref()?;
        let endpoint = self.endpoint_url().unwrap_or_default();
        let question = [document, &scope.to_string(), &endpoint];
        Some(memory::file(cache, "documents", &question))
    }

    /// Keeps where shells are logged, for [`Aws::logging_at_hand`].
    pub(super) async fn remember_logging(&self, logging: &Logging) {
        let Ok(scope) = self.scope().await else { return };
        if let Some(file) = self.memory_of(LOGGING, &scope)
            && let Err(error) = remember(&file, logging)
        {
            tracing::debug!(%error, file = %file.display(), "where shells are logged is not remembered");
        }
    }

    /// Where shells of the account's own preferences are logged, as far as that was learnt within the last day: no
    /// call is made.
    pub fn logging_at_hand(&self, scope: &Scope) -> Option<Logging> {
        remembered(&self.memory_of(LOGGING, scope)?, REMEMBERED)
    }
}

fn read(content: &str) -> Option<SeparateOutput> {
    let content: Value = serde_json::from_str(content).ok()?;
    if let Some(rules) = content.pointer(&format!("/parameters/{PARAMETER}")) {
        let allowed = rules.get("allowedValues").and_then(Value::as_array);
        let yes = allowed
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .find(|value| value.eq_ignore_ascii_case("true"));
        return Some(SeparateOutput::Asked(yes.unwrap_or("true").to_owned()));
    }
    let properties = content.get("properties");
    let places = ["", "/linux", "/windows", "/macos"].map(|platform| format!("{platform}/{PARAMETER}"));
    let is_on =
        places.iter().any(
            |place| match properties.and_then(|properties| properties.pointer(place)) {
                Some(Value::Bool(on)) => *on,
                Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
                _ => false,
            },
        );
    Some(if is_on {
        SeparateOutput::Always
    } else {
        SeparateOutput::Never
    })
}

fn remembered<T: DeserializeOwned>(file: &Path, lasts: Duration) -> Option<T> {
    let age = fs::metadata(file).ok()?.modified().ok()?.elapsed().ok()?;
    let text = fs::read_to_string(file).ok().filter(|_| age < lasts)?;
    serde_json::from_str(&text).ok()
}

fn remember(file: &Path, found: &impl Serialize) -> std::io::Result<()> {
    private::replace(file, &serde_json::to_vec(found)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_the_property_or_neither() {
        for (content, expected) in [
            (
                r#"{"parameters":{"command":{}},"properties":{"linux":{}}}"#,
                SeparateOutput::Never,
            ),
            (
                r#"{"parameters":{"separateOutputStream":{"allowedValues":["True","False"]}}}"#,
                SeparateOutput::Asked("True".into()),
            ),
            (
                r#"{"parameters":{"separateOutputStream":{}}}"#,
                SeparateOutput::Asked("true".into()),
            ),
            (
                r#"{"properties":{"separateOutputStream":true}}"#,
                SeparateOutput::Always,
            ),
            (
                r#"{"properties":{"linux":{"separateOutputStream":"True"}}}"#,
                SeparateOutput::Always,
            ),
            (
                r#"{"properties":{"separateOutputStream":"False"}}"#,
                SeparateOutput::Never,
            ),
            ("{}", SeparateOutput::Never),
        ] {
            assert_eq!(read(content), Some(expected), "{content}");
        }
        assert_eq!(read("schemaVersion: 1"), None);
    }

    #[test]
    fn it_is_remembered_for_a_while() {
        let cache = tempfile::tempdir().unwrap();
        let file = cache.path().join("documents/one");
        assert_eq!(remembered::<SeparateOutput>(&file, REMEMBERED), None);
        remember(&file, &SeparateOutput::Always).unwrap();
        assert_eq!(remembered(&file, REMEMBERED), Some(SeparateOutput::Always));
        assert_eq!(remembered::<SeparateOutput>(&file, Duration::ZERO), None);
        fs::write(&file, "rubbish").unwrap();
        assert_eq!(remembered::<SeparateOutput>(&file, REMEMBERED), None);
    }
}
