//! `ssmx ls`: the nodes of one scope or of many, as they come.

mod print;
mod spread;
mod watch;
mod wish;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::nodes::listing;
use super::side_by_side::side_by_side;
use super::targets::scope::Reached;
use super::targets::words;
use crate::config::values::Refresh;
use crate::inventory::lookup::{Coverage, LookupError, list};
use crate::inventory::node::Node;
use crate::inventory::renew::renew;
use crate::ui::output::{Output, Pager, Printer};
use crate::ui::{Format, Ui};
use spread::{Failure, Place, Spread, SpreadArgs};
use wish::Wish;

/// List the nodes of a scope, or of many
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Names (`*` and `?` stand for any characters and any one), ids, or selectors (tag:Key=Value, ip=…, dns=…,
    /// asg=…). Of several names any may fit, of several selectors all have to
    #[arg(value_name = "NAME|SELECTOR")]
    pub words: Vec<String>,

    /// Nodes with this tag (can be repeated)
    #[arg(
        short = 'l',
        long = "tag",
        visible_alias = "selector",
        value_name = "KEY=VALUE"
    )]
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

    #[command(flatten)]
    spread: SpreadArgs,

    /// Go on, and show what changes; asks every 10 seconds, or as often as said
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub watch: Option<u64>,
}

/// Lists, and renews the snapshots where all was asked for.
///
/// # Errors
/// When no scope can be reached, or neither EC2 nor SSM tells anything in any; when some could not be listed, after
/// the others were.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let mut output = ctx.output()?;
    let wish = Wish::read(&args)?;
    if args.watch.is_some() {
        check_watched(&output)?;
        output.pager = Pager::Off;
    }
    let tags = ctx.config()?.defaults.columns.clone();
    let mut printer = ctx.ui().listing(&output, listing(&tags, args.spread.breadth()))?;
    let Spread { places, mut failures } = args.spread.find(ctx).await?;
    if let Some(seconds) = args.watch {
        let every = std::time::Duration::from_secs(seconds);
        return watch::watch(ctx, &places, failures, &wish, print::Out { printer, tags }, every).await;
    }
    let round = Round {
        ctx,
        places: &places,
        wish: &wish,
        done: AtomicUsize::new(0),
        seen: AtomicUsize::new(0),
        enough: AtomicBool::new(false),
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    // The sender goes with the questions: when the last is answered, the printing ends.
    let fits = &wish;
    let asking = round.ask(move |place, mut page: Vec<Node>| {
        page.retain(|node| fits.fits(node));
        let _gone = sender.send((place, page));
    });
    let (outcomes, printed) = join(asking, print::pages(&round, &mut printer, &tags, receiver)).await;
    let count = printed?;
    let listed = sort_out(ctx.ui(), &places, outcomes, &mut failures);
    if listed == 0 {
        return Err(spread::nothing(failures));
    }
    finish(printer, &args, &failures)?;
    if count == 0 {
        let which = if wish.is_everything() { "" } else { " that fits" };
        let place = match places.as_slice() {
            [one] => one.reached.scope.to_string(),
            several => format!("{} scopes", several.len()),
        };
        ctx.ui().say(&format!("no node{which} in {place}"));
    }
    match failures.is_empty() {
        true => Ok(Exit::SUCCESS),
        false => Err(spread::in_part(&failures, listed)),
    }
}

/// The document of several scopes says which could not be listed.
fn finish(mut printer: Printer, args: &Args, failures: &[Failure]) -> Result<(), CommandError> {
    if args.spread.is_wide() {
        printer.beside("errors", failures.iter().map(Failure::document).collect());
    }
    printer.finish()?;
    Ok(())
}

fn check_watched(output: &Output) -> Result<(), CommandError> {
    let endless = match output.format {
        Format::Table | Format::Wide | Format::Csv | Format::Text | Format::Name => {
            output.query.is_none() && output.sort_by.is_none()
        }
        Format::Json | Format::Yaml => false,
    };
    if endless {
        return Ok(());
    }
    Err(CommandError::usage(
        "what is watched has no end: it can be neither one document, nor queried, nor sorted",
    )
    .hint("`--watch` goes with `-o table`, `wide`, `csv`, `text` and `name`"))
}

/// One time that all scopes are asked.
struct Round<'a> {
    ctx: &'a Context,
    places: &'a [Place],
    wish: &'a Wish,
    /// Scopes that have answered.
    done: AtomicUsize,
    /// Nodes that they had.
    seen: AtomicUsize,
    /// Nobody reads on.
    enough: AtomicBool,
}

impl Round<'_> {
    /// Asks all, and hands over each page with the number of its place.
    async fn ask(&self, take: impl Fn(usize, Vec<Node>) + Send + Sync) -> Vec<Result<Coverage, LookupError>> {
        let take = &take;
        side_by_side(self.places.iter().enumerate(), |(index, place)| async move {
            let outcome = self.ask_one(&place.reached, |page| take(index, page)).await;
            self.done.fetch_add(1, Ordering::Relaxed);
            outcome
        })
        .await
    }

    /// Asks AWS; what has to be listed as a whole renews the snapshot.
    async fn ask_one(
        &self,
        reached: &Reached,
        take: impl Fn(Vec<Node>) + Send + Sync,
    ) -> Result<Coverage, LookupError> {
        let Reached { aws, scope } = reached;
        let handed_over = |page: Vec<Node>| {
            self.seen.fetch_add(page.len(), Ordering::Relaxed);
            take(page);
            match self.enough.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let renews = self
            .ctx
            .config()
            .is_ok_and(|config| config.defaults.refresh != Refresh::Off);
        if !self.wish.query.is_everything() || !renews {
            return list(aws.as_ref(), &self.wish.query, handed_over).await;
        }
        let renewed = renew(aws.as_ref(), &self.ctx.snapshots(), scope, handed_over).await?;
        if let Err(error) = renewed.snapshot {
            self.ctx.ui().warn(&format!(
                "the snapshot for completions could not be renewed: {error}"
            ));
        }
        Ok(renewed.coverage)
    }

    /// What is being done, for who waits.
    fn doing(&self) -> String {
        match self.places {
            [one] => format!("listing {}", one.reached.scope),
            several => format!(
                "listing {} scopes: {} done, {} nodes",
                several.len(),
                self.done.load(Ordering::Relaxed),
                self.seen.load(Ordering::Relaxed)
            ),
        }
    }
}

/// Says what the answers lack, adds what failed to the failures, and tells how many scopes could be listed.
fn sort_out(
    ui: &Ui,
    places: &[Place],
    outcomes: Vec<Result<Coverage, LookupError>>,
    failures: &mut Vec<Failure>,
) -> usize {
    let mut listed = 0;
    let mut shut = Vec::new();
    for (place, outcome) in places.iter().zip(outcomes) {
        match outcome {
            Ok(coverage) => {
                listed += 1;
                for line in words::lacks(&coverage) {
                    match places {
                        [_] => ui.warn(&line),
                        _ => ui.warn(&format!("{}: {line}", place.reached.scope)),
                    }
                }
            }
            Err(error) => {
                let doing = format!("cannot list the nodes of {}", place.reached.scope);
                let failure = Failure::at(place, words::lookup_failed(&doing, &error));
                if place.may_be_shut && spread::is_shut(&error) {
                    shut.push(failure);
                } else {
                    failures.push(failure);
                }
            }
        }
    }
    failures.extend(spread::wholly_shut(shut, places));
    listed
}

impl Failure {
    fn document(&self) -> Value {
        json!({
            "profile": self.profile,
            "account": self.account,
            "region": self.region,
            "error": self.error.summary(),
        })
    }
}
