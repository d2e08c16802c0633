//! `ssmx ls`: the nodes of a scope, as they come.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join;
use tokio::sync::mpsc;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::nodes::{NodeRow, listing};
use super::targets::scope::{self, Reached};
use super::targets::words;
use crate::config::values::Refresh;
use crate::ids::NodeId;
use crate::inventory::lookup::{Coverage, LookupError, list};
use crate::inventory::node::{InstanceState, Node};
use crate::inventory::query::{Pattern, Query};
use crate::inventory::renew::renew;
use crate::resolve::order::{Standing, sort, standing};
use crate::resolve::selector::{self, SelectorError};
use crate::ui::output::Printer;

/// So many rows are sorted as a whole; beyond that rows are printed as they come, each page sorted.
const SORTED: usize = 2000;

/// List the nodes of a scope
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names (`*` and `?` stand for any characters and any one), ids, or selectors (tag:Key=Value, ip=…, dns=…,
    /// asg=…). Of several names any may fit, of several selectors all have to
    #[arg(value_name = "NAME|SELECTOR")]
    pub words: Vec<String>,

    /// Nodes with this tag (can be repeated)
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,

    /// Nodes with such a name
    #[arg(long, value_name = "GLOB")]
    pub name: Option<String>,

    /// Instances in this state
    #[arg(long, value_name = "STATE", value_parser = ["pending", "running", "stopping", "stopped"])]
    pub state: Option<String>,

    /// Nodes that can be reached
    #[arg(long)]
    pub online: bool,
}

