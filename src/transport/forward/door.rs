//! Where a forward's connections come from.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Counters;
use crate::ports::{Connection, Listener};

/// A way in.
#[derive(Debug)]
pub(super) enum Door {
    /// Its own local end, and where who comes is counted.
    Listener(Listener, Arc<Counters>),
    /// Whoever takes connections for it, counts them, and says by going that no more come.
    Handed(mpsc::UnboundedReceiver<Connection>),
}

impl Door {
    /// The next connection; `None` when no more come. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Connection> {
        match self {
            Self::Listener(listener, counters) => {
                let connection = listener.accept().await;
                counters.accepted();
                Some(connection)
            }
            Self::Handed(handed) => handed.recv().await,
        }
    }

    /// Takes no more, and gives back what had come in meanwhile, which is counted.
    pub(super) fn close(self) -> Vec<Connection> {
        match self {
            Self::Listener(..) => Vec::new(),
            Self::Handed(mut handed) => {
                handed.close();
                std::iter::from_fn(|| handed.try_recv().ok()).collect()
            }
        }
    }
}
