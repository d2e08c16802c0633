//! Ordered and reliable delivery of sequenced messages, each way on its own.

pub mod incoming;
pub mod outgoing;
pub mod rtt;
mod unsent;
pub mod window;
