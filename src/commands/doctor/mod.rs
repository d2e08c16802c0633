//! `ssmx doctor`: why it does not work. Facts are had from AWS side by side, then judged in order, and the first
//! certain cause is the answer.

mod machine;
mod network;
mod node;
mod report;
mod rights;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose, Resolved, scope};
use crate::aws::Aws;
use crate::aws::diagnosis::instance::InstanceFacts;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::iam::{Simulated, principal};
use crate::aws::session::ConnectionStatus;
use crate::ids::{NodeId, Scope};
use crate::inventory::lookup::{self, Half, LookupError};
use crate::inventory::node::Node;
use crate::inventory::query::Query;
use crate::ui::Format;
use crate::ui::output::Record;
use network::Network;
use node::{AGENT_ACTIONS, HOST_MANAGEMENT, REMOTE_HOSTS, RoleFacts, SESSIONS};
use report::{Extent, Finding, Report, Verdict};

/// Find out why an instance cannot be reached; without one, whether this machine can talk to AWS
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance or preset to look at
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    /// Tell all checks, also those after the first certain cause
    #[arg(long)]
    pub all: bool,

    /// The session document that is going to be used
    #[arg(long, value_name = "NAME")]
    pub document_name: Option<String>,
}

/// Looks, tells, and fails where something is wrong for certain.
///
/// # Errors
/// When the target means nothing or several things.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let output = ctx.output()?;
    let report = match &args.target {
        None => {
            ctx.ui()
                .progress("looking at this machine", of_machine(ctx))
                .await
        }
        Some(target) => of_target(ctx, target, args.document_name.as_deref()).await?,
    };
    if output.format == Format::Table && output.query.is_none() {
        let extent = if args.all { Extent::All } else { Extent::UpToCause };
        ctx.ui().data(&report.text(extent))?;
    } else {
        let record = Record {
            name: report.cause().map_or("ok", |cause| cause.check).to_owned(),
            fields: Vec::new(),
            document: report.document(args.target.as_deref()),
        };
        ctx.ui().record(&output, &record)?;
    }
    // 255: a check has failed, and all that was to be said was said.
    Ok(if report.has_failed() {
        Exit(255)
    } else {
        Exit::SUCCESS
    })
}

async fn of_machine(ctx: &Context) -> Report {
    let loaded = ctx.config().map(drop);
    let mut findings = vec![machine::config(&loaded)];
    let around = [
        machine::plugin().await,
        machine::aws_cli(),
        machine::snapshot(ctx, ctx.snapshots().scopes().len()),
        machine::terminal(ctx),
    ];
    if loaded.is_err() {
        findings.extend(around);
        return Report { findings };
    }
    let aws = match scope::way_here(ctx).await {
        Ok(aws) => aws,
        Err(error) => {
            findings.push(machine::no_way(&error));
            findings.extend(around);
            return Report { findings };
        }
    };
    let (identity, ahead, ssm, messages) = tokio::join!(
        aws.identity(),
        aws.clock_ahead(),
        machine::endpoint(&aws, "endpoint of ssm", "ssm"),
        machine::endpoint(&aws, "endpoint of ssmmessages", "ssmmessages"),
    );
    // A wrong clock shows as refused credentials, a dead network as both: causes first.
    findings.extend([
        machine::region(&aws),
        machine::proxy(&aws),
        ssm,
        messages,
        machine::clock(&ahead),
        machine::identity(&identity, &aws.credentials_story()),
    ]);
    findings.extend(around);
    Report { findings }
}

async fn of_target(ctx: &Context, words: &str, document: Option<&str>) -> Result<Report, CommandError> {
    let name = words.strip_prefix("preset/").unwrap_or(words);
    let preset = ctx.config()?.presets.get(name);
    let (target, needs) = match preset {
        Some(preset) => {
            let targets = preset.target.as_ref().map(|targets| targets.as_slice());
            let first = targets.and_then(|targets| targets.first()).map(String::as_str);
            let needs = preset.host.as_ref().map_or(SESSIONS, |_| REMOTE_HOSTS);
            (first.unwrap_or(words), needs)
        }
        None => (words, SESSIONS),
    };
    let resolved = ctx
        .resolve(Some(target), PickArgs::default(), Purpose::Inspect)
        .await?;
    let looking = look(ctx, &resolved, document, needs);
    Ok(ctx.ui().progress("looking", looking).await)
}

