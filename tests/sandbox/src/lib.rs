//! AWS in a box on loopback: the API calls that ssmx makes, and the data-channel service with agents whose
//! shells, commands and ports are real processes and sockets of this machine.
//!
//! ```text
//! scenario   what there is at the start: accounts, nodes, documents, faults (TOML)
//! world      the state since then, shared by everything below
//! sigv4      whose request it is, by its signature
//! api        the calls of EC2, SSM, STS, KMS; a service is one file
//! front      the doors: HTTP, the same over TLS, the upgrade to a data channel, a CONNECT proxy
//! gateway    the data channel's service, and behind each session an agent
//! services   what listens on the nodes, for forwards
//! sandbox    all of it running, for tests
//! launch     ssmx in it, for newcomers
//! ```
//!
//! It shares `ssmx::protocol::message` and `ssmx::ids` with ssmx and writes everything else anew: two hands,
//! or a shared mistake is invisible.

mod agent;
mod api;
pub mod api_fault;
pub mod calls;
pub mod fault;
mod files;
mod front;
pub mod gateway;
pub mod kms;
pub mod launch;
pub mod policy;
mod sandbox;
pub mod scenario;
mod services;
mod sigv4;
#[cfg(test)]
mod tests;
pub mod world;

pub use api_fault::{ApiFault, Effect};
pub use calls::Call;
pub use front::{Passage, Proxy};
pub use sandbox::{Options, Sandbox};
pub use scenario::Scenario;
