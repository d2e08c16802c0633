//! Ending sessions: which are meant, whether that is agreed, and one after the other.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::EndArgs;
use super::list::{Listed, ask};
use super::whose::{Whose, short};
use crate::aws::Aws;
use crate::aws::session::Which;
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit, Kind};
use crate::commands::targets::scope::{self, Reached};
use crate::commands::targets::{PickArgs, Purpose, words};
use crate::ids::{Scope, SessionId};
use crate::ledger::Life;
use crate::ui::text::escape;
use crate::ui::{Presence, prompt};

/// A session that is to end.
struct Doomed {
    aws: Arc<Aws>,
    scope: Scope,
    id: SessionId,
    mine: bool,
    /// What is known of it, in a line.
    story: String,
}

/// Ends each; a failure does not keep the others from being ended.
pub(super) async fn run(ctx: &Context, args: EndArgs) -> Result<Exit, CommandError> {
    let here = scope::here(ctx).await?;
    let listing = ask(ctx, &here, &[Which::Active], None);
    let listed = ctx
        .ui()
        .progress(&format!("listing the sessions of {}", here.scope), listing)
        .await;
    let mut choice = Choice {
        ctx,
        here: &here,
        listed,
        doomed: Vec::new(),
    };
    for word in &args.sessions {
        choice.add(word).await?;
    }
    if args.mine {
        choice.add_mine()?;
    }
    if args.stale {
        choice.add_stale()?;
    }
    let mut doomed = choice.doomed;
    let mut seen = HashSet::new();
    doomed.retain(|one| seen.insert(one.id.clone()));
    if doomed.is_empty() {
        let kind = match (args.mine, args.stale) {
            (_, true) if !args.mine => "that was left behind",
            _ => "of mine",
        };
        ctx.ui()
            .say(&format!("no active session {kind} in {}", here.scope));
        return Ok(Exit::SUCCESS);
    }
    agree(ctx, &doomed, &args)?;
    end(ctx, &doomed).await
}

struct Choice<'a> {
    ctx: &'a Context,
    here: &'a Reached,
    /// The active sessions of the scope, where they may be listed.
    listed: Result<Vec<Listed>, CommandError>,
    doomed: Vec<Doomed>,
}

impl Choice<'_> {
    /// What a word means: an id, the beginning of one, a target.
    async fn add(&mut self, word: &str) -> Result<(), CommandError> {
        let id: Option<SessionId> = word.parse().ok();
        if let Ok(listed) = &self.listed {
            let exact = listed.iter().filter(|session| session.record.id.as_str() == word);
            let mut found: Vec<&Listed> = exact.collect();
            if found.is_empty() {
                let begun = |session: &&Listed| session.record.id.as_str().starts_with(word);
                found = listed.iter().filter(begun).collect();
            }
            match found.as_slice() {
                [] => {}
                [one] => {
                    self.doomed.push(doomed(self.here, one));
                    return Ok(());
                }
                several => return Err(ambiguous(word, several)),
            }
        }
        // Listing is a permission of its own, and what has just begun is not listed yet.
        if let Some(id) = id.filter(is_whole) {
            let whose = Whose::new(self.here.aws.identity().await);
            self.doomed.push(Doomed {
                aws: Arc::clone(&self.here.aws),
                scope: self.here.scope.clone(),
                mine: whose.is_named_after_me(&id),
                story: format!("{id}  not listed"),
                id,
            });
            return Ok(());
        }
        self.on_target(word).await
    }

    async fn on_target(&mut self, word: &str) -> Result<(), CommandError> {
        let resolving = self
            .ctx
            .resolve(Some(word), PickArgs::default(), Purpose::Inspect)
            .await;
        let resolved = resolving.map_err(|error| match &self.listed {
            Ok(_) => error.hint(format!("no active session's id begins with `{word}` either")),
            Err(_) => error,
        })?;
        let reached = Reached {
            aws: Arc::clone(&resolved.aws),
            scope: resolved.scope.clone(),
        };
        let on_it = ask(self.ctx, &reached, &[Which::Active], Some(&resolved.node.id)).await?;
        if on_it.is_empty() {
            return Err(CommandError::new(
                Kind::Refused,
                format!(
                    "there is no active session on {} in {}",
                    words::label_and_id(&resolved.node),
                    resolved.scope
                ),
            ));
        }
        self.doomed
            .extend(on_it.iter().map(|session| doomed(&reached, session)));
        Ok(())
    }

    fn listed(&mut self) -> Result<Vec<Listed>, CommandError> {
        std::mem::replace(&mut self.listed, Ok(Vec::new()))
    }

    fn add_mine(&mut self) -> Result<(), CommandError> {
        let listed = self.listed()?;
        let mine = listed.iter().filter(|session| session.mine);
        self.doomed.extend(mine.map(|session| doomed(self.here, session)));
        self.listed = Ok(listed);
        Ok(())
    }

    /// Those that this machine's log knows, whose process is gone.
    fn add_stale(&mut self) -> Result<(), CommandError> {
        let told = match self.ctx.ledger().map(|ledger| ledger.read()) {
            Some(told) => told.map_err(|cause| {
                CommandError::failed("cannot read the log of sessions of this machine").because(cause)
            })?,
            None => return Ok(()),
        };
        let over: HashSet<SessionId> = told
            .sessions
            .into_iter()
            .filter(|(_, life)| *life == Life::Over)
            .map(|(entry, _)| entry.session)
            .collect();
        let listed = self.listed()?;
        for session in listed.iter().filter(|session| over.contains(&session.record.id)) {
            // Started here, by whichever role: it is this user's.
            self.doomed.push(Doomed {
                mine: true,
                ..doomed(self.here, session)
            });
        }
        self.listed = Ok(listed);
        Ok(())
    }
}