/// Lists, and renews the snapshot where all was asked for.
///
/// # Errors
/// When the scope cannot be reached, or neither EC2 nor SSM tells anything.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let wish = Wish::read(&args)?;
    let tags = ctx.config()?.defaults.columns.clone();
    let reached = scope::here(ctx).await?;
    let printer = ctx.ui().listing(&output, listing(&tags))?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let enough = AtomicBool::new(false);
    let stop = &enough;
    // The sender goes with the question: when that is answered, the printing ends.
    let asking = ask(ctx, &reached, &wish, move |page| {
        if sender.send(page).is_err() || stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let printing = async {
        let printed = print(ctx, &reached, printer, &tags, receiver).await;
        enough.store(true, Ordering::Relaxed);
        printed
    };
    let (coverage, printed) = join(asking, printing).await;
    let count = printed?;
    let doing = format!("cannot list the nodes of {}", reached.scope);
    let coverage = coverage.map_err(|error| words::lookup_failed(&doing, &error))?;
    for line in words::lacks(&coverage) {
        ctx.ui().warn(&line);
    }
    if count == 0 {
        let which = if wish.is_everything() { "" } else { " that fits" };
        ctx.ui().say(&format!("no node{which} in {}", reached.scope));
    }
    Ok(Exit::SUCCESS)
}

/// What is asked for: as much as AWS can filter, and the rest.
#[derive(Debug, Default)]
struct Wish {
    query: Query,
    /// Any of these, where there are several.
    names: Vec<Pattern>,
    ids: Vec<NodeId>,
    state: Option<InstanceState>,
    online: bool,
}

impl Wish {
    fn read(args: &Args) -> Result<Self, CommandError> {
        let usage = |error: SelectorError| CommandError::usage(error.to_string());
        let mut wish = Self {
            online: args.online,
            state: args.state.as_deref().map(|state| match state {
                "pending" => InstanceState::Pending,
                "stopping" => InstanceState::Stopping,
                "stopped" => InstanceState::Stopped,
                _ => InstanceState::Running,
            }),
            ..Self::default()
        };
        let mut queries = Vec::new();
        for word in &args.words {
            if let Ok(id) = word.parse() {
                wish.ids.push(id);
            } else if let Some(query) = selector::parse(word).map_err(usage)? {
                queries.push(query);
            } else {
                wish.names.push(Pattern::parse(word));
            }
        }
        for tag in &args.tags {
            let query = selector::parse(&format!("tag:{tag}")).map_err(usage)?;
            queries.extend(query);
        }
        if let Some(name) = &args.name {
            queries.push(Query::name(Pattern::parse(name)));
        }
        wish.query = selector::all(queries).map_err(usage)?;
        // A single one can be asked for.
        match (wish.names.as_slice(), wish.ids.as_slice()) {
            ([one], []) if wish.query.name.is_none() => wish.query.name = Some(one.clone()),
            ([], [one]) => wish.query.id = Some(one.clone()),
            _ => {}
        }
        Ok(wish)
    }

    fn is_everything(&self) -> bool {
        self.query.is_everything()
            && self.names.is_empty()
            && self.ids.is_empty()
            && !self.online
            && self.state.is_none()
    }

    fn fits(&self, node: &Node) -> bool {
        let named = |node: &Node| {
            let name = node.name.as_deref();
            self.names
                .iter()
                .any(|pattern| name.is_some_and(|name| pattern.matches(name)))
        };
        let any =
            (self.names.is_empty() && self.ids.is_empty()) || named(node) || self.ids.contains(&node.id);
        any && self.query.matches(node)
            && self.state.is_none_or(|state| node.state == state)
            && (!self.online || standing(node) == Standing::Ready)
    }
}

/// Asks AWS; what has to be listed as a whole renews the snapshot.
async fn ask(
    ctx: &Context,
    reached: &Reached,
    wish: &Wish,
    mut take: impl FnMut(Vec<Node>) -> ControlFlow<()> + Send,
) -> Result<Coverage, LookupError> {
    let Reached { aws, scope } = reached;
    let fitting = |mut page: Vec<Node>| {
        page.retain(|node| wish.fits(node));
        take(page)
    };
    let renews = ctx
        .config()
        .is_ok_and(|config| config.defaults.refresh != Refresh::Off);
    if !wish.query.is_everything() || !renews {
        return list(aws.as_ref(), &wish.query, fitting).await;
    }
    let renewed = renew(aws.as_ref(), &ctx.snapshots(), scope, fitting).await?;
    if let Err(error) = renewed.snapshot {
        ctx.ui().warn(&format!(
            "the snapshot for completions could not be renewed: {error}"
        ));
    }
    Ok(renewed.coverage)
}

/// Prints pages as they come, and gives the number of nodes.
async fn print(
    ctx: &Context,
    reached: &Reached,
    mut printer: Printer,
    tags: &[String],
    mut pages: mpsc::UnboundedReceiver<Vec<Node>>,
) -> Result<usize, CommandError> {
    let mut count = 0;
    let mut rows = |mut nodes: Vec<Node>, printer: &mut Printer| {
        sort(&mut nodes);
        count += nodes.len();
        nodes.iter().try_for_each(|node| {
            let scope = &reached.scope;
            printer.push(&NodeRow { node, scope, tags })
        })
    };
    let mut held: Vec<Node> = Vec::new();
    let holding = async {
        while held.len() <= SORTED
            && let Some(page) = pages.recv().await
        {
            held.extend(page);
        }
    };
    // The sign of life is gone before the first row is printed.
    ctx.ui()
        .progress(&format!("listing {}", reached.scope), holding)
        .await;
    rows(held, &mut printer)?;
    while let Some(page) = pages.recv().await {
        rows(page, &mut printer)?;
    }
    printer.finish()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(words: &[&str], tags: &[&str]) -> Result<Wish, CommandError> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Wish::read(&Args {
            words: own(words),
            tags: own(tags),
            name: None,
            state: None,
            online: false,
        })
    }

    fn node(name: &str) -> Node {
        let mut node = Node::new("i-0123456789abcdef0".parse().unwrap());
        node.name = Some(name.to_owned());
        node.tags.insert("Env".into(), "prod".into());
        node
    }

    #[test]
    fn a_single_name_is_asked_for_and_of_several_any_fits() {
        let one = wish(&["web-*"], &[]).unwrap();
        assert_eq!(one.query.name, Some(Pattern::Glob("web-*".into())));
        let two = wish(&["web-*", "db"], &["Env=prod"]).unwrap();
        assert_eq!(two.query.name, None);
        assert_eq!(two.query.tags.len(), 1);
        assert!(two.fits(&node("web-1")) && two.fits(&node("db")) && !two.fits(&node("cache")));
        let by_id = wish(&["i-0123456789abcdef0", "other"], &[]).unwrap();
        assert!(by_id.fits(&node("anything")));
        assert!(wish(&["i-0123456789abcdef0"], &[]).unwrap().query.id.is_some());
        assert!(wish(&[], &[]).unwrap().is_everything());
    }

    #[test]
    fn selectors_that_say_nothing_are_mistakes() {
        assert!(wish(&["ip=web"], &[]).is_err());
        assert!(wish(&[], &["Env"]).is_err());
        assert!(wish(&["name=a", "name=b"], &[]).is_err());
    }
}
