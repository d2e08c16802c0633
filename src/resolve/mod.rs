//! From a friendly name to one target in one scope, without I/O.
//!
//! [`read`] says what the words mean: a [`Wanted`] thing, perhaps in a profile of its own. Unless that is an id,
//! the caller then learns which nodes fit [`Wanted::query`], from a snapshot or from AWS, and [`order::choose`]
//! says which one is meant, or that several are. Nothing here guesses.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod order;
pub mod selector;

use crate::ids::{AccountId, NodeId, Region};
use crate::inventory::query::{Pattern, Query};
use crate::nearest;
use order::Pick;
use selector::SelectorError;

/// The names that people have given.
pub trait Names {
    /// Whether an AWS profile bears this name.
    fn is_profile(&self, name: &str) -> bool;
    /// The named target that an alias stands for.
    fn alias(&self, name: &str) -> Option<String>;
    /// A named target.
    fn target(&self, name: &str) -> Option<NamedTarget>;
    /// All aliases and named targets, for [`crate::nearest`].
    fn all(&self) -> Vec<String>;
}

/// What a config says of a named target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedTarget {
    /// How it finds its node.
    pub query: Query,
    /// What to do when several nodes fit.
    pub pick: Pick,
    /// The profile it names.
    pub profile: Option<String>,
    /// The account it is pinned to.
    pub account: Option<AccountId>,
    /// The region it names.
    pub region: Option<Region>,
}

/// What the words mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The profile of `PROFILE/NAME`.
    pub profile: Option<String>,
    /// By which kind of name.
    pub via: Via,
    /// The part that names the thing, as typed, without a profile.
    pub name: String,
    /// The named target, where it is one.
    pub target: Option<NamedTarget>,
    /// The nodes that may be meant.
    pub query: Query,
}

/// By which kind of name something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Its id was given.
    Id,
    /// A named target, by its own name or by an alias.
    Target {
        /// The target's name.
        target: String,
        /// The alias that was typed, if one was.
        alias: Option<String>,
    },
    /// A selector, written out.
    Selector,
    /// The Name that it bears.
    Name,
    /// The beginning of the Name that it bears; shown before use.
    Prefix,
    /// A person chose it from a list.
    Picker,
}

/// Why words mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No word at all.
    #[error("the target's name is empty")]
    Empty,
    /// `target/NAME` names nothing.
    #[error("no target or alias is called `{name}`")]
    NoSuchTarget {
        /// The name.
        name: String,
        /// Names that are like it.
        near: Vec<String>,
    },
    /// Something before the name is a selector's key, and what follows is none.
    #[error(transparent)]
    Selector(#[from] SelectorError),
}

/// Says what `typed` means; the first that fits: an id, `PROFILE/NAME`, an alias, a named target, a selector,
/// a Name.
///
/// # Errors
/// For words that can mean nothing.
pub fn read(typed: &str, names: &impl Names) -> Result<Wanted, Unreadable> {
    if typed.trim().is_empty() {
        return Err(Unreadable::Empty);
    }
    if let Some(id) = id(typed) {
        return Ok(wanted(Via::Id, typed, Query::id(id)));
    }
    // As `-o name` prints it.
    if let Some(id) = typed.strip_prefix("instance/").and_then(id) {
        let name = id.to_string();
        return Ok(wanted(Via::Id, &name, Query::id(id)));
    }
    if let Some(name) = typed.strip_prefix("target/") {
        return named(name, names)?.ok_or_else(|| Unreadable::NoSuchTarget {
            name: name.to_owned(),
            near: nearest::some(name, names.all()),
        });
    }
    // A Name may hold slashes, and so may a profile's: the longest beginning that is a profile counts.
    for (slash, _) in typed.rmatch_indices('/') {
        let (profile, rest) = (typed.get(..slash), typed.get(slash + 1..));
        if let (Some(profile), Some(rest)) = (profile, rest)
            && names.is_profile(profile)
        {
            let inner = in_profile(rest, names)?;
            return Ok(Wanted {
                profile: Some(profile.to_owned()),
                ..inner
            });
        }
    }
    in_profile(typed, names)
}

