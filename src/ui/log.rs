//! The log: silent unless asked for, on stderr like all talk.

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

use super::write_talk;

/// Starts the log for `-v` (1), `-vv` (2), or by a filter in tracing's own form (`SSMX_LOG`), which wins.
///
/// # Errors
/// With words, when the filter cannot be read.
pub fn start(verbosity: u8, filter: Option<&str>) -> Result<(), String> {
    let filter = match (filter, verbosity) {
        (Some(filter), _) => EnvFilter::try_new(filter).map_err(|error| error.to_string())?,
        (None, 0) => return Ok(()),
        (None, 1) => EnvFilter::new("ssmx=info"),
        (None, _) => EnvFilter::new("warn,ssmx=trace"),
    };
    // Whatever the filter asks for: libraries log requests and answers whole, tokens and keys included.
    let harmless = filter_fn(|event| event.target().starts_with("ssmx") || *event.level() <= Level::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(|| Lines)
        .with_filter(harmless);
    let subscriber = Registry::default().with(filter).with(lines);
    // A second start (tests in one process) changes nothing.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(())
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_talk(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
