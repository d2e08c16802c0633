//! One command on a node: what the remote shell is given, and how its output is read back.

mod decode;
mod quote;
mod script;

use std::time::Duration;

pub(super) use decode::{Decoder, NotBase64};
pub use script::{Form, Script, Wanted, script};

/// What the person wants to have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// A program and its arguments, which arrive as they are.
    Arguments(Vec<String>),
    /// One text for the remote shell.
    Shell(String),
}

/// Whose shell the agent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `sh`.
    Posix,
    /// PowerShell.
    Windows,
}

/// What tells the remote's status apart from its output: 32 hexadecimal digits that nobody else knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// A fresh one.
    pub fn new() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// What stands before the status: the beginning of a control sequence that terminals ignore, should it
    /// ever reach one.
    fn prefix(&self) -> String {
        format!("\x1b]7771;ssmx;{};", self.0)
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// How the output of a command is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The status stands in the output, behind this mark; else it comes apart.
    pub mark: Option<Mark>,
    /// How the bytes were carried.
    pub carriage: Carriage,
    /// Where they go.
    pub streams: Streams,
    /// The command is given up after so long.
    pub timeout: Option<Duration>,
}

/// Where the two streams of a command go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Streams {
    /// To stdout and stderr.
    #[default]
    Apart,
    /// To stdout both, and the agent's text about the status too.
    AsThePlugin,
}

/// How bytes come through the agent, which filters what is no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carriage {
    /// As they are.
    #[default]
    Plain,
    /// In base64.
    Base64,
}
