//! What was started from this machine, by the log that lies here.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::commands::nodes::time;
use crate::commands::targets::words;
use crate::ids::Scope;
use crate::inventory::query::Query;
use crate::inventory::snapshot::Snapshot;
use crate::ledger::{Entry, Life};
use crate::ui::output::{Cell, Column, Listing, Row, Tone};
use crate::ui::text::escape;

/// Newest first. `target` is an id or a remembered name; AWS is not asked.
pub(super) async fn run(ctx: &Context, target: Option<&str>) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let Some(ledger) = ctx.ledger() else {
        return Err(CommandError::failed(
            "there is no home directory, hence no log of sessions",
        ));
    };
    let path = escape(&ledger.path().display().to_string()).into_owned();
    let told = ledger.read().map_err(|cause| {
        CommandError::failed(format!("cannot read the log of sessions `{path}`")).because(cause)
    })?;
    if told.damaged > 0 {
        let lines = told.damaged;
        ctx.ui()
            .warn(&format!("`{path}`: {lines} damaged lines are left out"));
    }
    let snapshots = ctx.snapshots();
    let known: Vec<(Scope, Snapshot)> = snapshots
        .scopes()
        .into_iter()
        .filter_map(|scope| Some((scope.clone(), snapshots.open(&scope)?)))
        .collect();
    let rows = told.sessions.iter().rev().map(|(entry, life)| LocalRow {
        entry,
        life: *life,
        name: name(&known, entry),
        now: Timestamp::now(),
    });
    let fits = |row: &LocalRow<'_>| {
        target.is_none_or(|target| row.entry.target.as_str() == target || row.name.as_deref() == Some(target))
    };
    let mut printer = ctx.ui().listing(&output, listing())?;
    for row in rows.filter(fits) {
        printer.push(&row)?;
    }
    if printer.finish()? == 0 {
        ctx.ui().say(&format!("no session is written down in `{path}`"));
    }
    Ok(Exit::SUCCESS)
}

/// As far as it is remembered.
fn name(known: &[(Scope, Snapshot)], entry: &Entry) -> Option<String> {
    let (_, snapshot) = known
        .iter()
        .find(|(scope, _)| Some(&scope.account) == entry.account.as_ref() && scope.region == entry.region)?;
    let nodes = snapshot.find(&Query::id(entry.target.clone()))?;
    nodes.into_iter().next()?.name
}

fn listing() -> Listing {
    Listing {
        key: "sessions",
        columns: vec![
            Column::new("session", "id").whole(),
            Column::new("name", "name"),
            Column::new("target", "target").whole(),
            Column::new("command", "command"),
            Column::new("process", "process"),
            Column::new("age", ""),
            Column::new("reason", "reason"),
            Column::new("started", "started").wide(),
            Column::new("user", "user").wide(),
            Column::new("document", "document").wide(),
            Column::new("account", "account").wide(),
            Column::new("region", "region").wide(),
            Column::new("profile", "profile").wide(),
        ],
    }
}

struct LocalRow<'a> {
    entry: &'a Entry,
    life: Life,
    name: Option<String>,
    now: Timestamp,
}

impl LocalRow<'_> {
    fn process(&self) -> &'static str {
        match self.life {
            Life::Lives => "running",
            Life::Over => "over",
        }
    }
}

impl Row for LocalRow<'_> {
    fn cells(&self) -> Vec<Cell> {
        let entry = self.entry;
        let tone = match self.life {
            Life::Lives => Tone::Good,
            Life::Over => Tone::Faint,
        };
        vec![
            Cell::from(entry.session.as_str()),
            Cell::from(self.name.clone()),
            Cell::from(entry.target.as_str()),
            Cell::from(entry.command.as_str()),
            Cell::toned(self.process(), tone),
            Cell::from(words::age(entry.at, self.now)),
            Cell::from(entry.reason.clone()),
            Cell::from(time(entry.at)),
            Cell::from(entry.user.clone()),
            Cell::from(entry.document.clone()),
            Cell::from(entry.account.as_ref().map(ToString::to_string)),
            Cell::from(entry.region.as_str()),
            Cell::from(entry.profile.clone()),
        ]
    }

    fn name(&self) -> String {
        format!("session/{}", self.entry.session)
    }

    fn document(&self) -> Value {
        let entry = self.entry;
        json!({
            "id": entry.session,
            "name": self.name,
            "target": entry.target,
            "command": entry.command,
            "process": self.process(),
            "started": entry.at,
            "user": entry.user,
            "reason": entry.reason,
            "document": entry.document,
            "account": entry.account,
            "region": entry.region,
            "profile": entry.profile,
        })
    }
}
