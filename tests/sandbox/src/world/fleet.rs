//! The nodes of one account in one region.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::Node;
use crate::scenario::Generate;

/// Nodes in a fixed order, found by id. Those made by number come into being when somebody first looks.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    nodes: Vec<Arc<Node>>,
    index: HashMap<String, usize>,
    pending: Vec<(String, Generate)>,
}

impl Fleet {
    pub(super) fn promise(&mut self, account: &str, entry: Generate) {
        self.pending.push((account.to_owned(), entry));
    }

    pub(super) fn push(&mut self, node: Node) {
        self.index.insert(node.id.clone(), self.nodes.len());
        self.nodes.push(Arc::new(node));
    }

    /// Whether some are only promised.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes what was promised.
    pub(super) fn settle(&mut self) {
        for (account, entry) in std::mem::take(&mut self.pending) {
            self.nodes.reserve(entry.count);
            self.index.reserve(entry.count);
            for number in 0..entry.count {
                self.push(Node::generated(&account, &entry, number));
            }
        }
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    pub(super) fn find(&self, id: &str) -> Option<&Arc<Node>> {
        self.nodes.get(*self.index.get(id)?)
    }

    /// Changes a node; its id stays.
    pub(super) fn edit(&mut self, id: &str, change: impl FnOnce(&mut Node)) -> bool {
        let Some(node) = self
            .index
            .get(id)
            .and_then(|position| self.nodes.get_mut(*position))
        else {
            return false;
        };
        let node = Arc::make_mut(node);
        change(node);
        id.clone_into(&mut node.id);
        true
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(position) = self.index.remove(id) else {
            return false;
        };
        self.nodes.remove(position);
        for (position, node) in self.nodes.iter().enumerate().skip(position) {
            self.index.insert(node.id.clone(), position);
        }
        true
    }
}
