//! The data channel's logic, without I/O, clock or randomness: bytes and the time go in, bytes and events come
//! out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod crypto;
pub mod delivery;
#[cfg(test)]
mod golden;
pub mod handshake;
mod idle;
pub mod message;
#[cfg(test)]
mod pair;
pub mod payload;
#[cfg(test)]
mod samples;
pub mod session;
pub mod smux;
