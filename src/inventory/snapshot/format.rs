//! The listing's file, byte by byte: a header of fixed size, nodes as JSON lines, index lines.

use std::io;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Breadth;
use crate::ids::{NodeId, Scope};
use crate::inventory::node::{AgentState, InstanceState, Node};

/// Another number, another form: such a file counts as absent.
pub(super) const VERSION: u32 = 2;
/// The header is one line of JSON, padded with blanks to this size, line break included.
pub(super) const HEADER: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) ssmx_snapshot: u32,
    pub(super) scope: Scope,
    pub(super) taken: Timestamp,
    pub(super) breadth: Breadth,
    pub(super) nodes: u64,
    pub(super) records: Section,
    pub(super) names: Section,
    pub(super) ids: Section,
    pub(super) tags: Section,
}

/// A part of the file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Header {
    pub(super) fn write(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        if line.len() >= HEADER {
            return Err(damaged("the header is too long"));
        }
        line.resize(HEADER - 1, b' ');
        line.push(b'\n');
        Ok(line)
    }

    /// Checks whatever can be checked without reading on.
    pub(super) fn read(bytes: &[u8], scope: &Scope, file_length: u64) -> io::Result<Self> {
        let header: Self = serde_json::from_slice(bytes)?;
        let contiguous = header.records.start == HEADER as u64
            && header.records.start <= header.records.end
            && header.records.end == header.names.start
            && header.names.start <= header.names.end
            && header.names.end == header.ids.start
            && header.ids.start <= header.ids.end
            && header.ids.end == header.tags.start
            && header.tags.start <= header.tags.end
            && header.tags.end == file_length;
        match () {
            () if header.ssmx_snapshot != VERSION => Err(damaged("another version of the format")),
            () if header.scope != *scope => Err(damaged("another scope")),
            () if !contiguous => Err(damaged("the file is not as long as it says")),
            () => Ok(header),
        }
    }
}

pub(super) fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What an index tells of a node: enough to offer it in a completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The name, where it bears one.
    pub name: Option<String>,
    /// The id.
    pub id: NodeId,
    /// The instance's state.
    pub state: InstanceState,
    /// The agent's state.
    pub agent: AgentState,
}

impl Row {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            id: node.id.clone(),
            state: node.state,
            agent: node.agent,
        }
    }

    /// Its line in the index by name: name, id, states and the record's offset, tabs between.
    pub(super) fn name_line(&self, offset: u64) -> Option<String> {
        let name = quote(self.name.as_deref()?);
        Some(format!(
            "{name}\t{}\t{}{}\t{offset}\n",
            self.id,
            state_letter(self.state),
            agent_letter(self.agent)
        ))
    }

    /// Its line in the index by id.
    pub(super) fn id_line(&self, offset: u64) -> String {
        format!(
            "{}\t{}\t{}{}\t{offset}\n",
            self.id,
            // An absent name and an empty one differ.
            self.name.as_deref().map_or_else(|| "\\0".to_owned(), quote),
            state_letter(self.state),
            agent_letter(self.agent)
        )
    }

    pub(super) fn read_name_line(line: &str) -> Option<(Self, u64)> {
        let mut cells = line.split('\t');
        let (name, id) = (cells.next()?, cells.next()?);
        Self::read_cells(Some(name), id, cells)
    }

    pub(super) fn read_id_line(line: &str) -> Option<(Self, u64)> {
        let mut cells = line.split('\t');
        let (id, name) = (cells.next()?, cells.next()?);
        Self::read_cells((name != "\\0").then_some(name), id, cells)
    }

    fn read_cells<'a>(
        name: Option<&str>,
        id: &str,
        mut rest: impl Iterator<Item = &'a str>,
    ) -> Option<(Self, u64)> {
        let mut letters = rest.next()?.chars();
        let row = Self {
            name: name.map(unquote),
            id: id.parse().ok()?,
            state: state_of(letters.next()?)?,
            agent: agent_of(letters.next()?)?,
        };
        let offset = u64::from_str(rest.next()?).ok()?;
        Some((row, offset))
    }
}

/// A line of the index of tags: a key alone, or with one of its values.
pub(super) fn tag_line(key: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{}\t{}\n", quote(key), quote(value)),
        None => format!("{}\n", quote(key)),
    }
}

pub(super) fn read_tag_line(line: &str) -> (String, Option<String>) {
    match line.split_once('\t') {
        Some((key, value)) => (unquote(key), Some(unquote(value))),
        None => (unquote(line), None),
    }
}

/// A name as one cell of one line. What is quoted begins alike where the names begin alike, so the sorted
/// lines can be searched for the beginning of a name.
pub(super) fn quote(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted
}

fn unquote(quoted: &str) -> String {
    let mut name = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some(c) => c,
                None => '\\',
            },
            c => c,
        });
    }
    name
}

const STATES: [(char, InstanceState); 7] = [
    ('p', InstanceState::Pending),
    ('r', InstanceState::Running),
    ('g', InstanceState::Stopping),
    ('s', InstanceState::Stopped),
    ('d', InstanceState::ShuttingDown),
    ('t', InstanceState::Terminated),
    ('u', InstanceState::Unknown),
];

const AGENTS: [(char, AgentState); 4] = [
    ('o', AgentState::Online),
    ('l', AgentState::Lost),
    ('n', AgentState::NeverRegistered),
    ('u', AgentState::Unknown),
];

fn state_letter(state: InstanceState) -> char {
    STATES
        .iter()
        .find(|(_, known)| *known == state)
        .map_or('u', |(letter, _)| *letter)
}

fn state_of(letter: char) -> Option<InstanceState> {
    let known = STATES.iter().find(|(known, _)| *known == letter);
    known.map(|(_, state)| *state)
}

fn agent_letter(agent: AgentState) -> char {
    AGENTS
        .iter()
        .find(|(_, known)| *known == agent)
        .map_or('u', |(letter, _)| *letter)
}

fn agent_of(letter: char) -> Option<AgentState> {
    let known = AGENTS.iter().find(|(known, _)| *known == letter);
    known.map(|(_, agent)| *agent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_survive_their_lines(name in proptest::option::of(r"[a\\\t\n0名\r\x1b ]{0,6}"), offset: u64) {
            let row = Row {
                name,
                id: "i-0123456789abcdef0".parse().unwrap(),
                state: InstanceState::Stopping,
                agent: AgentState::NeverRegistered,
            };
            let line = row.id_line(offset);
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(Row::read_id_line(line.trim_end_matches('\n')), Some((row.clone(), offset)));
            if let Some(line) = row.name_line(offset) {
                prop_assert_eq!(Row::read_name_line(line.trim_end_matches('\n')), Some((row, offset)));
            }
        }

        #[test]
        fn quoting_keeps_beginnings(prefix in r"[a\\\t\n]{0,3}", rest in r"[a\\\t\nt]{0,3}") {
            let whole = format!("{prefix}{rest}");
            prop_assert!(quote(&whole).starts_with(&quote(&prefix)));
            prop_assert_eq!(unquote(&quote(&whole)), whole);
        }

        #[test]
        fn tags_survive_their_lines(key in r"[a\\\t\n]{0,4}", value in proptest::option::of(r"[a\\\t\n]{0,4}")) {
            let line = tag_line(&key, value.as_deref());
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(read_tag_line(line.trim_end_matches('\n')), (key, value));
        }

        #[test]
        fn no_line_panics(line in ".{0,40}") {
            drop(Row::read_name_line(&line));
            drop(Row::read_id_line(&line));
            drop(read_tag_line(&line));
        }
    }
}
