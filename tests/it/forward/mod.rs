//! `ssmx forward` on the sandbox's nodes: real sockets on both ends, and everything in between gone wrong.

mod carried;
mod crowded;
mod detached;
pub mod far;
mod programs;
pub mod running;
mod sessions;
mod socket;
mod words;
