//! Which nodes a listing shows.

use super::Args;
use crate::commands::error::CommandError;
use crate::ids::NodeId;
use crate::inventory::node::{InstanceState, Node};
use crate::inventory::query::{Pattern, Query};
use crate::resolve::order::{Standing, standing};
use crate::resolve::selector::{self, SelectorError};

/// What is asked for: as much as AWS can filter, and the rest.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) query: Query,
    /// Any of these, where there are several.
    names: Vec<Pattern>,
    ids: Vec<NodeId>,
    state: Option<InstanceState>,
    online: bool,
}

impl Wish {
    pub(super) fn read(args: &Args) -> Result<Self, CommandError> {
        let usage = |error: SelectorError| CommandError::usage(error.to_string());
        let mut wish = Self {
            online: args.online,
            state: args.state.as_deref().map(|state| match state {
                "pending" => InstanceState::Pending,
                "stopping" => InstanceState::Stopping,
                "stopped" => InstanceState::Stopped,
                _ => InstanceState::Running,
            }),
            ..Self::default()
        };
        let mut queries = Vec::new();
        for word in &args.words {
            if let Ok(id) = word.parse() {
                wish.ids.push(id);
            } else if let Some(query) = selector::parse(word).map_err(usage)? {
                queries.push(query);
            } else {
                wish.names.push(Pattern::parse(word));
            }
        }
        for tag in &args.tags {
            let query = selector::parse(&format!("tag:{tag}")).map_err(usage)?;
            queries.extend(query);
        }
        if let Some(name) = &args.name {
            queries.push(Query::name(Pattern::parse(name)));
        }
        wish.query = selector::all(queries).map_err(usage)?;
        // A single one can be asked for.
        match (wish.names.as_slice(), wish.ids.as_slice()) {
            ([one], []) if wish.query.name.is_none() => wish.query.name = Some(one.clone()),
            ([], [one]) => wish.query.id = Some(one.clone()),
            _ => {}
        }
        Ok(wish)
    }

    pub(super) fn is_everything(&self) -> bool {
        self.query.is_everything()
            && self.names.is_empty()
            && self.ids.is_empty()
            && !self.online
            && self.state.is_none()
    }

    pub(super) fn fits(&self, node: &Node) -> bool {
        let named = |node: &Node| {
            let name = node.name.as_deref();
            self.names
                .iter()
                .any(|pattern| name.is_some_and(|name| pattern.matches(name)))
        };
        let any =
            (self.names.is_empty() && self.ids.is_empty()) || named(node) || self.ids.contains(&node.id);
        any && self.query.matches(node)
            && self.state.is_none_or(|state| node.state == state)
            && (!self.online || standing(node) == Standing::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(words: &[&str], tags: &[&str]) -> Result<Wish, CommandError> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Wish::read(&Args {
            words: own(words),
            tags: own(tags),
            ..Args::default()
        })
    }

    fn node(name: &str) -> Node {
        let mut node = Node::new("i-0123456789abcdef0".parse().unwrap());
        node.name = Some(name.to_owned());
        node.tags.insert("Env".into(), "prod".into());
        node
    }

    #[test]
    fn a_single_name_is_asked_for_and_of_several_any_fits() {
        let one = wish(&["web-*"], &[]).unwrap();
        assert_eq!(one.query.name, Some(Pattern::Glob("web-*".into())));
        let two = wish(&["web-*", "db"], &["Env=prod"]).unwrap();
        assert_eq!(two.query.name, None);
        assert_eq!(two.query.tags.len(), 1);
        assert!(two.fits(&node("web-1")) && two.fits(&node("db")) && !two.fits(&node("cache")));
        let by_id = wish(&["i-0123456789abcdef0", "other"], &[]).unwrap();
        assert!(by_id.fits(&node("anything")));
        assert!(wish(&["i-0123456789abcdef0"], &[]).unwrap().query.id.is_some());
        assert!(wish(&[], &[]).unwrap().is_everything());
    }

    #[test]
    fn selectors_that_say_nothing_are_mistakes() {
        assert!(wish(&["ip=web"], &[]).is_err());
        assert!(wish(&[], &["Env"]).is_err());
        assert!(wish(&["name=a", "name=b"], &[]).is_err());
    }
}
