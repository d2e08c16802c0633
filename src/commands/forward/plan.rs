//! What is to be carried, within the policy: a port, or whatever is asked for by SOCKS5.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::wish::{Leads, Wish};
use crate::commands::consent;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::config::values;
use crate::ids::{Bind, Local};
use crate::transport::forward::{
    self, Counters, ForwardError, ForwardPlan, HOST_DOCUMENT, Listener, Notices, PORT_DOCUMENT, Rate, Routes,
    SocksPlan, Start, Stop,
};

/// After so long without a connection a SOCKS5 proxy ends a destination's session, where nothing else is said.
const UNUSED: Duration = Duration::from_secs(5 * 60);

/// What is to be carried.
#[derive(Debug, Clone)]
pub enum Plan {
    /// One port.
    Port(ForwardPlan),
    /// Whatever programs ask for.
    Socks(SocksPlan),
}

impl Plan {
    /// Whether it is ready before anything is known of its node.
    pub fn begins_ready(&self) -> bool {
        matches!(self, Self::Port(plan) if plan.start == Start::WithFirstConnection)
    }

    /// Carries it until it is told to stop or ends by itself.
    ///
    /// # Errors
    /// Why it ended by itself.
    pub async fn run(
        self,
        listener: Listener,
        routes: Arc<dyn Routes>,
        notices: Arc<dyn Notices>,
        counters: Arc<Counters>,
        stop: watch::Receiver<Stop>,
    ) -> Result<(), ForwardError> {
        match self {
            Self::Port(plan) => forward::run(listener, plan, routes, notices, counters, stop).await,
            Self::Socks(plan) => forward::run_socks(listener, plan, routes, notices, counters, stop).await,
        }
    }
}

/// The plan for a forward to one port.
///
/// # Errors
/// When the policy does not permit it.
pub fn port(ctx: &Context, wish: &Wish) -> Result<Plan, CommandError> {
    let Leads::To(remote) = &wish.leads else {
        return socks(ctx, wish);
    };
    let config = ctx.config()?;
    let settings = &wish.settings;
    permit_local(ctx, wish)?;
    // What the profile or the default says counts with the node.
    if let Some(Ok(sessions)) = settings.sessions.map(values::Sessions::try_from) {
        config.policy.permit_sessions(sessions)?;
    }
    let own = match remote.foreign_host() {
        Some(_) => HOST_DOCUMENT,
        None => PORT_DOCUMENT,
    };
    consent::document(ctx, Some(settings.document.as_deref().unwrap_or(own)))?;
    // What a profile says of it is known with the node only; what is refused anyway is said before.
    consent::transport(ctx, wish.transport, None)?;
    Ok(Plan::Port(ForwardPlan {
        remote: remote.clone(),
        document: settings.document.clone(),
        start: match settings.lazy {
            Some(true) => Start::WithFirstConnection,
            _ => Start::Now,
        },
        idle_timeout: settings.idle_timeout,
        max_age: settings.max_age,
        keepalive: consent::keepalive(ctx)?,
        payload_limit: config.defaults.payload_limit.map(bytes),
        rate: Arc::new(Rate::new(config.defaults.rate_limit.map(bytes))),
    }))
}

/// The plan for a SOCKS5 proxy; its sessions are one for each destination.
///
/// # Errors
/// When the policy does not permit it.
pub fn socks(ctx: &Context, wish: &Wish) -> Result<Plan, CommandError> {
    let config = ctx.config()?;
    let settings = &wish.settings;
    permit_local(ctx, wish)?;
    for document in [HOST_DOCUMENT, PORT_DOCUMENT] {
        consent::document(ctx, Some(document))?;
    }
    // What a profile says of it is known with the node only; what is refused anyway is said before.
    consent::transport(ctx, wish.transport, None)?;
    Ok(Plan::Socks(SocksPlan {
        idle_timeout: settings.idle_timeout.unwrap_or(UNUSED),
        sessions: usize::from(settings.sessions.unwrap_or(1)),
        max_age: settings.max_age,
        keepalive: consent::keepalive(ctx)?,
        payload_limit: config.defaults.payload_limit.map(bytes),
        rate: Arc::new(Rate::new(config.defaults.rate_limit.map(bytes))),
    }))
}

fn bytes(size: values::Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn permit_local(ctx: &Context, wish: &Wish) -> Result<(), CommandError> {
    let Local::Port { bind, .. } = &wish.local else {
        return Ok(());
    };
    let word = match bind {
        Bind::Loopback => values::Bind::Loopback,
        Bind::Address(address) => values::Bind::Address(*address),
    };
    ctx.config()?.policy.permit_bind(&word)?;
    if bind.is_beyond_loopback() {
        ctx.ui().warn(&format!(
            "forward `{}` listens on {bind}: other machines can reach it, without any sign-in",
            crate::ui::text::escape(&wish.name)
        ));
    }
    Ok(())
}
