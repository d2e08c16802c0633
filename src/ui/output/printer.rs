//! A listing on its way out, row by row; and records.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::grid::{self, Grid};
use super::pager::Sink;
use super::value::{self, csv_line, text_line};
use super::{
    Cell, Column, Field, Headings, Listing, Output, OutputError, Page, Record, Row, Shown, json, yaml,
};
use crate::ui::Format;
use crate::ui::text::escape;

/// Takes the rows of one listing. [`Printer::finish`] ends it; dropped without, the output is incomplete.
pub struct Printer {
    output: Output,
    listing: Listing,
    page: Page,
    sink: Sink,
    /// Members of the document beside the list.
    beside: Map<String, Value>,
    rows: usize,
    way: Way,
}

/// What happens to a row.
enum Way {
    /// It is printed, as soon as the format allows.
    Straight(Stage),
    /// It waits for all the others, by which they are sorted.
    Sorted {
        column: usize,
        falling: bool,
        rows: Vec<(Vec<Cell>, String, Value)>,
    },
    /// It becomes a part of the document that the query is about.
    Queried(Query),
}

struct Query {
    query: super::Query,
    rows: Vec<Value>,
}

/// How far a format is.
enum Stage {
    Grid(Grid),
    Csv,
    Text,
    Name,
    Json,
    Yaml,
}

impl Printer {
    pub(super) fn new(output: Output, listing: Listing, page: Page, sink: Sink) -> Result<Self, OutputError> {
        let way = match (&output.sort_by, &output.query) {
            (Some(asked), _) => {
                let (falling, name) = match asked.strip_prefix('-') {
                    Some(name) => (true, name),
                    None => (false, asked.as_str()),
                };
                let column = listing.columns.iter().position(|column| column.is_called(name));
                let column = column.ok_or_else(|| OutputError::SortBy {
                    asked: name.to_owned(),
                    columns: listing
                        .columns
                        .iter()
                        .map(|column| column.heading.to_lowercase())
                        .collect(),
                })?;
                Way::Sorted {
                    column,
                    falling,
                    rows: Vec::new(),
                }
            }
            (None, query) => Way::unsorted(query.as_ref(), &output, &listing, page),
        };
        Ok(Self {
            output,
            listing,
            page,
            sink,
            beside: Map::new(),
            rows: 0,
            way,
        })
    }

    /// Prints a row, or keeps it until it can be printed.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn push(&mut self, row: &impl Row) -> Result<(), OutputError> {
        self.rows += 1;
        let mut text = String::new();
        match &mut self.way {
            Way::Sorted { rows, .. } => rows.push((row.cells(), row.name(), row.document())),
            Way::Queried(query) => query.rows.push(row.document()),
            Way::Straight(stage) => match stage {
                Stage::Grid(grid) => grid.push(
                    visible(row.cells(), &self.listing.columns, self.output.format),
                    &mut text,
                ),
                Stage::Csv => {
                    if self.rows == 1 {
                        self.listing.csv_headings(self.output.headings, &mut text);
                    }
                    csv_line(row.cells().iter().map(|cell| cell.text.as_str()), &mut text);
                }
                Stage::Text => text_line(row.cells().iter().map(|cell| cell.text.as_str()), &mut text),
                Stage::Name => text.extend([&escape(&row.name()), "\n"]),
                Stage::Json => {
                    if self.rows == 1 {
                        text.push_str("{\n    ");
                        json::string(self.listing.key, &mut text);
                        text.push_str(": [\n");
                    }
                    json::separate(self.rows - 1, 2, &mut text);
                    json::write(&row.document(), 2, &mut text);
                }
                Stage::Yaml => {
                    if self.rows == 1 {
                        text.extend([self.listing.key, ":\n"]);
                    }
                    yaml::item(&row.document(), &mut text);
                }
            },
        }
        if text.is_empty() {
            Ok(())
        } else {
            Ok(self.sink.write(&text)?)
        }
    }

    /// Adds a member to the document beside the list, such as `errors`: for `json`, `yaml` and queries.
    pub fn beside(&mut self, key: &str, value: Value) {
        self.beside.insert(key.to_owned(), value);
    }

    /// Lets what can be seen be seen: for listings that take their time.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if let Way::Straight(Stage::Grid(grid)) = &mut self.way {
            let mut text = String::new();
            grid.flush(&mut text);
            self.sink.write(&text)?;
        }
        Ok(self.sink.flush()?)
    }

    /// Prints what is left, waits for the pager, and tells how many rows there were.
    ///
    /// # Errors
    /// When the query cannot be answered or stdout cannot be written.
    pub fn finish(mut self) -> Result<usize, OutputError> {
        if matches!(self.way, Way::Sorted { .. }) {
            let next = Way::unsorted(self.output.query.as_ref(), &self.output, &self.listing, self.page);
            if let Way::Sorted {
                column,
                falling,
                mut rows,
            } = std::mem::replace(&mut self.way, next)
            {
                let key = self.listing.columns.get(column).map_or("", |column| column.key);
                rows.sort_by(|a, b| {
                    let order = compare(&a.2[key], &b.2[key]).then_with(|| {
                        let text = |row: &(Vec<Cell>, String, Value)| {
                            row.0.get(column).map(|cell| cell.text.clone())
                        };
                        text(a).cmp(&text(b))
                    });
                    if falling { order.reverse() } else { order }
                });
                self.rows = 0;
                for row in &rows {
                    self.push(row)?;
                }
            }
        }
        let mut text = String::new();
        match std::mem::replace(&mut self.way, Way::Straight(Stage::Name)) {
            Way::Sorted { .. } => {}
            Way::Queried(Query { query, rows }) => {
                let mut document = Map::new();
                document.insert(self.listing.key.to_owned(), Value::Array(rows));
                document.extend(std::mem::take(&mut self.beside));
                text = answer(&query, &Value::Object(document), &self.output, self.page)?;
            }
            Way::Straight(stage) => self.end(stage, &mut text),
        }
        self.sink.write(&text)?;
        self.sink.finish()?;
        Ok(self.rows)
    }

    fn end(&self, stage: Stage, text: &mut String) {
        match stage {
            Stage::Grid(mut grid) => grid.finish(text),
            Stage::Csv if self.rows == 0 => self.listing.csv_headings(self.output.headings, text),
            Stage::Csv | Stage::Text | Stage::Name => {}
            Stage::Json => {
                if self.rows == 0 {
                    text.push_str("{\n    ");
                    json::string(self.listing.key, text);
                    text.push_str(": []");
                } else {
                    json::close(']', 1, text);
                }
                for (key, value) in &self.beside {
                    json::separate(1, 1, text);
                    json::string(key, text);
                    text.push_str(": ");
                    json::write(value, 1, text);
                }
                json::close('}', 0, text);
                text.push('\n');
            }
            Stage::Yaml => {
                if self.rows == 0 {
                    text.extend([self.listing.key, ": []\n"]);
                }
                for (key, value) in &self.beside {
                    yaml::member(key, value, 0, text);
                }
            }
        }
    }
}

