//! Local ends: TCP ports on both loopbacks or a chosen address, Unix sockets, and SOCKS5 upon either.

mod connection;
#[cfg(unix)]
mod descriptors;
mod listener;
pub mod socks;
#[cfg(unix)]
mod unix;
mod who;

pub use connection::{Connection, Incoming, Outgoing, Refusal, refuse};
pub use listener::{BindError, Listener};
