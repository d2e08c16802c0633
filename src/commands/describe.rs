//! `ssmx describe TARGET`: all that is known of one node.

use serde_json::{Value, json};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::nodes;
use super::targets::{PickArgs, Purpose, Resolved, words};
use crate::config::Config;
use crate::inventory::node::Os;
use crate::ui::output::{Cell, Field, Record};

/// Show everything about one node
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a name, an alias, a named target, a selector, or PROFILE/NAME
    pub target: String,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Looks the target up and shows it.
///
/// # Errors
/// When it means nothing or several things, or AWS cannot be asked.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let resolved = ctx
        .resolve(Some(&args.target), args.pick, Purpose::Inspect)
        .await?;
    let names = names(ctx.config()?, &resolved);
    ctx.ui().record(&output, &record(&resolved, &names))?;
    Ok(Exit::SUCCESS)
}

/// The names of the config that fit the node, aliases included. They may fit others too.
fn names(config: &Config, resolved: &Resolved) -> Vec<String> {
    let mut names: Vec<String> = config
        .targets
        .iter()
        .filter(|(_, target)| resolved.fits(config, target))
        .map(|(name, _)| name.clone())
        .collect();
    let aliases = config.aliases.iter();
    let aliases: Vec<String> = aliases
        .filter(|(_, target)| names.contains(target))
        .map(|(alias, _)| alias.clone())
        .collect();
    names.extend(aliases);
    names
}

fn record(resolved: &Resolved, names: &[String]) -> Record {
    let Resolved { node, scope, .. } = resolved;
    let profile = resolved.aws.profile().map(ToOwned::to_owned);
    let time = |at: Option<jiff::Timestamp>| Cell::from(at.map(nodes::time));
    let cells = |texts: &[String]| texts.iter().cloned().map(Cell::from).collect::<Vec<_>>();
    let os = node.os.map(|os| match os {
        Os::Linux => "Linux".to_owned(),
        Os::Windows => "Windows".to_owned(),
        Os::MacOs => "macOS".to_owned(),
    });
    let agent = match (words::condition(node), &node.agent_version) {
        (condition, Some(version)) => format!("{condition}, version {version}"),
        (condition, None) => condition.to_owned(),
    };
    let tags = node
        .tags
        .iter()
        .map(|(key, value)| Cell::from(format!("{key}={value}")));
    let fields = vec![
        Field::new("id", node.id.as_str()),
        Field::new("name", node.name.clone()),
        Field::list("names in config", cells(names)),
        Field::new("account", scope.account.as_str()),
        Field::new("region", scope.region.as_str()),
        Field::new("profile", profile.clone()),
        Field::new("state", nodes::state(node)),
        Field::new("agent", agent),
        Field::new("last ping", time(node.last_ping)),
        Field::new("platform", node.platform.clone().or(os)),
        Field::new("computer name", node.computer.clone()),
        Field::list("addresses", cells(&node.addresses)),
        Field::new("type", node.instance_type.clone()),
        Field::new("zone", node.zone.clone()),
        Field::new("vpc", node.vpc.clone()),
        Field::new("role", node.role.clone()),
        Field::new("asg", node.asg.clone()),
        Field::new("launched", time(node.launched)),
        Field::list("tags", tags),
    ];
    let mut document = nodes::document(node, scope);
    document.insert("profile".to_owned(), json!(profile));
    document.insert("names".to_owned(), json!(names));
    Record {
        name: format!("instance/{}", node.id),
        fields,
        document: Value::Object(document),
    }
}
