//! AWS in a box on loopback.

mod agent;
pub mod fault;
pub mod gateway;
pub mod kms;
