//! Our own engine: a data channel joined to what the plan asks for.

mod gateway;
mod keys;
mod shell;

use std::sync::Arc;

use super::plan::{End, Gate, Notices, Work};
use super::{TransportError, stream_url};
use crate::aws::Aws;
use crate::aws::session::Opening;
use crate::datachannel::{self, Options};
use crate::terminal::Signals;
use gateway::AwsGateway;

/// Carries a started session to its end. The caller ends it with AWS where this does not say that it is over.
pub(super) async fn run(
    aws: &Arc<Aws>,
    opening: Opening,
    allowed: &[String],
    work: &Work,
    gate: &mut Option<Gate>,
    signals: &mut Signals,
    notices: &dyn Notices,
) -> Result<End, TransportError> {
    stream_url::check(opening.stream_url.expose(), aws.region(), allowed)?;
    let gateway = Arc::new(AwsGateway::new(
        Arc::clone(aws),
        opening.session.clone(),
        allowed.to_vec(),
    ));
    let opening = datachannel::Opening {
        session: opening.session,
        url: opening.stream_url,
        token: opening.token,
    };
    let opened = datachannel::open(opening, gateway, aws.dialer(), Options::SHELL);
    let channel = tokio::select! {
        channel = opened => channel?,
        signal = signals.ended() => return Ok(End::Signal(signal)),
    };
    let Work::Shell { escape } = work;
    shell::run(channel, *escape, gate, signals, notices).await
}
