//! Where a forward's connections come from.

use tokio::sync::mpsc;

use crate::ports::{Connection, Listener};

/// A way in.
#[derive(Debug)]
pub(super) enum Door {
    /// Its own local end.
    Listener(Listener),
    /// Whoever takes connections for it, and says by going that no more come.
    Handed(mpsc::UnboundedReceiver<Connection>),
}

impl Door {
    /// The next connection; `None` when no more come. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Connection> {
        match self {
            Self::Listener(listener) => Some(listener.accept().await),
            Self::Handed(handed) => handed.recv().await,
        }
    }

    /// Takes no more, and gives back what had come in meanwhile.
    pub(super) fn close(self) -> Vec<Connection> {
        match self {
            Self::Listener(_) => Vec::new(),
            Self::Handed(mut handed) => {
                handed.close();
                std::iter::from_fn(|| handed.try_recv().ok()).collect()
            }
        }
    }
}
