//! YAML in block style. Strings that could be taken for something else, or that a terminal could obey, are
//! written in double quotes as JSON writes them, which YAML reads alike.

use serde_json::Value;

use super::json;
use crate::ui::text::is_unsafe;

/// Appends a whole document.
pub(super) fn write(value: &Value, text: &mut String) {
    node(value, 0, text);
}

/// Appends an item of the list under a key at the left margin.
pub(super) fn item(value: &Value, text: &mut String) {
    element(value, 0, text);
}

/// Appends a member of the object at the left margin.
pub(super) fn member(key: &str, value: &Value, depth: usize, text: &mut String) {
    scalar_string(key, text);
    text.push(':');
    match value {
        // Lists stand as deep as their key, as the AWS CLI prints them.
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            list(items, depth, text);
        }
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            indent(depth + 1, text);
            node(value, depth + 1, text);
        }
        _ => {
            text.push(' ');
            node(value, depth, text);
        }
    }
}

/// The value, its first line where it stands, a line break after its last.
fn node(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (index, (key, item)) in members.iter().enumerate() {
                if index > 0 {
                    indent(depth, text);
                }
                member(key, item, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    indent(depth, text);
                }
                element(item, depth, text);
            }
        }
        Value::String(content) => {
            scalar_string(content, text);
            text.push('\n');
        }
        scalar => {
            text.push_str(&scalar.to_string());
            text.push('\n');
        }
    }
}

fn list(items: &[Value], depth: usize, text: &mut String) {
    for item in items {
        indent(depth, text);
        element(item, depth, text);
    }
}

fn element(value: &Value, depth: usize, text: &mut String) {
    text.push_str("- ");
    node(value, depth + 1, text);
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

fn scalar_string(content: &str, text: &mut String) {
    if is_plain(content) {
        text.push_str(content);
    } else {
        json::string(content, text);
    }
}

/// Whether a string means itself without quotes, in YAML 1.1 too: no indicator, nothing that reads as a number, a
/// date, a boolean or null.
fn is_plain(content: &str) -> bool {
    let words = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf",
    ];
    let starts_well = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let harmless = |c: char| c.is_alphanumeric() || "-_./@+() ".contains(c);
    starts_well
        && content.chars().all(|c| harmless(c) && !is_unsafe(c))
        && !content.ends_with(' ')
        && !words.contains(&content.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_nest_and_odd_strings_are_quoted() {
        let value = json!({
            "nodes": [
                {"id": "i-1", "tags": {"Name": "a: b", "n": "1"}, "addresses": ["10.0.0.1", "::1"]},
                [["x"], {}],
            ],
            "none": [], "no": "no", "number": 1.5, "evil": "\u{9b}\n", "date": "2026-11-25", "null": null,
        });
        let mut text = String::new();
        write(&value, &mut text);
        assert_eq!(
            text,
            r#"nodes:
- id: i-1
  tags:
    Name: "a: b"
    "n": "1"
  addresses:
  - "10.0.0.1"
  - "::1"
- - - x
  - {}
none: []
"no": "no"
number: 1.5
evil: "\u009b\n"
date: "2026-11-25"
"null": null
"#
        );
    }
}
