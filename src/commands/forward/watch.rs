//! Who else wants to know what becomes of the forwards of a process.

use std::sync::Arc;

use serde_json::Value;

use crate::commands::error::CommandError;
use crate::transport::forward::{BoxFuture, Counters, ForwardError, Notice};

/// A forward that has begun.
pub struct Begun {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub local: String,
    /// Where it leads.
    pub remote: String,
    /// What its first line says to scripts.
    pub document: Value,
    /// Its figures.
    pub counters: Arc<Counters>,
}

/// Hears everything, and may ask for the end.
pub trait Watch {
    /// These have begun; they are known by their place from now on.
    fn begun(&mut self, forwards: Vec<Begun>);

    /// All of them are ready.
    ///
    /// # Errors
    /// When they cannot go on where they are to go on.
    fn ready(&mut self) -> Result<(), CommandError>;

    /// What a person can do who is to be asked, and is not here.
    fn advice(&self) -> String;

    /// A forward's way was looked for; its first line would say this to scripts now.
    fn found(&mut self, forward: usize, document: Value);

    /// Something happened to a forward.
    fn notice(&mut self, forward: usize, notice: &Notice);

    /// A forward has ended, by itself if there is an error.
    fn ended(&mut self, forward: usize, error: Option<&ForwardError>);

    /// Waits until all is to end. Cancel-safe.
    fn asked_to_stop(&mut self) -> BoxFuture<'_, ()>;
}
