//! What each key of a config file takes, as data: checks, messages, the manual and the JSON schema are read
//! from it. The types of [`super::schema`] carry their shape with them, so that the two cannot differ.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IntoDeserializer as _};

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One value.
    Leaf(Leaf),
    /// An array of values.
    List(&'static Shape),
    /// One value, or an array of them.
    OneOrList(&'static Shape),
    /// A table with these keys and no others.
    Table(&'static [Key]),
    /// A table whose keys are names of the user's own, each with such a value.
    Named(&'static Shape),
}

/// A single value: a string, a number, a boolean.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    /// What is expected, to follow the word "expected".
    pub expected: &'static str,
    /// All words there are, where they are counted.
    pub choices: &'static [&'static str],
    /// The JSON type.
    pub json: Json,
    /// Says whether a value of the file is one of these.
    pub check: fn(&toml_edit::Value) -> bool,
}

/// The JSON type of a [`Leaf`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json {
    /// A string.
    Text,
    /// An integer within these bounds.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// An integer within these bounds, or a string.
    IntegerOrText(i64, i64),
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is for: a line, then details. Lines begin with a space, as rustdoc keeps them.
    pub doc: &'static str,
    /// What it takes.
    pub shape: Shape,
}

impl Key {
    /// The documentation as running text.
    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.doc.lines().map(str::trim).collect();
        lines.join(" ").trim().to_owned()
    }
}

/// A type that a key can have.
pub trait Shaped: DeserializeOwned {
    /// What it looks like in a file.
    const SHAPE: Shape;
}

/// Whether a value of a file can become a `T`.
pub(super) fn fits<T: DeserializeOwned>(value: &toml_edit::Value) -> bool {
    T::deserialize(value.clone().into_deserializer()).is_ok()
}

impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: Shaped> Shaped for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);
}

impl<T: Shaped> Shaped for BTreeMap<String, T> {
    const SHAPE: Shape = Shape::Named(&T::SHAPE);
}

/// A type of single values: `leaf!(Type, "what is expected", JSON type, [choices])`.
macro_rules! leaf {
    ($type:ty, $expected:literal, $json:expr $(, [$($choice:literal),*])?) => {
        impl $crate::config::shape::Shaped for $type {
            const SHAPE: $crate::config::shape::Shape =
                $crate::config::shape::Shape::Leaf($crate::config::shape::Leaf {
                    expected: $expected,
                    choices: &[$($($choice),*)?],
                    json: $json,
                    check: $crate::config::shape::fits::<$type>,
                });
        }
    };
}

/// A table of known keys: the struct, and its shape with the same names, types and documentation.
macro_rules! table {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $key_doc:literal])* pub $key:ident: $type:ty, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $( $(#[doc = $key_doc])* pub $key: $type, )*
        }

        impl $crate::config::shape::Shaped for $name {
            const SHAPE: $crate::config::shape::Shape = $crate::config::shape::Shape::Table(&[
                $( $crate::config::shape::Key {
                    name: stringify!($key),
                    doc: concat!($($key_doc, "\n"),*),
                    shape: <$type as $crate::config::shape::Shaped>::SHAPE,
                }, )*
            ]);
        }
    };
}

pub(super) use {leaf, table};
