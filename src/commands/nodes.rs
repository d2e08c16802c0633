//! Nodes as data: the row of a listing and the document of one, the same keys in both.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::targets::words;
use crate::ids::Scope;
use crate::inventory::node::{AgentState, InstanceState, Node};
use crate::resolve::order::{Standing, standing};
use crate::ui::output::{Cell, Column, Listing, Row, Tone};

/// A node of a scope, to be printed.
pub struct NodeRow<'a> {
    /// The node.
    pub node: &'a Node,
    /// Where it is.
    pub scope: &'a Scope,
    /// Tags that are further columns.
    pub tags: &'a [String],
}

/// Over what a listing spreads: what tells its rows apart is never left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// One account, one region.
    OneScope,
    /// Regions of one account.
    Regions,
    /// Accounts.
    Accounts,
}

/// A listing of nodes, with the given tags as further columns.
pub fn listing(tags: &[String], breadth: Breadth) -> Listing {
    let at = |shown: bool, column: Column| if shown { column.whole() } else { column.wide() };
    let mut columns = vec![
        Column::new("name", "name"),
        Column::new("id", "id").whole(),
        Column::new("state", "state"),
        Column::new("agent", "agent"),
        Column::new("address", "addresses"),
    ];
    columns.extend(tags.iter().map(|tag| Column::new(tag.clone(), "")));
    columns.extend([
        Column::new("type", "instance_type").wide(),
        Column::new("zone", "zone").wide(),
        Column::new("platform", "platform").wide(),
        Column::new("agent version", "agent_version").wide(),
        Column::new("launched", "launched").wide(),
        Column::new("asg", "asg").wide(),
        Column::new("vpc", "vpc").wide(),
        at(breadth == Breadth::Accounts, Column::new("account", "account")),
        at(breadth != Breadth::OneScope, Column::new("region", "region")),
    ]);
    Listing {
        key: "nodes",
        columns,
    }
}

impl Row for NodeRow<'_> {
    fn cells(&self) -> Vec<Cell> {
        let Self { node, scope, tags } = *self;
        let text = |text: &Option<String>| Cell::from(text.clone());
        let mut cells = vec![
            text(&node.name),
            Cell::from(node.id.as_str()),
            state(node),
            agent(node),
            Cell::from(node.addresses.first().cloned()),
        ];
        cells.extend(tags.iter().map(|tag| Cell::from(node.tags.get(tag).cloned())));
        cells.extend([
            text(&node.instance_type),
            text(&node.zone),
            text(&node.platform),
            text(&node.agent_version),
            Cell::from(node.launched.map(time)),
            text(&node.asg),
            text(&node.vpc),
            Cell::from(scope.account.as_str()),
            Cell::from(scope.region.as_str()),
        ]);
        cells
    }

    fn name(&self) -> String {
        format!("instance/{}", self.node.id)
    }

    fn document(&self) -> Value {
        Value::Object(document(self.node, self.scope))
    }
}

/// All about a node. Every key is always there; what is not known is null.
pub fn document(node: &Node, scope: &Scope) -> Map<String, Value> {
    let document = json!({
        "id": node.id,
        "name": node.name,
        "state": node.state,
        "agent": node.agent,
        "condition": words::condition(node),
        "agent_version": node.agent_version,
        "last_ping": node.last_ping,
        "os": node.os,
        "platform": node.platform,
        "computer": node.computer,
        "addresses": node.addresses,
        "instance_type": node.instance_type,
        "zone": node.zone,
        "vpc": node.vpc,
        "asg": node.asg,
        "role": node.role,
        "launched": node.launched,
        "tags": node.tags,
        "partition": scope.partition,
        "account": scope.account,
        "region": scope.region,
    });
    match document {
        Value::Object(map) => map,
        // `json!` with braces makes an object.
        _ => Map::new(),
    }
}

/// EC2's word on the state.
pub fn state(node: &Node) -> Cell {
    let tone = match node.state {
        InstanceState::Running => Tone::Good,
        InstanceState::Pending | InstanceState::Stopping => Tone::Odd,
        InstanceState::Stopped | InstanceState::Unknown => Tone::Faint,
        InstanceState::ShuttingDown | InstanceState::Terminated => Tone::Faint,
    };
    let text = match node.state {
        // EC2 has no word on hybrid machines.
        InstanceState::Unknown if node.id.is_hybrid() => "-",
        state => state.as_str(),
    };
    Cell::toned(text, tone)
}

/// SSM's word on the agent; of what is not up there is none.
pub fn agent(node: &Node) -> Cell {
    if matches!(standing(node), Standing::Down(_)) {
        return Cell::toned("-", Tone::Faint);
    }
    match node.agent {
        AgentState::Online => Cell::toned("online", Tone::Good),
        AgentState::Lost => Cell::toned("lost", Tone::Bad),
        AgentState::NeverRegistered => Cell::toned("never registered", Tone::Bad),
        AgentState::Unknown => Cell::toned("unknown", Tone::Faint),
    }
}

/// A time as it stands in a column.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
