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
    assert_snapshot!(env.run(&["resolve", WEB, "-o", "json"]), @"");
}

#[test]
fn nothing_is_guessed() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["resolve", "prod-worker"]), @"");
    assert_eq!(id_of(&env, &["prod-worker", "--newest"]), "i-0a1b2c3d4e5f60005");
    assert_eq!(id_of(&env, &["prod-worker", "--oldest"]), "i-0a1b2c3d4e5f60004");
    // A beginning of a name is enough for a person at a terminal alone.
    assert_snapshot!(env.run(&["resolve", "prod-we"]), @"");
    env.config("[profiles.default]\nconfirm = \"ask\"\n");
    assert_snapshot!(env.run(&["resolve", "prod-worker", "--newest"]), @"");
    env.sandbox
        .world()
        .set_state("i-0a1b2c3d4e5f60004", State::Stopped);
    assert_eq!(id_of(&env, &["prod-worker"]), "i-0a1b2c3d4e5f60005");
}

#[test]
fn a_name_that_means_nothing_is_answered_with_near_ones_and_where_it_was_looked_for() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    assert_snapshot!(env.run(&["resolve", "prod-wbe"]), @"");
    assert_snapshot!(env.run(&["resolve", "i-0123456789abcdef0"]), @"");
    assert_snapshot!(env.run(&["resolve", "target/nothing"]), @"");
    assert_snapshot!(env.run(&["resolve", "ip=nonsense"]), @"");
    assert_snapshot!(env.run(&["resolve", ""]), @"");
    // Remembered from another region.
    assert_eq!(
        env.run(&["ls", "--region", "eu-west-1", "--profile", "prod"])
            .status,
        0
    );
    assert_snapshot!(env.run(&["resolve", "prod-web-dr"]), @"");
}

#[test]
fn the_config_names_targets_and_pins_accounts() {
    let env = TestEnv::new();
    env.config(
        "[profiles.prod]\naccount = \"111122223333\"\nregions = [\"eu-west-2\"]\n\
         [profiles.dev]\naccount = \"111122223333\"\n\
         [targets.web]\nprofile = \"prod\"\nname = \"prod-web*\"\n\
         [targets.workers]\naccount = \"111122223333\"\nasg = \"prod-workers\"\npick = \"newest\"\n\
         [targets.builder]\nprofile = \"dev\"\nname = \"dev-builder\"\n\
         [aliases]\nw = \"web\"\n",
    );
    assert_eq!(id_of(&env, &["w"]), WEB);
    assert_eq!(id_of(&env, &["target/web"]), WEB);
    assert_eq!(id_of(&env, &["workers"]), "i-0a1b2c3d4e5f60005");
    assert_snapshot!(env.run(&["resolve", "builder"]), @"");
    assert_snapshot!(env.run(&["resolve", "dev/dev-web"]), @"");
    assert_snapshot!(env.run(&["resolve", "--profile", "prod", "dev/dev-web"]), @"");
    assert_snapshot!(env.run(&["resolve", "nosuch/web"]), @"");
    let described = env.run(&["describe", "w"]);
    assert!(described.stdout.contains("web"), "{described}");
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
    assert_snapshot!(env.run(&["ls", "--region", "moon"]), @"");
    assert_snapshot!(env.run(&["ls", "--profile", "prdo"]), @"");
    assert_snapshot!(env.run(&["ls", "--profile", "expired"]), @"");
}

#[test]
fn each_half_may_be_denied_alone() {
    let env = TestEnv::new();
    let deny = |operation: &str| env.sandbox.faults().add(ApiFault::new(operation, Effect::Deny));
    deny("ssm:DescribeInstanceInformation");
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_snapshot!(env.run(&["ls", "prod-[wb]*", "prod-web", "prod-batch"]), @"");
    env.sandbox.faults().clear();
    deny("ec2:DescribeInstances");
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    assert_eq!(id_of(&env, &["nas.office.example.com"]), "mi-0a1b2c3d4e5f60009");
    let told = env.run(&["ls"]);
    assert_eq!(told.status, 0, "{told}");
    assert_snapshot!(told.stderr, @"");
    deny("ssm:DescribeInstanceInformation");
    assert_snapshot!(env.run(&["ls"]), @"");
    assert_snapshot!(env.run(&["resolve", "prod-web"]), @"");
    assert_snapshot!(env.run(&["resolve", WEB]), @"");
}

#[test]
fn throttling_is_waited_out_or_told() {
    let env = TestEnv::new();
    let fault = ApiFault::new("ec2:DescribeInstances", Effect::Throttle);
    env.sandbox.faults().add(fault.clone().times(1));
    assert_eq!(id_of(&env, &["prod-web"]), WEB);
    env.sandbox.faults().add(fault);
    assert_snapshot!(env.run(&["resolve", "prod-web"]), @"");
}

#[test]
fn a_listing_shows_states_and_reasons() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["ls"]), @"");
    assert_snapshot!(env.run(&["ls", "--online", "tag:env=prod", "-o", "name"]), @"");
    assert_snapshot!(env.run(&["ls", "--state", "stopped", "-o", "json"]), @"");
    assert_snapshot!(env.run(&["ls", "nothing-*"]), @"");
    assert_snapshot!(env.run(&["describe", "prod-cache"]), @"");
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
    assert_snapshot!(env.run(&["ls", "--state", "stopped"]), @"");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let env = TestEnv::with(Scenario::demo().with_generated(3000));
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
