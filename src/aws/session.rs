//! Sessions as an API: start, resume, terminate, list.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_ssm::types::{SessionFilter, SessionFilterKey, SessionState};

use super::Aws;
use super::error::{ErrorKind, ServiceError};
use crate::ids::{AccountId, NodeId, Region, SessionId};
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

/// A session that was started, for those who keep count.
#[derive(Debug)]
pub struct Started<'a> {
    /// Its id.
    pub session: &'a SessionId,
    /// What was asked for.
    pub request: &'a SessionRequest,
    /// The account, where it is known.
    pub account: Option<&'a AccountId>,
    /// The region.
    pub region: &'a Region,
    /// The profile; `None` for ambient credentials.
    pub profile: Option<&'a str>,
}

/// Who hears of every session that is started.
pub trait Starts: Send + Sync + std::fmt::Debug {
    /// Takes one. It may not wait for anybody.
    fn started(&self, started: &Started<'_>);
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

/// Which sessions to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that run, or could be resumed.
    Active,
    /// Those that have ended, of the last thirty days.
    History,
}

fn on_node(node: &NodeId) -> Result<SessionFilter, ServiceError> {
    SessionFilter::builder()
        .key(SessionFilterKey::TargetId)
        .value(node.as_str())
        .build()
        .map_err(|error| ServiceError::local(ErrorKind::Other, error.to_string()))
}

impl Which {
    fn state(self) -> SessionState {
        match self {
            Self::Active => SessionState::Active,
            Self::History => SessionState::History,
        }
    }
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

impl Aws {
    /// Starts a session. Whoever calls this ends what it starts.
    ///
    /// # Errors
    /// What AWS refuses, and an answer that lacks a part.
    pub async fn start_session(&self, request: &SessionRequest) -> Result<Opening, ServiceError> {
        const OPERATION: &str = "ssm:StartSession";
        let parameters = (!request.parameters.is_empty())
            .then(|| request.parameters.clone().into_iter().collect::<HashMap<_, _>>());
        let call = self
            .ssm()
            .start_session()
            .target(request.target.as_str())
            .set_document_name(request.document.clone())
            .set_reason(request.reason.clone())
            .set_parameters(parameters);
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        let opening = opening(
            OPERATION,
            answer.session_id,
            answer.stream_url,
            answer.token_value,
        )?;
        if let Some(starts) = &self.settings.starts {
            starts.started(&Started {
                session: &opening.session,
                request,
                account: self.account.get(),
                region: &self.region,
                profile: self.profile(),
            });
        }
        Ok(opening)
    }

    /// Asks for a new address and token of a session whose data channel was cut.
    ///
    /// # Errors
    /// What AWS refuses; [`ErrorKind::NotFound`] for a session that is gone.
    pub async fn resume_session(&self, session: &SessionId) -> Result<Resumed, ServiceError> {
        const OPERATION: &str = "ssm:ResumeSession";
        let call = self.ssm().resume_session().session_id(session.as_str());
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        if answer.token_value.as_deref().unwrap_or_default().is_empty() {
            return Ok(Resumed::TimedOut);
        }
        opening(
            OPERATION,
            Some(session.to_string()),
            answer.stream_url,
            answer.token_value,
        )
        .map(Resumed::Open)
    }

    /// Ends a session. One that is gone already is no error.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn terminate_session(&self, session: &SessionId) -> Result<(), ServiceError> {
        let call = self.ssm().terminate_session().session_id(session.as_str());
        match call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ssm:TerminateSession", error))
        {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// The sessions of the scope, or of one node of it.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn sessions(
        &self,
        which: Which,
        target: Option<&NodeId>,
    ) -> Result<Vec<SessionRecord>, ServiceError> {
        let mut records = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.sessions_page(which, target, 200, token).await?;
            records.extend(page);
            if next.is_none() {
                return Ok(records);
            }
            token = next;
        }
    }

    /// Some sessions of one node, in AWS's order; not all that there are.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn sessions_of(&self, node: &NodeId, which: Which) -> Result<Vec<SessionRecord>, ServiceError> {
        let (page, _) = self.sessions_page(which, Some(node), 50, None).await?;
        Ok(page)
    }

    /// So many sessions from a token on, and the token of the rest.
    async fn sessions_page(
        &self,
        which: Which,
        target: Option<&NodeId>,
        most: i32,
        token: Option<String>,
    ) -> Result<(Vec<SessionRecord>, Option<String>), ServiceError> {
        let filter = target.map(on_node).transpose()?;
        self.pace().await;
        let call = self
            .ssm()
            .describe_sessions()
            .state(which.state())
            .max_results(most)
            .set_filters(filter.map(|filter| vec![filter]))
            .set_next_token(token);
        let page = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ssm:DescribeSessions", error))?;
        let records = page.sessions.unwrap_or_default().into_iter().filter_map(record);
        let next = page.next_token.filter(|token| !token.is_empty());
        Ok((records.collect(), next))
    }

    /// Whether the node is reachable just now.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn connection_status(&self, target: &NodeId) -> Result<ConnectionStatus, ServiceError> {
        let call = self.ssm().get_connection_status().target(target.as_str());
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ssm:GetConnectionStatus", error))?;
        Ok(match answer.status {
            Some(aws_sdk_ssm::types::ConnectionStatus::Connected) => ConnectionStatus::Connected,
            _ => ConnectionStatus::NotConnected,
        })
    }
}

fn opening(
    operation: &str,
    session: Option<String>,
    stream_url: Option<String>,
    token: Option<String>,
) -> Result<Opening, ServiceError> {
    let lacking = |part: &str| {
        let mut trouble = ServiceError::local(ErrorKind::Other, format!("the answer has no {part}"));
        trouble.operation = operation.to_owned();
        trouble
    };
    Ok(Opening {
        session: session
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| lacking("usable session id"))?,
        stream_url: stream_url.ok_or_else(|| lacking("stream URL"))?.into(),
        token: token.ok_or_else(|| lacking("token"))?.into(),
    })
}

/// A row without a usable id cannot be named or ended, so it is left out.
fn record(session: aws_sdk_ssm::types::Session) -> Option<SessionRecord> {
    let time = |at: Option<aws_smithy_types::DateTime>| {
        let at = at?;
        let nanos = i32::try_from(at.subsec_nanos()).unwrap_or_default();
        jiff::Timestamp::new(at.secs(), nanos).ok()
    };
    Some(SessionRecord {
        id: session.session_id?.parse().ok()?,
        target: session.target.unwrap_or_default(),
        status: session
            .status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        started: time(session.start_date),
        ended: time(session.end_date),
        document: session.document_name,
        owner: session.owner,
        reason: session.reason,
    })
}
