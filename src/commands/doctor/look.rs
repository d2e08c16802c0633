//! Facts about a node, had from AWS side by side, each within a bounded time; the rooms beside this one judge them.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio::time::timeout;

use super::elsewhere;
use super::far::{self, Far};
use super::network::{self, Network};
use super::node::{self, AGENT_ACTIONS, HOST_MANAGEMENT, RoleFacts};
use super::preferences::{self, Around};
use super::report::{Finding, Report};
use super::rights::{self, Start, Told};
use crate::aws::Aws;
use crate::aws::diagnosis::databases::Database;
use crate::aws::diagnosis::instance::InstanceFacts;
use crate::aws::diagnosis::settings::{PREFERENCES, Preferences};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::iam::{Fact, principal};
use crate::aws::kms::KeyFacts;
use crate::aws::session::ConnectionStatus;
use crate::commands::context::Context;
use crate::commands::targets::Resolved;
use crate::ids::{NodeId, Scope, Version};
use crate::inventory::lookup::{self, Half, LookupError};
use crate::inventory::node::Node;
use crate::inventory::query::Query;

/// How long one call may take. Four follow each other at most, so that doctor is done within a minute.
const PATIENCE: Duration = Duration::from_secs(6);

/// What is to be done on the node.
pub struct Wanted<'a> {
    /// With this session document.
    pub document: Option<&'a str>,
    /// What the agent has to be able to, one of [`node::GATES`].
    pub needs: &'static str,
    /// A host behind it.
    pub far: Option<Far>,
    /// Whether the other scopes are looked through for what is not here.
    pub other_scopes: bool,
}

/// A call that does not hold up the others for ever. The SDK's futures are large, and many are joined here: each
/// has a place of its own on the heap.
fn bounded<'a, T: 'a>(
    call: impl Future<Output = Result<T, ServiceError>> + 'a,
) -> LocalBoxFuture<'a, Result<T, ServiceError>> {
    let call = async {
        timeout(PATIENCE, call).await.unwrap_or_else(|_| {
            let words = format!("no answer came within {} s", PATIENCE.as_secs());
            Err(ServiceError::local(ErrorKind::Unreachable, words))
        })
    };
    call.boxed_local()
}

