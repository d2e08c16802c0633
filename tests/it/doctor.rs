//! Doctor at the bedside: a scenario a cause, each named first, and none for the healthy.

use serde_json::Value;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use super::env::TestEnv;

const ID: &str = "i-0a1b2c3d4e5f60001";

/// An instance whose agent has lost its channel, in a VPC as described; what else is wrong comes on top.
fn ward(node: &str, rest: &str) -> TestEnv {
    let text = format!(
        r#"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [{{ id = "AKIASANDBOXPROD00001", secret = "s", identity = "user/alice", profiles = ["default"] }}]

        [[nodes]]
        name = "prod-web"
        id = "{ID}"
        vpc = "vpc-0a0b0c0d0e0f00001"
        {node}

        [[instance_profiles]]
        name = "web"
        role = "arn:aws:iam::111122223333:role/web"

        [[roles]]
        arn = "arn:aws:iam::111122223333:role/web"

        [[roles]]
        arn = "arn:aws:iam::111122223333:role/narrow"
        denied = ["ssmmessages:OpenControlChannel"]

        [[instance_profiles]]
        name = "narrow"
        role = "arn:aws:iam::111122223333:role/narrow"

        [[instance_profiles]]
        name = "hollow"
        {rest}
        "#
    );
    TestEnv::with(Scenario::parse(&text, "ward").unwrap())
}

const LOST: &str = r#"role = "web"
        agent.ping = "ConnectionLost"
        agent.connected = false"#;

fn vpc(inside: &str) -> String {
    format!("[[vpcs]]\nid = \"vpc-0a0b0c0d0e0f00001\"\n{inside}")
}

fn diagnosis(env: &TestEnv) -> Value {
    let told = env.run(&["doctor", ID, "-o", "json"]);
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told}"))
}

#[test]
fn each_cause_is_named_first_with_what_to_do() {
    let isolated = "default_route = \"\"\n";
    for (node, rest, check, words) in [
        ("state = \"stopped\"", String::new(), "instance", "stopped"),
        (
            "agent.registered = false",
            String::new(),
            "role",
            "no instance profile, and Default Host Management is off",
        ),
        (
            "role = \"hollow\"\nagent.registered = false",
            String::new(),
            "role",
            "`hollow` holds no role",
        ),
        (
            "role = \"gone\"\nagent.connected = false",
            String::new(),
            "role",
            "`gone` does not exist any more",
        ),
        (
            "role = \"narrow\"\nagent.connected = false",
            String::new(),
            "role",
            "does not allow ssmmessages:OpenControlChannel",
        ),
        (LOST, vpc(isolated), "way out", "lacks endpoints of SSM"),
        (
            LOST,
            vpc("default_route = \"igw-1\""),
            "way out",
            "no public address",
        ),
        (
            LOST,
            vpc(
                "default_route = \"\"\nendpoints = [{ service = \"ssm\" }, { service = \"ssmmessages\", private_dns = false }]",
            ),
            "endpoints",
            "no private DNS",
        ),
        (
            LOST,
            vpc(
                "default_route = \"\"\nendpoints = [{ service = \"ssm\", ingress = \"\" }, { service = \"ssmmessages\" }]",
            ),
            "endpoints' security groups",
            "lets nobody in",
        ),
        (
            LOST,
            vpc(
                "default_route = \"\"\ndns_hostnames = false\nendpoints = [{ service = \"ssm\" }, { service = \"ssmmessages\" }]",
            ),
            "endpoints",
            "both switches",
        ),
        (LOST, vpc("egress = \"\""), "security groups", "lets nothing out"),
        (LOST, vpc("acl_denies = true"), "network ACL", "lets nothing out"),
        (LOST, String::new(), "agent", "SSM has lost it"),
        (
            "role = \"web\"\nagent.version = \"2.3.50.0\"",
            String::new(),
            "agent's version",
            "too old for sessions",
        ),
    ] {
        let env = ward(node, &rest);
        let diagnosis = diagnosis(&env);
        let cause = &diagnosis["cause"];
        assert_eq!(cause["check"], check, "{diagnosis:#}");
        assert!(
            cause["evidence"].as_str().unwrap().contains(words),
            "{diagnosis:#}"
        );
        assert!(!cause["fix"].as_array().unwrap().is_empty(), "{diagnosis:#}");
    }
}

#[test]
fn the_healthy_are_left_in_peace() {
    for (node, rest) in [
        ("role = \"web\"", String::new()),
        (
            "role = \"web\"",
            vpc("default_route = \"\"\nendpoints = [{ service = \"ssm\" }, { service = \"ssmmessages\" }]"),
        ),
        (
            "",
            "\n[[portals]]\nstart_url = \"x\"\nregion = \"eu-west-1\"\nuser = \"x\"".to_owned(),
        ),
    ] {
        let env = ward(node, &rest);
        let told = env.run(&["doctor", ID]);
        assert_eq!(told.status, 0, "{told}");
        assert!(!told.stdout.contains("cause:"), "{told}");
        assert_eq!(diagnosis(&env)["cause"], Value::Null);
    }
}

#[test]
fn what_may_not_be_seen_is_never_well() {
    let env = ward(LOST, "");
    let denied = [
        ("ec2:DescribeInstances", "instance"),
        ("ec2:DescribeInstanceStatus", "status checks"),
        ("ssm:DescribeInstanceInformation", "registered"),
        ("ssm:GetConnectionStatus", "message channel"),
        ("ssm:GetDocument", "preferences"),
        ("iam:SimulatePrincipalPolicy", "your rights"),
    ];
    for (operation, _) in denied {
        env.sandbox.faults().add(ApiFault::new(operation, Effect::Deny));
    }
    let diagnosis = diagnosis(&env);
    for (operation, check) in denied {
        let checks = diagnosis["checks"].as_array().unwrap();
        let found = checks.iter().find(|one| one["check"] == check).unwrap();
        assert_eq!(found["verdict"], "unknown", "{found:#}");
        assert_eq!(found["lacks"], operation, "{found:#}");
    }
    assert_eq!(diagnosis["cause"], Value::Null, "{diagnosis:#}");
}

#[test]
fn a_failed_session_says_why() {
    let env = ward(LOST, &vpc("egress = \"\""));
    let told = env.run(&["connect", ID]);
    assert_eq!(told.status, 254, "{told}");
    assert!(told.stderr.contains("because of security groups:"), "{told}");
    assert!(told.stderr.contains("authorize-security-group-egress"), "{told}");
    assert!(told.stderr.contains("`ssmx doctor"), "{told}");
}
