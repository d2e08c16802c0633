//! JSON as the AWS CLI lays it out, with whatever a terminal could obey as `\u` escapes: the same document to a
//! parser, harmless to an eye.

use serde_json::Value;

use crate::ui::text::is_unsafe;

const STEP: usize = 4;

/// The value, its first line where it stands and further ones indented by `depth` steps. No line break after it.
pub(super) fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push_str("[\n");
            for (index, item) in items.iter().enumerate() {
                separate(index, depth + 1, text);
                write(item, depth + 1, text);
            }
            close(']', depth, text);
        }
        Value::Object(members) if !members.is_empty() => {
            text.push_str("{\n");
            for (index, (key, item)) in members.iter().enumerate() {
                separate(index, depth + 1, text);
                string(key, text);
                text.push_str(": ");
                write(item, depth + 1, text);
            }
            close('}', depth, text);
        }
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
        Value::String(content) => string(content, text),
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// What comes before the item of that index.
pub(super) fn separate(index: usize, depth: usize, text: &mut String) {
    if index > 0 {
        text.push_str(",\n");
    }
    text.extend(std::iter::repeat_n(' ', depth * STEP));
}

/// The end of a list or an object that was not empty.
pub(super) fn close(bracket: char, depth: usize, text: &mut String) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', depth * STEP));
    text.push(bracket);
}

/// A string in quotes.
pub(super) fn string(content: &str, text: &mut String) {
    text.push('"');
    for c in content.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if is_unsafe(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ui::text::escape;

    fn text(value: &Value) -> String {
        let mut text = String::new();
        write(value, 0, &mut text);
        text
    }

    #[test]
    fn it_is_laid_out_as_the_aws_cli_does() {
        let value = json!({"nodes": [{"id": "i-1", "tags": {}, "n": null}], "empty": []});
        assert_eq!(
            text(&value),
            "{\n    \"nodes\": [\n        {\n            \"id\": \"i-1\",\n            \"tags\": {},\n            \"n\": null\n        }\n    ],\n    \"empty\": []\n}"
        );
    }

    proptest! {
        #[test]
        fn parsers_read_back_what_terminals_do_not_obey(content in any::<String>(), odd in "[\u{9b}\u{202e}\u{e0001}\\\\\"\n\x1b]{0,5}") {
            let value = json!([format!("{content}{odd}")]);
            let text = text(&value);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            prop_assert!(text.lines().all(|line| escape(line) == line));
        }
    }
}
