//! What carries a session: our own engine or AWS's plugin. Whoever starts a session here also ends it.

pub mod command_line;
mod native;
pub mod plan;
pub mod plugin;
pub mod stream_url;

use std::sync::Arc;
use std::time::Duration;

use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::session::Opening;
use crate::datachannel::{ChannelError, Refusal};
use crate::ids::SessionId;
use crate::terminal::Signals;
use plan::{Choice, End, Gate, Notice, Notices, Outcome, SessionPlan};
use plugin::{Plugin, PluginError};

/// How long ending a session may take before we leave all the same.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts sessions in one scope and carries them.
pub struct Carrier {
    /// Where.
    pub aws: Arc<Aws>,
    /// By what.
    pub choice: Choice,
    /// Hosts that a stream URL may name beside AWS's own.
    pub stream_endpoints: Vec<String>,
}

/// Why a session did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// StartSession failed; there is no session.
    #[error(transparent)]
    Start(ServiceError),
    /// The token was not sent: the address is not AWS's.
    #[error(transparent)]
    StreamUrl(#[from] stream_url::StreamUrlRefused),
    /// The data channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The agent asked for what our engine cannot do.
    #[error("{0}")]
    Refused(Refusal),
    /// The plugin is missing, too old, or failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Our own terminal or streams failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] std::io::Error),
    /// The channel's task is gone without a word; a bug.
    #[error("the data channel ended without a word")]
    Ended,
}

impl Carrier {
    /// Starts the session, carries it, and ends it unless the far end has done so.
    ///
    /// # Errors
    /// When it could not be started or did not run to its end; it is ended then too.
    pub async fn run(
        &self,
        plan: &SessionPlan,
        gate: Option<Gate>,
        notices: &dyn Notices,
    ) -> Result<Outcome, TransportError> {
        let mut signals = Signals::listen()?;
        // A missing plugin is said before a session is started that nobody could carry.
        let plugin = match self.choice {
            Choice::Plugin => Some(Plugin::find().await?),
            Choice::Auto | Choice::Native => None,
        };
        let opening = self.start(plan).await?;
        notices.notice(Notice::Started(opening.session.clone()));
        match plugin {
            Some(plugin) => {
                self.by_plugin(&plugin, plan, opening, gate, &mut signals, notices)
                    .await
            }
            None => self.natively(plan, opening, gate, &mut signals, notices).await,
        }
    }

    async fn start(&self, plan: &SessionPlan) -> Result<Opening, TransportError> {
        self.aws
            .start_session(&plan.request)
            .await
            .map_err(TransportError::Start)
    }

    async fn natively(
        &self,
        plan: &SessionPlan,
        opening: Opening,
        gate: Option<Gate>,
        signals: &mut Signals,
        notices: &dyn Notices,
    ) -> Result<Outcome, TransportError> {
        let session = opening.session.clone();
        let run = native::run(
            &self.aws,
            opening,
            &self.stream_endpoints,
            &plan.work,
            gate,
            signals,
            notices,
        );
        let result = run.await;
        if !matches!(result, Ok(End::Remote(_) | End::TimedOut)) {
            self.end(&session, notices).await;
        }
        match result {
            Ok(end) => Ok(Outcome { session, end }),
            Err(TransportError::Channel(ChannelError::NotUnderstood(cause)))
                if self.choice == Choice::Auto =>
            {
                let Ok(plugin) = Plugin::find().await else {
                    return Err(ChannelError::NotUnderstood(cause).into());
                };
                let second = self.start(plan).await?;
                notices.notice(Notice::FellBack {
                    ended: session,
                    started: second.session.clone(),
                    cause,
                });
                self.by_plugin(&plugin, plan, second, None, signals, notices)
                    .await
            }
            Err(error) => Err(error),
        }
    }

    async fn by_plugin(
        &self,
        plugin: &Plugin,
        plan: &SessionPlan,
        opening: Opening,
        gate: Option<Gate>,
        signals: &mut Signals,
        notices: &dyn Notices,
    ) -> Result<Outcome, TransportError> {
        let session = opening.session.clone();
        // The plugin takes the keyboard at once: what must agree has to agree before.
        if let Some(gate) = gate
            && let Err(why) = gate.await
        {
            self.end(&session, notices).await;
            return Ok(Outcome {
                session,
                end: End::GateRefused(why),
            });
        }
        let checked = stream_url::check(
            opening.stream_url.expose(),
            self.aws.region(),
            &self.stream_endpoints,
        );
        let result = match checked {
            Ok(()) => plugin
                .carry(&self.aws, &plan.request, opening, signals)
                .await
                .map_err(Into::into),
            Err(refused) => Err(refused.into()),
        };
        // The plugin leaves with 0 whatever happened; ending a session that is over is no error.
        self.end(&session, notices).await;
        result.map(|end| Outcome { session, end })
    }

    async fn end(&self, session: &SessionId, notices: &dyn Notices) {
        let ended = tokio::time::timeout(FAREWELL, self.aws.terminate_session(session)).await;
        let trouble = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("AWS did not answer within {} s", FAREWELL.as_secs()),
        };
        notices.notice(Notice::NotEnded(session.clone(), trouble));
    }
}
