//! A whole listing that renews the snapshot on its way to whoever asked for it.

use std::io;
use std::ops::ControlFlow;

use super::lookup::{Coverage, Half, LookupError, Source, list};
use super::node::Node;
use super::query::Query;
use super::snapshot::{Breadth, Snapshots, Writer};
use crate::ids::Scope;

/// How a listing came out.
#[derive(Debug)]
pub struct Renewed {
    /// Who was heard.
    pub coverage: Coverage,
    /// Whether the snapshot was renewed. The listing is as good without.
    pub snapshot: io::Result<()>,
}

/// Lists a scope, hands its nodes over page by page, and renews the snapshot when all have come.
///
/// # Errors
/// See [`LookupError`]; the old snapshot stays.
pub async fn renew(
    source: &impl Source,
    snapshots: &Snapshots,
    scope: &Scope,
    mut take: impl FnMut(Vec<Node>) -> ControlFlow<()> + Send,
) -> Result<Renewed, LookupError> {
    let mut writing = Writing(snapshots.begin(scope, Breadth::Full));
    let mut whole = true;
    let coverage = list(source, &Query::default(), |page| {
        writing.push(&page);
        let flow = take(page);
        whole &= flow.is_continue();
        flow
    })
    .await?;
    let breadth = match coverage.ec2 {
        Half::Missing(_) => Breadth::Managed,
        Half::Told | Half::NotAsked => Breadth::Full,
    };
    let snapshot = if whole { writing.finish(breadth) } else { Ok(()) };
    Ok(Renewed { coverage, snapshot })
}

/// A writer until it fails.
struct Writing(io::Result<Writer>);

impl Writing {
    fn push(&mut self, nodes: &[Node]) {
        if let Ok(writer) = &mut self.0
            && let Err(error) = writer.push(nodes)
        {
            self.0 = Err(error);
        }
    }

    fn finish(self, breadth: Breadth) -> io::Result<()> {
        let mut writer = self.0?;
        writer.set_breadth(breadth);
        writer.finish()
    }
}
