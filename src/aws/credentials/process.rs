//! Programs that print credentials or codes.

use std::process::Stdio;

use aws_credential_types::Credentials;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::super::error::{ErrorKind, ServiceError};
use super::cli_cache::time;
use crate::secret::Secret;

/// No such program prints more; what comes after it is not read.
const LARGEST: u64 = 1 << 20;
/// So much of what it said on stderr is shown when it fails.
const SHOWN: usize = 2000;

/// Runs a profile's `credential_process`.
///
/// # Errors
/// With what the program said on stderr, and what is wrong with what it printed.
pub(super) async fn credentials(profile: &str, command: &str) -> Result<Credentials, ServiceError> {
    let about = format!("`credential_process` of the AWS profile `{profile}`");
    // As the AWS CLI does: words, not a shell's line.
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words =
        words.ok_or_else(|| unusable(format!("{about} is no command line: a quote is not closed")))?;
    let (program, arguments) = words
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first, rest));
    let mut child = Command::new(program);
    child.args(arguments).stderr(Stdio::piped());
    let output = run(child, &about).await?;
    parse(output.expose()).map_err(|cause| unusable(format!("{about} {cause}")))
}

/// The platform's shell with one line to read.
pub(super) fn shell(line: &str) -> Command {
    let (shell, option) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut command = Command::new(shell);
    command.arg(option).arg(line);
    command
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
/// When it cannot be started or fails; with its stderr where that was caught.
pub(super) async fn run(mut command: Command, about: &str) -> Result<Secret<Vec<u8>>, ServiceError> {
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| unusable(format!("{about} cannot be started: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (output, said) = tokio::join!(drain(stdout), drain(stderr));
    let status = child.wait().await;
    let status = status.map_err(|error| unusable(format!("{about} cannot be waited for: {error}")))?;
    if status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(said.expose()).trim().to_owned();
    let said = last(&said);
    Err(unusable(if said.is_empty() {
        format!("{about} failed ({status}) and said nothing")
    } else {
        format!("{about} failed ({status}) and said: {said}")
    }))
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> Secret<Vec<u8>> {
    let mut content = Vec::new();
    if let Some(pipe) = pipe {
        let read = pipe.take(LARGEST).read_to_end(&mut content).await;
        if let Err(error) = read {
            tracing::debug!(%error, "a program's pipe broke");
        }
    }
    Secret::new(content)
}

/// The end of what was said: that is where errors stand.
fn last(said: &str) -> &str {
    let mut from = said.len().saturating_sub(SHOWN);
    while !said.is_char_boundary(from) {
        from += 1;
    }
    said.get(from..).unwrap_or(said)
}

fn parse(output: &[u8]) -> Result<Credentials, String> {
    // What was printed is never shown: it may be a secret in a wrong form.
    let value: Value = serde_json::from_slice(output).map_err(|_| "printed no JSON".to_owned())?;
    match value.get("Version") {
        Some(version) if version == 1 => {}
        Some(_) => return Err("printed an unknown `Version`; expected 1".to_owned()),
        None => return Err("printed no `Version`; expected 1".to_owned()),
    }
    let text = |key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let wanted = |key: &str| text(key).ok_or_else(|| format!("printed no `{key}`"));
    let mut credentials = Credentials::builder()
        .access_key_id(wanted("AccessKeyId")?)
        .secret_access_key(wanted("SecretAccessKey")?)
        .provider_name("credential_process");
    credentials.set_session_token(text("SessionToken").map(ToOwned::to_owned));
    if let Some(expiration) = text("Expiration") {
        let expiry = time(expiration)
            .ok_or_else(|| "printed an `Expiration` that is no time; expected ISO 8601".to_owned())?;
        credentials.set_expiry(Some(expiry));
    }
    if let Some(account) = text("AccountId") {
        credentials = credentials.account_id(account);
    }
    Ok(credentials.build())
}

fn unusable(message: impl Into<String>) -> ServiceError {
    ServiceError::local(ErrorKind::Credentials, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failure(command: &str) -> String {
        credentials("p", command).await.unwrap_err().message
    }

    #[tokio::test]
    async fn what_it_prints_is_taken_and_what_it_says_is_shown() {
        let good = r#"sh -c "echo '{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2030-01-01T00:00:00Z\"}'""#;
        let credentials = credentials("p", good).await.unwrap();
        assert_eq!(credentials.access_key_id(), "AKIA");
        assert!(credentials.expiry().is_some());
        let said = failure("sh -c 'echo my token is gone >&2; exit 3'").await;
        assert_eq!(
            said,
            "`credential_process` of the AWS profile `p` failed (exit status: 3) and said: my token is gone"
        );
        for (command, word) in [
            ("sh -c 'echo hello'", "printed no JSON"),
            (r#"sh -c "echo '{}'""#, "printed no `Version`"),
            (r#"sh -c "echo '{\"Version\":1}'""#, "printed no `AccessKeyId`"),
            (r#"sh -c "echo '{\"Version\":2}'""#, "unknown `Version`"),
            ("/nonexistent/program", "cannot be started"),
            ("sh 'open", "a quote is not closed"),
        ] {
            let said = failure(command).await;
            assert!(said.contains(word), "{said}");
        }
    }

    #[tokio::test]
    async fn what_it_prints_is_not_shown() {
        let said = failure("sh -c 'echo SECRET'").await;
        assert!(!said.contains("SECRET"), "{said}");
    }
}
