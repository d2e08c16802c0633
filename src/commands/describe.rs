//! `ssmx describe TARGET`: all that is known of one node and helps to connect.

use std::cmp::Reverse;

use futures_util::future::join3;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::nodes;
use super::targets::{PickArgs, Purpose, Resolved, words};
use crate::aws::diagnosis::settings::Preferences;
use crate::aws::error::ServiceError;
use crate::aws::session::{SessionRecord, Which};
use crate::config::Config;
use crate::config::values::{Confirm, Reason};
use crate::inventory::node::Os;
use crate::resolve::selector;
use crate::ui::output::{Cell, Field, Record, Tone};

/// Sessions that are shown.
const RECENT: usize = 5;

/// Show everything about one node that helps to connect
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a name, an alias, a named target, a selector, or PROFILE/NAME
    pub target: String,

    /// How to choose among several.
    #[command(flatten)]
    pub pick: PickArgs,
}

/// Looks the target up and shows it, with what Session Manager says of sessions on it.
///
/// # Errors
/// When it means nothing or several things, or AWS cannot be asked. What may not be asked beside that is shown as
/// unknown.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let resolved = ctx
        .resolve(Some(&args.target), args.pick, Purpose::Inspect)
        .await?;
    let config = ctx.config()?;
    let names = names(config, &resolved);
    let presets = presets(config, &resolved, &names);
    let (aws, id) = (&resolved.aws, &resolved.node.id);
    let asking = join3(
        aws.preferences(),
        aws.sessions_of(id, Which::Active),
        aws.sessions_of(id, Which::History),
    );
    let doing = format!("asking about sessions on {}", resolved.label());
    let (preferences, active, ended) = ctx.ui().progress(&doing, asking).await;
    let known = Known {
        resolved: &resolved,
        names,
        presets,
        preferences: preferences.map(Option::unwrap_or_default),
        sessions: active.and_then(|active| Ok(recent(active, ended?))),
        now: Timestamp::now(),
    };
    ctx.ui().record(&output, &known.record())?;
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

/// The presets that go through it by one of those names, its id or a selector.
fn presets(config: &Config, resolved: &Resolved, names: &[String]) -> Vec<String> {
    let node = &resolved.node;
    let is_it = |word: &String| {
        let word = word.strip_prefix("target/").unwrap_or(word);
        let selects = || {
            selector::parse(word)
                .ok()
                .flatten()
                .is_some_and(|query| query.matches(node))
        };
        names.iter().any(|name| name == word) || node.id.as_str() == word || selects()
    };
    let presets = config.presets.iter().filter(|(_, preset)| {
        let targets = preset.target.as_ref().map(|targets| targets.as_slice());
        targets.unwrap_or_default().iter().any(is_it)
    });
    presets.map(|(name, _)| name.clone()).collect()
}

/// Those that run, then those that ended last.
fn recent(mut active: Vec<SessionRecord>, mut ended: Vec<SessionRecord>) -> Vec<SessionRecord> {
    active.sort_by_key(|record| Reverse(record.started));
    ended.sort_by_key(|record| Reverse(record.started));
    active.extend(ended);
    active.truncate(RECENT);
    active
}

/// What there is to show.
struct Known<'a> {
    resolved: &'a Resolved,
    names: Vec<String>,
    presets: Vec<String>,
    preferences: Result<Preferences, ServiceError>,
    sessions: Result<Vec<SessionRecord>, ServiceError>,
    now: Timestamp,
}