fn in_profile(typed: &str, names: &impl Names) -> Result<Wanted, Unreadable> {
    if typed.trim().is_empty() {
        return Err(Unreadable::Empty);
    }
    if let Some(id) = id(typed) {
        return Ok(wanted(Via::Id, typed, Query::id(id)));
    }
    if let Some(named) = named(typed, names)? {
        return Ok(named);
    }
    if let Some(query) = selector::parse(typed)? {
        return Ok(wanted(Via::Selector, typed, query));
    }
    let name = Pattern::Exact(typed.to_owned());
    Ok(wanted(Via::Name, typed, Query::name(name)))
}

fn id(typed: &str) -> Option<NodeId> {
    typed.parse().ok()
}

fn named(name: &str, names: &impl Names) -> Result<Option<Wanted>, Unreadable> {
    let (alias, target_name) = match names.alias(name) {
        Some(target) => (Some(name.to_owned()), target),
        None => (None, name.to_owned()),
    };
    let Some(target) = names.target(&target_name) else {
        return match alias {
            // The config is checked for this; a hand-made one is not trusted to be.
            Some(_) => Err(Unreadable::NoSuchTarget {
                near: nearest::some(&target_name, names.all()),
                name: target_name,
            }),
            None => Ok(None),
        };
    };
    let via = Via::Target {
        target: target_name,
        alias,
    };
    let query = target.query.clone();
    Ok(Some(Wanted {
        target: Some(target),
        ..wanted(via, name, query)
    }))
}

fn wanted(via: Via, name: &str, query: Query) -> Wanted {
    Wanted {
        profile: None,
        via,
        name: name.to_owned(),
        target: None,
        query,
    }
}

impl Wanted {
    /// The id, where the words tell it without a look-up.
    pub fn id(&self) -> Option<&NodeId> {
        self.query.id.as_ref()
    }

    /// What to look for when nothing fits and a person may have typed the beginning of a Name.
    pub fn by_prefix(&self) -> Option<Query> {
        (self.via == Via::Name).then(|| Query::name(Pattern::Prefix(self.name.clone())))
    }

