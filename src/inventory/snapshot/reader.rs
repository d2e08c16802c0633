//! Reading a listing: a few pages of the disk for a look-up, whatever the size.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::Breadth;
use super::format::{HEADER, Header, Row, Section, quote, read_tag_line};
use crate::ids::Scope;
use crate::inventory::node::Node;
use crate::inventory::query::Pattern;

/// Read at a time while searching; some index lines fit.
const BLOCK: usize = 4096;
/// Below this the rest is read in order.
const NEAR: u64 = 4 * BLOCK as u64;

#[derive(Debug)]
pub(super) struct Listing {
    file: File,
    header: Header,
}

impl Listing {
    pub(super) fn open(path: &Path, scope: &Scope) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut bytes = vec![0; HEADER];
        file.read_exact(&mut bytes)?;
        let header = Header::read(&bytes, scope, file.metadata()?.len())?;
        Ok(Self { file, header })
    }

    pub(super) fn taken(&self) -> Timestamp {
        self.header.taken
    }

    pub(super) fn count(&self) -> u64 {
        self.header.nodes
    }

    pub(super) fn breadth(&self) -> Breadth {
        self.header.breadth
    }

    /// All nodes, read as they are asked for. A damaged line ends the reading.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        let Section { start, end } = self.header.records;
        self.lines(start, end)
            .map_while(|line| serde_json::from_str(&line.ok()?).ok())
    }

    pub(super) fn names(&self, prefix: &str, limit: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        self.each(self.header.names, &quote(prefix), |line| {
            match Row::read_name_line(line) {
                Some((row, _)) if rows.len() < limit => rows.push(row),
                _ => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        });
        rows
    }

    pub(super) fn ids(&self, prefix: &str, limit: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        self.each(self.header.ids, prefix, |line| {
            match Row::read_id_line(line) {
                Some((row, _)) if rows.len() < limit => rows.push(row),
                _ => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        });
        rows
    }

    /// Some rows at the end of those whose name begins so.
    pub(super) fn last_names(&self, prefix: &str) -> Vec<Row> {
        let lines = self.last(self.header.names, &quote(prefix));
        let rows = lines.iter().filter_map(|line| Row::read_name_line(line));
        rows.map(|(row, _)| row).collect()
    }

    /// Some rows at the end of those whose id begins so.
    pub(super) fn last_ids(&self, prefix: &str) -> Vec<Row> {
        let lines = self.last(self.header.ids, prefix);
        let rows = lines.iter().filter_map(|line| Row::read_id_line(line));
        rows.map(|(row, _)| row).collect()
    }

    /// Some values at the end of those of this key that begin so.
    pub(super) fn last_tag_values(&self, key: &str, value: &str) -> Vec<String> {
        let prefix = format!("{}\t{}", quote(key), quote(value));
        let lines = self.last(self.header.tags, &prefix);
        lines.iter().filter_map(|line| read_tag_line(line).1).collect()
    }

    /// Tags whose key begins so, or, with a value's beginning, the values of that key.
    pub(super) fn tags(&self, key: &str, value: Option<&str>, limit: usize) -> Vec<(String, Option<String>)> {
        let mut tags = Vec::new();
        let prefix = match value {
            Some(value) => format!("{}\t{}", quote(key), quote(value)),
            None => quote(key),
        };
        self.each(self.header.tags, &prefix, |line| {
            if tags.len() >= limit {
                return ControlFlow::Break(());
            }
            let tag = read_tag_line(line);
            if tag.1.is_some() == value.is_some() {
                tags.push(tag);
            }
            ControlFlow::Continue(())
        });
        tags
    }

    /// The nodes whose id begins so.
    pub(super) fn with_ids(&self, prefix: &str) -> Vec<Node> {
        let mut offsets = Vec::new();
        self.each(self.header.ids, prefix, |line| {
            offsets.extend(Row::read_id_line(line).map(|(_, offset)| offset));
            ControlFlow::Continue(())
        });
        self.records(offsets)
    }

    /// The nodes with such names.
    pub(super) fn with_names(&self, pattern: &Pattern) -> Vec<Node> {
        let mut offsets = Vec::new();
        let mut prefix = quote(&pattern.literal_prefix());
        if matches!(pattern, Pattern::Exact(_)) {
            // The whole cell, so that a thousand names that go on are not read.
            prefix.push('\t');
        }
        self.each(self.header.names, &prefix, |line| {
            if let Some((row, offset)) = Row::read_name_line(line)
                && row.name.is_some_and(|name| pattern.matches(&name))
            {
                offsets.push(offset);
            }
            ControlFlow::Continue(())
        });
        self.records(offsets)
    }

    fn records(&self, offsets: Vec<u64>) -> Vec<Node> {
        let Section { start, end } = self.header.records;
        let read = |offset: u64| {
            let at = start.checked_add(offset).filter(|at| *at < end)?;
            let line = self.lines(at, end).next()?.ok()?;
            serde_json::from_str(&line).ok()
        };
        offsets.into_iter().filter_map(read).collect()
    }

    /// Hands over the index lines that begin so, in order, until told to stop.
    fn each(&self, section: Section, prefix: &str, mut take: impl FnMut(&str) -> ControlFlow<()>) {
        let Ok(start) = self.first_not_below(section, prefix.as_bytes()) else {
            return;
        };
        for line in self.lines(start, section.end).map_while(Result::ok) {
            match line.as_bytes() {
                bytes if bytes.starts_with(prefix.as_bytes()) => {
                    if take(&line).is_break() {
                        return;
                    }
                }
                // Within the last block searched there may be lines before the first that fits.
                bytes if bytes < prefix.as_bytes() => {}
                _ => return,
            }
        }
    }

    /// Index lines near the end of those that begin so, the very last one among them.
    fn last(&self, section: Section, prefix: &str) -> Vec<String> {
        // No text goes on with this byte, so all that begins so is below.
        let end = [prefix.as_bytes(), &[0xff]].concat();
        let Ok(start) = self.first_not_below(section, &end) else {
            return Vec::new();
        };
        self.lines(start, section.end)
            .map_while(Result::ok)
            .take_while(|line| line.as_bytes() < end.as_slice())
            .filter(|line| line.starts_with(prefix))
            .collect()
    }

    /// The start of a line at or before the first one that is not below `prefix`, near it.
    fn first_not_below(&self, section: Section, prefix: &[u8]) -> io::Result<u64> {
        // All lines that start before `low` are below; `low` is the start of a line.
        let (mut low, mut high) = (section.start, section.end);
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            match self.line_from(middle, high)? {
                Some((start, line)) if line.as_slice() < prefix => low = start,
                // What starts at or after the middle is not below.
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first line that starts after `from` and before `end`: where, and as much of it as tells.
    fn line_from(&self, from: u64, end: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut reader = self.reader(from, end);
        let skipped = reader.skip_until(b'\n')? as u64;
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        Ok(Some((from + skipped, line)))
    }

    fn lines(&self, start: u64, end: u64) -> impl Iterator<Item = io::Result<String>> + '_ {
        self.reader(start, end).lines()
    }

    fn reader(&self, start: u64, end: u64) -> BufReader<io::Take<At<'_>>> {
        let at = At {
            file: &self.file,
            position: start,
        };
        BufReader::with_capacity(BLOCK, at.take(end.saturating_sub(start)))
    }
}

/// A place in the file that other readers do not move.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.position)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