/// How long somebody whose session failed is kept waiting for the reason.
const PATIENCE: Duration = Duration::from_secs(8);

/// Adds to a failure to reach a node what is probably behind it, where that can be told in a few seconds.
pub async fn explain(ctx: &Context, resolved: &Resolved, failure: CommandError) -> CommandError {
    let looking = timeout(PATIENCE, look(ctx, resolved, None, SESSIONS));
    let looked = ctx.ui().progress("looking for the reason", looking).await;
    let failure = match looked.ok().as_ref().and_then(Report::cause) {
        Some(cause) => {
            let how = match cause.verdict {
                Verdict::Fail => "because",
                _ => "probably because",
            };
            let told = failure.because(format!("{how} of {}: {}", cause.check, cause.evidence));
            let fixed = cause.fix.first().into_iter();
            fixed.fold(told, |told, fix| told.hint(fix.clone()))
        }
        None => failure,
    };
    if failure.hints().iter().any(|hint| hint.contains("`ssmx doctor")) {
        return failure;
    }
    failure.hint(format!("`ssmx doctor {}` tells more", resolved.node.id))
}

/// The checks of a node. What connect and forward add to their error comes from here too.
async fn look(ctx: &Context, resolved: &Resolved, document: Option<&str>, needs: &str) -> Report {
    let (aws, id) = (&*resolved.aws, &resolved.node.id);
    let (facts, checks, told, status, preferences, identity, kind) = tokio::join!(
        instance(aws, id),
        aws.status_checks(id),
        agent(aws, id),
        aws.connection_status(id),
        aws.preferences(),
        aws.identity(),
        kind(aws, document),
    );
    let mut findings = Vec::new();
    if !id.is_hybrid() {
        let elsewhere = elsewhere(ctx, &resolved.scope, id);
        findings.push(node::state(id, &facts, &elsewhere));
        findings.push(node::status(id, &checks));
    } else {
        findings.push(node::tier(&aws.service_setting(node::TIER).await));
    }
    findings.extend(node::agent(id, &told, needs, Timestamp::now()));
    findings.push(node::connection(&status));
    let key = preferences
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .and_then(|told| told.kms_key.clone());
    let role = deeper(aws, id, &facts, &status, key.as_deref(), &mut findings).await;
    let who = identity.as_ref().map(|identity| principal(&identity.arn));
    let may = async |actions: &[&str], resources: &[&str]| match &who {
        Ok(Some(principal)) => aws.simulate(principal, actions, resources).await,
        Ok(None) => Err(ServiceError::local(
            ErrorKind::Other,
            "the policies of this kind of identity cannot be simulated",
        )),
        Err(error) => Err((*error).clone()),
    };
    let node_arn = node_arn(&resolved.scope, id);
    let key_arn = key.as_deref().filter(|key| key.starts_with("arn:"));
    let nodes = [node_arn.as_str()];
    let (caller, caller_kms) = tokio::join!(may(&["ssm:StartSession"], &nodes), async {
        match key_arn {
            Some(key) => Some(may(&["kms:GenerateDataKey"], &[key]).await),
            None => None,
        }
    });
    findings.push(rights::caller(&caller));
    findings.push(rights::document(document, &kind));
    findings.extend(rights::preferences(
        &preferences,
        caller_kms.as_ref(),
        role.as_ref(),
    ));
    Report { findings }
}

/// Hybrid machines are none of EC2's.
async fn instance(aws: &Aws, id: &NodeId) -> Result<InstanceFacts, ServiceError> {
    if id.is_hybrid() {
        return Err(ServiceError::local(ErrorKind::NotFound, "a hybrid machine"));
    }
    aws.instance_facts(id).await
}

async fn kind(aws: &Aws, document: Option<&str>) -> Result<String, ServiceError> {
    match document {
        Some(name) => aws.document_type(name).await,
        None => Ok(String::new()),
    }
}

async fn agent(aws: &Aws, id: &NodeId) -> Result<Option<Node>, ServiceError> {
    match lookup::find(aws, &Query::id(id.clone())).await {
        Ok(found) => match found.coverage.ssm {
            Half::Missing(error) => Err(error),
            _ => Ok(found.nodes.into_iter().next()),
        },
        Err(LookupError::Failed(error)) => Err(error),
        Err(LookupError::BothMissing { ssm, .. }) => Err(*ssm),
    }
}

