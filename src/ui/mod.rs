//! How things are said: data to stdout, talk to stderr, untrusted text escaped.

pub mod log;
pub mod output;
pub mod picker;
pub mod progress;
pub mod prompt;
mod talk;
pub mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
pub use talk::Beside;

/// Where colour is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The shape of data on stdout.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// Comma-separated values, every column.
    Csv,
    /// Tab-separated values, every column, as the AWS CLI prints them.
    Text,
    /// A line each, for scripts: `instance/i-…`.
    Name,
}

/// Whether somebody is there to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// stdin and stderr are a terminal: questions and the picker can be shown.
    Person,
    /// A script: no question, no picker, no spinner.
    Script,
}

/// The two ways out: stdout for data, stderr for talk.
#[derive(Debug, Clone)]
pub struct Ui {
    presence: Presence,
    styled_talk: bool,
    styled_data: bool,
}

/// In which state the terminal is while talk goes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// As the shell left it.
    Cooked,
    /// A session has it: lines have to end in CR LF.
    Raw,
}

/// There is one terminal, whoever writes to it: a clone of [`Ui`], the log.
static RAW: AtomicBool = AtomicBool::new(false);
/// This process has let go of it.
static LEFT: AtomicBool = AtomicBool::new(false);

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

impl Ui {
    /// Looks at the streams once.
    pub fn new(color: Color) -> Self {
        let choice = match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::On => anstream::ColorChoice::AlwaysAnsi,
            Color::Off => anstream::ColorChoice::Never,
        };
        choice.write_global();
        let presence = if io::stdin().is_terminal() && io::stderr().is_terminal() {
            Presence::Person
        } else {
            Presence::Script
        };
        let styled_talk = match color {
            Color::Auto => anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            Color::On => true,
            Color::Off => false,
        };
        dialoguer::console::set_colors_enabled_stderr(styled_talk);
        let styled_data = match color {
            Color::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
            Color::On => true,
            Color::Off => false,
        };
        Self {
            presence,
            styled_talk,
            styled_data,
        }
    }

    /// Whether a person can be asked.
    pub fn presence(&self) -> Presence {
        if has_left() {
            Presence::Script
        } else {
            self.presence
        }
    }

    /// The terminal is left for good: nobody can be asked any more, and stderr is a log, with the time in place of
    /// colours.
    pub fn leave_terminal(&self) {
        LEFT.store(true, Ordering::Relaxed);
    }

    /// Whether data may be bold and coloured.
    pub fn styles_data(&self) -> bool {
        self.styled_data
    }

    /// Rows and columns of the terminal that stdout is; `None`: it is none.
    pub fn data_size(&self) -> Option<(usize, usize)> {
        let out = dialoguer::console::Term::stdout();
        let (rows, columns) = out.is_term().then(|| out.size_checked())??;
        Some((usize::from(rows), usize::from(columns)))
    }

    /// Data, as it is, to stdout. The caller has escaped what is untrusted and ends lines itself.
    ///
    /// # Errors
    /// Whatever writing gives; a broken pipe is the caller's cue to stop quietly.
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// A line of talk.
    pub fn say(&self, line: &str) {
        self.talk(None, line);
    }

    /// A line that somebody should read, though the work goes on.
    pub fn warn(&self, line: &str) {
        self.talk(Some(("warning", WARNING)), line);
    }

    /// What to do next.
    pub fn hint(&self, line: &str) {
        self.talk(Some(("hint", HINT)), line);
    }

    /// The headline of a failure.
    pub fn error(&self, line: &str) {
        self.talk(Some(("error", ERROR)), line);
    }

    /// Waits until what was said is written, where that is done beside the work: before somebody else writes.
    pub fn settle(&self) {
        talk::settle();
    }

    /// From now on the terminal is raw, or no longer: talk has to return the cursor itself, and begins on a
    /// line of its own, since somebody else's words stand on this one.
    pub fn set_screen(&self, screen: Screen) {
        RAW.store(screen == Screen::Raw, Ordering::Relaxed);
    }

    /// In which state the terminal is.
    pub fn screen(&self) -> Screen {
        if is_raw() { Screen::Raw } else { Screen::Cooked }
    }

    fn talk(&self, label: Option<(&str, Style)>, line: &str) {
        let text = match label {
            Some((label, style)) if self.styled_talk && !has_left() => {
                format!("{style}{label}:{style:#} {line}\n")
            }
            Some((label, _)) => format!("{label}: {line}\n"),
            None => format!("{line}\n"),
        };
        talk::write(&if has_left() { with_time(&text) } else { text });
    }
}

fn is_raw() -> bool {
    RAW.load(Ordering::Relaxed)
}

fn has_left() -> bool {
    LEFT.load(Ordering::Relaxed)
}

/// For a log, which is read long afterwards.
fn with_time(text: &str) -> String {
    let now = jiff::Timestamp::now();
    text.lines().map(|line| format!("{now:.0} {line}\n")).collect()
}
