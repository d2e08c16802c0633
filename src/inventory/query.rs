//! Which nodes are wanted. The same query filters on AWS's side and compares exactly on ours.

use std::net::IpAddr;

use super::node::Node;
use crate::ids::NodeId;

/// What a node must be like; every part that is given must hold. The default wants all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Its id.
    pub id: Option<NodeId>,
    /// Its name.
    pub name: Option<Pattern>,
    /// Its tags: keys exactly, values by pattern.
    pub tags: Vec<(String, Pattern)>,
    /// One of its addresses.
    pub address: Option<Address>,
    /// Its Auto Scaling group.
    pub asg: Option<String>,
}

/// An address that a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Private or public, of either family.
    Ip(IpAddr),
    /// A name in DNS that AWS gave it; case does not count.
    Dns(String),
}

/// What a name or a tag's value must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This, to the letter.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// `*` stands for any text, `?` for one character, `\` takes the meaning from the next.
    Glob(String),
}

impl Query {
    /// All nodes with that id; there is one or none.
    pub fn id(id: NodeId) -> Self {
        Self {
            id: Some(id),
            ..Self::default()
        }
    }

    /// All nodes whose name is like that.
    pub fn name(name: Pattern) -> Self {
        Self {
            name: Some(name),
            ..Self::default()
        }
    }

    /// Whether every node is wanted.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a node is wanted. Deleted ones bear no name, so they are found by id alone.
    pub fn matches(&self, node: &Node) -> bool {
        if node.is_gone() && self.id.is_none() && !self.is_everything() {
            return false;
        }
        self.id.as_ref().is_none_or(|id| *id == node.id)
            && self.name.as_ref().is_none_or(|pattern| {
                let named = |name: &Option<String>| name.as_deref().is_some_and(|name| pattern.matches(name));
                named(&node.name)
            })
            && self
                .tags
                .iter()
                .all(|(key, pattern)| node.tags.get(key).is_some_and(|value| pattern.matches(value)))
            && self
                .address
                .as_ref()
                .is_none_or(|address| node.addresses.iter().any(|known| address.is(known)))
            && self.asg.as_ref().is_none_or(|asg| node.asg.as_ref() == Some(asg))
    }
}

impl Address {
    fn is(&self, known: &str) -> bool {
        match self {
            Self::Ip(ip) => known.parse() == Ok(*ip),
            Self::Dns(name) => known
                .trim_end_matches('.')
                .eq_ignore_ascii_case(name.trim_end_matches('.')),
        }
    }
}

impl Pattern {
    /// What people write where globs are understood: one that has no wildcard and no escape is exact.
    pub fn parse(text: &str) -> Self {
        if text.contains(['*', '?', '\\']) {
            Self::Glob(text.to_owned())
        } else {
            Self::Exact(text.to_owned())
        }
    }

    /// The one text that fits, where there is only one.
    pub fn literal(&self) -> Option<String> {
        match self {
            Self::Exact(text) => Some(text.clone()),
            Self::Prefix(_) => None,
            Self::Glob(glob) => {
                let tokens = tokens(glob).into_iter();
                tokens
                    .map(|token| match token {
                        Token::Char(c) => Some(c),
                        Token::One | Token::Many => None,
                    })
                    .collect()
            }
        }
    }

    /// Whether a text is like that.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Self::Glob(glob) => glob_matches(glob, name),
        }
    }

    /// The beginning that all names like that share.
    pub fn literal_prefix(&self) -> String {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text.clone(),
            Self::Glob(glob) => tokens(glob)
                .into_iter()
                .map_while(|token| match token {
                    Token::Char(c) => Some(c),
                    Token::One | Token::Many => None,
                })
                .collect(),
        }
    }

    /// The value of an EC2 filter that lets all such names pass (`*`, `?` and `\` mean there what they mean in
    /// a glob).
    pub fn filter_value(&self) -> String {
        match self {
            Self::Exact(exact) => escape_filter(exact),
            Self::Prefix(prefix) => format!("{}*", escape_filter(prefix)),
            Self::Glob(glob) => tokens(glob)
                .into_iter()
                .map(|token| match token {
                    Token::Char(c) => escape_filter(c.encode_utf8(&mut [0; 4])),
                    Token::One => "?".to_owned(),
                    Token::Many => "*".to_owned(),
                })
                .collect(),
        }
    }
}

/// A text as an EC2 filter has to spell it to mean itself.
pub fn escape_filter(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
}

