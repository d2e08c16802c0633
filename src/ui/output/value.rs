//! Any document at all, in any format: what a query picks has no columns of its own.

use serde_json::Value;

use super::grid::{Grid, fields};
use super::{Cell, Column, Headings, Page, json, yaml};
use crate::ui::Format;
use crate::ui::text::escape;

/// The document as text that ends with a line break. An answer of nothing is `null` in JSON and YAML, `None` in
/// text, and no line at all for people and in CSV.
pub(super) fn render(value: &Value, format: Format, headings: Headings, page: Page) -> String {
    let mut text = String::new();
    match format {
        Format::Json => {
            json::write(value, 0, &mut text);
            text.push('\n');
        }
        Format::Yaml => yaml::write(value, &mut text),
        Format::Text | Format::Name => aws_text(value, None, None, &mut text),
        Format::Csv => {
            let sheet = Sheet::of(value);
            if let (Some(names), Headings::Shown) = (&sheet.names, headings) {
                csv_line(names.iter().map(String::as_str), &mut text);
            }
            for row in &sheet.rows {
                csv_line(row.iter().map(String::as_str), &mut text);
            }
        }
        Format::Table | Format::Wide => table(value, headings, page, &mut text),
    }
    text
}

fn table(value: &Value, headings: Headings, page: Page, text: &mut String) {
    if let Value::Object(members) = value
        && !members.values().any(Value::is_array)
    {
        let rows: Vec<(String, Vec<Cell>)> = members
            .iter()
            .map(|(key, member)| (escape(key).into_owned(), vec![Cell::from(flat(member))]))
            .collect();
        let rows: Vec<(&str, &[Cell])> = rows.iter().map(|(key, cells)| (&**key, &**cells)).collect();
        return fields(&rows, page, text);
    }
    let sheet = Sheet::of(value);
    let width = sheet.rows.iter().map(Vec::len).max().unwrap_or(0);
    let headings = if sheet.names.is_some() {
        headings
    } else {
        Headings::Left
    };
    let names = sheet.names.unwrap_or_else(|| vec![String::new(); width]);
    let columns = names
        .iter()
        .map(|name| Column::new(escape(name).into_owned(), ""))
        .collect();
    let mut grid = Grid::new(columns, headings, page);
    for row in sheet.rows {
        grid.push(row.into_iter().map(Cell::from).collect(), text);
    }
    grid.finish(text);
}

/// Rows and columns, as far as a document has them.
struct Sheet {
    names: Option<Vec<String>>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    fn of(value: &Value) -> Self {
        let rows: &[Value] = match value {
            Value::Null => &[],
            Value::Array(items) => items,
            // A listing whole: its rows.
            Value::Object(members) => match members.values().next() {
                Some(Value::Array(items)) if members.len() == 1 => items,
                _ => std::slice::from_ref(value),
            },
            scalar => std::slice::from_ref(scalar),
        };
        let mut names: Vec<String> = Vec::new();
        for row in rows {
            for key in row.as_object().into_iter().flat_map(|members| members.keys()) {
                if !names.contains(key) {
                    names.push(key.clone());
                }
            }
        }
        if names.is_empty() || !rows.iter().all(Value::is_object) {
            let cells = |row: &Value| match row {
                Value::Array(items) => items.iter().map(flat).collect(),
                other => vec![flat(other)],
            };
            return Self {
                names: None,
                rows: rows.iter().map(cells).collect(),
            };
        }
        let cells = |row: &Value| {
            names
                .iter()
                .map(|name| row.get(name).map(flat).unwrap_or_default())
                .collect()
        };
        Self {
            rows: rows.iter().map(cells).collect(),
            names: Some(names),
        }
    }
}

/// A value in one cell.
fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(content) => content.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(flat).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A line of comma-separated values. Cells are escaped first, so that a row is always one line.
pub(super) fn csv_line<'a>(cells: impl Iterator<Item = &'a str>, text: &mut String) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push(',');
        }
        let cell = escape(cell);
        if cell.contains(['"', ',']) || cell.starts_with(' ') || cell.ends_with(' ') {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push('\n');
}

/// A line of tab-separated values.
pub(super) fn text_line<'a>(cells: impl Iterator<Item = &'a str>, text: &mut String) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            text.push('\t');
        }
        text.push_str(&escape(cell));
    }
    text.push('\n');
}

