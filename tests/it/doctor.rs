//! Doctor at the bedside: a scenario a cause, each named first, and none for the healthy.

use serde_json::Value;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use super::env::TestEnv;

const ID: &str = "i-0a1b2c3d4e5f60001";

/// An instance whose agent has lost its channel, in a VPC as described; what else is wrong comes on top.
fn ward(node: &str, rest: &str) -> TestEnv {
    let host_management = if rest == LENT {
        "service-role/Default"
    } else {
        "$None"
    };
    let rest = if rest == LENT { "" } else { rest };
    let text = format!(
        r#"
        host_management = "{host_management}"
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

/// Default Host Management lends a role.
const LENT: &str = "lent";

const LOST: &str = r#"role = "web"
        agent.ping = "ConnectionLost"
        agent.connected = false"#;

fn vpc(inside: &str) -> String {
    format!("[[vpcs]]\nid = \"vpc-0a0b0c0d0e0f00001\"\n{inside}")
}

fn diagnosis(env: &TestEnv) -> Value {
    diagnosis_of(env, ID)
}

fn diagnosis_of(env: &TestEnv, target: &str) -> Value {
    let told = env.run(&["doctor", target, "-o", "json"]);
    serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told}"))
}

/// There is something to do, and its commands act where was looked.
fn assert_pasteable(finding: &Value) {
    let fix = finding["fix"].as_array().unwrap();
    assert!(!fix.is_empty(), "{finding:#}");
    for line in fix.iter().filter_map(Value::as_str) {
        let is_command = line.starts_with("aws ") || line.starts_with("ssmx exec ");
        assert!(!is_command || line.contains("--region eu-west-2"), "{line}");
    }
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
        (
            LOST,
            vpc(
                "default_route = \"\"\nname_servers = [\"10.0.0.53\"]\nendpoints = [{ service = \"ssm\" }, { service = \"ssmmessages\" }]",
            ),
            "name servers",
            "10.0.0.53 instead of AWS's own",
        ),
        (
            "agent.version = \"3.2.500.0\"\nagent.connected = false",
            LENT.to_owned(),
            "role",
            "older than 3.2.582",
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
        assert_pasteable(cause);
    }
}

/// The account's settings of shells, on a node that is well.
#[test]
fn settings_that_end_every_shell_are_named() {
    const KEY: &str = "arn:aws:kms:eu-west-2:111122223333:key/0a0b0c0d-0000-0000-0000-000000000001";
    let key = |disabled: bool| {
        format!("\n[[kms_keys]]\nid = \"0a0b0c0d-0000-0000-0000-000000000001\"\ndisabled = {disabled}")
    };
    let preferences = |inside: &str| format!("[[preferences]]\n{inside}\n");
    let encrypted = preferences(&format!("kms_key_id = \"{KEY}\""));
    let no_decrypt = "\n[[roles]]\narn = \"arn:aws:iam::111122223333:role/blind\"\ndenied = [\"kms:Decrypt\"]\n\
                      [[instance_profiles]]\nname = \"blind\"\nrole = \"arn:aws:iam::111122223333:role/blind\"";
    let place = |kind: &str, encrypted: bool| {
        format!("\n[[logs]]\nname = \"ssm-logs\"\nkind = \"{kind}\"\nencrypted = {encrypted}")
    };
    let to_bucket = preferences("s3_bucket_name = \"ssm-logs\"");
    let to_group = preferences("cloud_watch_log_group_name = \"ssm-logs\"");
    for (node, rest, check, words) in [
        (
            "role = \"web\"",
            encrypted.clone(),
            "encryption",
            "there is no key",
        ),
        (
            "role = \"web\"",
            format!("{encrypted}{}", key(true)),
            "encryption",
            "is Disabled",
        ),
        (
            "role = \"blind\"",
            format!("{encrypted}{}{no_decrypt}", key(false)),
            "encryption",
            "the instance's role may not kms:Decrypt",
        ),
        (
            "role = \"web\"",
            preferences("run_as = \"\""),
            "run as",
            "you bear none",
        ),
        (
            "role = \"web\"",
            to_bucket.clone(),
            "log bucket",
            "does not exist",
        ),
        (
            "role = \"web\"",
            format!("{to_bucket}{}", place("bucket", false)),
            "log bucket",
            "wants",
        ),
        ("role = \"web\"", to_group.clone(), "log group", "does not exist"),
        (
            "role = \"web\"",
            format!("{to_group}{}", place("group", false)),
            "log group",
            "want",
        ),
    ] {
        let env = ward(node, &rest);
        let diagnosis = diagnosis(&env);
        let cause = &diagnosis["cause"];
        assert_eq!(cause["check"], check, "{rest}: {diagnosis:#}");
        let words = words.trim_end_matches('s');
        assert!(
            cause["evidence"].as_str().unwrap().contains(words),
            "{diagnosis:#}"
        );
        assert_pasteable(cause);
    }
    // As they should be, none of them is to blame.
    let all = format!(
        "{}{}{}{}",
        preferences(&format!(
            "kms_key_id = \"{KEY}\"\ns3_bucket_name = \"ssm-logs\"\ncloud_watch_log_group_name = \"ssm-logs\"\nrun_as = \"app\""
        )),
        key(false),
        place("bucket", true),
        place("group", true)
    );
    let env = ward("role = \"web\"", &all);
    let healthy = diagnosis(&env);
    assert_eq!(healthy["cause"], Value::Null, "{healthy:#}");
    // Who may not look is told what is lacking.
    for operation in [
        "kms:DescribeKey",
        "s3:GetEncryptionConfiguration",
        "logs:DescribeLogGroups",
    ] {
        env.sandbox.faults().add(ApiFault::new(operation, Effect::Deny));
    }
    let hidden = diagnosis(&env);
    assert_eq!(hidden["cause"], Value::Null, "{hidden:#}");
    for (check, action) in [
        ("encryption", "kms:DescribeKey"),
        ("log bucket", "s3:GetEncryptionConfiguration"),
        ("log group", "logs:DescribeLogGroups"),
    ] {
        assert_eq!(lacking(&hidden, check), action, "{hidden:#}");
    }
}

fn lacking(diagnosis: &Value, check: &str) -> Value {
    let checks = diagnosis["checks"].as_array().unwrap();
    let found = checks.iter().find(|one| one["check"] == check).unwrap();
    assert_eq!(found["verdict"], "unknown", "{found:#}");
    found["lacks"].clone()
}

#[test]
fn the_callers_tag_says_as_whom_shells_run() {
    let text = r#"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [{ id = "AKIASANDBOXPROD00001", secret = "s", identity = "user/alice", profiles = ["default"], tags = { SSMSessionRunAs = "ops" } }]
        [[nodes]]
        name = "prod-web"
        id = "i-0a1b2c3d4e5f60001"
        [[preferences]]
        run_as = ""
    "#;
    let env = TestEnv::with(Scenario::parse(text, "tag").unwrap());
    let told = env.run(&["doctor", "prod-web"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(
        told.stdout
            .contains("shells run as `ops`, as your tag SSMSessionRunAs says"),
        "{told}"
    );
    env.sandbox
        .faults()
        .add(ApiFault::new("iam:ListUserTags", Effect::Deny));
    assert_eq!(lacking(&diagnosis(&env), "run as"), "iam:ListUserTags");
}

#[test]
fn hybrid_machines_need_their_tier() {
    let text = r#"
        activation_tier = "standard"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [{ id = "AKIASANDBOXPROD00001", secret = "s", identity = "user/alice", profiles = ["default"] }]
        [[nodes]]
        name = "depot"
        id = "mi-0a1b2c3d4e5f60001"
    "#;
    let env = TestEnv::with(Scenario::parse(text, "tier").unwrap());
    let standard = diagnosis_of(&env, "mi-0a1b2c3d4e5f60001");
    assert_eq!(
        standard["cause"]["check"], "tier of hybrid machines",
        "{standard:#}"
    );
    let text = text.replace("standard", "advanced");
    let env = TestEnv::with(Scenario::parse(&text, "tier").unwrap());
    let advanced = diagnosis_of(&env, "mi-0a1b2c3d4e5f60001");
    assert_eq!(advanced["cause"], Value::Null, "{advanced:#}");
}

#[test]
fn what_is_not_here_is_looked_for_where_it_may_be() {
    let text = r#"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [{ id = "AKIASANDBOXPROD00001", secret = "s", identity = "user/alice", profiles = ["default"] }]
        [[accounts]]
        id = "444455556666"
        alias = "dev"
        keys = [{ id = "AKIASANDBOXDEV000001", secret = "s", identity = "user/alice", profiles = ["dev"] }]
        [[nodes]]
        account = "dev"
        region = "eu-west-1"
        name = "dev-web"
        id = "i-0a1b2c3d4e5f60007"
    "#;
    let env = TestEnv::with(Scenario::parse(text, "far").unwrap());
    env.config("[profiles.dev]\nregions = [\"eu-west-2\", \"eu-west-1\"]\n");
    let told = env.run(&["doctor", "i-0a1b2c3d4e5f60007"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(
        told.stdout
            .contains("it was seen in account 444455556666 in eu-west-1 (profile `dev`)"),
        "{told}"
    );
    let told = env.run(&["doctor", "dev-web"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(
        told.stdout
            .contains("fix: ssmx connect i-0a1b2c3d4e5f60007 --profile dev --region eu-west-1"),
        "{told}"
    );
    let told = env.run(&["doctor", "nowhere"]);
    assert_eq!(told.status, 252, "{told}");
}

#[test]
fn the_database_behind_a_preset_is_looked_at() {
    const HOST: &str = "shop.c9akciq32.eu-west-2.rds.amazonaws.com";
    let database = |rest: &str| {
        format!("[[databases]]\nid = \"shop\"\nport = 5432\nvpc = \"vpc-0a0b0c0d0e0f00001\"\n{rest}")
    };
    let look = |scenario: &str, host: &str| {
        let env = ward("role = \"web\"", scenario);
        env.config(&format!(
            "[presets.shop]\ntarget = \"{ID}\"\nhost = \"{host}\"\nport = 5432\n"
        ));
        (diagnosis_of(&env, "shop"), env)
    };
    for (scenario, check, words) in [
        (String::new(), "remote host", "RDS knows no instance `shop`"),
        (database("status = \"stopped\""), "remote host", "is stopped"),
        (
            database("ingress = \"\""),
            "remote host's groups",
            "lets nobody in from the instance on port 5432",
        ),
    ] {
        let (diagnosis, _env) = look(&scenario, HOST);
        assert_eq!(diagnosis["cause"]["check"], check, "{diagnosis:#}");
        let evidence = diagnosis["cause"]["evidence"].as_str().unwrap();
        assert!(evidence.contains(words), "{diagnosis:#}");
    }
    let (healthy, env) = look(&database(""), HOST);
    assert_eq!(healthy["cause"], Value::Null, "{healthy:#}");
    env.sandbox
        .faults()
        .add(ApiFault::new("rds:DescribeDBInstances", Effect::Deny));
    let hidden = diagnosis_of(&env, "preset/shop");
    assert_eq!(lacking(&hidden, "remote host"), "rds:DescribeDBInstances");
    // Of any other host the API tells nothing; the way to ask the instance is shown.
    let (other, env) = look("", "db.internal");
    assert_eq!(other["cause"], Value::Null, "{other:#}");
    let told = env.run(&["doctor", "shop"]);
    assert!(told.stdout.contains("try: ssmx exec"), "{told}");
}

#[test]
fn an_aws_that_does_not_answer_is_waited_for_within_bounds() {
    let env = ward(LOST, "");
    env.sandbox.faults().add(ApiFault::new("ssm:*", Effect::Hang));
    env.sandbox.faults().add(ApiFault::new("iam:*", Effect::Hang));
    env.sandbox
        .faults()
        .add(ApiFault::new("ec2:DescribeRouteTables", Effect::Hang));
    let begun = std::time::Instant::now();
    let diagnosis = diagnosis(&env);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let checks = diagnosis["checks"].as_array().unwrap();
    let unknown = checks.iter().filter(|one| one["verdict"] == "unknown").count();
    assert!(unknown >= 4, "{diagnosis:#}");
}

#[test]
fn the_healthy_are_left_in_peace() {
    for (node, rest) in [
        ("role = \"web\"", String::new()),
        (
            "role = \"web\"",
            vpc("default_route = \"\"\nendpoints = [{ service = \"ssm\" }, { service = \"ssmmessages\" }]"),
        ),
        ("", String::new()),
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
    // So do those that carry something else than a shell.
    for words in [
        &["exec", ID, "--", "true"][..],
        &["proxy", ID],
        &["forward", ID, ":80"],
    ] {
        let told = env.run(words);
        assert_eq!((told.status, told.stdout.as_str()), (254, ""), "{told}");
        assert!(told.stderr.contains("because of security groups:"), "{told}");
    }
}
