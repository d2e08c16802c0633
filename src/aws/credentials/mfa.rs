//! One-time codes: where they come from, and when nobody can be asked any more.

use std::fmt;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::process::Command;

use super::super::error::{ErrorKind, ServiceError};
use super::plan::Role;
use super::process;
use crate::secret::Secret;

/// A wrong code can be typed so often.
pub(super) const TRIES: usize = 3;

/// Who is there to be asked and told.
pub trait Person: Send + Sync {
    /// Whether anybody can be asked; a script can only be told.
    fn is_there(&self) -> bool;

    /// Whether the terminal is free for a question just now; a session may have it.
    fn is_free(&self) -> bool;

    /// Asks for a one-time code; `None` when the person left. It blocks.
    ///
    /// # Errors
    /// The terminal's own.
    fn ask_code(&self, question: &str) -> io::Result<Option<String>>;

    /// Says a line that somebody should read. The text may hold what others wrote.
    fn tell(&self, line: &str);
}

/// Where one-time codes come from: a code given beforehand, a command of the user's, or the person.
#[derive(Clone, Default)]
pub struct Mfa {
    /// `--mfa-code`: good for one use.
    pub code: Option<Secret<String>>,
    /// `mfa_command` of the user's own config, which prints a code: one line for the shell, or a program and its
    /// arguments. Empty where there is none.
    pub command: Vec<String>,
    /// Who is asked otherwise, and told what somebody should know.
    pub person: Option<Arc<dyn Person>>,
}

impl fmt::Debug for Mfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mfa").finish_non_exhaustive()
    }
}

/// The codes of one process.
#[derive(Debug)]
pub(super) struct Codes {
    mfa: Mfa,
    given: Mutex<Option<Secret<String>>>,
}

/// A code, and whether another may be asked for when it is wrong.
pub(super) struct Code {
    pub(super) code: Secret<String>,
    pub(super) asked: bool,
}

impl Codes {
    pub(super) fn new(mfa: Mfa) -> Self {
        let given = Mutex::new(mfa.code.clone());
        Self { mfa, given }
    }

    /// Whether a code for this role would have to be asked of a person, here and now.
    pub(super) fn needs_person(&self) -> bool {
        self.mfa.command.is_empty()
    }

    /// Says a line, unless the terminal belongs to a session.
    pub(super) fn tell(&self, line: &str) {
        match self.mfa.person.as_ref().filter(|person| person.is_free()) {
            Some(person) => person.tell(line),
            None => tracing::warn!("{line}"),
        }
    }

    fn person(&self) -> Option<&Arc<dyn Person>> {
        let person = self.mfa.person.as_ref();
        person.filter(|person| person.is_there() && person.is_free())
    }

    /// A code for the role's device.
    ///
    /// # Errors
    /// When there is none to be had, with what could be done.
    pub(super) async fn code(&self, role: &Role) -> Result<Code, ServiceError> {
        let serial = role.mfa_serial.clone().unwrap_or_default();
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(given) = given {
            let code = well_formed(given.expose())
                .ok_or_else(|| unusable("`--mfa-code` is no one-time code; expected six digits"))?;
            return Ok(Code { code, asked: false });
        }
        if let Some((program, arguments)) = self.mfa.command.split_first() {
            let code = self.run(program, arguments, &serial).await?;
            return Ok(Code { code, asked: false });
        }
        let Some(person) = self.person().cloned() else {
            return Err(self.nobody(role));
        };
        let question = format!("one-time code of {serial} (profile {})", role.profile);
        let asked = tokio::task::spawn_blocking(move || {
            for _ in 0..TRIES {
                let Some(typed) = person.ask_code(&question)? else {
                    return Ok(None);
                };
                let typed = Secret::new(typed);
                match well_formed(typed.expose()) {
                    Some(code) => return Ok(Some(code)),
                    None => person.tell("a one-time code is six digits"),
                }
            }
            Ok(None)
        });
        let failed = |cause: String| unusable(format!("the one-time code could not be asked for: {cause}"));
        match asked.await.map_err(|error| failed(error.to_string()))? {
            Ok(Some(code)) => Ok(Code { code, asked: true }),
            Ok(None) => Err(ServiceError::local(
                ErrorKind::Cancelled,
                format!("no one-time code was given for {serial}"),
            )),
            Err(error) => Err(failed(io::Error::to_string(&error))),
        }
    }

    fn nobody(&self, role: &Role) -> ServiceError {
        let serial = role.mfa_serial.as_deref().unwrap_or_default();
        let wanted = format!(
            "the AWS profile `{}` wants a one-time code of {serial}",
            role.profile
        );
        unusable(
            if self.mfa.person.as_ref().is_some_and(|person| person.is_there()) {
                format!(
                    "{wanted}, and the terminal is taken by the session; run ssmx again to renew the credentials"
                )
            } else {
                format!(
                    "{wanted}, and nobody is there to ask; give it with `--mfa-code`, or set `mfa_command` in `[profiles.{}]` of your own config",
                    role.profile
                )
            },
        )
    }

    /// The command is the user's own, so a shell may read it; the code is what it prints.
    async fn run(
        &self,
        program: &str,
        arguments: &[String],
        serial: &str,
    ) -> Result<Secret<String>, ServiceError> {
        let mut child = if arguments.is_empty() {
            process::shell(program)
        } else {
            let mut child = Command::new(program);
            child.args(arguments);
            child
        };
        child.env("SSMX_MFA_SERIAL", serial);
        // "Touch your key" has to be seen, and must not be seen in the middle of a session.
        child.stderr(match self.person() {
            Some(_) => Stdio::inherit(),
            None => Stdio::piped(),
        });
        let output = process::run(child, "mfa_command").await?;
        let printed = String::from_utf8_lossy(output.expose()).into_owned();
        let printed = Secret::new(printed);
        well_formed(printed.expose())
            .ok_or_else(|| unusable("`mfa_command` printed no one-time code; expected six digits"))
    }
}

/// Six digits; devices and apps like to show them in two groups.
fn well_formed(text: &str) -> Option<Secret<String>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let right = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
    right.then(|| Secret::new(digits))
}

fn unusable(message: impl Into<String>) -> ServiceError {
    ServiceError::local(ErrorKind::Credentials, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits() {
        assert!(well_formed(" 123 456\n").is_some());
        for wrong in ["", "12345", "1234567", "12345a", "１２３４５６"] {
            assert!(well_formed(wrong).is_none(), "{wrong}");
        }
    }
}
