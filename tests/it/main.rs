//! The stories: the built program against the sandbox.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod config;
mod env;
mod exec;
mod house;
mod targets;
