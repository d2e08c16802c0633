//! Data on stdout: one way to print a listing or a record, in every format that there is.
//!
//! A *listing* is fed row by row and streams: whatever the format can print at once is printed at once, so
//! that memory stays flat over 100,000 rows. Only `--sort-by` and `--query` have to see all of it first. A
//! table measures its first thousand rows and keeps their widths. A *record* is one thing with its fields.
//!
//! `json`, `yaml` and `--query` speak of the same document: an object with the rows in a named list. `csv` and
//! `text` have every column, `table` leaves out the wide ones. Untrusted text is made harmless in all of them: by
//! `\u` escapes in JSON and YAML, which lose nothing, visibly elsewhere.

mod grid;
mod json;
mod pager;
mod printer;
mod query;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

use std::borrow::Cow;
use std::io;

use serde_json::Value;

use super::{Format, Ui};
pub use pager::Pager;
pub use printer::Printer;
pub use query::Query;

/// How data is to be printed: what flags, variables and config come to.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The shape.
    pub format: Format,
    /// What to pick from the document.
    pub query: Option<Query>,
    /// Whether columns have headings.
    pub headings: Headings,
    /// By which column rows are sorted: its heading or key, `-` before it for falling order.
    pub sort_by: Option<String>,
    /// What long output goes through at a terminal.
    pub pager: Pager,
}

/// Whether columns have headings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headings {
    /// They have.
    #[default]
    Shown,
    /// `--no-headers`.
    Left,
}

/// Why data could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// stdout or the pager; a broken pipe is the cue to stop quietly.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// `--query` asked for what cannot be done with this document.
    #[error("the query `{query}` cannot be answered")]
    Query {
        /// As it was typed.
        query: String,
        /// What JMESPath has to say.
        #[source]
        cause: query::Unanswered,
    },
    /// There is no such column to sort by.
    #[error("there is no column `{asked}` to sort by")]
    SortBy {
        /// As it was typed.
        asked: String,
        /// What there is.
        columns: Vec<String>,
    },
}

/// What a listing is called and which columns it has.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The key of its list in the document, such as `nodes`.
    pub key: &'static str,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// A column of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    heading: Cow<'static, str>,
    key: &'static str,
    shown: Shown,
    fit: Fit,
}

/// In which formats a column appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    Wide,
}

/// What becomes of a cell that is too wide for the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Cut, with an ellipsis.
    Cut,
    /// Never cut: it is there to be copied.
    Whole,
}

impl Column {
    /// A column. `key` is the same thing's key in a row's document; an empty one where there is none.
    pub fn new(heading: impl Into<Cow<'static, str>>, key: &'static str) -> Self {
        Self {
            heading: heading.into(),
            key,
            shown: Shown::Always,
            fit: Fit::Cut,
        }
    }

    /// The column appears in `wide`, `csv` and `text`, not in `table`.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.shown = Shown::Wide;
        self
    }

    /// Cells are never cut, however narrow the terminal: ids are there to be copied.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.fit = Fit::Whole;
        self
    }
}

/// What a cell says beside its text, by colour where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or in need of a look.
    Odd,
    /// Not as it should be.
    Bad,
    /// Of no interest now.
    Faint,
}

/// A cell: untrusted text, escaped where it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::from(text.unwrap_or_default())
    }
}

/// One row of a listing. Each method is called only where the format needs it.
pub trait Row {
    /// One cell for each column of the listing, wide ones included.
    fn cells(&self) -> Vec<Cell>;
    /// Its name for scripts, `kind/id`.
    fn name(&self) -> String;
    /// Its object in the list of the document.
    fn document(&self) -> Value;
}

/// One thing with its fields.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its name for scripts, `kind/id`.
    pub name: String,
    /// Label and values of each field, wide ones included. A field without values is left out of tables.
    pub fields: Vec<Field>,
    /// All about it.
    pub document: Value,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    label: &'static str,
    values: Vec<Cell>,
    shown: Shown,
}

impl Field {
    /// A field with one value; an empty one counts as none.
    pub fn new(label: &'static str, value: impl Into<Cell>) -> Self {
        Self::list(label, [value.into()])
    }

    /// A field with any number of values, shown one under the other.
    pub fn list(label: &'static str, values: impl IntoIterator<Item = Cell>) -> Self {
        let values = values
            .into_iter()
            .filter(|value| !value.text.is_empty())
            .collect();
        Self {
            label,
            values,
            shown: Shown::Always,
        }
    }

    /// The field appears in all formats but `table`.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.shown = Shown::Wide;
        self
    }
}

impl Ui {
    /// Begins a listing. Nothing is printed before the first row.
    ///
    /// # Errors
    /// When `--sort-by` names no column.
    pub fn listing(&self, output: &Output, listing: Listing) -> Result<Printer, OutputError> {
        Printer::new(output.clone(), listing, self.page(), self.sink(&output.pager))
    }

    /// Prints one thing.
    ///
    /// # Errors
    /// When the query cannot be answered or stdout cannot be written.
    pub fn record(&self, output: &Output, record: &Record) -> Result<(), OutputError> {
        let text = printer::record(output, record, self.page())?;
        self.through(&output.pager, &text)
    }

    /// Prints a document in one line of JSON, or what the query picks from it: for what is told bit by bit.
    ///
    /// # Errors
    /// When the query cannot be answered or stdout cannot be written.
    pub fn document_line(&self, output: &Output, document: &Value) -> Result<(), OutputError> {
        let text = match &output.query {
            Some(query) => printer::picked(query, document)?.to_string(),
            None => document.to_string(),
        };
        Ok(self.data(&format!("{text}\n"))?)
    }

    /// Prints text that is already laid out and escaped, such as a manual page; long text by the pager.
    ///
    /// # Errors
    /// When stdout or the pager cannot be written.
    pub fn through(&self, pager: &Pager, text: &str) -> Result<(), OutputError> {
        let mut sink = self.sink(pager);
        sink.write(text)?;
        Ok(sink.finish()?)
    }

    fn page(&self) -> Page {
        Page {
            columns: self.data_size().map(|(_, columns)| columns),
            styled: self.styled_data,
        }
    }

    fn sink(&self, pager: &Pager) -> pager::Sink {
        pager::Sink::stdout(pager, self.data_size())
    }
}

/// What the layout has to know of where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    /// A terminal's columns; `None`: not a terminal, nothing is cut.
    columns: Option<usize>,
    styled: bool,
}
