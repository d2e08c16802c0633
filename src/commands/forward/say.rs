//! What a forward meets, in words.

use std::time::Duration;

use serde_json::{Value, json};

use super::child::End;
use super::wish::{Leads, Wish};
use crate::commands::error::CommandError;
use crate::ids::{Remote, Scope};
use crate::transport::TransportError;
use crate::transport::forward::{Dormancy, ForwardError, Notice};
use crate::ui::Ui;
use crate::ui::text::escape;

/// Why a forward has ended. `trouble` is what kept it from finding its way.
pub fn failure(wish: &Wish, error: ForwardError, trouble: Option<CommandError>) -> CommandError {
    let name = &wish.name;
    match (error, trouble) {
        (ForwardError::Route(_), Some(trouble)) => trouble,
        (ForwardError::Route(error), None) => {
            CommandError::failed(format!("forward `{name}` has ended")).because(error)
        }
        (ForwardError::Start(error), _) => {
            CommandError::aws(format!("could not start a session for forward `{name}`"), &error)
        }
        (error @ ForwardError::Terminated(_), _) => CommandError::failed(format!(
            "forward `{name}` has ended"
        ))
        .because(error)
        .hint(
            "somebody ended it on purpose, or the instance is going down; `ssmx sessions` shows what is open",
        ),
        (error @ ForwardError::Agent(_), _) => {
            CommandError::failed(format!("forward `{name}` cannot be carried"))
                .because(error)
                .hint("the host is looked up and reached from the node: see there")
        }
        (ForwardError::Transport(error), _) => {
            let hint = match &error {
                TransportError::Plugin(error) => error.hint(),
                _ => None,
            };
            let failure =
                CommandError::failed(format!("forward `{name}` could not be carried")).because(error);
            hint.into_iter().fold(failure, CommandError::hint)
        }
    }
}

/// The line that says where a forward listens, where it leads and through which node: `prod-db  127.0.0.1:15432 →
/// db.internal:5432 via prod-bastion (i-…)`.
pub fn ready_line(wish: &Wish, listener: &str, via: Option<&str>) -> String {
    let remote = destination(wish);
    let through = match via {
        Some(via) => escape(via).into_owned(),
        None => format!(
            "{}, from the first connection on",
            escape(&wish.targets.join(" or "))
        ),
    };
    format!(
        "{}  {} → {remote} via {through}",
        escape(&wish.name),
        escape(listener)
    )
}

/// Where a forward leads, in words.
pub fn destination(wish: &Wish) -> String {
    match &wish.leads {
        Leads::To(Remote { host: None, port }) => format!("port {port}"),
        leads => leads.to_string(),
    }
}

/// What is known of the session when a forward is ready.
#[derive(Debug, Default)]
pub struct Carried<'a> {
    /// The node's id.
    pub id: Option<String>,
    /// The session's.
    pub session: Option<&'a str>,
    /// Account and region.
    pub scope: Option<&'a Scope>,
}

/// The same for scripts.
pub fn ready_json(wish: &Wish, end: &End, carried: &Carried<'_>) -> Value {
    let local = match end.port {
        None => json!({ "socket": end.host }),
        Some(port) => json!({ "host": end.host, "port": port }),
    };
    let remote = match &wish.leads {
        Leads::To(remote) => json!({
            "host": remote.host.as_ref().map(|host| host.as_str()),
            "port": remote.port,
        }),
        Leads::Anywhere => json!({ "protocol": "socks5" }),
    };
    json!({
        "name": wish.name,
        "preset": wish.preset,
        "local": local,
        "remote": remote,
        "targets": wish.targets,
        "id": carried.id,
        "account": carried.scope.map(|scope| scope.account.as_str()),
        "region": carried.scope.map(|scope| scope.region.as_str()),
        "session": carried.session,
    })
}

