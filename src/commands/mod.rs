//! One file a command: its words (the doc comments are the help) and what it does.

mod browser;
pub mod carry;
pub mod complete;
pub mod completions;
pub mod config;
pub mod connect;
pub mod consent;
pub mod console;
pub mod context;
pub mod describe;
pub mod doctor;
pub mod error;
pub mod help;
pub mod iam_policy;
pub mod login;
pub mod ls;
pub mod nodes;
pub mod notices;
pub mod reach;
pub mod resolve;
pub mod sessions;
pub mod sign_in;
pub mod targets;
pub mod version;
pub mod whoami;
