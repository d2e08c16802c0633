//! The least policy: enough for its task on its target, and for nothing else.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use ssmx_sandbox::Scenario;

use super::env::TestEnv;
use super::tools::python;

const WEB: &str = "i-0a1b2c3d4e5f60001";
const OTHER: &str = "i-0a1b2c3d4e5f60002";

/// An account where one person has this policy, and another may do everything.
fn under(policy: Option<&str>) -> TestEnv {
    let policy = policy
        .map(|policy| format!(", policy = '''{policy}'''"))
        .unwrap_or_default();
    let text = format!(
        r#"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [
            {{ id = "ASIASANDBOXADA000001", secret = "s", session_token = "t1", identity = "assumed-role/Engineer/ada", profiles = ["default"]{policy} }},
            {{ id = "ASIASANDBOXBOB000001", secret = "s", session_token = "t2", identity = "assumed-role/Admin/bob", profiles = ["bob"] }},
        ]
        [[nodes]]
        name = "web"
        id = "{WEB}"
        tags = {{ env = "dev" }}
        [[nodes]]
        name = "other"
        id = "{OTHER}"
        "#
    );
    TestEnv::with(Scenario::parse(&text, "policy").unwrap())
}

fn policy(words: &[&str]) -> String {
    under(None).run(&[&["iam-policy"], words].concat()).ok()
}

/// Whether a shell could be had, by the status of one that was left at once.
fn shell(env: &TestEnv, target: &str) -> i32 {
    let mut command = env.command(&["connect", target]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // One that was refused does not read it.
    drop(child.stdin.take().unwrap().write_all(b"exit\n"));
    child.wait().unwrap().code().unwrap()
}

fn exec(env: &TestEnv, target: &str) -> i32 {
    env.run(&["exec", target, "--", "true"]).status
}

/// A forward that a command ends at once.
fn forward(env: &TestEnv, target: &str, spec: &str) -> i32 {
    env.run(&["forward", target, spec, "--", "true"]).status
}

#[test]
fn each_task_is_allowed_on_its_target_and_nothing_else() {
    for (task, allowed) in [
        ("connect", [0, 254, 254]),
        ("exec", [254, 0, 254]),
        ("forward", [254, 254, 0]),
        ("all", [0, 0, 0]),
    ] {
        let env = under(Some(&policy(&[task, "web"])));
        let statuses = [
            shell(&env, "web"),
            exec(&env, "web"),
            forward(&env, "web", ":localhost:80"),
        ];
        assert_eq!(statuses, allowed, "{task}");
        let elsewhere = [
            shell(&env, OTHER),
            exec(&env, OTHER),
            forward(&env, OTHER, ":localhost:80"),
        ];
        assert_eq!(elsewhere, [254; 3], "{task}");
    }
}

#[test]
fn tags_stand_for_targets() {
    let env = under(Some(&policy(&["exec", "--tag", "env=dev"])));
    assert_eq!((exec(&env, "web"), exec(&env, "other")), (0, 254));
}

#[test]
fn own_sessions_can_be_ended_and_others_not() {
    let env = under(Some(&policy(&["connect", "web"])));
    let mut open = env
        .command(&["connect", "web", "-p", "bob"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while env.sandbox.calls_of("ssmmessages:OpenDataChannel").is_empty() {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::yield_now();
    }
    let told = env.run(&["sessions", "end", "--yes", "bob"]);
    assert_eq!(told.status, 254, "{told}");
    let told = env.run(&["sessions", "end", "-p", "bob", "bob"]);
    assert_eq!(told.status, 0, "{told}");
    drop(open.stdin.take());
    open.wait().unwrap();
    // Every shell that was left by a signal was ended by whoever started it.
    let mut mine = env
        .command(&["connect", "web"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while env.sandbox.calls_of("ssmmessages:OpenDataChannel").len() < 2 {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::yield_now();
    }
    let told = env.run(&["sessions", "end", "--mine"]);
    assert_eq!(told.status, 0, "{told}");
    drop(mine.stdin.take());
    mine.wait().unwrap();
}

#[test]
fn doctor_tells_what_a_policy_lacks() {
    let rights = |policy: &str, target: &str| -> Value {
        let env = under(Some(policy));
        let told = env.run(&["doctor", target, "-o", "json"]);
        let document: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told}"));
        let checks = document["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|one| one["check"] == "your rights")
            .unwrap()
            .clone()
    };
    let with = |mut policy: Value, statement: Value| {
        policy["Statement"].as_array_mut().unwrap().push(statement);
        policy.to_string()
    };
    let simulating = json!({ "Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "*" });
    let least: Value = serde_json::from_str(&policy(&["connect", "web"])).unwrap();
    let enough = with(least.clone(), simulating.clone());
    assert_eq!(rights(&enough, WEB)["verdict"], "pass");
    let other = rights(&enough, OTHER);
    assert_eq!(other["verdict"], "likely", "{other:#}");
    assert!(other["evidence"].as_str().unwrap().contains(OTHER), "{other:#}");
    // Who may not ask is told so.
    assert_eq!(
        rights(&least.to_string(), WEB)["lacks"],
        "iam:SimulatePrincipalPolicy"
    );
    // A right to the node that leaves the document out.
    let mut half = least.clone();
    half["Statement"]
        .as_array_mut()
        .unwrap()
        .retain(|statement| statement["Sid"] != "StartSessionsWithDocuments");
    let half = rights(&with(half, simulating.clone()), WEB);
    assert_eq!(half["verdict"], "likely", "{half:#}");
    assert!(
        half["evidence"].as_str().unwrap().contains("document/"),
        "{half:#}"
    );
    // A right that goes by the node's tags is one.
    let by_tag: Value = serde_json::from_str(&policy(&["connect", "--tag", "env=dev"])).unwrap();
    assert_eq!(rights(&with(by_tag, simulating), WEB)["verdict"], "pass");
}

#[test]
fn moto_takes_every_policy_for_one() {
    let Some(python) = python() else { return };
    const CREATE: &str = "
import sys, boto3
from moto import mock_aws
with mock_aws():
    iam = boto3.client('iam', region_name='us-east-1', aws_access_key_id='x', aws_secret_access_key='x')
    iam.create_policy(PolicyName='ssmx', PolicyDocument=sys.stdin.read())
";
    for words in [
        &["connect"][..],
        &[
            "connect",
            "web",
            "--kms-key",
            "arn:aws:kms:eu-west-2:111122223333:key/k",
        ],
        &["exec", "web", "other", "--document-name", "Own"],
        &["forward", "--tag", "env=dev", "--tag", "team=shop"],
        &["all", "web"],
        &[
            "all",
            "--for-instance",
            "--kms-key",
            "arn:aws:kms:eu-west-2:111122223333:key/k",
        ],
    ] {
        let document = policy(words);
        let mut child = Command::new(python.join("python"))
            .args(["-c", CREATE])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(document.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
    }
}
