//! Rows on their way out.

use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::Round;
use crate::commands::error::CommandError;
use crate::commands::nodes::NodeRow;
use crate::inventory::node::Node;
use crate::resolve::order::sort;
use crate::ui::output::Printer;

/// So many rows are sorted as a whole; beyond that rows are printed as they come, each page sorted.
const SORTED: usize = 2000;

/// Where rows go.
pub(super) struct Out {
    pub(super) printer: Printer,
    /// Tags that are further columns.
    pub(super) tags: Vec<String>,
}

/// A page, and the number of its place.
type Page = (usize, Vec<Node>);

/// Prints pages as they come, and gives the number of nodes.
pub(super) async fn pages(
    round: &Round<'_>,
    printer: &mut Printer,
    tags: &[String],
    pages: mpsc::UnboundedReceiver<Page>,
) -> Result<usize, CommandError> {
    let printed = print(round, printer, tags, pages).await;
    round.enough.store(true, Ordering::Relaxed);
    printed
}

async fn print(
    round: &Round<'_>,
    printer: &mut Printer,
    tags: &[String],
    mut pages: mpsc::UnboundedReceiver<Page>,
) -> Result<usize, CommandError> {
    let mut count = 0;
    let mut rows = |place: usize, mut nodes: Vec<Node>| {
        let Some(place) = round.places.get(place) else {
            return Ok(());
        };
        sort(&mut nodes);
        count += nodes.len();
        let scope = &place.reached.scope;
        nodes
            .iter()
            .try_for_each(|node| printer.push(&NodeRow { node, scope, tags }))
    };
    let mut held: Vec<Vec<Node>> = round.places.iter().map(|_| Vec::new()).collect();
    let holding = async {
        let mut total = 0;
        while total <= SORTED
            && let Some((place, page)) = pages.recv().await
        {
            total += page.len();
            if let Some(held) = held.get_mut(place) {
                held.extend(page);
            }
        }
    };
    // The sign of life is gone before the first row is printed.
    round.ctx.ui().progress_of(|| round.doing(), holding).await;
    for (place, nodes) in held.into_iter().enumerate() {
        rows(place, nodes)?;
    }
    while let Some((place, page)) = pages.recv().await {
        rows(place, page)?;
    }
    Ok(count)
}
