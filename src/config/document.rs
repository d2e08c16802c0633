//! A file's text: read with care, parsed, and every place in it known by line and column.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::error::Problem;
use super::origin::Origin;

/// A config is written by hand; what is larger is something else.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A file that parses.
#[derive(Debug, Clone)]
pub(super) struct Document {
    path: Arc<Path>,
    parsed: toml_edit::Document<String>,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Document {
    /// Parses a text.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, Problem> {
        let path: Arc<Path> = path.into();
        let lines = line_starts(&text);
        match toml_edit::Document::parse(text.clone()) {
            Ok(parsed) => Ok(Self { path, parsed, lines }),
            Err(error) => {
                let at = error.span().map(|span| position(&text, &lines, span.start));
                Err(Problem::error(
                    Origin::File { path, at },
                    format!("this is not TOML: {}", error.message().trim().replace('\n', ", ")),
                ))
            }
        }
    }

    /// The table that the file is.
    pub(super) fn table(&self) -> &toml_edit::Table {
        self.parsed.as_table()
    }

    /// The place of a byte of the file.
    pub(super) fn origin(&self, offset: Option<usize>) -> Origin {
        Origin::File {
            path: Arc::clone(&self.path),
            at: offset.map(|offset| position(self.parsed.raw(), &self.lines, offset)),
        }
    }
}

/// Reads a text file; `None`: there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Problem> {
    let wrong = |message: String| Problem::error(Origin::file(path), message);
    let unreadable = |error: std::io::Error| wrong(format!("the file cannot be read: {error}"));
    // Asked before it is opened: opening a pipe would wait for somebody who writes into it.
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.is_dir() {
        return Err(wrong("this is a directory, expected a file of TOML".to_owned()));
    }
    // `/dev/null` is a usual way to say "no config"; other devices and pipes are no config either.
    if !metadata.is_file() && path != Path::new("/dev/null") {
        return Err(wrong("this is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong(format!(
            "the file is larger than {} MiB, which no config is",
            LARGEST >> 20
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        wrong(format!("line {line} is not UTF-8")).hint("save the file in the encoding UTF-8")
    })?;
    Ok(Some(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }))
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect()
}

/// Line and column of a byte, both from 1; columns count characters.
fn position(text: &str, lines: &[usize], offset: usize) -> (usize, usize) {
    let line = lines.partition_point(|start| *start <= offset).max(1);
    let start = lines.get(line - 1).copied().unwrap_or(0);
    let before = text.get(start..offset.min(text.len())).unwrap_or("");
    (line, before.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_from_one() {
        let text = "a\nžluť = 1\n";
        let lines = line_starts(text);
        assert_eq!(position(text, &lines, 0), (1, 1));
        assert_eq!(position(text, &lines, 2), (2, 1));
        assert_eq!(position(text, &lines, 9), (2, 6));
        assert_eq!(position(text, &lines, 99), (3, 1));
    }

    #[test]
    fn files_that_are_none_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read(&path)
        };
        assert_eq!(read(&dir.path().join("none")), Ok(None));
        assert_eq!(
            file("bom", b"\xef\xbb\xbfschema = 1"),
            Ok(Some("schema = 1".into()))
        );
        let message = |result: Result<Option<String>, Problem>| result.unwrap_err().message;
        assert_eq!(message(file("latin", b"# a\nx = '\xe9'")), "line 2 is not UTF-8");
        assert_eq!(message(file("utf16", b"\xff\xfea\0")), "line 1 is not UTF-8");
        assert_eq!(
            message(read(dir.path())),
            "this is a directory, expected a file of TOML"
        );
        assert_eq!(
            message(file("huge", &vec![b'\n'; LARGEST as usize + 1])),
            "the file is larger than 4 MiB, which no config is"
        );
        assert_eq!(read(Path::new("/dev/null")), Ok(Some(String::new())));
        assert_eq!(message(read(Path::new("/dev/zero"))), "this is no regular file");
    }
}
