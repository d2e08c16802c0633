//! `ssmx resolve TARGET`: the id and the scope, for scripts.

use serde_json::json;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose};
use crate::ui::output::{Field, Record};

/// Print which node a name means: its id and scope
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a name, an alias, a named target, a selector (name=…, tag:Key=Value, ip=…, dns=…, asg=…), or
    /// PROFILE/NAME
    pub target: String,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Looks the target up and prints it.
///
/// # Errors
/// When it means nothing or several things, or AWS cannot be asked.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let resolved = ctx
        .resolve(Some(&args.target), args.pick, Purpose::Inspect)
        .await?;
    let (node, scope) = (&resolved.node, &resolved.scope);
    let profile = resolved.aws.profile();
    let record = Record {
        name: format!("instance/{}", node.id),
        fields: vec![
            Field::new("id", node.id.as_str()),
            Field::new("name", node.name.clone()),
            Field::new("account", scope.account.as_str()),
            Field::new("region", scope.region.as_str()),
            Field::new("partition", scope.partition.as_str()).wide(),
            Field::new("profile", profile.map(ToOwned::to_owned)),
            Field::new("target", resolved.target().map(ToOwned::to_owned)),
        ],
        document: json!({
            "id": node.id,
            "name": node.name,
            "partition": scope.partition,
            "account": scope.account,
            "region": scope.region,
            "profile": profile,
            "target": resolved.target(),
        }),
    };
    ctx.ui().record(&output, &record)?;
    Ok(Exit::SUCCESS)
}
