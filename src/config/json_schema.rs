//! The shape of a config as a JSON schema, for editors.

use serde_json::{Map, Value, json};

use super::schema::Config;
use super::shape::{Json, Key, Leaf, Shape, Shaped as _};

/// The schema, in the dialect 2020-12.
pub fn json_schema() -> Value {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!("The config of ssmx"));
    if let Value::Object(rest) = of(&Config::SHAPE) {
        schema.extend(rest);
    }
    Value::Object(schema)
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Leaf(leaf) => of_leaf(leaf),
        Shape::List(element) => json!({ "type": "array", "items": of(element) }),
        Shape::OneOrList(element) => json!({
            "anyOf": [of(element), { "type": "array", "items": of(element), "minItems": 1 }],
        }),
        Shape::Table(keys) => json!({
            "type": "object",
            "properties": keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect::<Map<_, _>>(),
            // Keys that begin with x- are free.
            "patternProperties": { "^x-": true },
            "additionalProperties": false,
        }),
        Shape::Named(entry) => json!({ "type": "object", "additionalProperties": of(entry) }),
    }
}

fn of_key(key: &Key) -> Value {
    let mut schema = of(&key.shape);
    schema["description"] = json!(key.text());
    schema
}

fn of_leaf(leaf: &Leaf) -> Value {
    let bounded = |low: i64, high: i64| json!({ "type": "integer", "minimum": low, "maximum": high });
    let mut schema = match leaf.json {
        Json::Text => json!({ "type": "string" }),
        Json::Boolean => json!({ "type": "boolean" }),
        Json::Integer(low, high) => bounded(low, high),
        Json::IntegerOrText(low, high) => json!({ "anyOf": [bounded(low, high), { "type": "string" }] }),
    };
    if leaf.choices.is_empty() {
        schema["$comment"] = json!(format!("expected: {}", leaf.expected));
    } else {
        schema["enum"] = json!(leaf.choices);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_with_its_words() {
        let schema = json_schema();
        let defaults = &schema["properties"]["defaults"]["properties"];
        assert_eq!(defaults["transport"]["enum"], json!(["auto", "native", "plugin"]));
        let port = &schema["properties"]["presets"]["additionalProperties"]["properties"]["port"];
        assert_eq!(port["type"], "integer");
        assert_eq!(port["description"], "The remote port.");
        let target = &schema["properties"]["presets"]["additionalProperties"]["properties"]["target"];
        assert_eq!(target["anyOf"][1]["type"], "array");
    }
}
