//! Names, presets and defaults: six layers of TOML, environment and flags, merged once into typed values.