impl Known<'_> {
    fn record(&self) -> Record {
        let Resolved { node, scope, .. } = self.resolved;
        let time = |at: Option<Timestamp>| Cell::from(at.map(nodes::time));
        let cells = |texts: &[String]| texts.iter().cloned().map(Cell::from).collect::<Vec<_>>();
        let os = node.os.map(|os| match os {
            Os::Linux => "Linux".to_owned(),
            Os::Windows => "Windows".to_owned(),
            Os::MacOs => "macOS".to_owned(),
        });
        let tags = node
            .tags
            .iter()
            .map(|(key, value)| Cell::from(format!("{key}={value}")));
        let fields = vec![
            Field::new("id", node.id.as_str()),
            Field::new("name", node.name.clone()),
            Field::list("names in config", cells(&self.names)),
            Field::list("presets", cells(&self.presets)),
            Field::new("account", scope.account.as_str()),
            Field::new("region", scope.region.as_str()),
            Field::new("profile", self.resolved.aws.profile().map(ToOwned::to_owned)),
            Field::new("state", nodes::state(node)),
            Field::new("agent", self.agent()),
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
            Field::new("asked first", self.asked_first()),
            Field::new("shells run as", self.run_as()),
            Field::new("shells logged", self.logged()),
            Field::new("encrypted by", self.told(|told| told.kms_key.clone())),
            Field::new(
                "idle timeout",
                self.told(|told| Some(format!("{} min", told.idle_minutes.as_ref()?))),
            ),
            Field::list("sessions", self.sessions()),
        ];
        Record {
            name: format!("instance/{}", node.id),
            fields,
            document: self.document(),
        }
    }

    fn document(&self) -> Value {
        let Resolved {
            node, scope, demands, ..
        } = self.resolved;
        let preferences = self.preferences.as_ref().ok();
        let mut document = nodes::document(node, scope);
        let mut add = |key: &str, value: Value| document.insert(key.to_owned(), value);
        add("profile", json!(self.resolved.aws.profile()));
        add("names", json!(self.names));
        add("presets", json!(self.presets));
        add("confirm", json!(demands.confirm));
        add("reason", json!(demands.reason));
        let session = preferences.map(|told| {
            json!({
                "log_bucket": told.log_bucket,
                "log_group": told.log_group,
                "kms_key": told.kms_key,
                "run_as": told.run_as.then(|| told.run_as_user.clone()).flatten(),
                "idle_minutes": told.idle_minutes,
                "most_minutes": told.most_minutes,
            })
        });
        add("session_preferences", json!(session));
        let sessions = self.sessions.as_ref().ok().map(|sessions| {
            let rows = sessions.iter().map(|record| {
                json!({
                    "id": record.id,
                    "status": record.status,
                    "started": record.started,
                    "ended": record.ended,
                    "document": record.document,
                    "owner": record.owner,
                    "reason": record.reason,
                })
            });
            rows.collect::<Vec<_>>()
        });
        add("sessions", json!(sessions));
        Value::Object(document)
    }

    fn agent(&self) -> String {
        let node = &self.resolved.node;
        match (words::condition(node), &node.agent_version) {
            (condition, Some(version)) => format!("{condition}, version {version}"),
            (condition, None) => condition.to_owned(),
        }
    }

    /// What the config wants before a session.
    fn asked_first(&self) -> Option<String> {
        let demands = self.resolved.demands;
        let confirm = match demands.confirm {
            Confirm::Never => None,
            Confirm::Ask => Some("yes or no"),
            Confirm::TypeName => Some("the name, typed"),
        };
        let reason = (demands.reason == Reason::Required).then_some("a reason");
        let all: Vec<&str> = confirm.into_iter().chain(reason).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Port and ssh sessions are never logged by AWS, whatever the preferences say.
    fn logged(&self) -> Cell {
        let told = match &self.preferences {
            Ok(told) => told,
            Err(error) => return unknown(error),
        };
        Cell::from(match told.logging().places() {
            None => "no".to_owned(),
            Some(places) => format!("{places}; forwards and ssh are not"),
        })
    }

    fn run_as(&self) -> Option<String> {
        self.told(|told| {
            told.run_as.then(|| {
                let user = told.run_as_user.as_deref();
                user.unwrap_or("the user that the caller's tag names").to_owned()
            })
        })
    }

    /// Something of the preferences, where they are known.
    fn told(&self, what: impl Fn(&Preferences) -> Option<String>) -> Option<String> {
        self.preferences.as_ref().ok().and_then(what)
    }

    fn sessions(&self) -> Vec<Cell> {
        let sessions = match &self.sessions {
            Ok(sessions) => sessions,
            Err(error) => return vec![unknown(error)],
        };
        let row = |record: &SessionRecord| {
            let mut line = format!("{}  {}", record.id, record.status.to_lowercase());
            if let Some(started) = record.started {
                line.push_str(&format!(", {} ago", words::age(started, self.now)));
            }
            if let Some(reason) = &record.reason {
                line.push_str(&format!(": {reason}"));
            }
            match record.ended {
                Some(_) => Cell::toned(line, Tone::Faint),
                None => Cell::from(line),
            }
        };
        sessions.iter().map(row).collect()
    }
}

fn unknown(error: &ServiceError) -> Cell {
    let why = match error.is_denied() {
        true => format!("unknown: `{}` is denied", error.operation),
        false => format!("unknown: {error}"),
    };
    Cell::toned(why, Tone::Faint)
}
