//! DescribeInstanceInformation and GetConnectionStatus.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, Request, cut, invalid, page_size, seconds};
use crate::world::{Node, World};

/// So many values may a filter have.
const MOST_VALUES: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    instance_information_filter_list: Vec<OldFilter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

/// The older form, with keys in lower camel case and no tags.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldFilter {
    key: String,
    value_set: Vec<String>,
}

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let mut wanted: Describe = request.input.parse()?;
    let size = page_size(wanted.max_results, 10, 5, 50)?;
    if !wanted.filters.is_empty() && !wanted.instance_information_filter_list.is_empty() {
        return Err(ApiError::new(
            "ValidationException",
            "Filters and InstanceInformationFilterList cannot be given together.",
        ));
    }
    for OldFilter { key, value_set } in wanted.instance_information_filter_list.drain(..) {
        if key.starts_with("tag") {
            return Err(ApiError::new("InvalidFilterKey", ""));
        }
        wanted.filters.push(Filter {
            key,
            values: value_set,
        });
    }
    for filter in &wanted.filters {
        check(world, request, filter)?;
    }
    let mut question: Vec<String> = wanted
        .filters
        .iter()
        .map(|filter| format!("{}={}", filter.key, filter.values.join(",")))
        .collect();
    question.sort();

    let holds =
        |node: &Arc<Node>| node.is_registered() && wanted.filters.iter().all(|filter| holds(filter, node));
    let ids = wanted.filters.iter().find(|filter| filter.key == "InstanceIds");
    let nodes: Vec<Arc<Node>> = match ids {
        Some(filter) => {
            let mut nodes: Vec<Arc<Node>> = Vec::new();
            for id in &filter.values {
                let found = world.node(&request.place, id).filter(|node| holds(node));
                nodes.extend(found.filter(|node| nodes.iter().all(|known| known.id != node.id)));
            }
            nodes
        }
        None => world.scan(&request.place, |nodes| {
            nodes.iter().filter(|node| holds(node)).cloned().collect()
        }),
    };
    let (page, next) = cut(nodes, &question.join("&"), wanted.next_token.as_deref(), size)?;
    let now = world.now();
    let rows: Vec<Value> = page.iter().map(|node| row(node, now)).collect();
    let mut answer = json!({ "InstanceInformationList": rows });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer.to_string())
}

fn check(world: &World, request: &Request<'_>, filter: &Filter) -> Result<(), ApiError> {
    if filter.values.is_empty() || filter.values.len() > MOST_VALUES {
        let constraint = format!("Member must have length between 1 and {MOST_VALUES}");
        return Err(invalid(
            &filter.values.len().to_string(),
            "filters.values",
            &constraint,
        ));
    }
    if value(&Node::like_any(), &filter.key).is_none() {
        return Err(ApiError::new(
            "InvalidFilterKey",
            format!("The filter key {} is not valid.", filter.key),
        ));
    }
    // One id that the account does not have fails the call as a whole.
    let unknown =
        |id: &&String| id.parse::<ssmx::ids::NodeId>().is_err() || world.node(&request.place, id).is_none();
    match filter.values.iter().find(unknown) {
        Some(id) if filter.key == "InstanceIds" => Err(ApiError::new(
            "InvalidInstanceId",
            format!("The instance ID {id} is not valid for this account."),
        )),
        _ => Ok(()),
    }
}

fn holds(filter: &Filter, node: &Node) -> bool {
    let is_wanted = |value: &str| filter.values.iter().any(|wanted| wanted == value);
    match filter.key.as_str() {
        "tag-key" => node.tags().any(|(key, _)| is_wanted(key)),
        key => match key.strip_prefix("tag:") {
            Some(key) => node.tag(key).is_some_and(is_wanted),
            None => value(node, key).flatten().is_some_and(|value| is_wanted(&value)),
        },
    }
}

/// The node's value under a filter's key; `None` for a key that SSM does not know.
fn value(node: &Node, key: &str) -> Option<Option<String>> {
    Some(match key {
        "InstanceIds" => Some(node.id.clone()),
        "AgentVersion" => Some(node.facts.agent.version.clone()),
        "PingStatus" => Some(node.ping().as_str().to_owned()),
        "PlatformTypes" => Some(node.facts.platform.as_str().to_owned()),
        "IamRole" => node.facts.role.clone(),
        "ResourceType" => Some(resource_type(node).to_owned()),
        "ActivationIds" => node.is_hybrid().then(|| activation(node)),
        "AssociationStatus" | "SourceIds" | "SourceTypes" | "tag-key" => None,
        key if key.strip_prefix("tag:").is_some_and(|key| !key.is_empty()) => None,
        _ => return None,
    })
}

fn resource_type(node: &Node) -> &'static str {
    if node.is_hybrid() {
        "ManagedInstance"
    } else {
        "EC2Instance"
    }
}

fn activation(node: &Node) -> String {
    let derived = node.derived_id("activation");
    let digits = derived.trim_start_matches("activation-");
    format!("{}-0000-4000-8000-{:0>12}", &digits[..8], &digits[8..])
}

fn row(node: &Node, now: jiff::Timestamp) -> Value {
    let (platform, version) = node.platform();
    let mut row = json!({
        "InstanceId": node.id,
        "PingStatus": node.ping().as_str(),
        "LastPingDateTime": seconds(node.last_ping(now)),
        "AgentVersion": node.facts.agent.version,
        "IsLatestVersion": node.facts.agent.latest,
        "PlatformType": node.facts.platform.as_str(),
        "PlatformName": platform,
        "PlatformVersion": version,
        "ResourceType": resource_type(node),
        "IPAddress": node.private_ip(),
        "ComputerName": node.computer_name(),
    });
    if node.is_hybrid() {
        row["ActivationId"] = activation(node).into();
        row["RegistrationDate"] = seconds(node.facts.launched).into();
        if let Some(name) = &node.facts.name {
            row["Name"] = name.clone().into();
        }
        if let Some(role) = &node.facts.role {
            row["IamRole"] = role.clone().into();
        }
    }
    row
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Connection {
    target: String,
}

/// Of a target that nobody knows, the service says no more than that it is not connected.
pub(super) fn connection_status(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let Connection { target } = request.input.parse()?;
    let connected = world
        .node(&request.place, &target)
        .is_some_and(|node| node.is_connected());
    let status = if connected { "connected" } else { "notconnected" };
    Ok(json!({ "Target": target, "Status": status }).to_string())
}
