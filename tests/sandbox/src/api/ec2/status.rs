//! DescribeInstanceStatus.

use std::sync::Arc;

use super::filter::Filter;
use super::{ApiError, Request, Span, instances};
use crate::api::xml::Xml;
use crate::scenario::State;
use crate::world::{Node, World};

const FILTERS: &[&str] = &["instance-state-name", "instance-state-code", "availability-zone"];

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let span = Span::of(request.input, 5, 1000, "InstanceId")?;
    let filters = Filter::all(request.input)?;
    if let Some(filter) = filters
        .iter()
        .find(|filter| !FILTERS.contains(&filter.name.as_str()))
    {
        return Err(filter.unknown());
    }
    let every_state = request.input.flag("IncludeAllInstances");
    let wanted = |node: &Arc<Node>| {
        !node.is_hybrid()
            && (every_state || node.facts.state == State::Running)
            && filters.iter().all(|filter| filter.holds(node))
    };
    let ids = request.input.list("InstanceId");
    let nodes = match ids[..] {
        [] => world.nodes(&request.place),
        _ => instances::named(world, request, &ids)?,
    };
    let (chosen, next) = span.cut(&nodes, wanted);
    let mut xml = Xml::fragment();
    xml.node("instanceStatusSet", |xml| {
        for position in chosen {
            xml.node("item", |xml| status(xml, &nodes[position]));
        }
    });
    xml.maybe("nextToken", next.as_deref());
    Ok(xml.finish())
}

fn status(xml: &mut Xml, node: &Node) {
    let state = node.facts.state;
    xml.leaf("instanceId", &node.id);
    xml.leaf("availabilityZone", &node.zone());
    xml.node("instanceState", |xml| {
        xml.leaf("code", &state.code().to_string());
        xml.leaf("name", state.name());
    });
    let word = if state == State::Running {
        "ok"
    } else {
        "not-applicable"
    };
    for check in ["systemStatus", "instanceStatus"] {
        xml.node(check, |xml| {
            xml.leaf("status", word);
            xml.node("details", |xml| {
                if state == State::Running {
                    xml.node("item", |xml| {
                        xml.leaf("name", "reachability");
                        xml.leaf("status", "passed");
                    });
                }
            });
        });
    }
}
