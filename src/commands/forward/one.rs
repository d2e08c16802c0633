//! One forward at work: its local end, what is known of it, and its first word.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum as _;
use serde_json::Value;

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

/// Whether stdout can be what was asked for: a forward says a line or a document, and a command has stdout for
/// itself.
///
/// # Errors
/// When it cannot.
pub fn check_output(ctx: &Context, command: &[OsString]) -> Result<(), CommandError> {
    let asked = ctx.globals().output;
    if let Some(format) = asked
        && !matches!(format, Format::Table | Format::Wide | Format::Json)
    {
        let name = format.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        return Err(
            CommandError::usage(format!("a forward cannot be said as `-o {name}`"))
                .hint("it is a line for people or, with `-o json`, a document for scripts"),
        );
    }
    let output = ctx.output()?;
    let said = match (asked, &output.query) {
        (_, Some(_)) => "--query",
        (Some(Format::Json), None) => "-o json",
        _ => return Ok(()),
    };
    if !command.is_empty() {
        return Err(CommandError::usage(format!(
            "stdout is the command's alone, so `{said}` has nothing to say there"
        ))
        .hint("the command finds its port as `{port}` and in `SSMX_FORWARD_PORT`"));
    }
    if output.format != Format::Json {
        return Err(
            CommandError::usage("`--query` picks from a document, and a forward is said in a line")
                .hint("add `-o json`"),
        );
    }
    Ok(())
}

fn not_bound(wish: &Wish, error: &BindError) -> CommandError {
    let kind = match error {
        BindError::NotOurs { .. } | BindError::NotASocket(_) => Kind::Usage,
        BindError::Busy { .. } | BindError::Denied { .. } | BindError::Failed { .. } => Kind::Failed,
    };
    let failure =
        CommandError::new(kind, format!("cannot listen for forward `{}`", wish.name)).because(error);
    match local_hint(wish, error).or_else(|| error.hint().map(str::to_owned)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to try with a port, in the words of what was asked for.
fn local_hint(wish: &Wish, error: &BindError) -> Option<String> {
    let Local::Port { port, .. } = wish.local else {
        return None;
    };
    match (error, &wish.leads) {
        (BindError::Busy { .. }, Leads::Anywhere) => {
            Some("choose another port with `--local PORT`, or let one be found: `--local 0`".to_owned())
        }
        (BindError::Denied { .. }, leads) => {
            // 8080 for 80, 8443 for 443.
            let above = port.saturating_add(8000);
            let form = match (&wish.preset, leads) {
                (_, Leads::Anywhere) => format!("--local {above}"),
                (Some(_), _) => format!("local = {above}"),
                (None, Leads::To(remote)) => format!("{above}:{remote}"),
            };
            Some(format!(
                "ports below 1024 want privileges; choose one above: `{form}`"
            ))
        }
        _ => None,
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
            document: self.document(None),
            counters: Arc::clone(&self.counters),
        }
    }

    /// What its first line says to scripts.
    pub fn document(&self, session: Option<&SessionId>) -> Value {
        let carried = say::Carried {
            id: self.node.clone(),
            session: session.map(SessionId::as_str),
            scope: self.scope.as_ref(),
        };
        say::ready_json(&self.wish, &self.end, &carried)
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
        let output = ctx.output()?;
        if output.format == Format::Json && alone {
            let document = self.document(up.and_then(|(session, _)| session));
            ctx.ui().document_line(&output, &document)?;
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
    pub fn say(&mut self, ui: &Ui, notice: &Notice) {
        let name = self.wish.name.as_str();
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
            tracing::debug!(%error, "no browser");
            ctx.ui()
                .warn(&format!("no browser could be opened here; the page is {url}"));
        }
    }
}
