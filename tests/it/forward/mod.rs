//! `ssmx forward` on the sandbox's nodes: real sockets on both ends, and everything in between gone wrong.

mod browser;
mod carried;
mod detached;
pub mod far;
mod policy;
pub mod pool;
mod programs;
pub mod running;
mod sessions;
mod socket;
mod words;
