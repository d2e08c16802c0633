//! What a look-up in a snapshot costs, in time and memory, at 100, 10,000 and 100,000 nodes: `cargo bench --bench
//! snapshot`. Figures go to stdout, one line a size.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed, and tells its figures"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ssmx::ids::{NodeId, Scope};
use ssmx::inventory::node::{AgentState, InstanceState, Node};
use ssmx::inventory::query::{Pattern, Query};
use ssmx::inventory::snapshot::{Breadth, Snapshots};

fn main() {
    for size in [100, 10_000, 100_000] {
        measure(size);
    }
}

fn measure(size: u32) {
    let directory = tempfile::tempdir().unwrap();
    let snapshots = Snapshots::new(directory.path());
    let scope = Scope {
        partition: "aws".parse().unwrap(),
        account: "123456789012".parse().unwrap(),
        region: "eu-west-2".parse().unwrap(),
    };
    let start = Instant::now();
    let mut writer = snapshots.begin(&scope, Breadth::Full).unwrap();
    for first in (0..size).step_by(1000) {
        let page: Vec<Node> = (first..(first + 1000).min(size)).map(node).collect();
        writer.push(&page).unwrap();
    }
    writer.finish().unwrap();
    let written = start.elapsed();
    let before = peak();
    let name = Query::name(Pattern::Exact(format!("prod-web-{:06}", size / 2)));
    let by_name = best(|| {
        let found = snapshots.open(&scope).unwrap().find(&name).unwrap();
        assert_eq!(found.len(), 1);
    });
    let by_id = best(|| {
        let found = snapshots.open(&scope).unwrap().find(&Query::id(id(size / 3)));
        assert_eq!(found.unwrap().len(), 1);
    });
    let offered = best(|| {
        let rows = snapshots.open(&scope).unwrap().names("prod-web-0000", 500);
        assert_eq!(rows.len(), 100.min(size as usize));
        black_box(rows);
    });
    println!(
        "{size:>7} nodes: written in {written:.1?}; by name {by_name:.1?}, by id {by_id:.1?}, 100 names by prefix \
         {offered:.1?}; peak memory grew by {} KiB",
        peak().saturating_sub(before)
    );
}

/// The best of many: whatever else the machine does only adds.
fn best(mut act: impl FnMut()) -> Duration {
    let times = (0..200).map(|_| {
        let start = Instant::now();
        act();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn id(number: u32) -> NodeId {
    format!("i-{:017x}", u64::from(number) * 7_919).parse().unwrap()
}

fn node(number: u32) -> Node {
    let mut node = Node::new(id(number));
    let name = format!("prod-web-{number:06}");
    node.state = InstanceState::Running;
    node.agent = AgentState::Online;
    node.addresses = vec![format!(
        "10.{}.{}.{}",
        number >> 16,
        number >> 8 & 255,
        number & 255
    )];
    node.tags.insert("Name".into(), name.clone());
    node.tags.insert("Environment".into(), "production".into());
    node.name = Some(name);
    node.zone = Some("eu-west-2a".into());
    node.instance_type = Some("m7i.large".into());
    node
}

/// The largest this process has been, in KiB; where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