fn doomed(reached: &Reached, session: &Listed) -> Doomed {
    Doomed {
        aws: Arc::clone(&reached.aws),
        scope: reached.scope.clone(),
        id: session.record.id.clone(),
        mine: session.mine,
        story: story(session),
    }
}

/// What is known of a session, in a line.
fn story(session: &Listed) -> String {
    let record = &session.record;
    let whose = match (&record.owner, session.mine) {
        (_, true) => "mine",
        (Some(owner), _) => short(owner),
        (None, _) => "-",
    };
    let age = record
        .started
        .map_or_else(|| "-".to_owned(), |started| words::age(started, Timestamp::now()));
    let name = session.name.as_deref().unwrap_or("-");
    format!("{}  {whose}  {name}  {}  {age}", record.id, record.target)
}

/// As AWS makes them: a name and, after the last dash, at least seventeen letters and digits.
fn is_whole(id: &SessionId) -> bool {
    let tail = id.as_str().rsplit_once('-');
    tail.is_some_and(|(name, tail)| {
        !name.is_empty() && tail.len() >= 17 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn ambiguous(word: &str, several: &[&Listed]) -> CommandError {
    let failure = CommandError::usage(format!("`{word}` is the beginning of several sessions' ids"));
    let failure = several
        .iter()
        .fold(failure, |failure, session| failure.because(story(session)));
    failure.hint("name one of them, or use `--mine`, or `target/NAME` for all on a named target")
}

/// Several, or somebody else's, are not ended without a yes.
fn agree(ctx: &Context, doomed: &[Doomed], args: &EndArgs) -> Result<(), CommandError> {
    let question = match doomed {
        _ if args.yes => return Ok(()),
        [one] if one.mine => return Ok(()),
        [_] => "this session of somebody else".to_owned(),
        several => match several.iter().filter(|one| !one.mine).count() {
            0 => format!("these {} sessions", several.len()),
            others => format!("these {} sessions, {others} of them not mine", several.len()),
        },
    };
    if ctx.ui().presence() == Presence::Script {
        let failure = CommandError::usage(format!(
            "nobody is at a terminal to agree that ssmx may end {question}"
        ));
        let failure = doomed
            .iter()
            .fold(failure, |failure, one| failure.because(&one.story));
        return Err(failure.hint("say `--yes` to do it without a question"));
    }
    for one in doomed {
        ctx.ui().say(&format!("  {}", escape(&one.story)));
    }
    match prompt::confirm(&format!("End {question}?"))? {
        Some(true) => Ok(()),
        Some(false) | None => Err(CommandError::interrupted()),
    }
}

async fn end(ctx: &Context, doomed: &[Doomed]) -> Result<Exit, CommandError> {
    let mut failures = Vec::new();
    for one in doomed {
        match one.aws.terminate_session(&one.id).await {
            Ok(()) => {
                ctx.ui().say(&format!("ended {}", one.id));
                forget(ctx, one);
            }
            Err(error) => failures.push((one, error)),
        }
    }
    let [(one, error), others @ ..] = failures.as_slice() else {
        return Ok(Exit::SUCCESS);
    };
    let mut failure = CommandError::aws(format!("cannot end session {} in {}", one.id, one.scope), error);
    for (one, error) in others {
        failure = failure.because(format!("session {}: {error}", one.id));
    }
    if failures.len() < doomed.len() {
        failure.kind = Kind::Failed;
    }
    Err(failure)
}

/// A completion offers it no longer.
fn forget(ctx: &Context, ended: &Doomed) {
    let mut known = ctx.snapshots().sessions(&ended.scope);
    known.retain(|session| session.id != ended.id);
    if let Err(error) = ctx.snapshots().remember_sessions(&ended.scope, &known) {
        tracing::debug!(%error, "the ended session is not forgotten");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_is_told_from_its_beginning() {
        let whole = |text: &str| is_whole(&text.parse().unwrap());
        assert!(whole("ada-0123456789abcdef0") && whole("ada@x.org-0a1b2c3d4e5f60718x"));
        assert!(!whole("ada") && !whole("ada-0123") && !whole("prod-web"));
    }
}
