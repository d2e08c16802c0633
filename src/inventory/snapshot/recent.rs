//! Nodes that were looked up one by one since the last whole listing: a small file, rewritten whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::inventory::node::Node;
use crate::private;

/// More are not kept: beyond that a listing is due.
const MOST: usize = 500;
/// A file larger than this is not ours.
const LARGEST: u64 = 16 * 1024 * 1024;
const FIRST_LINE: &str = "ssmx recent 1";

#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: BTreeMap<NodeId, Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    id: NodeId,
    at: Timestamp,
    /// `None`: it was looked for in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
}

impl Recent {
    /// Lines that cannot be read are left out.
    pub(super) fn read(path: &Path) -> Self {
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGEST) {
            return Self::default();
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Self::default();
        }
        let entries = lines
            .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
            .filter(|entry| entry.node.as_ref().is_none_or(|node| node.id == entry.id))
            .map(|entry| (entry.id.clone(), entry))
            .collect();
        Self { entries }
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = format!("{FIRST_LINE}\n");
        for entry in self.entries.values() {
            text.push_str(&serde_json::to_string(entry)?);
            text.push('\n');
        }
        private::replace(path, text.as_bytes())
    }

    /// Without what a listing of that time knows as well or better.
    pub(super) fn since(mut self, taken: Option<Timestamp>) -> Self {
        if let Some(taken) = taken {
            self.entries.retain(|_, entry| entry.at > taken);
        }
        self
    }

    pub(super) fn take_in(&mut self, at: Timestamp, found: &[Node], vanished: Vec<NodeId>) {
        let gone = |node: &Node| node.is_gone();
        for node in found {
            self.enter(at, node.id.clone(), (!gone(node)).then(|| node.clone()));
        }
        for id in vanished {
            self.enter(at, id, None);
        }
        if self.entries.len() > MOST {
            let mut times: Vec<Timestamp> = self.entries.values().map(|entry| entry.at).collect();
            times.sort_unstable_by(|a, b| b.cmp(a));
            if let Some(oldest) = times.get(MOST - 1).copied() {
                self.entries.retain(|_, entry| entry.at >= oldest);
            }
        }
    }

    fn enter(&mut self, at: Timestamp, id: NodeId, node: Option<Node>) {
        self.entries.insert(id.clone(), Entry { id, at, node });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a word on this node is kept here, be it that there is none.
    pub(super) fn knows(&self, id: &NodeId) -> bool {
        self.entries.contains_key(id)
    }

    pub(super) fn learnt(&self, id: &NodeId) -> Option<Timestamp> {
        self.entries.get(id).map(|entry| entry.at)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.entries.values().filter_map(|entry| entry.node.as_ref())
    }
}
