//! The copy of a scope's inventory on disk: what a completion reads, and what makes the short way short.
//!
//! One file holds a whole listing: a header of fixed size, the nodes as JSON lines, and two sorted indexes of
//! text lines that are searched by halving, so that a look-up reads a few pages of the disk whatever the size.
//! Beside it lies a small file of nodes that were looked up one by one since (`recent`), which counts first.
//! Both are replaced whole and read without a lock: a reader sees one state or the next. Writers take turns by
//! a lock. All of it can be deleted at any time; what is damaged counts as absent.

mod format;
mod lock;
mod reach;
mod reader;
mod recent;
mod sessions;
mod writer;

use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::{SignedDuration, Timestamp};

use super::node::Node;
use super::query::Query;
use crate::ids::Scope;
use crate::private;
pub use format::Row;
use lock::Lock;
pub use reach::Reach;
use reader::Listing;
use recent::Recent;
pub use sessions::RememberedSession;
pub use writer::Writer;

/// All snapshots of this user.
#[derive(Debug, Clone)]
pub struct Snapshots {
    root: PathBuf,
}

/// What is remembered of one scope.
#[derive(Debug)]
pub struct Snapshot {
    recent: Recent,
    listing: Option<Listing>,
}

/// How much of a scope a listing saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Breadth {
    /// EC2 and SSM, or EC2 alone: every instance with its name.
    Full,
    /// SSM alone: instances under the names of their machines.
    Managed,
}

impl Snapshots {
    /// Those below ssmx's cache directory; nothing is touched yet.
    pub fn new(cache: &Path) -> Self {
        Self {
            root: cache.join("snapshots"),
        }
    }

    /// What is remembered of a scope; `None` where nothing is, or nothing that can be read.
    pub fn open(&self, scope: &Scope) -> Option<Snapshot> {
        let directory = self.directory(scope);
        // The recent file first: should both be replaced meanwhile, an old row is seen, never a lost one.
        let recent = Recent::read(&directory.join(RECENT));
        let listing = match Listing::open(&directory.join(LISTING), scope) {
            Ok(listing) => Some(listing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::debug!(%scope, %error, "the snapshot cannot be used");
                None
            }
        };
        let recent = recent.since(listing.as_ref().map(Listing::taken));
        (listing.is_some() || !recent.is_empty()).then_some(Snapshot { recent, listing })
    }

