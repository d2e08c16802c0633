//! One forward at work: its local end, what is known of it, and its first word.

use std::sync::Arc;
use std::time::Instant;

use super::child::End;
use super::complaints::Complaints;
use super::plan::Plan;
use super::route::Known;
use super::say;
use super::watch::Begun;
use super::wish::{Leads, Wish};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Kind};
use crate::ids::{Local, Scope, SessionId};
use crate::transport::forward::{BindError, Counters, Listener, Notice};
use crate::ui::text::escape;
use crate::ui::{Format, Ui};

/// One forward.
pub struct Forward {
    /// What it is to do.
    pub wish: Wish,
    /// Its local end, for a command.
    pub end: End,
    /// The same, as a person would connect to it.
    pub listener: String,
    /// Whether its first line was said.
    pub ready: Ready,
    /// Its figures.
    pub counters: Arc<Counters>,
    /// The way that the next session may take unasked.
    pub route: Option<Known>,
    /// The node that was found last.
    pub node: Option<String>,
    /// Its scope.
    pub scope: Option<Scope>,
    /// Why there was no way, the last time.
    pub trouble: Option<CommandError>,
    /// Whether it ended by itself.
    pub failed: bool,
    /// What went wrong with it.
    pub complaints: Complaints,
}

/// Whether a forward's first line was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It was.
    Yes,
    /// It was not.
    NotYet,
}

/// Takes all local ends, so that nothing is started where one of them cannot be had.
///
/// # Errors
/// The first that cannot be had.
pub async fn bind(wishes: &[(Wish, Plan)]) -> Result<Vec<Listener>, CommandError> {
    let mut listeners = Vec::new();
    for (wish, _) in wishes {
        let listener = Listener::bind(&wish.local)
            .await
            .map_err(|error| not_bound(wish, &error))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn not_bound(wish: &Wish, error: &BindError) -> CommandError {
    let kind = match error {
        BindError::NotOurs { .. } | BindError::NotASocket(_) => Kind::Usage,
        BindError::Busy { .. } | BindError::Denied { .. } | BindError::Failed { .. } => Kind::Failed,
    };
    let failure =
        CommandError::new(kind, format!("cannot listen for forward `{}`", wish.name)).because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

impl Forward {
    /// A forward whose local end is taken, and of which nothing else is known.
    pub fn new(wish: Wish, listener: &Listener) -> Self {
        let port = match listener.local() {
            Local::Port { port, .. } => Some(*port),
            Local::Socket(_) => None,
        };
        Self {
            end: End {
                name: wish.name.clone(),
                host: listener.host(),
                port,
            },
            listener: listener.to_string(),
            ready: Ready::NotYet,
            counters: Arc::new(Counters::default()),
            route: None,
            node: None,
            scope: None,
            trouble: None,
            failed: false,
            complaints: Complaints::default(),
            wish,
        }
    }

    /// For whoever watches.
    pub fn begun(&self) -> Begun {
        Begun {
            name: self.wish.name.clone(),
            local: self.listener.clone(),
            remote: self.wish.leads.to_string(),
            counters: Arc::clone(&self.counters),
        }
    }

    /// Says that it is there, in a line or a document; with the session, where there is one, and the node. stdout
    /// is a command's where the forward is not `alone`.
    ///
    /// # Errors
    /// Those of the config, and of stdout.
    pub fn announce(
        &self,
        ctx: &Context,
        up: Option<(Option<&SessionId>, &str)>,
        alone: bool,
    ) -> Result<(), CommandError> {
        if ctx.output()?.format == Format::Json && alone {
            let carried = say::Carried {
                id: self.node.clone(),
                session: up.and_then(|(session, _)| session).map(SessionId::as_str),
                scope: self.scope.as_ref(),
            };
            let document = say::ready_json(&self.wish, &self.end, &carried);
            ctx.ui().data(&format!("{document}\n"))?;
            return Ok(());
        }
        let line = say::ready_line(&self.wish, &self.listener, up.map(|(_, via)| via));
        if alone {
            ctx.ui().data(&format!("{line}\n"))?;
        } else {
            ctx.ui().say(&line);
        }
        Ok(())
    }

    /// Says what has happened to it, under this name, unless it was said a moment ago.
    pub fn say(&mut self, ui: &Ui, name: &str, notice: &Notice) {
        match self.complaints.hear(notice, Instant::now()) {
            Some(unsaid) => say::say(ui, name, notice, unsaid),
            None => tracing::debug!(name, ?notice, "once more"),
        }
    }

    /// Opens a browser at it.
    pub fn open_browser(&self, ctx: &Context) {
        let scheme = match &self.wish.leads {
            Leads::To(remote) if matches!(remote.port, 443 | 8443) => "https",
            Leads::To(_) | Leads::Anywhere => "http",
        };
        let Some(port) = self.end.port else {
            ctx.ui().warn("a browser cannot open a Unix socket");
            return;
        };
        let host = match self.end.host.as_str() {
            "127.0.0.1" => "localhost",
            host => host,
        };
        let url = match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}/"),
            false => format!("{scheme}://{host}:{port}/"),
        };
        if let Err(error) = crate::commands::browser::open_own(&url) {
            ctx.ui().warn(&format!(
                "no browser could be opened ({}); the page is {url}",
                escape(&error.to_string())
            ));
        }
    }
}
