//! Names become nodes: `ssmx resolve`, `ls` and `describe` against the sandbox.

use std::fs;
use std::process::Stdio;

use insta::assert_snapshot;
use ssmx_sandbox::scenario::State;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use crate::env::TestEnv;

const WEB: &str = "i-0a1b2c3d4e5f60001";

fn id_of(env: &TestEnv, words: &[&str]) -> String {
    let all = [&["resolve", "-o", "name"], words].concat();
    env.run(&all)
        .ok()
        .trim()
        .trim_start_matches("instance/")
        .to_owned()
}

#[test]
fn a_name_means_the_node_that_bears_it_now() {
    let env = TestEnv::new();
    // A deleted instance still bears the name in EC2's list.
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_eq!(id_of(&env, &["ip=10.0.1.11"]), WEB);
    assert_eq!(id_of(&env, &["ip=203.0.113.11"]), WEB);
    assert_eq!(id_of(&env, &["tag:team=shop"]), WEB);
    assert_eq!(id_of(&env, &["name=*-bastion"]), "i-0a1b2c3d4e5f60003");
    assert_eq!(id_of(&env, &["office-nas"]), "mi-0a1b2c3d4e5f60009");
    assert_eq!(id_of(&env, &["prod-zürich-β"]), "i-0a1b2c3d4e5f6000b");
    assert_eq!(id_of(&env, &["dev/dev-web"]), "i-0a1b2c3d4e5f6000f");
    assert_snapshot!(env.run(&["resolve", WEB, "-o", "json"]), @r#"
    [status 0]
    {
        "id": "i-0a1b2c3d4e5f60001",
        "name": "prod-web",
        "partition": "aws",
        "account": "111122223333",
        "region": "eu-west-2",
        "profile": null,
        "target": null
    }
    "#);
}

#[test]
fn nothing_is_guessed() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["resolve", "prod-worker"]), @r"
    [status 252]
    --- stderr
    error: 2 nodes in 111122223333 eu-west-2: each bears the name `prod-worker`
      i-0a1b2c3d4e5f60005  prod-worker  online  10.0.2.22  eu-west-2b  since 2026-11-01 08:00
      i-0a1b2c3d4e5f60004  prod-worker  online  10.0.2.21  eu-west-2a  since 2026-09-01 08:00
    hint: name one by its id, or choose with `--newest`, `--oldest` or `--any`
    ");
    assert_eq!(id_of(&env, &["prod-worker", "--newest"]), "i-0a1b2c3d4e5f60005");
    assert_eq!(id_of(&env, &["prod-worker", "--oldest"]), "i-0a1b2c3d4e5f60004");
    // A beginning of a name is enough for a person at a terminal alone.
    assert_snapshot!(env.run(&["resolve", "prod-we"]), @r"
    [status 252]
    --- stderr
    error: no node in 111122223333 eu-west-2 bears the name `prod-we`
      searched: 111122223333 eu-west-2 by the default credentials
    hint: did you mean `prod-web`, `prod-worker`, `prod-cache`, `prod-legacy` or `prod-iis`?
    hint: `ssmx ls` shows what there is
    ");
    env.config("[profiles.default]\nconfirm = \"ask\"\n");
    assert_snapshot!(env.run(&["resolve", "prod-worker", "--newest"]), @r"
    [status 252]
    --- stderr
    error: 2 nodes in 111122223333 eu-west-2: each bears the name `prod-worker`
      i-0a1b2c3d4e5f60005  prod-worker  online  10.0.2.22  eu-west-2b  since 2026-11-01 08:00
      i-0a1b2c3d4e5f60004  prod-worker  online  10.0.2.21  eu-west-2a  since 2026-09-01 08:00
    hint: name one by its id: where the config sets `confirm`, nothing is chosen among several
    ");
    env.sandbox
        .world()
        .set_state("i-0a1b2c3d4e5f60004", State::Stopped);
    assert_eq!(id_of(&env, &["prod-worker"]), "i-0a1b2c3d4e5f60005");
}

#[test]
fn a_name_that_means_nothing_is_answered_with_near_ones_and_where_it_was_looked_for() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    assert_snapshot!(env.run(&["resolve", "prod-wbe"]), @r"
    [status 252]
    --- stderr
    error: no node in 111122223333 eu-west-2 bears the name `prod-wbe`
      searched: 111122223333 eu-west-2 by the default credentials
    hint: did you mean `prod-web`, `prod-worker`, `prod-batch`, `prod-cache` or `prod-legacy`?
    hint: `ssmx ls` shows what there is
    ");
    assert_snapshot!(env.run(&["resolve", "i-0123456789abcdef0"]), @r"
    [status 254]
    --- stderr
    error: no node in 111122223333 eu-west-2 has the id `i-0123456789abcdef0`
      searched: 111122223333 eu-west-2 by the default credentials
    hint: `ssmx ls` shows what there is
    ");
    assert_snapshot!(env.run(&["resolve", "target/nothing"]), @r"
    [status 252]
    --- stderr
    error: no target or alias is called `nothing`
    ");
    assert_snapshot!(env.run(&["resolve", "ip=nonsense"]), @r"
    [status 252]
    --- stderr
    error: `ip=nonsense` is not an address of IPv4 or IPv6
    ");
    assert_snapshot!(env.run(&["resolve", ""]), @r"
    [status 252]
    --- stderr
    error: the target's name is empty
    ");
    // Remembered from another region.
    assert_eq!(
        env.run(&["ls", "--region", "eu-west-1", "--profile", "prod"])
            .status,
        0
    );
    assert_snapshot!(env.run(&["resolve", "prod-web-dr"]), @r"
    [status 252]
    --- stderr
    error: no node in 111122223333 eu-west-2 bears the name `prod-web-dr`
      searched: 111122223333 eu-west-2 by the default credentials
    hint: it was seen in 111122223333 eu-west-1: try `--profile prod --region eu-west-1`
    hint: did you mean `prod-web`, `prod-worker`, `prod-oldtimer`, `prod-batch` or `prod-cache`?
    hint: `ssmx ls` shows what there is
    ");
}

#[test]
fn the_config_names_targets_and_pins_accounts() {
    let env = TestEnv::new();
    env.config(
        "[profiles.prod]\naccount = \"111122223333\"\nregions = [\"eu-west-2\"]\n\
         [profiles.dev]\naccount = \"999999999999\"\n\
         [targets.web]\nprofile = \"prod\"\nname = \"prod-web*\"\n\
         [targets.workers]\naccount = \"111122223333\"\nasg = \"prod-workers\"\npick = \"newest\"\n\
         [targets.elsewhere]\naccount = \"444455556666\"\nname = \"dev-web\"\n\
         [targets.builder]\nprofile = \"dev\"\nname = \"dev-builder\"\n\
         [aliases]\nw = \"web\"\n",
    );
    assert_eq!(id_of(&env, &["w"]), WEB);
    assert_eq!(id_of(&env, &["target/web"]), WEB);
    assert_eq!(id_of(&env, &["workers"]), "i-0a1b2c3d4e5f60005");
    // The profile that is pinned to the account leads to it, or none does.
    let profile = ["resolve", "workers", "-o", "json", "--query", "profile"];
    assert_eq!(env.run(&profile).ok(), "\"prod\"\n");
    assert_snapshot!(env.run(&["resolve", "elsewhere"]), @r#"
    [status 253]
    --- stderr
    error: the account behind the default credentials is 111122223333, and the target is pinned to account 444455556666: nothing is started there
    hint: use a profile of that account, or correct the pin (`account = "…"`) in the config
    "#);
    assert_snapshot!(env.run(&["resolve", "builder"]), @r#"
    [status 253]
    --- stderr
    error: the account behind profile `dev` is 444455556666, and `[profiles.dev]` is pinned to account 999999999999: nothing is started there
    hint: use a profile of that account, or correct the pin (`account = "…"`) in the config
    "#);
    assert_snapshot!(env.run(&["resolve", "dev/dev-web"]), @r#"
    [status 253]
    --- stderr
    error: the account behind profile `dev` is 444455556666, and `[profiles.dev]` is pinned to account 999999999999: nothing is started there
    hint: use a profile of that account, or correct the pin (`account = "…"`) in the config
    "#);
    assert_snapshot!(env.run(&["resolve", "--profile", "prod", "dev/dev-web"]), @r"
    [status 252]
    --- stderr
    error: the profile is named twice: `--profile prod` and `dev/…`
    ");
    assert_snapshot!(env.run(&["resolve", "prdo/web"]), @r"
    [status 252]
    --- stderr
    error: no node in 111122223333 eu-west-2 bears the name `prdo/web`
      searched: 111122223333 eu-west-2 by the default credentials
    hint: no AWS profile is called `prdo`; did you mean `prod`?
    hint: did you mean `prod-web` or `prod-worker`?
    hint: `ssmx ls` shows what there is
    ");
    assert_snapshot!(env.run(&["resolve", "target/wbe"]), @r"
    [status 252]
    --- stderr
    error: no target or alias is called `wbe`
    hint: did you mean `w`?
    ");
    let names = [
        "describe",
        "prod-web",
        "-o",
        "json",
        "--query",
        "names",
        "--profile",
        "prod",
    ];
    assert_snapshot!(env.run(&names).ok(), @r#"
    [
        "web",
        "w"
    ]
    "#);
    // A profile that has led there before is tried.
    env.config("[targets.elsewhere]\naccount = \"444455556666\"\nname = \"dev-web\"\n");
    assert_eq!(env.run(&["ls", "--profile", "dev"]).status, 0);
    assert_eq!(id_of(&env, &["elsewhere"]), "i-0a1b2c3d4e5f6000f");
}

#[test]
fn keys_in_the_environment_that_lead_to_the_right_account_are_used_as_they_are() {
    let mut env = TestEnv::new();
    env.config(
        "[profiles.prod]\naccount = \"111122223333\"\n\
         [targets.web]\nprofile = \"prod\"\nname = \"prod-web\"\n",
    );
    env.set("AWS_ACCESS_KEY_ID", "AKIASANDBOXPROD00001");
    env.set("AWS_SECRET_ACCESS_KEY", "sandbox/prod/alice/not-a-real-secret");
    env.set("AWS_REGION", "eu-west-2");
    let profile = |env: &TestEnv| {
        let told = env
            .run(&["resolve", "web", "-o", "json", "--query", "profile"])
            .ok();
        told.trim().to_owned()
    };
    assert_eq!(profile(&env), "null");
    env.set("AWS_ACCESS_KEY_ID", "ASIASANDBOXDEV000001");
    env.set("AWS_SECRET_ACCESS_KEY", "sandbox/dev/alice/not-a-real-secret");
    env.set("AWS_SESSION_TOKEN", "sandbox-session-token-of-the-dev-account");
    assert_eq!(profile(&env), "\"prod\"");
}

#[test]
fn profile_and_region_are_chosen_in_order() {
    let mut env = TestEnv::new();
    env.config("[defaults]\nprofile = \"dev\"\n");
    let account = |env: &TestEnv, words: &[&str]| {
        let all = [&["ls", "-o", "json", "--query", "nodes[0].account"], words].concat();
        env.run(&all).ok().trim().trim_matches('"').to_owned()
    };
    assert_eq!(account(&env, &[]), "444455556666");
    env.set("AWS_PROFILE", "prod");
    assert_eq!(account(&env, &[]), "111122223333");
    env.set("SSMX_PROFILE", "dev");
    assert_eq!(account(&env, &[]), "444455556666");
    assert_eq!(account(&env, &["--profile", "prod"]), "111122223333");
    env.set("SSMX_REGION", "eu-west-1");
    let told = env.run(&["ls", "--profile", "prod", "-o", "name"]).ok();
    assert_eq!(told, "instance/i-0a1b2c3d4e5f6000e\n");
    assert_snapshot!(env.run(&["ls", "--region", "moon"]), @r#"
    [status 252]
    --- stderr
    error: --region: `defaults.region` is the string "moon", expected a region, such as "eu-west-2"
    "#);
    assert_snapshot!(env.run(&["ls", "--profile", "prdo"]), @r"
    [status 253]
    --- stderr
    error: AWS cannot be reached by profile `prdo`
      the AWS profile `prdo` does not exist; did you mean `prod`?
    ");
    assert_snapshot!(env.run(&["ls", "--profile", "expired"]), @r"
    [status 253]
    --- stderr
    error: cannot tell the account behind profile `expired`
      sts:GetCallerIdentity: ExpiredToken: The security token included in the request is expired (request id …)
    hint: renew the credentials
    ");
}

#[test]
fn each_half_may_be_denied_alone() {
    let env = TestEnv::new();
    let deny = |operation: &str| env.sandbox.faults().add(ApiFault::new(operation, Effect::Deny));
    deny("ssm:DescribeInstanceInformation");
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_snapshot!(env.run(&["ls", "prod-web", "prod-batch"]), @r"
    [status 0]
    NAME        ID                   STATE    AGENT    ADDRESS
    prod-web    i-0a1b2c3d4e5f60001  running  unknown  10.0.1.11
    prod-batch  i-0a1b2c3d4e5f60006  stopped  -        10.0.3.31
    --- stderr
    warning: SSM did not tell its agents (the IAM action `ssm:DescribeInstanceInformation` is denied); whether nodes can be reached is unknown
    ");
    env.sandbox.faults().clear();
    deny("ec2:DescribeInstances");
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_eq!(id_of(&env, &["nas.office.example.com"]), "mi-0a1b2c3d4e5f60009");
    let told = env.run(&["ls"]);
    assert_eq!(told.status, 0, "{told}");
    assert_snapshot!(told.stderr, @"warning: EC2 did not tell its instances (the IAM action `ec2:DescribeInstances` is denied); shown is what SSM knows: no states, and machines' own names");
    deny("ssm:DescribeInstanceInformation");
    assert_snapshot!(env.run(&["ls"]), @r#"
    [status 254]
    --- stderr
    error: cannot list the nodes of 111122223333 eu-west-2
      ec2:DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action (request id …)
      ssm:DescribeInstanceInformation: AccessDeniedException: User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ssm:DescribeInstanceInformation because no identity-based policy allows the ssm:DescribeInstanceInformation action (request id …)
    hint: listing needs one of the IAM actions `ec2:DescribeInstances` and `ssm:DescribeInstanceInformation`
    hint: without both, name nodes by id (i-…), or give the id a name with `[targets.NAME] id = "i-…"`
    "#);
    assert_snapshot!(env.run(&["resolve", "prod-web"]), @r#"
    [status 254]
    --- stderr
    error: cannot look up `prod-web` in 111122223333 eu-west-2
      ec2:DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action (request id …)
      ssm:DescribeInstanceInformation: AccessDeniedException: User: arn:aws:iam::111122223333:user/alice is not authorized to perform: ssm:DescribeInstanceInformation because no identity-based policy allows the ssm:DescribeInstanceInformation action (request id …)
    hint: listing needs one of the IAM actions `ec2:DescribeInstances` and `ssm:DescribeInstanceInformation`
    hint: without both, name nodes by id (i-…), or give the id a name with `[targets.NAME] id = "i-…"`
    "#);
    assert_snapshot!(env.run(&["resolve", WEB]), @r"
    [status 0]
    id:       i-0a1b2c3d4e5f60001
    account:  111122223333
    region:   eu-west-2
    --- stderr
    warning: neither EC2 nor SSM tells anything of i-0a1b2c3d4e5f60001: nothing but the id is known
    ");
}

#[test]
fn throttling_is_waited_out_or_told() {
    let env = TestEnv::new();
    let fault = ApiFault::new("ec2:DescribeInstances", Effect::Throttle);
    env.sandbox.faults().add(fault.clone().times(1));
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    env.sandbox.faults().add(fault);
    assert_snapshot!(env.run(&["resolve", "prod-web"]), @r"
    [status 255]
    --- stderr
    error: cannot look up `prod-web` in 111122223333 eu-west-2
      ec2:DescribeInstances: RequestLimitExceeded: Request limit exceeded. (request id …)
    hint: AWS limits how often an account may call; try again in a moment
    ");
}

#[test]
fn a_listing_shows_states_and_reasons() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["ls"]), @r"
    [status 0]
    NAME           ID                    STATE    AGENT             ADDRESS
    office-nas     mi-0a1b2c3d4e5f60009  -        online            192.168.1.20
    prod-bastion   i-0a1b2c3d4e5f60003   running  online            10.0.0.5
    prod-iis       i-0a1b2c3d4e5f6000a   running  online            10.0.4.41
    prod-oldtimer  i-0a1b2c3d4e5f6000c   running  online            10.0.5.52
    prod-web       i-0a1b2c3d4e5f60001   running  online            10.0.1.11
    prod-worker    i-0a1b2c3d4e5f60005   running  online            10.0.2.22
    prod-worker    i-0a1b2c3d4e5f60004   running  online            10.0.2.21
    prod-zürich-β  i-0a1b2c3d4e5f6000b   running  online            10.0.5.51
                   i-0a1b2c3d4e5f6000d   running  online            10.0.5.53
    prod-cache     i-0a1b2c3d4e5f60007   running  lost              10.0.3.32
    prod-legacy    i-0a1b2c3d4e5f60008   running  never registered  10.0.3.33
    prod-batch     i-0a1b2c3d4e5f60006   stopped  -                 10.0.3.31
    ");
    assert_snapshot!(env.run(&["ls", "--online", "tag:env=prod", "-o", "name"]), @r"
    [status 0]
    instance/i-0a1b2c3d4e5f60003
    instance/i-0a1b2c3d4e5f6000a
    instance/i-0a1b2c3d4e5f6000c
    instance/i-0a1b2c3d4e5f60001
    instance/i-0a1b2c3d4e5f60005
    instance/i-0a1b2c3d4e5f60004
    instance/i-0a1b2c3d4e5f6000b
    ");
    let stopped = [
        "ls",
        "--state",
        "stopped",
        "-o",
        "json",
        "--query",
        "nodes[].[id, condition, tags]",
    ];
    assert_snapshot!(env.run(&stopped), @r#"
    [status 0]
    [
        [
            "i-0a1b2c3d4e5f60006",
            "stopped",
            {
                "Name": "prod-batch",
                "env": "prod"
            }
        ]
    ]
    "#);
    assert_snapshot!(env.run(&["ls", "nothing-*"]), @r"
    [status 0]
    --- stderr
    no node that fits in 111122223333 eu-west-2
    ");
    let described = env.run(&["describe", "prod-cache"]).ok();
    let lasting = described.lines().filter(|line| !line.starts_with("last ping:"));
    assert_snapshot!(lasting.collect::<Vec<_>>().join("\n"), @r"
    id:             i-0a1b2c3d4e5f60007
    name:           prod-cache
    account:        111122223333
    region:         eu-west-2
    state:          running
    agent:          agent lost, version 3.3.1345.0
    platform:       Amazon Linux 2023
    computer name:  ip-10-0-3-32.eu-west-2.compute.internal
    addresses:      10.0.3.32
                    ip-10-0-3-32.eu-west-2.compute.internal
    type:           t3.micro
    zone:           eu-west-2a
    vpc:            vpc-0a1b2c3d4e5f60718
    launched:       2026-09-01 08:00:00Z
    tags:           Name=prod-cache
                    env=prod
    shells logged:  no
    ");
}

#[test]
fn untrusted_names_are_shown_and_never_obeyed() {
    let env = TestEnv::with(Scenario::hostile());
    for format in ["table", "wide", "json", "yaml", "csv", "text", "name"] {
        let told = env.run(&["ls", "-o", format]).ok();
        let unsafe_char = told.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(unsafe_char, None, "{format}: {told}");
        assert!(!told.contains(['\u{202e}', '\u{200b}']), "{format}: {told}");
    }
    assert_eq!(id_of(&env, &["two\nlines"]), "i-0bad0000000000002");
    assert_eq!(id_of(&env, &["$(touch /tmp/owned)`id`"]), "i-0bad0000000000009");
    let told = env.run(&["describe", "i-0bad0000000000001"]);
    assert!(!told.stdout.contains('\x1b'), "{told}");
}

#[test]
fn a_large_scope_is_listed_whole_and_remembered() {
    let env = TestEnv::with(Scenario::demo().with_generated(2600));
    let told = env.run(&["ls", "-o", "name"]).ok();
    assert_eq!(told.lines().count(), 2600 + 12);
    assert_eq!(env.sandbox.calls_of("ec2:DescribeInstances").len(), 3);
    let snapshot = env.cache().join("snapshots/aws/111122223333/eu-west-2/listing");
    assert!(fs::metadata(snapshot).unwrap().len() > 100_000);
    assert!(id_of(&env, &["node-002599"]).starts_with("i-"));
}

#[test]
fn a_snapshot_that_cannot_be_written_or_read_stands_in_nobodys_way() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    let listing = env.cache().join("snapshots/aws/111122223333/eu-west-2/listing");
    fs::write(&listing, "nonsense").unwrap();
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    fs::remove_dir_all(env.cache()).unwrap();
    fs::write(env.cache(), "a file where a directory should be").unwrap();
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_snapshot!(env.run(&["ls", "--state", "stopped"]), @r"
    [status 0]
    NAME        ID                   STATE    AGENT  ADDRESS
    prod-batch  i-0a1b2c3d4e5f60006  stopped  -      10.0.3.31
    --- stderr
    warning: the snapshot for completions could not be renewed: Not a directory (os error 20)
    ");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let env = TestEnv::with(Scenario::demo().with_generated(1200));
    let mut child = env
        .command(&["ls", "-o", "name"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
