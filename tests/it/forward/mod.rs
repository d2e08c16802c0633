//! `ssmx forward` on the sandbox's nodes: real sockets on both ends, and everything in between gone wrong.

mod carried;
mod detached;
pub mod far;
mod programs;
pub mod running;
mod saved;
mod sessions;
mod socket;
mod words;
