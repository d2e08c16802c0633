//! What the listings say of nodes.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Client;
use super::demo;
use crate::scenario::State;
use crate::{Sandbox, Scenario};

const WEB: &str = "i-0a1b2c3d4e5f60001";
const STOPPED: &str = "i-0a1b2c3d4e5f60006";
const NEVER_REGISTERED: &str = "i-0a1b2c3d4e5f60008";
const HYBRID: &str = "mi-0a1b2c3d4e5f60009";

#[tokio::test]
async fn ec2_lists_what_is_its_own_page_by_page() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let whole = alice.ec2("DescribeInstances", &[]).await;
    assert_eq!(whole.count("<instanceId>i-"), 12);
    assert_eq!(whole.count("<instanceId>mi-"), 0);
    assert!(whole.body.contains("<value>prod-zürich-β</value>"));

    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let mut fields = vec![("MaxResults", "5")];
        if !token.is_empty() {
            fields.push(("NextToken", &token));
        }
        let page = alice.ec2("DescribeInstances", &fields).await;
        let parts = page.body.split("<instanceId>").skip(1);
        ids.extend(parts.map(|rest| rest.split('<').next().unwrap().to_owned()));
        token = page.element("nextToken");
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(ids.len(), 12);
    ids.dedup();
    assert_eq!(ids.len(), 12);
}

#[tokio::test]
async fn ec2_filters_and_refuses() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let by = async |name: &str, value: &str| {
        let fields = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        alice
            .ec2("DescribeInstances", &fields)
            .await
            .count("<instanceId>")
    };
    assert_eq!(by("tag:Name", "prod-web").await, 2, "the terminated one too");
    assert_eq!(by("tag:Name", "prod-w*").await, 4);
    assert_eq!(by("tag:aws:autoscaling:groupName", "prod-workers").await, 2);
    assert_eq!(by("private-ip-address", "10.0.0.5").await, 1);
    let code = async |fields: &[(&str, &str)]| alice.ec2("DescribeInstances", fields).await.element("Code");
    assert_eq!(
        code(&[("Filter.1.Name", "nme"), ("Filter.1.Value.1", "x")]).await,
        "InvalidParameterValue"
    );
    assert_eq!(
        code(&[("InstanceId.1", "prod-web")]).await,
        "InvalidInstanceID.Malformed"
    );
    assert_eq!(
        code(&[("InstanceId.1", "i-0a1b2c3d4e5f6ffff")]).await,
        "InvalidInstanceID.NotFound"
    );
    assert_eq!(code(&[("DryRun", "true")]).await, "DryRunOperation");
    assert!(
        !alice
            .ec2("DescribeInstanceStatus", &[])
            .await
            .body
            .contains(STOPPED)
    );
}

#[tokio::test]
async fn ssm_knows_agents_and_fails_a_batch_for_one_bad_id() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let by_ids = async |ids: &[&str]| {
        let filters = json!({ "Filters": [{ "Key": "InstanceIds", "Values": ids }] });
        alice.ssm("DescribeInstanceInformation", filters).await
    };
    let both = by_ids(&[WEB, HYBRID, NEVER_REGISTERED]).await.json();
    let rows = both["InstanceInformationList"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "one was never registered");
    assert_eq!(rows[0]["PingStatus"], "Online");
    assert_eq!(rows[1]["Name"], "office-nas");
    assert_eq!(rows[1]["ResourceType"], "ManagedInstance");
    assert_eq!(
        by_ids(&[WEB, "i-0a1b2c3d4e5f6ffff"]).await.code(),
        "InvalidInstanceId"
    );
    assert_eq!(by_ids(&[WEB, "prod-web"]).await.code(), "InvalidInstanceId");
    let many: Vec<String> = (0..101).map(|n| format!("i-{n:017x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(by_ids(&many).await.code(), "ValidationException");
    let filter = json!({ "Filters": [{ "Key": "Nme", "Values": ["x"] }] });
    assert_eq!(
        alice.ssm("DescribeInstanceInformation", filter).await.code(),
        "InvalidFilterKey"
    );
    for size in [4, 51] {
        let size = json!({ "MaxResults": size });
        assert_eq!(
            alice.ssm("DescribeInstanceInformation", size).await.code(),
            "ValidationException"
        );
    }
}

#[tokio::test]
async fn what_changes_is_seen_at_once() {
    let sandbox = demo().await;
    let alice = Client::alice(&sandbox);
    let status = async || {
        let status = alice.ssm("GetConnectionStatus", json!({ "Target": WEB })).await;
        status.json()["Status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status().await, "connected");
    assert!(sandbox.world().set_state(WEB, State::Stopped));
    assert_eq!(status().await, "notconnected");
    let filter = json!({ "Filters": [{ "Key": "InstanceIds", "Values": [WEB] }] });
    let row = alice.ssm("DescribeInstanceInformation", filter).await.json();
    assert_eq!(row["InstanceInformationList"][0]["PingStatus"], "ConnectionLost");
    assert!(sandbox.world().set_state(WEB, State::Terminated));
    let filter = json!({ "Filters": [{ "Key": "InstanceIds", "Values": [WEB] }] });
    let gone = alice.ssm("DescribeInstanceInformation", filter).await.json();
    assert_eq!(gone["InstanceInformationList"], json!([]));
}

#[tokio::test]
async fn hostile_names_arrive_as_they_are() {
    let sandbox = Sandbox::start(Scenario::hostile()).await.unwrap();
    let alice = Client::alice(&sandbox);
    let whole = alice.ec2("DescribeInstances", &[]).await;
    assert!(
        whole.body.contains("&#x1b;]0;owned&#x7;"),
        "no raw control character"
    );
    assert!(whole.body.chars().all(|c| !c.is_control() || c == '\n'));
    let rows = alice
        .ssm("DescribeInstanceInformation", json!({ "MaxResults": 50 }))
        .await
        .json();
    let names = rows["InstanceInformationList"].as_array().unwrap();
    assert!(names.iter().any(|row| row["Name"] == "hybrid\u{1b}[2J"));
}

#[tokio::test]
async fn services_listen_where_their_node_finds_them() {
    let sandbox = demo().await;
    let talk = async |node: &str, name: &str, ask: &[u8], answer: &str| {
        let node = sandbox.world().node_named(node).unwrap();
        let address = &node.facts.session.names[name];
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ask).await.unwrap();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(answer) {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "no `{answer}`");
        }
    };
    talk("prod-bastion", "db.internal:5432", b"hello", "hello").await;
    let get = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    talk("prod-web", "localhost:80", get, "as seen from prod-web").await;
}

/// Generous bounds: they tell a walk over the list from a walk for each row of it.
#[tokio::test]
async fn a_hundred_thousand_nodes_are_paged_and_found() {
    let sandbox = Sandbox::start(Scenario::demo().with_generated(100_000))
        .await
        .unwrap();
    let alice = Client::alice(&sandbox);
    let started = Instant::now();
    let found = alice
        .ec2(
            "DescribeInstances",
            &[("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "node-099999")],
        )
        .await;
    assert_eq!(found.count("<instanceId>"), 1);
    let mut count = 0;
    let mut token = String::new();
    for _ in 0..10 {
        let mut fields = vec![("MaxResults", "1000")];
        if !token.is_empty() {
            fields.push(("NextToken", &token));
        }
        let page = alice.ec2("DescribeInstances", &fields).await;
        count += page.count("<instanceId>");
        token = page.element("nextToken");
    }
    assert_eq!(count, 10_000);
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}