/// Role, metadata and network: where the agent is connected they serve, and nobody has to look. Answers with
/// what the node's role may do with the key of the preferences.
async fn deeper(
    aws: &Aws,
    id: &NodeId,
    facts: &Result<InstanceFacts, ServiceError>,
    status: &Result<ConnectionStatus, ServiceError>,
    key: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Option<Result<Vec<Simulated>, ServiceError>> {
    let facts = facts.as_ref().ok()?;
    let key = key.filter(|key| key.starts_with("arn:"));
    let is_connected = matches!(status, Ok(ConnectionStatus::Connected));
    let role = async {
        match &facts.profile_arn {
            Some(profile) => Some(aws.role_of_profile(profile).await),
            None => None,
        }
    };
    if is_connected {
        findings.push(Finding::pass(
            "role and network",
            "they serve: the agent is connected",
        ));
        let role = match key {
            Some(_) => role.await,
            None => None,
        };
        return decrypt(aws, role.as_ref(), key).await;
    }
    let host_management = async {
        match facts.profile_arn {
            None => Some(aws.service_setting(HOST_MANAGEMENT).await),
            Some(_) => None,
        }
    };
    let (role, host_management, network) = tokio::join!(role, host_management, network(aws, facts));
    let allowed = match &role {
        Some(Ok(Some(role))) => Some(aws.simulate(role, AGENT_ACTIONS, &[]).await),
        _ => None,
    };
    findings.push(node::role(
        id,
        &RoleFacts {
            profile: facts.profile_arn.as_deref(),
            role: role.as_ref(),
            allowed: allowed.as_ref(),
            host_management: host_management.as_ref(),
        },
    ));
    findings.push(node::metadata(id, facts));
    if let Some(network) = network {
        findings.extend(network::findings(facts, &network, aws.region().as_str()));
    }
    decrypt(aws, role.as_ref(), key).await
}

async fn decrypt(
    aws: &Aws,
    role: Option<&Result<Option<String>, ServiceError>>,
    key: Option<&str>,
) -> Option<Result<Vec<Simulated>, ServiceError>> {
    match (role?, key?) {
        (Ok(Some(role)), key) => Some(aws.simulate(role, &["kms:Decrypt"], &[key]).await),
        (Ok(None), _) => None,
        (Err(error), _) => Some(Err(error.clone())),
    }
}

async fn network(aws: &Aws, facts: &InstanceFacts) -> Option<Network> {
    let (vpc, subnet) = (facts.vpc.as_deref()?, facts.subnet.as_deref()?);
    let endpoints_and_groups = async {
        let endpoints = aws.endpoints(vpc).await;
        let theirs = endpoints
            .iter()
            .flatten()
            .filter(|endpoint| endpoint.service.contains(".ssm"));
        let ids: BTreeSet<String> = theirs
            .flat_map(|endpoint| endpoint.groups.iter())
            .chain(&facts.groups)
            .cloned()
            .collect();
        (endpoints, aws.security_groups(&ids).await)
    };
    let (routes, (endpoints, groups), acl, dns) = tokio::join!(
        aws.routes(vpc, subnet),
        endpoints_and_groups,
        aws.acl(subnet),
        aws.dns(vpc)
    );
    Some(Network {
        routes,
        endpoints,
        groups,
        acl,
        dns,
    })
}

/// Other scopes where the id was seen, by what is remembered.
fn elsewhere(ctx: &Context, here: &Scope, id: &NodeId) -> Vec<String> {
    let snapshots = ctx.snapshots();
    let scopes = snapshots.scopes().into_iter().filter(|scope| scope != here);
    scopes
        .filter(|scope| {
            let known = snapshots
                .open(scope)
                .and_then(|snapshot| snapshot.find(&Query::id(id.clone())));
            known.is_some_and(|nodes| !nodes.is_empty())
        })
        .map(|scope| format!("account {} in {}", scope.account, scope.region))
        .collect()
}

fn node_arn(scope: &Scope, id: &NodeId) -> String {
    let Scope {
        partition,
        account,
        region,
    } = scope;
    if id.is_hybrid() {
        format!("arn:{partition}:ssm:{region}:{account}:managed-instance/{id}")
    } else {
        format!("arn:{partition}:ec2:{region}:{account}:instance/{id}")
    }
}
