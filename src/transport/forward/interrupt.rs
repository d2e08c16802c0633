//! Signals, as a process of forwards hears them.

use std::io;

use crate::terminal::Signals;

/// Listens for the signals that end the process; from then on they no longer kill it.
#[derive(Debug)]
pub struct Interrupts(Signals);

impl Interrupts {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Signals::listen().map(Self)
    }

    /// The number of the next signal that ends the process. Cancel-safe.
    pub async fn next(&mut self) -> i32 {
        self.0.ended().await
    }

    /// The same beside a child in the foreground, which key strokes are meant for; where it stops at Ctrl-Z, this
    /// process stops with it. Cancel-safe.
    pub async fn next_with_child(&mut self) -> i32 {
        self.0.ended_with_child().await
    }
}