/// The checks of a node. What connect and forward add to their error comes from here too.
pub async fn look(ctx: &Context, resolved: &Resolved, wanted: &Wanted<'_>) -> Report {
    let (aws, id) = (&*resolved.aws, &resolved.node.id);
    let (facts, checks, told, status, saved, identity, kind) = tokio::join!(
        bounded(instance(aws, id)),
        bounded(aws.status_checks(id)),
        bounded(agent(aws, id)),
        bounded(aws.connection_status(id)),
        bounded(aws.preferences()),
        bounded(aws.identity()),
        bounded(kind(aws, wanted.document)),
    );
    let mut findings = Vec::new();
    if id.is_hybrid() {
        findings.push(node::tier(&bounded(aws.service_setting(node::TIER)).await));
    } else {
        let is_missing = matches!(&facts, Err(error) if error.kind == ErrorKind::NotFound);
        let seen = match is_missing && wanted.other_scopes {
            true => elsewhere::with_id(ctx, &resolved.scope, id).boxed_local().await,
            false => Vec::new(),
        };
        findings.push(node::state(id, &facts, &seen));
        findings.push(node::status(id, &checks));
    }
    findings.extend(node::agent(id, &told, wanted.needs, Timestamp::now()));
    findings.push(node::connection(&status));
    let caller = identity.as_ref().map(|identity| principal(&identity.arn));
    let caller = match caller {
        Ok(Some(principal)) => Ok(principal),
        Ok(None) => Err(ServiceError::local(
            ErrorKind::Other,
            "the policies of this kind of identity cannot be simulated",
        )),
        Err(error) => Err(error.clone()),
    };
    let version = match &told {
        Ok(Some(node)) => node.agent_version.as_deref().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let is_connected = matches!(status, Ok(ConnectionStatus::Connected));
    let preferences = saved.as_ref().ok().and_then(Option::as_ref);
    let tags = match &told {
        Ok(Some(node)) => tags(node),
        _ => tags(&resolved.node),
    };
    let behind_it = async {
        match &wanted.far {
            Some(far) => Some((far, behind(aws, far).await)),
            None => None,
        }
    };
    let (deeper, start, around, far) = tokio::join!(
        deeper(aws, id, facts.as_ref().ok(), is_connected, version).boxed_local(),
        start(aws, &resolved.scope, id, &caller, wanted.document, &tags).boxed_local(),
        around(aws, facts.as_ref().ok(), preferences, &caller).boxed_local(),
        behind_it.boxed_local(),
    );
    findings.extend(deeper);
    findings.push(rights::caller(&Start {
        node: id,
        on_node: &start.0,
        unchecked: &start.1,
        on_document: &start.2,
        document: wanted.document,
    }));
    findings.push(rights::document(wanted.document, &kind));
    findings.extend(preferences::findings(&saved, &around));
    if let Some((far, facts_of_far)) = far {
        findings.extend(far::findings(id, facts.as_ref().ok(), far, &facts_of_far));
    }
    Report { findings }.in_scope(aws.profile(), aws.region())
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

/// Conditions on the node's tags, which policies go by.
fn tags(node: &Node) -> Vec<Fact> {
    let tags = node.tags.iter().flat_map(|(key, value)| {
        ["ssm", "aws"].map(|service| Fact {
            key: match service {
                "aws" => format!("aws:ResourceTag/{key}"),
                _ => format!("ssm:resourceTag/{key}"),
            },
            kind: "string",
            value: value.clone(),
        })
    });
    tags.collect()
}

/// What the simulator says of StartSession: on the node, there without the check of the document, on the document.
async fn start(
    aws: &Aws,
    scope: &Scope,
    id: &NodeId,
    caller: &Result<String, ServiceError>,
    document: Option<&str>,
    tags: &[Fact],
) -> (Told, Told, Told) {
    let may = async |resource: &str, check: &str| {
        let caller = caller.as_ref().map_err(Clone::clone)?;
        let mut facts = tags.to_vec();
        facts.push(Fact {
            key: "ssm:SessionDocumentAccessCheck".to_owned(),
            kind: "boolean",
            value: check.to_owned(),
        });
        bounded(aws.simulate(caller, &["ssm:StartSession"], &[resource], &facts)).await
    };
    let node = node_arn(scope, id);
    let document = document_arn(scope, document.unwrap_or(PREFERENCES));
    tokio::join!(may(&node, "true"), may(&node, "false"), may(&document, "true"))
}

/// What the preferences ask for: the key and both sides' rights to it, the caller's tag, the places of logs.
async fn around(
    aws: &Aws,
    facts: Option<&InstanceFacts>,
    preferences: Option<&Preferences>,
    caller: &Result<String, ServiceError>,
) -> Around {
    let Some(preferences) = preferences else {
        return Around::default();
    };
    let key = async {
        let Some(key) = preferences.kms_key.as_deref() else {
            return (None, None, None);
        };
        let told = bounded(aws.kms_key(key)).await;
        let arn = match &told {
            Ok(KeyFacts { arn, .. }) => arn.as_str(),
            Err(_) if key.starts_with("arn:") && key.contains(":key/") => key,
            Err(_) => return (Some(told), None, None),
        };
        let generate = async {
            let caller = caller.as_ref().map_err(Clone::clone)?;
            bounded(aws.simulate(caller, &["kms:GenerateDataKey"], &[arn], &[])).await
        };
        let (caller, node) = tokio::join!(generate, decrypt(aws, facts, arn));
        (Some(told), Some(caller), node)
    };
    let tag = async {
        let caller = match caller {
            Ok(caller) if preferences.run_as => caller,
            _ => return None,
        };
        Some(bounded(aws.tag_of_principal(caller, "SSMSessionRunAs")).await)
    };
    let bucket = async { Some(bounded(aws.log_bucket(preferences.log_bucket.as_deref()?)).await) };
    let group = async { Some(bounded(aws.log_group(preferences.log_group.as_deref()?)).await) };
    let ((key, caller, node), run_as, bucket, group) = tokio::join!(key, tag, bucket, group);
    Around {
        key,
        caller,
        node,
        run_as,
        bucket,
        group,
    }
}

/// What the node's role may do with the key; `None` where it has none that is known.
async fn decrypt(aws: &Aws, facts: Option<&InstanceFacts>, key: &str) -> Option<Told> {
    let profile = facts?.profile_arn.as_deref()?;
    match bounded(aws.role_of_profile(profile)).await {
        Ok(Some(role)) => Some(bounded(aws.simulate(&role, &["kms:Decrypt"], &[key], &[])).await),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Role, metadata and network: where the agent is connected they serve, and nobody has to look.
async fn deeper(
    aws: &Aws,
    id: &NodeId,
    facts: Option<&InstanceFacts>,
    is_connected: bool,
    agent: Option<Version>,
) -> Vec<Finding> {
    let Some(facts) = facts else {
        return Vec::new();
    };
    if is_connected {
        return vec![Finding::pass(
            "role and network",
            "they serve: the agent is connected",
        )];
    }
    let role = async {
        let Some(profile) = &facts.profile_arn else {
            return (None, None);
        };
        let role = bounded(aws.role_of_profile(profile)).await;
        let allowed = match &role {
            Ok(Some(role)) => Some(bounded(aws.simulate(role, AGENT_ACTIONS, &[], &[])).await),
            _ => None,
        };
        (Some(role), allowed)
    };
    let host_management = async {
        match facts.profile_arn {
            None => Some(bounded(aws.service_setting(HOST_MANAGEMENT)).await),
            Some(_) => None,
        }
    };
    let ((role, allowed), host_management, network) =
        tokio::join!(role, host_management, network(aws, facts));
    let mut findings = vec![
        node::role(
            id,
            &RoleFacts {
                profile: facts.profile_arn.as_deref(),
                role: role.as_ref(),
                allowed: allowed.as_ref(),
                host_management: host_management.as_ref(),
                agent,
            },
        ),
        node::metadata(id, facts),
    ];
    if let Some(network) = network {
        findings.extend(network::findings(facts, &network, aws.region().as_str()));
    }
    findings
}

async fn network(aws: &Aws, facts: &InstanceFacts) -> Option<Network> {
    let (vpc, subnet) = (facts.vpc.as_deref()?, facts.subnet.as_deref()?);
    let endpoints_and_groups = async {
        let endpoints = bounded(aws.endpoints(vpc)).await;
        let theirs = endpoints
            .iter()
            .flatten()
            .filter(|endpoint| endpoint.service.contains(".ssm"));
        let ids: BTreeSet<String> = theirs
            .flat_map(|endpoint| endpoint.groups.iter())
            .chain(&facts.groups)
            .cloned()
            .collect();
        (endpoints, bounded(aws.security_groups(&ids)).await)
    };
    let (routes, (endpoints, groups), acl, dns, name_servers) = tokio::join!(
        bounded(aws.routes(vpc, subnet)),
        endpoints_and_groups,
        bounded(aws.acl(subnet)),
        bounded(aws.dns(vpc)),
        bounded(aws.name_servers(vpc))
    );
    Some(Network {
        routes,
        endpoints,
        groups,
        acl,
        dns,
        name_servers,
    })
}

/// What RDS and EC2 tell of a host behind the node.
async fn behind(aws: &Aws, far: &Far) -> far::Facts {
    let Some(database) = Database::named(&far.host) else {
        return far::Facts {
            database: None,
            groups: Ok(Vec::new()),
        };
    };
    let told = bounded(aws.database(&database)).await;
    let ids: BTreeSet<String> = told
        .iter()
        .flat_map(|database| database.groups.iter().cloned())
        .collect();
    let groups = bounded(aws.security_groups(&ids)).await;
    far::Facts {
        database: Some((database, told)),
        groups,
    }
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

/// AWS's own documents belong to no account.
fn document_arn(scope: &Scope, name: &str) -> String {
    let Scope {
        partition,
        account,
        region,
    } = scope;
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let account = if name.starts_with("AWS-") {
        ""
    } else {
        account.as_str()
    };
    format!("arn:{partition}:ssm:{region}:{account}:document/{name}")
}
