//! The one place where an outcome becomes words and an exit status.

use std::io;
use std::process::ExitCode;

use crate::aws::error::{ErrorKind, ServiceError};
use crate::config::ConfigError;
use crate::config::edit::EditError;
use crate::config::policy::Refusal;
use crate::ids::InvalidSpec;
use crate::ui::Ui;
use crate::ui::output::OutputError;
use crate::ui::text::{escape, escape_lines};

/// How a command that did its work leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
}

/// What kind of failure it is; it alone decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 252: the words or the config are wrong, unknown and ambiguous names included.
    Usage,
    /// 252 too: the words can be meant, and no node fits them; one may later.
    Absent,
    /// 252 too: what the config wants to be asked was not answered, or nobody is there who could.
    Unanswered,
    /// 253: credentials or region.
    Credentials,
    /// 254: AWS refused, or the target is not there.
    Refused,
    /// 255: anything else.
    Failed,
    /// 130: interrupted, a cancelled picker included.
    Interrupted,
    /// 128 + n: ended by another signal.
    Signal(i32),
    /// The reader of our stdout has gone. Quiet, and a success as far as anybody can tell.
    BrokenPipe,
}

/// A failure: one sentence on what ssmx was doing, the causes, and what to do next.
///
/// Texts may hold what AWS said: they are escaped where they are printed, here.
#[derive(Debug, Clone)]
pub struct CommandError {
    /// What kind it is.
    pub kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// A failure of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The words or the config are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Anything that is nobody's fault in particular.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The person left; nothing is said.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "")
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A call to AWS that failed while ssmx was `doing` something for a target in a scope.
    pub fn aws(doing: impl Into<String>, error: &ServiceError) -> Self {
        let kind = match &error.kind {
            ErrorKind::Credentials
            | ErrorKind::NoCredentials
            | ErrorKind::Expired
            | ErrorKind::LoginNeeded
            | ErrorKind::Region => Kind::Credentials,
            ErrorKind::Cancelled => Kind::Interrupted,
            ErrorKind::Setting => Kind::Usage,
            ErrorKind::AccessDenied { .. } | ErrorKind::TargetNotConnected | ErrorKind::NotFound => {
                Kind::Refused
            }
            _ if error.code.is_some() && error.kind != ErrorKind::Throttled => Kind::Refused,
            _ => Kind::Failed,
        };
        let failure = Self::new(kind, doing).because(error);
        match &error.kind {
            ErrorKind::AccessDenied { action } if !action.is_empty() => {
                failure.hint(format!("the credentials in use lack the IAM action `{action}`"))
            }
            ErrorKind::NoCredentials => failure.hint(
                "choose a profile with `--profile NAME` or `AWS_PROFILE`; one of SSO wants `ssmx login NAME` first",
            ),
            ErrorKind::Expired => failure.hint("renew the credentials"),
            // AWS's words speak of signatures; a clock that is off makes them as wrong as a wrong key does.
            ErrorKind::Credentials if error.code.is_some() => {
                failure.hint("`ssmx doctor` compares this machine's clock with AWS's and looks at the rest of the way")
            }
            ErrorKind::LoginNeeded => failure.hint("log in with `ssmx login`, or with the AWS CLI"),
            ErrorKind::Unreachable if error.code.is_none() => failure
                .hint("`ssmx doctor` looks at this machine's way to AWS: name, proxy, certificates, clock"),
            ErrorKind::Throttled => {
                failure.hint("AWS limits how often an account may call; try again in a moment")
            }
            _ => failure,
        }
    }

    /// The next steps that will be told.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// What ssmx was doing, without the causes.
    pub fn sentence(&self) -> &str {
        &self.message
    }

    /// The sentence and its causes in one line, for where it is told beside other things.
    pub fn summary(&self) -> String {
        let causes = self.causes.iter().map(String::as_str);
        let parts: Vec<&str> = std::iter::once(self.message.as_str()).chain(causes).collect();
        parts.join(": ")
    }

    /// Prints the failure on stderr and gives the exit status.
    pub fn report(&self, ui: &Ui) -> ExitCode {
        if !self.message.is_empty() {
            ui.error(&escape_lines(&self.message));
            for cause in &self.causes {
                ui.say(&format!("  {}", escape_lines(cause).replace('\n', "\n  ")));
            }
            for hint in &self.hints {
                ui.hint(&escape(hint));
            }
        }
        ExitCode::from(self.status())
    }

    /// The exit status by product rules.
    pub fn status(&self) -> u8 {
        match self.kind {
            Kind::Usage | Kind::Absent | Kind::Unanswered => 252,
            Kind::Credentials => 253,
            Kind::Refused => 254,
            Kind::Failed => 255,
            Kind::Interrupted => 130,
            Kind::Signal(number) => 128_u8.saturating_add(u8::try_from(number).unwrap_or(0)),
            Kind::BrokenPipe => 0,
        }
    }
}

impl From<ConfigError> for CommandError {
    /// One problem is a sentence with its hint; several stand one under the other, each with its own.
    fn from(error: ConfigError) -> Self {
        match error.problems.as_slice() {
            [problem] => {
                let failure = Self::usage(format!("{}: {}", problem.origin, problem.message));
                problem.hint.iter().fold(failure, Self::hint)
            }
            problems => problems
                .iter()
                .fold(Self::usage(error.to_string()), Self::because),
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::usage(refusal.to_string())
    }
}

impl From<InvalidSpec> for CommandError {
    fn from(error: InvalidSpec) -> Self {
        let failure = Self::usage(error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        let message = error.to_string();
        match error {
            EditError::Unsound(error) => error.into(),
            EditError::WouldBeUnsound { error, .. } => {
                error
                    .problems
                    .into_iter()
                    .fold(Self::usage(message), |failure, problem| {
                        let failure = failure.because(problem.message);
                        problem.hint.into_iter().fold(failure, Self::hint)
                    })
            }
            EditError::NoPlace => Self::usage(message).hint("name one with the variable `SSMX_CONFIG`"),
            EditError::Exists { .. } => {
                Self::usage(message).hint("put the new one in its place with `--replace`")
            }
            EditError::Missing { .. } => Self::usage(message),
            EditError::ChangedMeanwhile { .. } => Self::failed(message).hint("try again"),
            EditError::Io { source, .. } => Self::failed(message).because(source),
        }
    }
}

impl From<io::Error> for CommandError {
    /// Failures of our own streams: stdout and the terminal.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::BrokenPipe, ""),
            io::ErrorKind::Interrupted => Self::interrupted(),
            _ => Self::failed("could not write the output").because(error),
        }
    }
}

impl From<OutputError> for CommandError {
    fn from(error: OutputError) -> Self {
        let message = error.to_string();
        match error {
            OutputError::Io(error) => error.into(),
            OutputError::Query { cause, .. } => Self::usage(message).because(cause),
            OutputError::SortBy { columns, .. } => {
                Self::usage(message).hint(format!("the columns are {}", columns.join(", ")))
            }
        }
    }
}
