//! Names, presets and defaults: six layers of TOML, environment and flags, merged once into typed values.

mod check;
pub mod choice;
mod document;
pub mod edit;
pub mod env;
pub mod error;
mod guard;
pub mod import;
pub mod json_schema;
pub mod keys;
pub mod load;
mod merge;
pub mod origin;
mod overrides;
pub mod places;
pub mod policy;
mod rules;
pub mod schema;
pub mod shape;
#[cfg(test)]
mod tests;
pub mod trust;
pub mod values;
pub mod view;

pub use check::Rank;
pub use choice::{Choice, Demands, Strength};
pub use error::{ConfigError, Problem};
pub use load::{Flags, Loaded, load};
pub use origin::Origin;
pub use places::Places;
pub use rules::names_target;
pub use schema::Config;
