//! Shells and port forwards to EC2 instances by name, through AWS Systems Manager Session Manager.
//!
//! The library behind the `ssmx` program. Two staircases meet at the top:
//!
//! - *knowing*: [`config`] says what the user's names mean, [`aws`] reaches a scope, [`inventory`] learns
//!   which nodes it has, [`resolve`] turns what was typed into one of them;
//! - *talking*: [`protocol`] is the data channel's logic without a socket or a clock, [`datachannel`] moves
//!   its bytes, [`terminal`] owns keyboard and screen, [`transport`] joins them into a session.
//!
//! [`commands`] stands on both, and writes sessions down in the [`ledger`]; [`cli`] parses the words and hands over. Imports run downwards only:
//! `docs/architecture.md` has the table and `tests/it/house.rs` holds it.

pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod datachannel;
pub mod detached;
pub mod ids;
pub mod inventory;
pub mod ledger;
pub mod nearest;
pub mod net;
pub mod ports;
pub mod private;
pub mod protocol;
pub mod resolve;
pub mod secret;
pub mod terminal;
pub mod transport;
pub mod ui;