    /// What the config says on a choice among several.
    pub fn pick(&self) -> Pick {
        self.target.as_ref().map_or(Pick::Ask, |target| target.pick)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::inventory::query::Address;

    #[derive(Default)]
    struct Given {
        profiles: Vec<&'static str>,
        aliases: BTreeMap<&'static str, &'static str>,
        targets: BTreeMap<&'static str, NamedTarget>,
    }

    impl Names for Given {
        fn is_profile(&self, name: &str) -> bool {
            self.profiles.contains(&name)
        }

        fn alias(&self, name: &str) -> Option<String> {
            self.aliases.get(name).map(|target| (*target).to_owned())
        }

        fn target(&self, name: &str) -> Option<NamedTarget> {
            self.targets.get(name).cloned()
        }

        fn all(&self) -> Vec<String> {
            let names = self.aliases.keys().chain(self.targets.keys());
            names.map(|name| (*name).to_owned()).collect()
        }
    }

    const ID: &str = "i-0123456789abcdef0";

    fn given() -> Given {
        let target = NamedTarget {
            query: Query::name(Pattern::Glob("prod-web-*".into())),
            pick: Pick::Newest,
            profile: Some("prod".into()),
            ..NamedTarget::default()
        };
        let by_id = NamedTarget {
            query: Query::id(ID.parse().unwrap()),
            ..NamedTarget::default()
        };
        Given {
            profiles: vec!["prod", "a/b", "a", "target"],
            aliases: BTreeMap::from([
                ("pw", "prod-web"),
                ("broken", "nothing"),
                ("prod-web-x", "pinned"),
            ]),
            targets: BTreeMap::from([
                ("prod-web", target.clone()),
                ("pinned", by_id),
                ("name=odd", target.clone()),
                (ID, target),
            ]),
        }
    }

    fn read_ok(typed: &str) -> Wanted {
        read(typed, &given()).unwrap()
    }

    #[test]
    fn the_first_that_fits_counts() {
        let target = |target: &str, alias: Option<&str>| Via::Target {
            target: target.into(),
            alias: alias.map(ToOwned::to_owned),
        };
        let exact = |name: &str| Query::name(Pattern::Exact(name.into()));
        let glob = Query::name(Pattern::Glob("prod-web-*".into()));
        let id = Query::id(ID.parse().unwrap());
        let table: &[(&str, Option<&str>, Via, &Query)] = &[
            // An id is an id, even where a target is called so.
            (ID, None, Via::Id, &id),
            ("prod/i-0123456789abcdef0", Some("prod"), Via::Id, &id),
            ("prod-web", None, target("prod-web", None), &glob),
            ("pw", None, target("prod-web", Some("pw")), &glob),
            ("target/pw", None, target("prod-web", Some("pw")), &glob),
            ("prod/pw", Some("prod"), target("prod-web", Some("pw")), &glob),
            ("pinned", None, target("pinned", None), &id),
            ("prod-web-x", None, target("pinned", Some("prod-web-x")), &id),
            // A target's name before a selector, a selector before a Name.
            ("name=odd", None, target("name=odd", None), &glob),
            ("name=web", None, Via::Selector, &exact("web")),
            ("prod/name=web", Some("prod"), Via::Selector, &exact("web")),
            ("web", None, Via::Name, &exact("web")),
            ("web-*", None, Via::Name, &exact("web-*")),
            // The longest profile; what is no profile is part of the Name.
            ("a/b/web", Some("a/b"), Via::Name, &exact("web")),
            ("a/web", Some("a"), Via::Name, &exact("web")),
            ("x/web", None, Via::Name, &exact("x/web")),
            ("prod/x/web", Some("prod"), Via::Name, &exact("x/web")),
            ("i-0123", None, Via::Name, &exact("i-0123")),
        ];
        for (typed, profile, via, query) in table {
            let wanted = read_ok(typed);
            assert_eq!(wanted.profile.as_deref(), *profile, "{typed}");
            assert_eq!(wanted.via, *via, "{typed}");
            assert_eq!(wanted.query, **query, "{typed}");
        }
        assert_eq!(read_ok("pw").pick(), Pick::Newest);
        assert_eq!(read_ok("web").pick(), Pick::Ask);
        assert_eq!(
            read_ok("web").by_prefix(),
            Some(Query::name(Pattern::Prefix("web".into())))
        );
        assert_eq!(read_ok("pw").by_prefix(), None);
    }

    #[test]
    fn words_that_mean_nothing_say_why() {
        let error = |typed: &str| read(typed, &given()).unwrap_err();
        assert_eq!(error(""), Unreadable::Empty);
        assert_eq!(error("prod/"), Unreadable::Empty);
        assert_eq!(
            error("target/prod-wbe"),
            Unreadable::NoSuchTarget {
                name: "prod-wbe".into(),
                near: vec!["prod-web".into(), "prod-web-x".into()],
            }
        );
        assert!(matches!(error("broken"), Unreadable::NoSuchTarget { name, .. } if name == "nothing"));
        assert!(matches!(error("ip=nonsense"), Unreadable::Selector(_)));
        assert!(matches!(error("prod/ip=nonsense"), Unreadable::Selector(_)));
    }

    #[test]
    fn addresses_are_addresses() {
        let address = Some(Address::Ip("fd00::1".parse().unwrap()));
        assert_eq!(read_ok("ip=fd00::1").query.address, address);
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(typed in ".{0,40}") {
            drop(read(&typed, &given()));
        }

        #[test]
        fn what_is_no_selector_is_taken_to_the_letter(typed in "[a-z*?-]{1,12}") {
            let wanted = read(&typed, &Given::default()).unwrap();
            prop_assert_eq!(wanted.query, Query::name(Pattern::Exact(typed)));
        }
    }
}
