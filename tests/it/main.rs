//! The stories: the built program against the sandbox.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod aws_alias;
mod completion;
mod config;
mod connect;
mod credentials;
mod describe;
mod doctor;
mod documented;
mod drop_in;
mod env;
mod exec;
mod faults;
mod forward;
mod generated;
mod house;
mod iam_policy;
mod identities;
mod keepalive;
mod ls;
mod mistakes;
mod oracles;
mod page;
mod picker;
mod plugin_forward;
mod private;
mod secrets;
mod sessions;
mod sign_in;
mod snapshot;
mod socks;
mod ssh;
mod targets;
#[allow(dead_code, reason = "stories take of it what they need")]
mod terminal;
mod tools;