    /// Begins a new listing of a scope. It replaces the old one when it is finished, and vanishes when dropped.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn begin(&self, scope: &Scope, breadth: Breadth) -> io::Result<Writer> {
        let directory = self.directory(scope);
        private::create_directory(&directory)?;
        Writer::begin(&directory, scope, breadth)
    }

    /// Takes in what a single look-up found: its nodes, and that others that the query fits are no more.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn update(&self, scope: &Scope, query: &Query, found: &[Node]) -> io::Result<()> {
        let directory = self.directory(scope);
        let _turn = Lock::take(&directory)?;
        let vanished = match self.open(scope) {
            Some(snapshot) => snapshot
                .indexed(query)
                .into_iter()
                .map(|node| node.id)
                .filter(|id| found.iter().all(|node| node.id != *id))
                .collect(),
            None => Vec::new(),
        };
        let path = directory.join(RECENT);
        let mut recent = Recent::read(&path);
        recent.take_in(Timestamp::now(), found, vanished);
        recent.write(&path)
    }

    /// The profiles that have reached scopes, so that a completion knows the scope without credentials.
    pub fn reach(&self) -> Reach {
        Reach::new(self.root.join("reach.json"))
    }

    /// Whether a renewal of a scope may begin now: one at a time, and none within `pause` of the one before. Who is
    /// told so has the turn.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn claim_renewal(&self, scope: &Scope, pause: SignedDuration) -> io::Result<bool> {
        let directory = self.directory(scope);
        let path = directory.join(RENEWAL);
        let now = Timestamp::now();
        let due = || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let begun: Option<Timestamp> = text.trim().parse().ok();
            // One from the future is a clock that was set back.
            begun.is_none_or(|begun| begun > now || now.duration_since(begun) >= pause)
        };
        if !due() {
            return Ok(false);
        }
        let _turn = Lock::take(&directory)?;
        if !due() {
            return Ok(false);
        }
        private::replace(&path, format!("{now}\n").as_bytes())?;
        Ok(true)
    }

    /// Remembers the sessions that a scope has, for completions; those of an earlier time are forgotten.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn remember_sessions(&self, scope: &Scope, sessions: &[RememberedSession]) -> io::Result<()> {
        sessions::write(&self.directory(scope).join(SESSIONS), sessions)
    }

    /// The sessions that a scope had when they were listed last, and has not ended since.
    pub fn sessions(&self, scope: &Scope) -> Vec<RememberedSession> {
        sessions::read(&self.directory(scope).join(SESSIONS))
    }

    /// The scopes of which anything is remembered, sorted.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for partition in names(&self.root) {
            for account in names(&self.root.join(&partition)) {
                for region in names(&self.root.join(&partition).join(&account)) {
                    if let (Ok(partition), Ok(account), Ok(region)) =
                        (partition.parse(), account.parse(), region.parse())
                    {
                        scopes.push(Scope {
                            partition,
                            account,
                            region,
                        });
                    }
                }
            }
        }
        scopes.sort();
        scopes
    }

    /// Forgets a scope.
    ///
    /// # Errors
    /// When the files cannot be removed. That there are none is no error.
    pub fn forget(&self, scope: &Scope) -> io::Result<()> {
        match fs::remove_dir_all(self.directory(scope)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ids are checked when they are parsed: none can leave the directory.
    fn directory(&self, scope: &Scope) -> PathBuf {
        self.root
            .join(scope.partition.as_str())
            .join(scope.account.as_str())
            .join(scope.region.as_str())
    }
}

impl Snapshot {
    /// When the whole scope was listed last; `None` where only single nodes are known.
    pub fn taken(&self) -> Option<Timestamp> {
        self.listing.as_ref().map(Listing::taken)
    }

    /// How many nodes the last whole listing had.
    pub fn listed(&self) -> Option<u64> {
        self.listing.as_ref().map(Listing::count)
    }

    /// When what is known of a node was learnt.
    pub fn learnt(&self, node: &Node) -> Option<Timestamp> {
        self.recent.learnt(&node.id).or_else(|| self.taken())
    }

    /// How much the last whole listing saw.
    pub fn breadth(&self) -> Option<Breadth> {
        self.listing.as_ref().map(Listing::breadth)
    }

    /// The nodes that a query fits, found by an index: by id, or by the beginning of a name. `None` where the
    /// query has neither, so that all nodes would have to be read.
    pub fn find(&self, query: &Query) -> Option<Vec<Node>> {
        let indexed = query.id.is_some()
            || query
                .name
                .as_ref()
                .is_some_and(|name| !name.literal_prefix().is_empty());
        indexed.then(|| self.indexed(query))
    }

    /// All nodes that a query fits, wherever that takes reading all.
    pub fn search(&self, query: &Query) -> Vec<Node> {
        self.find(query).unwrap_or_else(|| {
            let listed = self.listing.iter().flat_map(Listing::nodes);
            self.overlaid(listed, query)
        })
    }

    /// Rows whose name begins so, sorted by name; at most `limit`.
    pub fn names(&self, prefix: &str, limit: usize) -> Vec<Row> {
        let listing = self.listing.as_ref();
        let listed = listing.map(|listing| listing.names(prefix, limit + self.recent.len()));
        let mut rows = self.by_name(listed.unwrap_or_default(), prefix);
        rows.truncate(limit);
        rows
    }

    /// The end of those rows: some of them, the last one included.
    pub fn last_names(&self, prefix: &str) -> Vec<Row> {
        let listed = self.listing.as_ref().map(|listing| listing.last_names(prefix));
        self.by_name(listed.unwrap_or_default(), prefix)
    }

    fn by_name(&self, listed: Vec<Row>, prefix: &str) -> Vec<Row> {
        let fits = |row: &Row| row.name.as_deref().is_some_and(|name| name.starts_with(prefix));
        let mut rows = self.overlaid_rows(listed, fits);
        rows.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        rows
    }

    /// Rows whose id begins so, sorted by id; at most `limit`.
    pub fn ids(&self, prefix: &str, limit: usize) -> Vec<Row> {
        let listing = self.listing.as_ref();
        let listed = listing.map(|listing| listing.ids(prefix, limit + self.recent.len()));
        let mut rows = self.by_id(listed.unwrap_or_default(), prefix);
        rows.truncate(limit);
        rows
    }

    /// The end of those rows: some of them, the last one included.
    pub fn last_ids(&self, prefix: &str) -> Vec<Row> {
        let listed = self.listing.as_ref().map(|listing| listing.last_ids(prefix));
        self.by_id(listed.unwrap_or_default(), prefix)
    }

    fn by_id(&self, listed: Vec<Row>, prefix: &str) -> Vec<Row> {
        let mut rows = self.overlaid_rows(listed, |row| row.id.as_str().starts_with(prefix));
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows
    }

    /// Keys of tags that begin so, as the last whole listing saw them.
    pub fn tag_keys(&self, prefix: &str, limit: usize) -> Vec<String> {
        let listing = self.listing.iter();
        let tags = listing.flat_map(|listing| listing.tags(prefix, None, limit));
        tags.map(|(key, _)| key).collect()
    }

    /// Values of a tag that begin so; none where there are too many to be of help.
    pub fn tag_values(&self, key: &str, prefix: &str, limit: usize) -> Vec<String> {
        let listing = self.listing.iter();
        let tags = listing.flat_map(|listing| listing.tags(key, Some(prefix), limit));
        tags.filter_map(|(_, value)| value).collect()
    }

    /// The end of those values: some of them, the last one included.
    pub fn last_tag_values(&self, key: &str, prefix: &str) -> Vec<String> {
        let listing = self.listing.iter();
        listing
            .flat_map(|listing| listing.last_tag_values(key, prefix))
            .collect()
    }

    fn indexed(&self, query: &Query) -> Vec<Node> {
        let listed: Vec<Node> = match (&self.listing, &query.id, &query.name) {
            (Some(listing), Some(id), _) => listing.with_ids(id.as_str()),
            (Some(listing), None, Some(name)) => listing.with_names(name),
            _ => Vec::new(),
        };
        self.overlaid(listed.into_iter(), query)
    }

    fn overlaid(&self, listed: impl Iterator<Item = Node>, query: &Query) -> Vec<Node> {
        let mut nodes: Vec<Node> = listed
            .filter(|node| !self.recent.knows(&node.id))
            .chain(self.recent.nodes().cloned())
            .filter(|node| query.matches(node))
            .collect();
        nodes.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        nodes
    }

    fn overlaid_rows(&self, listed: Vec<Row>, fits: impl Fn(&Row) -> bool) -> Vec<Row> {
        let looked_up = self.recent.nodes().map(Row::of).filter(fits);
        listed
            .into_iter()
            .filter(|row| !self.recent.knows(&row.id))
            .chain(looked_up)
            .collect()
    }
}

const LISTING: &str = "listing";
const RECENT: &str = "recent";
const RENEWAL: &str = "renewal";
const SESSIONS: &str = "sessions";

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests;
