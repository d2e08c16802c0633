//! What was asked of the sandbox: every API call and every upgrade, for tests to look at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// `ssm:StartSession`; `ssmmessages:OpenDataChannel` for an upgrade.
    pub operation: String,
    /// When it arrived.
    pub at: Instant,
    /// The caller's account; empty where the signature was not accepted.
    pub account: String,
    /// The region that it was signed for; empty likewise.
    pub region: String,
    /// The access key that it bore, accepted or not.
    pub key: Option<String>,
    /// What it asked for: JSON as sent, or the form's fields.
    pub parameters: Value,
    /// The client's word on itself.
    pub user_agent: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The HTTP status of the answer; `None` before it, or where none was given.
    pub status: Option<u16>,
    /// AWS's code, where it failed.
    pub error: Option<String>,
}

/// All calls so far, in the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    list: Arc<Mutex<Vec<Call>>>,
}

impl Calls {
    /// A copy of the list.
    pub fn all(&self) -> Vec<Call> {
        self.locked().clone()
    }

    /// The calls of one operation.
    pub fn of(&self, operation: &str) -> Vec<Call> {
        let mut calls = self.all();
        calls.retain(|call| call.operation == operation);
        calls
    }

    /// How often an operation was called.
    pub fn count(&self, operation: &str) -> usize {
        self.locked()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// The operations in the order of arrival.
    pub fn operations(&self) -> Vec<String> {
        self.locked().iter().map(|call| call.operation.clone()).collect()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.locked().clear();
    }

    /// Notes a call; the closure returned notes how it ended.
    pub(crate) fn begin(&self, call: Call) -> impl FnOnce(u16, Option<String>) + Send + 'static {
        let at = call.at;
        let operation = call.operation.clone();
        self.locked().push(call);
        let list = Arc::clone(&self.list);
        move |status, error| {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked up again, since the list may have been cleared meanwhile.
            let same =
                |call: &&mut Call| call.at == at && call.operation == operation && call.status.is_none();
            if let Some(call) = list.iter_mut().rev().find(same) {
                call.status = Some(status);
                call.error = error;
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Call>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