/// Says a notice about the forward of this name, if it is one to be said; with how many of its kind were not said.
pub fn say(ui: &Ui, name: &str, notice: &Notice, unsaid: usize) {
    let name = escape(name);
    if unsaid > 0 {
        ui.say(&format!("{name}: {unsaid} times more, or the like, before this:"));
    }
    match notice {
        Notice::Starting => tracing::debug!(%name, "a session is being started"),
        Notice::Up { session, sessions, .. } => {
            tracing::info!(%name, %session, sessions, "session up");
        }
        Notice::Down { session, sessions, .. } => tracing::info!(%name, %session, sessions, "session over"),
        Notice::Reconnecting(cause) => {
            tracing::info!(%name, cause, "data channel cut");
            ui.say(&format!("{name}: reconnecting…"));
        }
        Notice::StillAway(cause) => ui.say(&format!("{name}: still reconnecting: {}", escape(cause))),
        Notice::Back(away) => ui.say(&format!("{name}: back {}", after(*away))),
        Notice::Waiting => ui.say(&format!("{name}: still waiting for the agent…")),
        Notice::Unanswered => ui.warn(&format!(
            "{name}: the agent does not answer any more; the next connection takes a new session"
        )),
        Notice::Unreachable => ui.warn(&format!(
            "{name}: the remote end refused a connection, or does not answer"
        )),
        Notice::Dormant(why) => match why {
            Dormancy::Lazy => {}
            Dormancy::Lost(cause) => ui.warn(&format!(
                "{name}: no session ({}); the next connection starts one",
                escape(cause)
            )),
            Dormancy::Unused => ui.say(&format!(
                "{name}: unused, so its session was ended; the next connection starts another one"
            )),
            Dormancy::TimedOut(words) => ui.say(&format!(
                "{name}: AWS ended the session for its idle or maximum time{}; the next connection starts another one",
                quoted(words)
            )),
            Dormancy::Agent(words) => ui.warn(&format!(
                "{name}: the agent ended the session{}; the next connection starts another one",
                quoted(words)
            )),
        },
        Notice::Retrying { cause, after } if after.is_zero() => {
            tracing::info!(%name, cause, "a new session at once");
            ui.say(&format!("{name}: starting a new session ({})", escape(cause)));
        }
        Notice::Retrying { cause, after } => ui.say(&format!(
            "{name}: no session ({}); trying again in {} s",
            escape(cause),
            after.as_secs().max(1)
        )),
        Notice::Fewer(cause) => ui.say(&format!(
            "{name}: one session less ({}); the others carry on",
            escape(cause)
        )),
        Notice::NeedsPerson(why) => ui.warn(&format!(
            "{name}: a new session needs you: {}; the next connection asks again",
            escape(why)
        )),
        Notice::GaveUpWaiting => ui.warn(&format!(
            "{name}: a connection waited too long for a session and was closed"
        )),
        Notice::StoodStill => ui.warn(&format!(
            "{name}: a program stood still and kept others waiting, so its connection was closed"
        )),
        Notice::CustomerMessage(words) => {
            for line in foreign_lines(&name, words) {
                ui.say(&line);
            }
        }
        Notice::FellBack { ended, cause } => ui.warn(&format!(
            "{name}: session {ended} was ended, since its agent is not understood ({}); another one goes through the plugin",
            escape(cause)
        )),
        Notice::Open { .. } => {}
        Notice::Destination(remote, notice) => say(ui, &format!("{name}: {remote}"), notice, 0),
        Notice::GivenUp(why) => ui.warn(&format!("{name}: given up: {}", escape(why))),
        Notice::Crowded => {
            ui.warn(&format!(
                "{name}: refused, since all other destinations are in use"
            ));
            ui.hint("`--sessions` sets how many there may be at a time");
        }
        Notice::Misunderstood(why) => ui.warn(&format!("{name}: {}", escape(why))),
        Notice::NotEnded(session, why) => {
            ui.warn(&format!("session {session} could not be ended: {}", escape(why)));
            ui.hint(&format!("end it with `ssmx sessions end {session}`"));
        }
    }
}

/// Words from the other end, each line marked as such: none may pass for one of ours.
fn foreign_lines(name: &str, words: &str) -> impl Iterator<Item = String> {
    let lines = words.trim_end().lines();
    lines.map(move |line| format!("{name}: the other end says: {}", escape(line)))
}

fn after(away: Duration) -> String {
    match away.as_secs() {
        0 => "at once".to_owned(),
        seconds => format!("after {seconds} s"),
    }
}

fn quoted(words: &str) -> String {
    match words.trim() {
        "" => String::new(),
        words => format!(" ({})", escape(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_the_other_end_passes_for_one_of_ours() {
        let words = "Welcome.\r\nprod-db  127.0.0.1:5432 → db:5432 via prod\n\x1b[2Jssmx: hint\n\n";
        let lines: Vec<String> = foreign_lines("prod-db", words).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        prod-db: the other end says: Welcome.
        prod-db: the other end says: prod-db  127.0.0.1:5432 → db:5432 via prod
        prod-db: the other end says: \e[2Jssmx: hint
        ");
    }
}
