//! `ssmx describe`: all that helps to connect, and what may not be asked.

use insta::assert_snapshot;
use ssmx_sandbox::scenario::Preferences;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use crate::env::TestEnv;

/// Without what is another in each run.
fn lasting(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("last ping:"));
    let lines = lines.map(|line| match line.split_once("alice-") {
        Some((before, after)) => {
            let after = after.split_once(' ').map_or("", |(_, rest)| rest);
            let age = after.split_once(", ").map_or(after, |(status, _)| status);
            format!("{before}alice-…{age}")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn it_shows_what_helps_to_connect() {
    let mut scenario = Scenario::demo();
    scenario.preferences.push(Preferences {
        account: Some("111122223333".to_owned()),
        region: "eu-west-2".to_owned(),
        idle_session_timeout: Some(20),
        s3_bucket_name: Some("prod-session-logs".to_owned()),
        run_as: Some("ops".to_owned()),
        ..Preferences::default()
    });
    let env = TestEnv::with(scenario);
    env.config(
        "[profiles.prod]\nconfirm = \"ask\"\nreason = \"required\"\n\
         [targets.web]\nprofile = \"prod\"\nname = \"prod-web\"\n[aliases]\nw = \"web\"\n\
         [presets.shop]\ntarget = [\"nothing\", \"w\"]\nport = 80\n\
         [presets.other]\ntarget = \"name=prod-b*\"\nport = 80\n[targets.nothing]\nname = \"x\"\n",
    );
    let ran = env.run(&["exec", "web", "--yes", "--reason", "to look around", "--", "true"]);
    assert_eq!(ran.status, 0, "{ran}");
    assert_snapshot!(lasting(&env.run(&["describe", "web"]).ok()), @r"
    id:               i-0a1b2c3d4e5f60001
    name:             prod-web
    names in config:  web
                      w
    presets:          shop
    account:          111122223333
    region:           eu-west-2
    profile:          prod
    state:            running
    agent:            online, version 3.3.1345.0
    platform:         Amazon Linux 2023
    computer name:    ip-10-0-1-11.eu-west-2.compute.internal
    addresses:        10.0.1.11
                      203.0.113.11
                      ip-10-0-1-11.eu-west-2.compute.internal
                      ec2-203-0-113-11.eu-west-2.compute.amazonaws.com
    type:             t3.small
    zone:             eu-west-2a
    vpc:              vpc-0a1b2c3d4e5f60718
    role:             prod-web
    launched:         2026-10-01 08:00:00Z
    tags:             Name=prod-web
                      env=prod
                      team=shop
    asked first:      yes or no, a reason
    shells run as:    ops
    shells logged:    to the bucket prod-session-logs; forwards and ssh are not
    idle timeout:     20 min
    sessions:         alice-… terminated
    ");
    let query = "[session_preferences.log_bucket, confirm, presets[0], sessions[0].reason, length(sessions)]";
    let told = env.run(&["describe", "w", "-o", "json", "--query", query]).ok();
    assert_snapshot!(told, @r#"
    [
        "prod-session-logs",
        "ask",
        "shop",
        "to look around",
        1
    ]
    "#);
}

#[test]
fn what_may_not_be_asked_is_unknown_and_no_failure() {
    let env = TestEnv::new();
    let faults = env.sandbox.world().faults();
    faults.add(ApiFault::new("ssm:GetDocument", Effect::Deny));
    faults.add(ApiFault::new("ssm:DescribeSessions", Effect::Deny));
    let told = env.run(&["describe", "prod-bastion"]);
    assert_eq!(told.status, 0, "{told}");
    assert_snapshot!(lasting(&told.stdout), @r"
    id:             i-0a1b2c3d4e5f60003
    name:           prod-bastion
    account:        111122223333
    region:         eu-west-2
    state:          running
    agent:          online, version 3.3.1345.0
    platform:       Amazon Linux 2023
    computer name:  ip-10-0-0-5.eu-west-2.compute.internal
    addresses:      10.0.0.5
                    203.0.113.5
                    ip-10-0-0-5.eu-west-2.compute.internal
                    ec2-203-0-113-5.eu-west-2.compute.amazonaws.com
    type:           t3.micro
    zone:           eu-west-2a
    vpc:            vpc-0a1b2c3d4e5f60718
    role:           prod-bastion
    launched:       2026-09-01 08:00:00Z
    tags:           Name=prod-bastion
                    env=prod
    shells logged:  unknown: `ssm:GetDocument` is denied
    sessions:       unknown: `ssm:DescribeSessions` is denied
    ");
    let query = ["-o", "json", "--query", "[sessions, session_preferences]"];
    let told = env
        .run(&[&["describe", "prod-bastion"][..], &query].concat())
        .ok();
    assert_eq!(told, "[\n    null,\n    null\n]\n");
}
