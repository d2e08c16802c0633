//! `ssmx forward` on the sandbox's nodes: real sockets on both ends, and everything in between gone wrong.

mod browser;
mod carried;
mod crowded;
mod detached;
mod detaching;
pub mod far;
mod managed;
mod manners;
mod nodes;
mod offered;
mod policy;
pub mod pool;
mod programs;
pub mod running;
mod saved;
mod sessions;
mod socket;
mod words;
