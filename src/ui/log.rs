//! The log: silent unless asked for, on stderr like all talk; into a file while a session has the screen.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use super::{is_raw, talk};
use crate::private;

/// How much was asked for, and where lines go that would spoil the screen.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How often `-v` was given.
    pub verbosity: u8,
    /// A filter in tracing's own form (`SSMX_LOG`), which wins.
    pub filter: Option<String>,
    /// The file for lines that come while the terminal is raw; `None`: they are lost then.
    pub aside: Option<PathBuf>,
}

/// Where lines go while the terminal is raw. Set once, with the log's start.
static ASIDE: OnceLock<Aside> = OnceLock::new();

#[derive(Debug)]
struct Aside {
    path: PathBuf,
    /// Opened with the first line that goes there.
    file: Mutex<Option<File>>,
}

/// Starts the log, if anything was asked for.
///
/// # Errors
/// With words, when the filter cannot be read.
pub fn start(settings: Settings) -> Result<(), String> {
    let filter = match (settings.filter, settings.verbosity) {
        (Some(filter), _) => EnvFilter::try_new(filter).map_err(|error| error.to_string())?,
        (None, 0) => return Ok(()),
        (None, 1) => EnvFilter::new("ssmx=info"),
        (None, _) => EnvFilter::new("warn,ssmx=trace"),
    };
    if let Some(path) = settings.aside
        && io::stderr().is_terminal()
    {
        let file = Mutex::new(None);
        // A second start changes nothing, here as below.
        drop(ASIDE.set(Aside { path, file }));
    }
    // Whatever the filter asks for: libraries log requests and answers whole, tokens and keys included.
    let harmless = filter_fn(|event| event.target().starts_with("ssmx") || *event.level() <= Level::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(|| Lines)
        .with_filter(harmless);
    let subscriber = Registry::default().with(filter).with(lines);
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}

/// The file that has the lines while a session has the screen; `None`: no line is kept apart.
pub fn aside() -> Option<&'static Path> {
    ASIDE.get().map(|aside| aside.path.as_path())
}

impl Aside {
    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match file.as_mut() {
            Some(open) => open,
            None => file.insert(private::append(&self.path)?),
        };
        open.write_all(line)
    }
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match ASIDE.get() {
            // A log that cannot be written is no reason to disturb a shell.
            Some(aside) if is_raw() => drop(aside.write(bytes)),
            _ => talk::write(&String::from_utf8_lossy(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_kept_aside_is_the_users_alone() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let path = state.join("ssmx.log");
        let file = Mutex::default();
        let aside = Aside { path, file };
        aside.write(b"one\n").unwrap();
        aside.write(b"two\n").unwrap();
        assert_eq!(std::fs::read(&aside.path).unwrap(), b"one\ntwo\n");
        for (path, mode) in [(&state, 0o700), (&aside.path, 0o600)] {
            let found = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}", path.display());
        }
    }
}
