//! What a call asks for: a JSON object or the fields of a form.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ApiError;

/// A call's parameters.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// An object.
    Json(Value),
    /// `Filter.1.Name` and the like.
    Form(Vec<(String, String)>),
}

impl Input {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Json(value) => value.clone(),
            Self::Form(fields) => {
                let fields = fields.iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
                        .collect(),
                )
            }
        }
    }

    /// A JSON call's parameters in their type. Unknown members are passed over, as AWS does.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        T::deserialize(self.to_json()).map_err(|error| {
            ApiError::new(
                "ValidationException",
                format!("1 validation error detected: {error}"),
            )
        })
    }

    /// A form's field.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Self::Form(fields) = self else {
            return None;
        };
        let found = fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A form's field that says yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// `name.1`, `name.2`, … in their order.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        (1..)
            .map_while(|number| self.text(&format!("{name}.{number}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbered() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let form = Input::Form(vec![
            field("Id.2", "b"),
            field("Id.1", "a"),
            field("Id.4", "d"),
            field("All", "TRUE"),
        ]);
        assert_eq!(form.list("Id"), ["a", "b"]);
        assert!(form.flag("All"));
        assert!(form.list("Other").is_empty());
    }
}
