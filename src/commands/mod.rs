//! One file a command: its words (the doc comments are the help) and what it does.

pub mod config;
pub mod context;
pub mod error;
pub mod notices;
pub mod version;