impl Way {
    fn unsorted(query: Option<&super::Query>, output: &Output, listing: &Listing, page: Page) -> Self {
        if let Some(query) = query {
            return Self::Queried(Query {
                query: query.clone(),
                rows: Vec::new(),
            });
        }
        Self::Straight(match output.format {
            Format::Table | Format::Wide => {
                let columns = listing
                    .columns
                    .iter()
                    .filter(|column| column.shown.is_in(output.format));
                Stage::Grid(Grid::new(columns.cloned().collect(), output.headings, page))
            }
            Format::Csv => Stage::Csv,
            Format::Text => Stage::Text,
            Format::Name => Stage::Name,
            Format::Json => Stage::Json,
            Format::Yaml => Stage::Yaml,
        })
    }
}

/// A row that was kept to be sorted.
impl Row for (Vec<Cell>, String, Value) {
    fn cells(&self) -> Vec<Cell> {
        self.0.clone()
    }

    fn name(&self) -> String {
        self.1.clone()
    }

    fn document(&self) -> Value {
        self.2.clone()
    }
}

impl Listing {
    fn csv_headings(&self, headings: Headings, text: &mut String) {
        if headings == Headings::Shown {
            csv_line(self.columns.iter().map(|column| &*column.heading), text);
        }
    }
}

impl Column {
    fn is_called(&self, name: &str) -> bool {
        self.heading.eq_ignore_ascii_case(name)
            || (!self.key.is_empty() && self.key.eq_ignore_ascii_case(name))
    }
}

impl Shown {
    fn is_in(self, format: Format) -> bool {
        self == Self::Always || format != Format::Table
    }
}

fn visible(cells: Vec<Cell>, columns: &[Column], format: Format) -> Vec<Cell> {
    let cells = cells.into_iter().zip(columns);
    cells
        .filter(|(_, column)| column.shown.is_in(format))
        .map(|(cell, _)| cell)
        .collect()
}

/// Numbers by size, everything else as text; what is missing comes last. Where a document has no such key, cells
/// decide.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

fn answer(
    query: &super::Query,
    document: &Value,
    output: &Output,
    page: Page,
) -> Result<String, OutputError> {
    let answer = picked(query, document)?;
    Ok(value::render(&answer, output.format, output.headings, page))
}

/// What a query picks from a document.
pub(super) fn picked(query: &super::Query, document: &Value) -> Result<Value, OutputError> {
    query.answer(document).map_err(|cause| OutputError::Query {
        query: query.text().to_owned(),
        cause,
    })
}

/// A record as text.
pub(super) fn record(output: &Output, record: &Record, page: Page) -> Result<String, OutputError> {
    if let Some(query) = &output.query {
        return answer(query, &record.document, output, page);
    }
    let mut text = String::new();
    match output.format {
        Format::Json | Format::Yaml => {
            text = value::render(&record.document, output.format, output.headings, page);
        }
        Format::Name => text.extend([&escape(&record.name), "\n"]),
        Format::Table | Format::Wide => {
            let rows: Vec<(&str, &[Cell])> = record
                .fields
                .iter()
                .filter(|field| field.shown.is_in(output.format) && !field.values.is_empty())
                .map(|field| (field.label, field.values.as_slice()))
                .collect();
            grid::fields(&rows, page, &mut text);
        }
        Format::Csv => {
            if output.headings == Headings::Shown {
                csv_line(record.fields.iter().map(|field| field.label), &mut text);
            }
            let cells: Vec<String> = record.fields.iter().map(Field::flat).collect();
            csv_line(cells.iter().map(String::as_str), &mut text);
        }
        Format::Text => {
            let cells: Vec<String> = record.fields.iter().map(Field::flat).collect();
            text_line(cells.iter().map(String::as_str), &mut text);
        }
    }
    Ok(text)
}

impl Field {
    fn flat(&self) -> String {
        let values: Vec<&str> = self.values.iter().map(|value| value.text.as_str()).collect();
        values.join(", ")
    }
}
