//! The nodes of a scope: learnt from EC2 and SSM, kept in a snapshot on disk.

pub mod lookup;
pub mod node;
pub mod query;
pub mod renew;
pub mod snapshot;
