//! What carries a session: our own engine or AWS's plugin. Whoever starts a session here also ends it.

pub mod adopt;
pub mod command;
pub mod command_line;
pub mod forward;
mod native;
pub mod plan;
pub mod plugin;
pub mod stream_url;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};

use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::session::{Opening, Which};
use crate::datachannel::{ChannelError, Refusal};
use crate::ids::SessionId;
use crate::terminal::record::Recorder;
use crate::terminal::{self, Kept, Signals};
use plan::{Choice, End, Gate, Notice, Notices, Outcome, SessionPlan, Shell, Work};
use plugin::{Call, Plugin, PluginError};

/// How long ending a session may take before we leave all the same.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long we ask AWS what became of a session that the plugin left.
const AFTERMATH: Duration = Duration::from_secs(3);
/// AWS takes a moment to see that a session is over.
const SECOND_LOOK: Duration = Duration::from_millis(700);

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
    /// A signal came before there was a session; what its request may have started was ended.
    #[error("interrupted before the session had started")]
    Interrupted(i32),
    /// The token was not sent: the address is not AWS's.
    #[error(transparent)]
    StreamUrl(#[from] stream_url::StreamUrlRefused),
    /// The data channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The agent asked for what our engine cannot do.
    #[error("{0}")]
    Refused(Refusal),
    /// The document starts a port session: its bytes are not for a terminal.
    #[error("the document starts a port session, not a shell")]
    NotAShell,
    /// The document starts a port session: it runs no command.
    #[error("the document starts a port session, not a command")]
    NotACommand,
    /// The document starts no port session with one stream.
    #[error("the document does not start a port session with a single stream")]
    NotAPort,
    /// The local end that the session's document names is none.
    #[error("the session's document names no local port or socket, but `{0}`")]
    NoLocalEnd(String),
    /// The local end of a port session cannot be taken.
    #[error(transparent)]
    Bind(#[from] crate::ports::BindError),
    /// What is to be recorded cannot be.
    #[error("`{}` cannot be recorded to: {cause}", .file.display())]
    Record {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The document starts no port session: it cannot carry a forward.
    #[error("the document does not start a port session")]
    NotAForward,
    /// The agent's streams are out of step.
    #[error(transparent)]
    Mux(crate::protocol::smux::FrameError),
    /// Nobody listens there.
    #[error("the agent could not connect to the port")]
    FarPort,
    /// The output is not what it should be.
    #[error(transparent)]
    Output(#[from] command::NotBase64),
    /// Only our own engine can do this.
    #[error("the plugin puts words of its own into the output, so only the native transport can do this")]
    NativeOnly,
    /// The plugin is missing, too old, or failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Our own terminal or streams failed; a broken pipe means that stdout's reader has gone.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] std::io::Error),
    /// The channel's task is gone without a word; a bug.
    #[error("the data channel ended without a word")]
    Ended,
}

impl Carrier {
    /// Starts the session, carries it, and ends it unless the far end has done so. From the call on, signals
    /// that would end the process end the session first; see [`End::Signal`]. Let it run to its end: a future
    /// that is dropped ends nothing.
    ///
    /// # Errors
    /// When it could not be started or did not run to its end; it is ended then too.
    pub async fn run(
        &self,
        plan: &SessionPlan,
        mut gate: Option<Gate>,
        notices: &dyn Notices,
    ) -> Result<Outcome, TransportError> {
        if self.choice == Choice::Plugin && !plan.work.is_for_plugin() {
            return Err(TransportError::NativeOnly);
        }
        let mut signals = Signals::listen()?;
        // A missing plugin is said before a session is started that nobody could carry.
        let plugin = match self.choice {
            Choice::Plugin => Some(Plugin::find().await?),
            Choice::Auto | Choice::Native => None,
        };
        // So is a file that cannot be made.
        let recorder = recorder(&plan.work)?;
        let opening = self.start(plan, &mut signals, notices).await?;
        notices.notice(Notice::Started(opening.session.clone()));
        match plugin {
            Some(plugin) => {
                self.by_plugin(&plugin, plan, opening, gate, &mut signals, notices)
                    .await
            }
            None => {
                self.natively(plan, recorder, opening, &mut gate, &mut signals, notices)
                    .await
            }
        }
    }

    async fn start(
        &self,
        plan: &SessionPlan,
        signals: &mut Signals,
        notices: &dyn Notices,
    ) -> Result<Opening, TransportError> {
        let mut starting = pin!(self.aws.start_session(&plan.request));
        let signal = tokio::select! {
            opening = &mut starting => return opening.map_err(TransportError::Start),
            signal = signals.ended() => signal,
        };
        // The request may have reached AWS: what it starts has to be ended.
        notices.notice(Notice::Interrupted);
        let late = tokio::select! {
            late = timeout(FAREWELL, starting) => late,
            () = signals.impatience() => return Err(TransportError::Interrupted(signal)),
        };
        if let Ok(Ok(opening)) = late {
            self.end(&opening.session, signals, notices).await;
        }
        Err(TransportError::Interrupted(signal))
    }

    async fn natively(
        &self,
        plan: &SessionPlan,
        recorder: Option<Recorder>,
        opening: Opening,
        gate: &mut Option<Gate>,
        signals: &mut Signals,
        notices: &dyn Notices,
    ) -> Result<Outcome, TransportError> {
        let session = opening.session.clone();
        let run = native::run(self, opening, plan, recorder, gate, signals, notices);
        // A bug in us must not leave a session behind.
        let result = AssertUnwindSafe(run).catch_unwind().await;
        let is_over = matches!(&result, Ok(result) if is_over(result));
        if !is_over {
            self.end(&session, signals, notices).await;
        }
        match result.unwrap_or_else(|panic| resume_unwind(panic)) {
            Ok(native::Finish { end, status }) => Ok(Outcome { session, end, status }),
            // The channel opened and nothing of the session was seen: so the data channel defines this error.
            Err(TransportError::Channel(ChannelError::NotUnderstood(cause)))
                if self.choice == Choice::Auto && plan.work.is_for_plugin() =>
            {
                let Ok(plugin) = Plugin::find().await else {
                    return Err(ChannelError::NotUnderstood(cause).into());
                };
                let second = self.start(plan, signals, notices).await?;
                notices.notice(Notice::FellBack {
                    ended: session,
                    started: second.session.clone(),
                    cause,
                });
                self.by_plugin(&plugin, plan, second, gate.take(), signals, notices)
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
        let result = self.hand_over(plugin, plan, opening, gate, signals).await;
        let result = match result {
            // The plugin leaves with 0 whatever happened.
            Ok(End::Remote(words)) => match self.aftermath(&session).await {
                Aftermath::Over => return Ok(outcome(session, End::Remote(words))),
                Aftermath::Open => Err(PluginError::Left.into()),
                Aftermath::Unknown => Ok(End::Remote(words)),
            },
            other => other,
        };
        // Ending a session that is over is no error.
        self.end(&session, signals, notices).await;
        result.map(|end| outcome(session, end))
    }

    async fn hand_over(
        &self,
        plugin: &Plugin,
        plan: &SessionPlan,
        opening: Opening,
        gate: Option<Gate>,
        signals: &mut Signals,
    ) -> Result<End, TransportError> {
        stream_url::check(
            opening.stream_url.expose(),
            self.aws.region(),
            &self.stream_endpoints,
        )?;
        // The plugin takes the keyboard at once: what must agree has to agree before.
        if let Some(gate) = gate {
            let agreed = tokio::select! {
                agreed = gate => agreed,
                signal = signals.ended() => return Ok(End::Signal(signal)),
            };
            if let Err(why) = agreed {
                return Ok(End::GateRefused(why));
            }
        }
        let call = Call::of(&self.aws, &plan.request)
            .await
            .map_err(TransportError::Start)?;
        // It changes the terminal and puts it back only where the session ends well.
        let kept = Kept::save()?;
        let end = plugin.carry(&call, opening, signals).await;
        drop(kept);
        Ok(end?)
    }

    /// What became of a session whose plugin says that all is well. Not knowing is common: listing sessions is
    /// a permission of its own.
    async fn aftermath(&self, session: &SessionId) -> Aftermath {
        let looks = async {
            if !self.is_active(session).await? {
                return Ok(false);
            }
            sleep(SECOND_LOOK).await;
            self.is_active(session).await
        };
        match timeout(AFTERMATH, looks).await {
            Ok(Ok(true)) => Aftermath::Open,
            Ok(Ok(false)) => Aftermath::Over,
            Ok(Err(_)) | Err(_) => Aftermath::Unknown,
        }
    }

    async fn is_active(&self, session: &SessionId) -> Result<bool, ServiceError> {
        let records = self.aws.sessions(Which::Active, None).await?;
        let over = |status: &str| matches!(status, "Terminated" | "Terminating" | "Failed");
        Ok(records
            .iter()
            .any(|record| record.id == *session && !over(&record.status)))
    }

    async fn end(&self, session: &SessionId, signals: &mut Signals, notices: &dyn Notices) {
        let ended = tokio::select! {
            ended = timeout(FAREWELL, self.aws.terminate_session(session)) => ended,
            () = signals.impatience() => {
                notices.notice(Notice::NotEnded(session.clone(), "it was interrupted".to_owned()));
                return;
            }
        };
        let trouble = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("AWS did not answer within {} s", FAREWELL.as_secs()),
        };
        notices.notice(Notice::NotEnded(session.clone(), trouble));
    }
}

fn recorder(work: &Work) -> Result<Option<Recorder>, TransportError> {
    let Work::Shell(Shell {
        record: Some(recording),
        ..
    }) = work
    else {
        return Ok(None);
    };
    let recorder = Recorder::create(recording, terminal::size());
    recorder.map(Some).map_err(|cause| TransportError::Record {
        file: recording.file.clone(),
        cause,
    })
}

/// Whether nobody has to end the session any more.
fn is_over(result: &Result<native::Finish, TransportError>) -> bool {
    result.as_ref().is_ok_and(|finish| finish.end.is_theirs())
}

fn outcome(session: SessionId, end: End) -> Outcome {
    Outcome {
        session,
        end,
        status: None,
    }
}

/// What became of a session that the plugin left.
enum Aftermath {
    Over,
    Open,
    Unknown,
}
