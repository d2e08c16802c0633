//! Names, presets and defaults: six layers of TOML, environment and flags, merged once into typed values.

pub mod env;
pub mod error;
pub mod load;
pub mod origin;
pub mod places;
pub mod schema;
pub mod shape;
pub mod values;

pub use error::{ConfigError, Problem};
pub use load::{Flags, Loaded, load};
pub use origin::Origin;
pub use places::Places;
pub use schema::Config;
