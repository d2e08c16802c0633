//! Second opinions: the real AWS CLI on our sandbox, and moto as an AWS of another hand.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use serde_json::Value;

use crate::env::TestEnv;
use crate::tools::{clis, python};

/// The AWS CLI in the environment of ours, at an endpoint.
fn by_cli(aws: &Path, env: &TestEnv, endpoint: &str, words: &[&str]) -> String {
    let output = env
        .other(aws)
        .args(words)
        .args(["--endpoint-url", endpoint])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{aws:?} {words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the AWS CLI makes of those that bear the name `prod-web`.
const TABLE: &str = "\
---------------------------------------------------
|                DescribeInstances                |
+----------------------+-----------+--------------+
|       Instance       |   Name    |   Status     |
+----------------------+-----------+--------------+
|  i-0a1b2c3d4e5f60001 |  prod-web |  running     |
|  i-0a1b2c3d4e5f60002 |  prod-web |  terminated  |
+----------------------+-----------+--------------+
";

#[test]
fn both_aws_clis_read_the_sandboxs_inventory() {
    for aws in clis() {
        let env = TestEnv::new();
        let endpoint = env.sandbox.endpoint();
        let query = "Reservations[*].Instances[*].{Instance:InstanceId,Name:Tags[?Key=='Name']|[0].Value,Status:State.Name}";
        let words = [
            "ec2",
            "describe-instances",
            "--query",
            query,
            "--output",
            "table",
            "--filters",
            "Name=tag:Name,Values=prod-web",
        ];
        assert_eq!(by_cli(&aws, &env, &endpoint, &words), TABLE);
        // Page by page they come to the same nodes as ours.
        let words = [
            "ssm",
            "describe-instance-information",
            "--page-size",
            "5",
            "--output",
            "json",
        ];
        let theirs: Value = serde_json::from_str(&by_cli(&aws, &env, &endpoint, &words)).unwrap();
        let rows = theirs["InstanceInformationList"].as_array().unwrap();
        let mut theirs: Vec<&str> = rows
            .iter()
            .map(|row| row["InstanceId"].as_str().unwrap())
            .collect();
        theirs.sort_unstable();
        let ours = env
            .run(&["ls", "-o", "json", "--query", "nodes[?agent_version].id"])
            .ok();
        let mut ours: Vec<String> = serde_json::from_str(&ours).unwrap();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
    }
}

/// A moto server of its own, ended when it is dropped.
struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Option<Self> {
        let program = python()?.join("moto_server");
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let endpoint = lines.find_map(|line| Some(line.ok()?.split_once("Running on ")?.1.trim().to_owned()));
        // It goes on to tell of each request.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            endpoint: endpoint.unwrap(),
        })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn names_are_resolved_in_an_aws_of_another_hand() {
    let (Some(moto), Some(aws)) = (Moto::start(), clis().pop()) else {
        return;
    };
    let mut env = TestEnv::new();
    // moto answers what it lacks with HTTP 500, which a patient client would ask for again and again.
    env.set("AWS_MAX_ATTEMPTS", "1");
    let tagged = |name: &str| {
        let tags = format!("ResourceType=instance,Tags=[{{Key=Name,Value={name}}},{{Key=team,Value=shop}}]");
        let words = [
            "ec2",
            "run-instances",
            "--image-id",
            "ami-12c6146b",
            "--tag-specifications",
            &tags,
            "--query",
            "Instances[0].InstanceId",
            "--output",
            "text",
        ];
        by_cli(&aws, &env, &moto.endpoint, &words).trim().to_owned()
    };
    let (web, db) = (tagged("web"), tagged("db"));
    let ssmx = |words: &[&str]| env.run(&[words, &["--endpoint-url", &moto.endpoint]].concat());
    assert_eq!(
        ssmx(&["resolve", "web", "-o", "name"]).ok(),
        format!("instance/{web}\n")
    );
    assert_eq!(
        ssmx(&["resolve", &db, "-o", "name"]).ok(),
        format!("instance/{db}\n")
    );
    let told = ssmx(&["ls", "--tag", "team=shop", "-o", "name"]);
    assert_eq!(told.status, 0, "{told}");
    let mut listed: Vec<&str> = told.stdout.lines().collect();
    listed.sort_unstable();
    let mut expected = [format!("instance/{web}"), format!("instance/{db}")];
    expected.sort_unstable();
    assert_eq!(listed, expected);
    // What it lacks is told in plain words.
    assert_snapshot!(told.stderr, @"warning: SSM did not tell its agents (ssm:DescribeInstanceInformation: the endpoint answered HTTP 500 in a form that is not AWS's; does it offer this service?); whether nodes can be reached is unknown");
    let told = ssmx(&["connect", &web]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("ssm:StartSession"), "{told}");
}
