//! Writing a listing as its nodes arrive: they go to the disk at once, only the indexes stay in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::format::{HEADER, Header, Row, Section, VERSION, tag_line};
use super::lock::Lock;
use super::recent::Recent;
use super::{Breadth, LISTING, RECENT};
use crate::ids::Scope;
use crate::inventory::node::Node;

/// A listing that is being written.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    file: BufWriter<NamedTempFile>,
    scope: Scope,
    taken: Timestamp,
    breadth: Breadth,
    nodes: u64,
    /// Bytes of records so far.
    length: u64,
    names: Vec<String>,
    ids: Vec<String>,
    tags: Tags,
}

impl Writer {
    pub(super) fn begin(directory: &Path, scope: &Scope, breadth: Breadth) -> io::Result<Self> {
        let mut file = BufWriter::new(NamedTempFile::new_in(directory)?);
        file.write_all(&[b' '; HEADER])?;
        Ok(Self {
            directory: directory.to_owned(),
            file,
            scope: scope.clone(),
            taken: Timestamp::now(),
            breadth,
            nodes: 0,
            length: 0,
            names: Vec::new(),
            ids: Vec::new(),
            tags: Tags::default(),
        })
    }

    /// What the listing turned out to see.
    pub fn set_breadth(&mut self, breadth: Breadth) {
        self.breadth = breadth;
    }

    /// Adds nodes. Those that are gone are left out: they bear no name, and nothing can be done with them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn push(&mut self, nodes: &[Node]) -> io::Result<()> {
        for node in nodes.iter().filter(|node| !node.is_gone()) {
            let mut line = serde_json::to_vec(node)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            let row = Row::of(node);
            self.names.extend(row.name_line(self.length));
            self.ids.push(row.id_line(self.length));
            self.tags.take_in(&node.tags);
            self.length += line.len() as u64;
            self.nodes += 1;
        }
        Ok(())
    }

    /// Puts the listing in the old one's place. One that saw less does not replace one that saw more.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays.
    pub fn finish(mut self) -> io::Result<()> {
        let records = section(HEADER as u64, self.length);
        let mut names = std::mem::take(&mut self.names);
        let names = self.index(records.end, &mut names)?;
        let mut ids = std::mem::take(&mut self.ids);
        let ids = self.index(names.end, &mut ids)?;
        let mut tags = std::mem::take(&mut self.tags).lines();
        let tags = self.index(ids.end, &mut tags)?;
        let header = Header {
            ssmx_snapshot: VERSION,
            scope: self.scope.clone(),
            taken: self.taken,
            breadth: self.breadth,
            nodes: self.nodes,
            records,
            names,
            ids,
            tags,
        };
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header.write()?)?;
        let _turn = Lock::take(&self.directory)?;
        let path = self.directory.join(LISTING);
        if self.breadth == Breadth::Managed
            && super::reader::Listing::open(&path, &self.scope)
                .is_ok_and(|old| old.breadth() == Breadth::Full)
        {
            return Ok(());
        }
        file.persist(&path)?;
        // What was looked up before the listing began is in it.
        let recent_path = self.directory.join(RECENT);
        let recent = Recent::read(&recent_path).since(Some(self.taken));
        if recent.is_empty() {
            match fs::remove_file(&recent_path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            recent.write(&recent_path)
        }
    }

    fn index(&mut self, start: u64, lines: &mut [String]) -> io::Result<Section> {
        lines.sort_unstable();
        let mut length = 0;
        for line in lines.iter() {
            self.file.write_all(line.as_bytes())?;
            length += line.len() as u64;
        }
        Ok(section(start, length))
    }
}

/// Keys of tags that are remembered.
const KEYS: usize = 1000;
/// A key with more values than this names things; they are not offered.
const VALUES: usize = 100;

/// The tags that nodes bear, for completions: keys, and the values of those that have few.
#[derive(Debug, Default)]
struct Tags(BTreeMap<String, Option<BTreeSet<String>>>);

impl Tags {
    fn take_in(&mut self, tags: &BTreeMap<String, String>) {
        for (key, value) in tags {
            if !self.0.contains_key(key) {
                if self.0.len() >= KEYS {
                    continue;
                }
                self.0.insert(key.clone(), Some(BTreeSet::new()));
            }
            if let Some(known) = self.0.get_mut(key)
                && let Some(values) = known
            {
                if !values.contains(value) {
                    values.insert(value.clone());
                }
                if values.len() > VALUES {
                    *known = None;
                }
            }
        }
    }

    fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, values) in self.0 {
            lines.push(tag_line(&key, None));
            let values = values.unwrap_or_default();
            lines.extend(values.iter().map(|value| tag_line(&key, Some(value))));
        }
        lines
    }
}

fn section(start: u64, length: u64) -> Section {
    Section {
        start,
        end: start + length,
    }
}
