//! Where data goes: straight to stdout, or, at a terminal that it does not fit, through a pager.

use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use unicode_width::UnicodeWidthStr as _;

/// So much is gathered before it is written.
const BATCH: usize = 32 * 1024;

/// The AWS CLI's defaults for `less` and `lv`; and where there is no such program, the data counts.
const SCRIPT: &str = r#"export LESS="${LESS-FRX}" LV="${LV--c}"
[ -z "$1" ] || command -v "$1" >/dev/null 2>&1 || exec cat
eval "$2""#;

/// The command that long output goes through at a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pager {
    /// None.
    #[default]
    Off,
    /// This command line, given to the shell as the AWS CLI does.
    Command(String),
}

impl Pager {
    /// From a value of `AWS_PAGER`, `cli_pager`, `PAGER` and the like: an empty one turns it off.
    pub fn by(value: &str) -> Self {
        match value.trim() {
            "" => Self::Off,
            command => Self::Command(command.to_owned()),
        }
    }
}

/// The way out of one printing.
pub(super) enum Sink {
    /// Gathered in batches.
    Straight { waiting: String, to: Straight },
    /// Held back as long as it may fit the terminal.
    Held {
        waiting: String,
        command: String,
        rows: usize,
        columns: usize,
        used: usize,
    },
    /// It did not fit.
    Paged(Paged),
}

/// Where what is not paged goes.
pub(super) enum Straight {
    /// stdout.
    Stdout,
    /// A test's ear.
    #[cfg(test)]
    Memory(Arc<std::sync::Mutex<String>>),
}

/// A pager at work.
pub(super) struct Paged {
    child: Child,
    interrupt: Option<signal_hook::SigId>,
}

impl Sink {
    /// To stdout, which is a terminal of that size (rows, columns) or none.
    pub(super) fn stdout(pager: &Pager, terminal: Option<(usize, usize)>) -> Self {
        match (pager, terminal) {
            (Pager::Command(command), Some((rows, columns))) if rows > 1 && columns > 0 => Self::Held {
                waiting: String::new(),
                command: command.clone(),
                rows,
                columns,
                used: 0,
            },
            _ => Self::straight(Straight::Stdout),
        }
    }

    pub(super) fn straight(to: Straight) -> Self {
        Self::Straight {
            waiting: String::new(),
            to,
        }
    }

    /// Takes whole lines.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Straight { waiting, to } => {
                waiting.push_str(text);
                if waiting.len() >= BATCH {
                    to.write(waiting)
                } else {
                    Ok(())
                }
            }
            Self::Held {
                waiting,
                command,
                rows,
                columns,
                used,
            } => {
                waiting.push_str(text);
                *used += height(text, *columns);
                // The prompt takes the last row.
                if *used < *rows {
                    return Ok(());
                }
                let text = std::mem::take(waiting);
                match Paged::start(command) {
                    Ok(mut paged) => {
                        paged.write(&text)?;
                        *self = Self::Paged(paged);
                        Ok(())
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the pager cannot be started");
                        *self = Self::straight(Straight::Stdout);
                        self.write(&text)
                    }
                }
            }
            Self::Paged(paged) => paged.write(text),
        }
    }

    /// Lets what was gathered be seen now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Straight { waiting, to } => to.write(waiting),
            Self::Held { .. } => Ok(()),
            Self::Paged(paged) => paged.write(""),
        }
    }

    /// Writes what is left and waits for the pager.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Straight { mut waiting, mut to } => to.write(&mut waiting),
            Self::Held { mut waiting, .. } => Straight::Stdout.write(&mut waiting),
            Self::Paged(paged) => paged.finish(),
        }
    }
}

impl Straight {
    fn write(&mut self, waiting: &mut String) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(waiting.as_bytes())?;
                out.flush()?;
            }
            #[cfg(test)]
            Self::Memory(text) => text
                .lock()
                .map_err(|_| io::Error::other("poisoned"))?
                .push_str(waiting),
        }
        waiting.clear();
        Ok(())
    }
}

impl Paged {
    fn start(command: &str) -> io::Result<Self> {
        let mut shell = if cfg!(windows) {
            let mut shell = Command::new("cmd");
            shell.args(["/C", command]);
            shell
        } else {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", SCRIPT, "pager", program(command), command]);
            shell
        };
        shell.stdin(Stdio::piped());
        let child = shell.spawn()?;
        // Ctrl-C is the pager's while it has the screen; we end when it ends.
        let interrupt =
            signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false))).ok();
        Ok(Self { child, interrupt })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        match &mut self.child.stdin {
            Some(stdin) => {
                stdin.write_all(text.as_bytes())?;
                stdin.flush()
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.leave()
    }

    /// Closes the pager's input and waits for it, so that the shell's prompt does not come before its last word.
    fn leave(&mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        if let Some(interrupt) = self.interrupt.take() {
            signal_hook::low_level::unregister(interrupt);
        }
        Ok(())
    }
}

impl Drop for Paged {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

/// The program that a command line starts, where that is plain to see; else an empty text.
fn program(command: &str) -> &str {
    let plain = |word: &str| {
        word.chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
    };
    command
        .split_whitespace()
        .next()
        .filter(|word| plain(word))
        .unwrap_or("")
}

/// How many rows of a terminal the lines take.
fn height(text: &str, columns: usize) -> usize {
    let rows = |line: &str| {
        anstream::adapter::strip_str(line)
            .to_string()
            .width()
            .div_ceil(columns)
            .max(1)
    };
    text.lines().map(rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_take_several_rows() {
        assert_eq!(height("a\n\nabcdef\n", 3), 4);
        assert_eq!(height("\x1b[1mabc\x1b[0m\n", 3), 1);
        assert_eq!(height("名前\n", 3), 2);
    }

    #[test]
    fn an_empty_pager_is_none() {
        assert_eq!(Pager::by(" "), Pager::Off);
        assert_eq!(Pager::by("less -S"), Pager::Command("less -S".into()));
    }

    #[test]
    fn only_a_plain_program_is_looked_for() {
        assert_eq!(program("less -S"), "less");
        assert_eq!(program("X=1 less"), "");
        assert_eq!(program("'my pager'"), "");
    }
}
