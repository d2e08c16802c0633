//! Ordered and reliable delivery of sequenced messages, each way on its own.

pub mod incoming;
mod marks;
pub mod outgoing;
pub mod rtt;
mod unsent;
pub mod window;