fn tokens(glob: &str) -> Vec<Token> {
    let mut chars = glob.chars();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Many,
            '?' => Token::One,
            // A backslash at the very end means itself.
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    tokens
}

/// Linear in text and pattern but for a backtrack to the last `*` alone: no pattern is slow.
fn glob_matches(glob: &str, text: &str) -> bool {
    let tokens = tokens(glob);
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut g) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match tokens.get(g) {
            Some(Token::Many) => {
                retry = Some((g + 1, t));
                g += 1;
                continue;
            }
            Some(Token::One) => {
                t += 1;
                g += 1;
                continue;
            }
            Some(Token::Char(c)) if text.get(t) == Some(c) => {
                t += 1;
                g += 1;
                continue;
            }
            _ => {}
        }
        match &mut retry {
            Some((after, from)) => {
                *from += 1;
                (g, t) = (*after, *from);
            }
            None => return false,
        }
    }
    tokens
        .get(g..)
        .is_some_and(|rest| rest.iter().all(|token| *token == Token::Many))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::node::InstanceState;

    fn glob(pattern: &str, text: &str) -> bool {
        Pattern::Glob(pattern.into()).matches(text)
    }

    #[test]
    fn globs_match_as_ec2_does() {
        for (pattern, text) in [
            ("prod-web-*", "prod-web-1"),
            ("*", ""),
            ("*web*", "prod-web-1"),
            ("p?od", "prod"),
            (r"a\*b", "a*b"),
            (r"a\\b", r"a\b"),
            ("*a*b*a", "xaxbxa"),
            ("名?", "名前"),
        ] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("prod-web-*", "prod-web"),
            ("p?od", "pod"),
            (r"a\*b", "axb"),
            ("", "x"),
            ("*.x", "a.y"),
            ("Prod", "prod"),
        ] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn filters_escape_what_ec2_would_take_for_a_wildcard() {
        assert_eq!(Pattern::Exact(r"a*b?c\d".into()).filter_value(), r"a\*b\?c\\d");
        assert_eq!(Pattern::Prefix("a*".into()).filter_value(), r"a\**");
        assert_eq!(Pattern::Glob(r"a*\*\x?".into()).filter_value(), r"a*\*x?");
        assert_eq!(Pattern::Glob(r"ab\*c*d".into()).literal_prefix(), "ab*c");
    }

    #[test]
    fn every_part_must_hold() {
        let mut node = Node::new("i-0123456789abcdef0".parse().unwrap());
        node.name = Some("web".into());
        node.state = InstanceState::Running;
        node.tags.insert("Env".into(), "prod".into());
        node.addresses = vec!["10.0.0.7".into(), "ip-10-0-0-7.EU-west-2.compute.internal".into()];
        let mut query = Query::name(Pattern::Exact("web".into()));
        assert!(query.matches(&node));
        query.tags.push(("Env".into(), Pattern::Glob("pr*".into())));
        query.address = Some(Address::Ip("10.0.0.7".parse().unwrap()));
        assert!(query.matches(&node));
        query.address = Some(Address::Dns("ip-10-0-0-7.eu-west-2.compute.internal.".into()));
        assert!(query.matches(&node));
        query.tags.push(("Role".into(), Pattern::Exact("db".into())));
        assert!(!query.matches(&node));
    }

    #[test]
    fn the_deleted_bear_no_name() {
        let mut node = Node::new("i-0123456789abcdef0".parse().unwrap());
        node.name = Some("web".into());
        node.state = InstanceState::Terminated;
        assert!(!Query::name(Pattern::Exact("web".into())).matches(&node));
        assert!(Query::id(node.id.clone()).matches(&node));
    }

    proptest! {
        #[test]
        fn an_escaped_text_means_itself_alone(text in r"[ab*?\\]{0,8}", other in r"[ab*?\\]{0,8}") {
            let escaped = Pattern::Glob(escape_filter(&text));
            prop_assert!(escaped.matches(&text));
            prop_assert_eq!(escaped.matches(&other), text == other);
        }

        #[test]
        fn a_filter_passes_whatever_its_pattern_matches(glob in r"[ab*?\\]{0,6}", text in r"[ab*?\\]{0,6}") {
            let pattern = Pattern::Glob(glob);
            prop_assert_eq!(pattern.matches(&text), Pattern::Glob(pattern.filter_value()).matches(&text));
            if pattern.matches(&text) {
                prop_assert!(text.starts_with(&pattern.literal_prefix()));
            }
        }
    }
}
