//! `ssmx whoami`.

use jiff::Timestamp;
use serde_json::json;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::scope;
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::identity::Identity;
use crate::ui::output::{Field, Record};

/// Say who you are for AWS: account, role, until when, by which credentials
#[derive(Debug, clap::Args)]
pub struct Args {}

struct Answer {
    identity: Identity,
    /// `None` where it is not to be seen.
    alias: Option<String>,
    ends: Option<Timestamp>,
}

/// Asks AWS and prints.
///
/// # Errors
/// When there are no credentials, or AWS does not know them.
pub async fn run(ctx: &Context, _args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let aws = scope::way_here(ctx).await?;
    let failed = |error: ServiceError| {
        CommandError::aws(
            format!("AWS does not say who we are ({})", aws.credentials_story()),
            &error,
        )
    };
    let work = async {
        // Both need the same credentials; had once, the two calls go side by side.
        let ends = aws.credentials_end().await?;
        let (identity, alias) = tokio::join!(aws.identity(), aws.account_alias());
        let alias = alias.unwrap_or_else(|error| {
            tracing::debug!(%error, "no account alias");
            None
        });
        Ok(Answer {
            identity: identity?,
            alias,
            ends,
        })
    };
    let answer = ctx.ui().progress("asking AWS", work).await.map_err(failed)?;
    ctx.ui()
        .record(&output, &record(&answer, &aws, Timestamp::now()))?;
    Ok(Exit::SUCCESS)
}

fn record(answer: &Answer, aws: &Aws, now: Timestamp) -> Record {
    let identity = &answer.identity;
    let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
    let account = match &answer.alias {
        Some(alias) => format!("{} ({alias})", identity.account),
        None => identity.account.to_string(),
    };
    Record {
        name: identity.arn.clone(),
        fields: vec![
            Field::new("account", account),
            Field::new("arn", identity.arn.clone()),
            Field::new("role", owned(identity.role())),
            Field::new("session", owned(identity.session())),
            Field::new("user id", identity.user_id.clone()).wide(),
            Field::new("region", aws.region().as_str()),
            Field::new("partition", aws.region().partition().as_str()).wide(),
            Field::new("profile", owned(aws.profile())),
            Field::new("from", aws.credentials_story()),
            Field::new("expires", answer.ends.map(|at| ends(at, now))),
        ],
        document: json!({
            "account": identity.account,
            "alias": answer.alias,
            "arn": identity.arn,
            "user_id": identity.user_id,
            "role": identity.role(),
            "session": identity.session(),
            "partition": aws.region().partition().as_str(),
            "region": aws.region(),
            "profile": aws.profile(),
            "source": aws.credentials_story(),
            "expires": answer.ends.map(|at| format!("{at:.0}")),
        }),
    }
}

fn ends(at: Timestamp, now: Timestamp) -> String {
    let minutes = at.duration_since(now).as_secs() / 60;
    let left = match minutes {
        ..0 => "over".to_owned(),
        0..120 => format!("in {minutes} min"),
        _ => format!("in {} h {} min", minutes / 60, minutes % 60),
    };
    format!("{at:.0} ({left})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_both_ways() {
        let now: Timestamp = "2026-11-25T03:00:00Z".parse().unwrap();
        for (at, told) in [
            ("2026-11-25T03:52:10.5Z", "2026-11-25T03:52:10Z (in 52 min)"),
            ("2026-11-25T05:01:00Z", "2026-11-25T05:01:00Z (in 2 h 1 min)"),
            ("2026-11-25T02:58:00Z", "2026-11-25T02:58:00Z (over)"),
        ] {
            assert_eq!(ends(at.parse().unwrap(), now), told);
        }
    }
}
