//! Sessions as an API: start, resume, terminate, list; and the signature of a data channel's upgrade.

use std::collections::BTreeMap;

use super::{Aws, error::ServiceError};
use crate::ids::{NodeId, SessionId};
use crate::secret::Secret;

/// What StartSession is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// The node.
    pub target: NodeId,
    /// The session document; `None` for the account's shell preferences.
    pub document: Option<String>,
    /// The document's parameters.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Why, for the audit (1 to 256 characters).
    pub reason: Option<String>,
}

/// What StartSession and ResumeSession answer with: where the data channel is, and the token that opens it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The session.
    pub session: SessionId,
    /// The data channel's address; it carries a signature-like query, hence secret.
    pub stream_url: Secret<String>,
    /// Good for one connection.
    pub token: Secret<String>,
}

/// ResumeSession's answer.
#[derive(Debug, Clone)]
pub enum Resumed {
    /// A fresh address and token.
    Open(Opening),
    /// The session has timed out: AWS gave no token.
    TimedOut,
}

/// Whether Session Manager reaches a node just now (GetConnectionStatus).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// It does.
    Connected,
    /// It does not.
    NotConnected,
}

/// One row of DescribeSessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// The target as AWS wrote it.
    pub target: String,
    /// Such as `Connected` or `Terminated`.
    pub status: String,
    /// When it began.
    pub started: Option<jiff::Timestamp>,
    /// When it ended.
    pub ended: Option<jiff::Timestamp>,
    /// The document, where AWS tells.
    pub document: Option<String>,
    /// The ARN of who started it.
    pub owner: Option<String>,
    /// The reason given.
    pub reason: Option<String>,
}

#[expect(
    clippy::todo,
    reason = "the shape that other rooms build on; the bodies follow"
)]
impl Aws {
    /// Starts a session. Whoever calls this ends what it starts.
    pub async fn start_session(&self, _request: &SessionRequest) -> Result<Opening, ServiceError> {
        todo!()
    }

    /// Asks for a new address and token of a session whose data channel was cut.
    pub async fn resume_session(&self, _session: &SessionId) -> Result<Resumed, ServiceError> {
        todo!()
    }

    /// Ends a session. One that is gone already is no error.
    pub async fn terminate_session(&self, _session: &SessionId) -> Result<(), ServiceError> {
        todo!()
    }

    /// The sessions of the scope: active ones, or those of the last thirty days.
    pub async fn sessions(&self, _history: bool) -> Result<Vec<SessionRecord>, ServiceError> {
        todo!()
    }

    /// Whether the node is reachable just now.
    pub async fn connection_status(&self, _target: &NodeId) -> Result<ConnectionStatus, ServiceError> {
        todo!()
    }

    /// Signs the WebSocket upgrade of `url` (SigV4, service `ssmmessages`, fresh credentials): the headers
    /// to add to the request. Empty for a URL that is presigned already.
    pub async fn sign_upgrade(&self, _url: &str) -> Result<Vec<(String, Secret<String>)>, ServiceError> {
        todo!()
    }
}
