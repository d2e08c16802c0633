//! A session that somebody else has started, as the AWS CLI does for its plugin: its kind is known only when
//! the agent speaks.

use std::sync::Arc;

use super::native;
use super::plan::{Notice, Notices, Outcome};
use super::{FAREWELL, TransportError, is_over, stream_url};
use crate::aws::session::Opening;
use crate::aws::{Aws, Dialer};
use crate::ids::{Region, SessionId};
use crate::terminal::Signals;
use tokio::time::timeout;

/// The version of the plugin that we stand in for.
pub const PLUGIN_VERSION: &str = crate::datachannel::CLIENT_VERSION;

/// Who adopts, and what is known of the session.
pub struct Adopter {
    /// For signatures, resumption and the session's end. Without it the data channel opens unsigned and lasts
    /// as long as its first socket.
    pub aws: Option<Arc<Aws>>,
    /// How to dial.
    pub dialer: Arc<Dialer>,
    /// Where the session is.
    pub region: Region,
    /// StartSession's target, as it was given.
    pub target: String,
    /// Hosts that a stream URL may name beside AWS's own.
    pub stream_endpoints: Vec<String>,
}

impl Adopter {
    /// Carries the session and ends it unless the far end has done so.
    ///
    /// # Errors
    /// When it did not run to its end; it is ended then too.
    pub async fn run(&self, opening: Opening, notices: &dyn Notices) -> Result<Outcome, TransportError> {
        let mut signals = Signals::listen()?;
        stream_url::check(opening.stream_url.expose(), &self.region, &self.stream_endpoints)?;
        let session = opening.session.clone();
        let result = native::adopt(self, opening, &mut signals, notices).await;
        if !is_over(&result) {
            self.end(&session, &mut signals, notices).await;
        }
        let finish = result?;
        Ok(Outcome {
            session,
            end: finish.end,
            status: finish.status,
        })
    }

    async fn end(&self, session: &SessionId, signals: &mut Signals, notices: &dyn Notices) {
        let Some(aws) = &self.aws else { return };
        let ended = tokio::select! {
            ended = timeout(FAREWELL, aws.terminate_session(session)) => ended,
            () = signals.impatience() => return,
        };
        let trouble = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("AWS did not answer within {} s", FAREWELL.as_secs()),
        };
        notices.notice(Notice::NotEnded(session.clone(), trouble));
    }
}
