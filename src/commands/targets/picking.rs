//! A person chooses a node: rows, details, and those on top that were chosen last.

use std::path::PathBuf;
use std::{fs, io};

use super::words;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::nodes;
use crate::ids::{NodeId, Scope};
use crate::inventory::node::Node;
use crate::private;
use crate::ui::picker::{self, Entry};
use crate::ui::text::{escape, pad, width};

/// So many are remembered of each scope.
const REMEMBERED: usize = 20;
/// A column is not wider than this; what a few rows have to say of their condition moves no others.
const WIDEST: [usize; 5] = [40, 20, 12, 40, 20];

/// Lets a person choose one of the nodes of a scope; those that were chosen last stand on top.
///
/// # Errors
/// When the person leaves, and the terminal's own.
pub(super) fn pick_one(
    ctx: &Context,
    scope: &Scope,
    question: &str,
    mut nodes: Vec<Node>,
) -> Result<Node, CommandError> {
    let choices = Choices::of(ctx, scope);
    let last = choices.read();
    let place = |node: &Node| last.iter().position(|id| *id == node.id).unwrap_or(usize::MAX);
    // Stable: the others keep their order.
    nodes.sort_by_key(place);
    let entries = entries(&nodes);
    let details = |index: usize| nodes.get(index).map(details).unwrap_or_default();
    let chosen = picker::pick(question, &entries, &details)?;
    match chosen {
        Some(index) if index < nodes.len() => {
            let node = nodes.swap_remove(index);
            if let Err(error) = choices.remember(&node.id, last) {
                tracing::debug!(%error, "the choice is not remembered");
            }
            Ok(node)
        }
        _ => Err(CommandError::interrupted()),
    }
}

/// Rows in columns, found by tags and all addresses too. Cells are as they will be shown, or what is escaped in one
/// would move the others.
fn entries(nodes: &[Node]) -> Vec<Entry> {
    let cells = |node: &Node| {
        [
            node.name.as_deref().unwrap_or("-"),
            node.id.as_str(),
            words::condition(node),
            node.addresses.first().map_or("", String::as_str),
            node.zone.as_deref().unwrap_or_default(),
        ]
        .map(|cell| escape(cell).into_owned())
    };
    let mut widths = [0; 5];
    for node in nodes {
        for ((widest, most), cell) in widths.iter_mut().zip(WIDEST).zip(cells(node)) {
            *widest = width(&cell).min(most).max(*widest);
        }
    }
    let entry = |node: &Node| {
        let cells = cells(node);
        let padded = cells.iter().zip(widths).map(|(cell, columns)| pad(cell, columns));
        let row = padded.collect::<Vec<_>>().join("  ");
        let tags = node.tags.iter().filter(|(key, _)| *key != "Name");
        let tags = tags.map(|(key, value)| format!("{key}={value}"));
        let rest = [&node.asg, &node.platform, &node.computer, &node.instance_type];
        Entry {
            row: row.trim_end().to_owned(),
            keywords: tags
                .chain(node.addresses.iter().skip(1).cloned())
                .chain(rest.into_iter().flatten().cloned())
                .collect(),
        }
    };
    nodes.iter().map(entry).collect()
}

/// What helps to tell it from its like.
fn details(node: &Node) -> Vec<String> {
    let line = |label: &str, parts: Vec<String>| {
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| format!("{label:<11}{}", parts.join(" · ")))
    };
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let tags = node.tags.iter().filter(|(key, _)| *key != "Name");
    let launched = node.launched.map(|at| format!("since {}", nodes::time(at)));
    [
        line(
            "what",
            vec![own(&node.platform), own(&node.instance_type), own(&node.computer)],
        ),
        line("where", vec![own(&node.zone), own(&node.vpc), own(&node.asg)]),
        line("addresses", node.addresses.clone()),
        line(
            "tags",
            tags.map(|(key, value)| format!("{key}={value}")).collect(),
        ),
        line(
            "agent",
            vec![own(&node.agent_version), launched.unwrap_or_default()],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The file of the nodes of a scope that were chosen, the last one first: an id a line.
struct Choices(Option<PathBuf>);

impl Choices {
    fn of(ctx: &Context, scope: &Scope) -> Self {
        let state = ctx.places().state.as_deref();
        // Checked when they were parsed: none can leave the directory.
        let name = format!("{}-{}-{}", scope.partition, scope.account, scope.region);
        Self(state.map(|state| state.join("choices").join(name)))
    }

    /// What cannot be read counts as nothing.
    fn read(&self) -> Vec<NodeId> {
        let text = self.0.as_deref().and_then(|path| fs::read_to_string(path).ok());
        let text = text.unwrap_or_default();
        let ids = text.lines().filter_map(|line| line.parse().ok());
        ids.take(REMEMBERED).collect()
    }

    fn remember(&self, id: &NodeId, mut known: Vec<NodeId>) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        known.retain(|other| other != id);
        known.insert(0, id.clone());
        known.truncate(REMEMBERED);
        let text: String = known.iter().map(|id| format!("{id}\n")).collect();
        private::replace(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_comes_first_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let choices = Choices(Some(directory.path().join("below/scope")));
        let id = |number: usize| format!("i-{number:017x}").parse::<NodeId>().unwrap();
        for number in (0..30).chain([5]) {
            choices.remember(&id(number), choices.read()).unwrap();
        }
        let known = choices.read();
        assert_eq!(known.len(), REMEMBERED);
        assert_eq!(known[..3], [id(5), id(29), id(28)]);
        fs::write(directory.path().join("below/scope"), "nonsense\ni-1\x1b\n").unwrap();
        assert!(choices.read().is_empty());
    }

    #[test]
    fn rows_stand_in_columns() {
        let mut one = Node::new("i-0123456789abcdef0".parse().unwrap());
        one.name = Some("a".to_owned());
        one.addresses = vec!["10.0.0.1".to_owned(), "203.0.113.9".to_owned()];
        one.tags.insert("team".to_owned(), "shop".to_owned());
        let mut two = Node::new("i-0123456789abcdef1".parse().unwrap());
        two.name = Some("longer".to_owned());
        let rows = entries(&[one.clone(), two.clone()]);
        assert_eq!(
            rows[0].row,
            "a       i-0123456789abcdef0  agent unknown  10.0.0.1"
        );
        assert_eq!(rows[1].row, "longer  i-0123456789abcdef1  agent unknown");
        assert_eq!(rows[0].keywords, ["team=shop", "203.0.113.9"]);
        assert!(details(&one).contains(&"tags       team=shop".to_owned()));
        // What is escaped, and wide characters, take more columns than they have characters.
        for hostile in ["\x1b[2J\n", "名前", "e\u{301}x"] {
            one.name = Some(hostile.to_owned());
            let rows = entries(&[one.clone(), two.clone()]);
            let before_id = |row: &str| {
                let (name, _) = row.split_once("i-0123456789abcdef").unwrap();
                width(&escape(name))
            };
            assert_eq!(before_id(&rows[0].row), before_id(&rows[1].row), "{rows:?}");
        }
    }
}
