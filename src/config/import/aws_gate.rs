//! aws-gate's YAML: a list of hosts, each with an alias, a name, a profile and a region.

use saphyr_parser::{Event, Parser};

use super::{Found, selecting_key};

/// Deeper files are no config of aws-gate.
const DEEPEST: usize = 16;

/// YAML as far as it is asked for here: every scalar is text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// Reads the hosts.
///
/// # Errors
/// When the text is not YAML, or more of YAML than such a file has; the message names the line.
pub fn aws_gate(text: &str) -> Result<Found, String> {
    let root = parse(text)?;
    let mut found = Found::default();
    let defaults = root.get("defaults");
    let default = |key: &str| defaults.and_then(|defaults| defaults.text(key));
    let Some(Node::List(hosts)) = root.get("hosts") else {
        return Ok(found);
    };
    for host in hosts {
        let (Some(alias), Some(node)) = (host.text("alias"), host.text("name")) else {
            found
                .passed_over
                .push("a host without `alias` or `name`".to_owned());
            continue;
        };
        // aws-gate tells names in DNS by their end, which a config does not look for.
        if node.ends_with("compute.amazonaws.com") || node.ends_with("compute.internal") {
            found.passed_over.push(format!(
                "`{alias}` goes by `{node}`, a name in DNS: use its id, its address or its Name"
            ));
            continue;
        }
        let tag = node.split_once(':').filter(|(_, value)| !value.contains(':'));
        let plain = [selecting_key(node)];
        let tagged;
        let mut keys: Vec<(&[&str], &str)> = match tag {
            Some((key, value)) => {
                tagged = ["tags", key];
                vec![(&tagged, value)]
            }
            None => vec![(&plain, node)],
        };
        let profile = host.text("profile").or_else(|| default("profile"));
        let region = host.text("region").or_else(|| default("region"));
        keys.extend(profile.map(|text| (&["profile"] as &[&str], text)));
        keys.extend(region.map(|text| (&["region"] as &[&str], text)));
        found.take(alias, &keys);
    }
    Ok(found)
}

fn parse(text: &str) -> Result<Node, String> {
    // Each open list or map, with the key that waits for its value.
    let mut open: Vec<(Node, Option<String>)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| format!("this is not YAML: {error}"))?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, ..) => Node::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                let list = matches!(event, Event::SequenceStart(..));
                let empty = if list {
                    Node::List(Vec::new())
                } else {
                    Node::Map(Vec::new())
                };
                open.push((empty, None));
                if open.len() > DEEPEST {
                    return Err(format!("line {line} is nested more than {DEEPEST} deep"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some((node, _)) => node,
                None => return Err(format!("line {line} closes what was not opened")),
            },
            Event::Alias(_) => return Err(format!("line {line} has an alias (`*`), which is not followed")),
            _ => continue,
        };
        match open.last_mut() {
            None => root = root.or(Some(done)),
            Some((Node::List(elements), _)) => elements.push(done),
            Some((Node::Map(entries), key)) => match key.take() {
                Some(key) => entries.push((key, done)),
                None => match done {
                    Node::Text(text) => *key = Some(text),
                    _ => return Err(format!("line {line} has a key that is not text")),
                },
            },
            Some((Node::Text(_), _)) => {}
        }
    }
    Ok(root.unwrap_or(Node::Map(Vec::new())))
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn hosts_become_targets() {
        let text = "\
hosts:
  - alias: webapp-dev
    name: webapp-dev
    profile: dev
    region: eu-west-2
  - alias: db
    name: Role:db
  - { alias: \"one\", name: i-0123456789abcdef0, region: eu-west-1 }
  - alias: two
    name: 10.0.0.1
  - alias: three
    name: ip-10-0-0-1.eu-west-1.compute.internal
  - alias: bad name
    name: x
  - alias: four
    name: x
    region: nowhere
  - name: x
defaults:
  profile: base
  region: eu-central-1
";
        assert_eq!(
            lines(&aws_gate(text).unwrap()),
            [
                "webapp-dev: name=webapp-dev profile=dev region=eu-west-2",
                "db: tags.Role=db profile=base region=eu-central-1",
                "one: id=i-0123456789abcdef0 profile=base region=eu-west-1",
                "two: address=10.0.0.1 profile=base region=eu-central-1",
                "- `three` goes by `ip-10-0-0-1.eu-west-1.compute.internal`, a name in DNS: use its id, its address or its Name",
                "- `bad name` cannot be a name: expected letters, digits, `-`, `_` and `.`, at least one letter, no `-` or `.` at the start, 64 characters at most",
                "- `targets.four.region` is the string \"nowhere\", expected a region, such as \"eu-west-2\"",
                "- a host without `alias` or `name`",
            ]
        );
    }

    #[test]
    fn what_is_not_such_a_file_is_told() {
        assert_eq!(lines(&aws_gate("").unwrap()), Vec::<String>::new());
        assert_eq!(lines(&aws_gate("hosts: 3").unwrap()), Vec::<String>::new());
        assert!(aws_gate("hosts: [").unwrap_err().starts_with("this is not YAML"));
        assert!(
            aws_gate("a: &x 1\nb: *x")
                .unwrap_err()
                .contains("line 2 has an alias")
        );
        assert!(aws_gate(&"[".repeat(5000)).is_err());
        assert!(
            aws_gate("? [a]\n: b")
                .unwrap_err()
                .contains("a key that is not text")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(hosts|alias|name|[ :\\-\\[\\]{}&*!|>a-z0-9\"'\\n]){0,40}") {
            drop(aws_gate(&text));
        }
    }
}
