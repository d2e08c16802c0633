//! A listing that goes on: all rows once, then those that change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::print::Out;
use super::spread::{self, Failure, Place};
use super::wish::Wish;
use super::{Round, sort_out};
use crate::commands::context::Context;
use crate::commands::error::{CommandError, Exit};
use crate::commands::nodes::NodeRow;
use crate::ids::NodeId;
use crate::inventory::node::{AgentState, InstanceState, Node};
use crate::resolve::order::sort;
use crate::ui::output::{Cell, Row as _};
use crate::ui::text::escape_lines;

/// What was printed last of a node.
struct Shown {
    node: Node,
    cells: Vec<Cell>,
}

/// Prints what there is, then what changes, until somebody ends it.
///
/// # Errors
/// When the first round fails in all scopes, and when stdout cannot be written.
pub(super) async fn watch(
    ctx: &Context,
    places: &[Place],
    failures: Vec<Failure>,
    wish: &Wish,
    mut out: Out,
    every: Duration,
) -> Result<Exit, CommandError> {
    let mut known: Vec<HashMap<NodeId, Shown>> = places.iter().map(|_| HashMap::new()).collect();
    let mut told = tell(ctx, &failures, &[]);
    let mut first = Some(failures);
    loop {
        let mut failures = Vec::new();
        let found = round(ctx, places, wish, &mut failures).await;
        if let Some(before) = first.take()
            && found.iter().all(Option::is_none)
        {
            return Err(spread::nothing(before.into_iter().chain(failures).collect()));
        }
        for ((place, known), found) in places.iter().zip(&mut known).zip(found) {
            if let Some(nodes) = found {
                for node in changes(nodes, known, wish, |node| cells(place, &out.tags, node)) {
                    let (scope, tags) = (&place.reached.scope, &out.tags[..]);
                    out.printer.push(&NodeRow {
                        node: &node,
                        scope,
                        tags,
                    })?;
                }
            }
        }
        out.printer.flush()?;
        told = tell(ctx, &failures, &told);
        tokio::time::sleep(every).await;
    }
}

/// Asks all scopes once; `None` for one that did not answer.
async fn round(
    ctx: &Context,
    places: &[Place],
    wish: &Wish,
    failures: &mut Vec<Failure>,
) -> Vec<Option<Vec<Node>>> {
    let round = Round {
        ctx,
        places,
        wish,
        done: AtomicUsize::new(0),
        seen: AtomicUsize::new(0),
        enough: AtomicBool::new(false),
    };
    let found: Vec<Mutex<Vec<Node>>> = places.iter().map(|_| Mutex::default()).collect();
    let asking = round.ask(|place, page| {
        if let Some(found) = found.get(place) {
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(page);
        }
    });
    let outcomes = ctx.ui().progress_of(|| round.doing(), asking).await;
    let answered: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    sort_out(ctx.ui(), places, outcomes, failures);
    let found = found.into_iter().zip(answered).map(|(nodes, answered)| {
        let nodes = nodes.into_inner().unwrap_or_else(PoisonError::into_inner);
        answered.then_some(nodes)
    });
    found.collect()
}

fn cells(place: &Place, tags: &[String], node: &Node) -> Vec<Cell> {
    let scope = &place.reached.scope;
    NodeRow { node, scope, tags }.cells()
}

/// The nodes whose row is another than before, those that are gone last.
fn changes(
    nodes: Vec<Node>,
    known: &mut HashMap<NodeId, Shown>,
    wish: &Wish,
    cells: impl Fn(&Node) -> Vec<Cell>,
) -> Vec<Node> {
    let mut before = std::mem::take(known);
    let mut changed = Vec::new();
    for node in nodes {
        let was = before.remove(&node.id);
        let fits = wish.fits(&node);
        // One that was shown and no longer fits is shown once more, as it is now.
        if !fits && was.is_none() {
            continue;
        }
        let cells = cells(&node);
        if was.is_none_or(|was| was.cells != cells) {
            changed.push(node.clone());
        }
        if fits {
            known.insert(node.id.clone(), Shown { node, cells });
        }
    }
    sort(&mut changed);
    let mut gone: Vec<Node> = before
        .into_values()
        .map(|shown| Node {
            state: match shown.node.id.is_hybrid() {
                true => InstanceState::Unknown,
                false => InstanceState::Terminated,
            },
            agent: AgentState::NeverRegistered,
            ..shown.node
        })
        .collect();
    sort(&mut gone);
    changed.extend(gone);
    changed
}

/// Says what failed, each thing once as long as it lasts, and gives what is said.
fn tell(ctx: &Context, failures: &[Failure], told: &[String]) -> Vec<String> {
    let said: Vec<String> = failures.iter().map(|failure| failure.error.summary()).collect();
    for line in said.iter().filter(|line| !told.contains(line)) {
        ctx.ui().warn(&escape_lines(line));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8, name: &str) -> Node {
        let mut node = Node::new(format!("i-{number:017x}").parse().unwrap());
        node.name = Some(name.to_owned());
        node.state = InstanceState::Running;
        node
    }

    #[test]
    fn only_what_changes_is_shown_again() {
        let wish = Wish::read(&super::super::Args {
            state: Some("running".to_owned()),
            ..Default::default()
        })
        .unwrap();
        let mut known = HashMap::new();
        let mut look = |nodes: Vec<Node>| {
            let row = |node: &Node| vec![Cell::from(node.name.clone()), Cell::from(node.state.as_str())];
            let changed = changes(nodes, &mut known, &wish, row);
            let told = changed
                .iter()
                .map(|node| format!("{} {}", node.name.as_deref().unwrap(), node.state.as_str()));
            told.collect::<Vec<_>>()
        };
        let stopped = |number, name: &str| Node {
            state: InstanceState::Stopped,
            ..node(number, name)
        };
        assert_eq!(look(vec![node(1, "a"), node(2, "b")]), ["a running", "b running"]);
        assert!(look(vec![node(2, "b"), node(1, "a")]).is_empty());
        // Renamed; and one that never fitted.
        assert_eq!(
            look(vec![node(1, "a"), node(2, "c"), stopped(3, "d")]),
            ["c running"]
        );
        // No longer fitting is said once, gone is said once.
        assert_eq!(look(vec![stopped(1, "a")]), ["a stopped", "c terminated"]);
        assert!(look(vec![stopped(1, "a")]).is_empty());
        assert_eq!(look(vec![node(1, "a")]), ["a running"]);
    }
}