/// The AWS CLI's text format: scalars of an object on one line in the order of their keys, what nests on lines of
/// its own that begin with its key; objects side by side share their columns.
fn aws_text(value: &Value, label: Option<&str>, columns: Option<&[&str]>, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&str> = members.keys().map(String::as_str).collect();
            keys.sort_unstable();
            let nests = |key: &&str| members.get(*key).is_some_and(is_nested);
            let scalars: Vec<String> = match columns {
                Some(columns) => columns
                    .iter()
                    .map(|key| {
                        members
                            .get(*key)
                            .filter(|member| !is_nested(member))
                            .map(python)
                            .unwrap_or_default()
                    })
                    .collect(),
                None => keys
                    .iter()
                    .filter(|key| !nests(key))
                    .map(|key| python(&members[*key]))
                    .collect(),
            };
            if !scalars.is_empty() {
                let label = label.map(str::to_uppercase);
                text_line(label.iter().chain(&scalars).map(String::as_str), text);
            }
            for key in keys.into_iter().filter(nests) {
                aws_text(&members[key], Some(key), None, text);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let mut columns: Vec<&str> = items
                .iter()
                .filter_map(Value::as_object)
                .flat_map(|members| members.iter())
                .filter(|(_, member)| !is_nested(member))
                .map(|(key, _)| key.as_str())
                .collect();
            columns.sort_unstable();
            columns.dedup();
            for item in items {
                aws_text(item, label, Some(&columns), text);
            }
        }
        Value::Array(items) => {
            let scalars: Vec<String> = items.iter().filter(|item| !item.is_array()).map(python).collect();
            if !scalars.is_empty() {
                match label.map(str::to_uppercase) {
                    Some(label) => {
                        for scalar in &scalars {
                            text_line([label.as_str(), scalar].into_iter(), text);
                        }
                    }
                    None => text_line(scalars.iter().map(String::as_str), text),
                }
            }
            for item in items.iter().filter(|item| item.is_array()) {
                aws_text(item, label, None, text);
            }
        }
        scalar => text_line(std::iter::once(python(scalar).as_str()), text),
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// A scalar as the AWS CLI, which is written in Python, puts it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(content) => content.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draw(value: &Value, format: Format) -> String {
        let page = Page {
            columns: None,
            styled: false,
        };
        render(value, format, Headings::Shown, page)
    }

    #[test]
    fn text_is_the_aws_clis() {
        // Expected lines as the AWS CLI 1 and 2 print them for the same documents.
        assert_eq!(draw(&json!("x"), Format::Text), "x\n");
        assert_eq!(draw(&json!(null), Format::Text), "None\n");
        assert_eq!(draw(&json!(["a", 1, true]), Format::Text), "a\t1\tTrue\n");
        assert_eq!(
            draw(&json!([["a", "b"], ["c", null]]), Format::Text),
            "a\tb\nc\tNone\n"
        );
        assert_eq!(
            draw(&json!([{"b": 1, "a": 2}, {"a": 3}]), Format::Text),
            "2\t1\n3\t\n"
        );
        assert_eq!(
            draw(&json!({"b": 1, "a": {"c": 2}, "l": ["x", "y"]}), Format::Text),
            "1\nA\t2\nL\tx\nL\ty\n"
        );
        assert_eq!(draw(&json!([]), Format::Text), "");
    }

    #[test]
    fn tables_and_csv_read_rows_and_columns_where_there_are_any() {
        let rows = json!([{"Name": "a,b", "Id": "i-1"}, {"Name": "c", "Tags": ["x", "y"]}]);
        assert_eq!(
            draw(&rows, Format::Table),
            "NAME  ID   TAGS\na,b   i-1\nc          x, y\n"
        );
        assert_eq!(
            draw(&rows, Format::Csv),
            "Name,Id,Tags\n\"a,b\",i-1,\nc,,\"x, y\"\n"
        );
        assert_eq!(
            draw(&json!([["a", 1], ["bb", 2]]), Format::Table),
            "a   1\nbb  2\n"
        );
        assert_eq!(draw(&json!("x"), Format::Table), "x\n");
        assert_eq!(
            draw(&json!({"name": "a", "n": 1}), Format::Table),
            "name:  a\nn:     1\n"
        );
        assert_eq!(draw(&json!(null), Format::Table), "");
        assert_eq!(
            draw(&json!({"nodes": [{"id": "i-1"}]}), Format::Table),
            "ID\ni-1\n"
        );
    }

    #[test]
    fn a_hostile_cell_stays_one_cell_of_one_line() {
        let rows = json!([["a\nb\tc\x1b[2J\"", "d"]]);
        assert_eq!(draw(&rows, Format::Text), "a\\nb\\tc\\e[2J\"\td\n");
        assert_eq!(draw(&rows, Format::Csv), "\"a\\nb\\tc\\e[2J\"\"\",d\n");
    }
}
