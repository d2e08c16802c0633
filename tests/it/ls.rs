//! `ssmx ls` beyond one scope, and as it goes on.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use insta::assert_snapshot;
use ssmx_sandbox::scenario::State;
use ssmx_sandbox::{ApiFault, Effect, Scenario};
use tokio::process::Command;

use crate::env::TestEnv;
use crate::terminal::Terminal;

const WEB: &str = "i-0a1b2c3d4e5f60001";

/// AWS's config with the demo's keys under other names, so that no profile is of no use.
fn profiles(env: &mut TestEnv, text: &str) {
    let file = env.home().join("aws-config");
    std::fs::write(&file, text).unwrap();
    env.set("AWS_CONFIG_FILE", &file.display().to_string());
    let none = env.home().join("no-credentials");
    env.set("AWS_SHARED_CREDENTIALS_FILE", &none.display().to_string());
}

const TWO_ACCOUNTS: &str = "\
[default]
region = eu-west-2
aws_access_key_id = AKIASANDBOXPROD00001
aws_secret_access_key = sandbox/prod/alice/not-a-real-secret

[profile prod-again]
region = eu-west-1
aws_access_key_id = AKIASANDBOXPROD00001
aws_secret_access_key = sandbox/prod/alice/not-a-real-secret

[profile dev]
region = eu-west-2
aws_access_key_id = ASIASANDBOXDEV000001
aws_secret_access_key = sandbox/dev/alice/not-a-real-secret
aws_session_token = sandbox-session-token-of-the-dev-account

[profile settings-only]
region = us-east-1
";

#[test]
fn all_profiles_give_each_account_once() {
    let mut env = TestEnv::new();
    profiles(&mut env, TWO_ACCOUNTS);
    let words = ["ls", "--all-profiles", "--name", "*-web*"];
    assert_snapshot!(env.run(&words), @r"
    [status 0]
    NAME      ID                   STATE    AGENT   ADDRESS    ACCOUNT       REGION
    prod-web  i-0a1b2c3d4e5f60001  running  online  10.0.1.11  111122223333  eu-west-2
    dev-web   i-0a1b2c3d4e5f6000f  running  online  10.8.1.11  444455556666  eu-west-2
    ");
    // Where several lead to an account, one that the config has something to say of is taken.
    env.config("[defaults]\nprofile = \"dev\"\n[profiles.prod-again]\nconfirm = \"ask\"\n");
    let names = ["ls", "-A", "-o", "text", "--query", "nodes[].[name,region]"];
    let told = env.run(&names).ok();
    assert!(told.contains("prod-web-dr\teu-west-1") && !told.contains("prod-web\teu-west-2"));
    // The usual one's account comes first.
    assert!(told.starts_with("dev-builder"), "{told}");
    // All was asked for, so both snapshots are fresh: a TAB knows them.
    assert!(
        env.cache()
            .join("snapshots/aws/444455556666/eu-west-2/listing")
            .exists()
    );
    assert_snapshot!(env.run(&["ls", "-A", "--profile", "dev"]), @r"
    [status 252]
    --- stderr
    error: `--profile dev` and several profiles contradict each other
    hint: leave one out
    ");
}

#[test]
fn what_cannot_be_listed_is_told_after_the_rest() {
    let env = TestEnv::new();
    for service in ["ec2:*", "ssm:*"] {
        let fault = ApiFault::new(service, Effect::Deny).account("444455556666");
        env.sandbox.world().faults().add(fault);
    }
    let words = ["ls", "--profiles", "prod,dev,expired,nope", "--name", "prod-web"];
    assert_snapshot!(env.run(&words), @r#"
    [status 255]
    NAME      ID                   STATE    AGENT   ADDRESS    ACCOUNT       REGION
    prod-web  i-0a1b2c3d4e5f60001  running  online  10.0.1.11  111122223333  eu-west-2
    --- stderr
    error: the listing is not whole: 3 of 4 scopes could not be listed
      cannot tell the account behind profile `expired`: sts:GetCallerIdentity: ExpiredToken: The security token included in the request is expired (request id …)
      AWS cannot be reached by profile `nope`: the AWS profile `nope` does not exist; there are default, dev, expired, prod
      cannot list the nodes of 444455556666 eu-west-2: ec2:DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:sts::444455556666:assumed-role/Developer/alice@example.com is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action (request id …): ssm:DescribeInstanceInformation: AccessDeniedException: User: arn:aws:sts::444455556666:assumed-role/Developer/alice@example.com is not authorized to perform: ssm:DescribeInstanceInformation because no identity-based policy allows the ssm:DescribeInstanceInformation action (request id …)
    hint: renew the credentials
    hint: listing needs one of the IAM actions `ec2:DescribeInstances` and `ssm:DescribeInstanceInformation`
    hint: without both, name nodes by id (i-…), or give the id a name with `[targets.NAME] id = "i-…"`
    "#);
    let errors = [
        "-o",
        "json",
        "--query",
        "[nodes[].name, errors[].[profile, account]]",
    ];
    let told = env.run(&[&words[..], &errors].concat());
    assert_eq!(told.status, 255);
    assert_snapshot!(told.stdout, @r#"
    [
        [
            "prod-web"
        ],
        [
            [
                "expired",
                null
            ],
            [
                "nope",
                null
            ],
            [
                "dev",
                "444455556666"
            ]
        ]
    ]
    "#);
    // Nothing at all: the first failure as it would be alone.
    assert_snapshot!(env.run(&["ls", "--profiles", "dev"]), @r#"
    [status 254]
    --- stderr
    error: cannot list the nodes of 444455556666 eu-west-2
      ec2:DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:sts::444455556666:assumed-role/Developer/alice@example.com is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action (request id …)
      ssm:DescribeInstanceInformation: AccessDeniedException: User: arn:aws:sts::444455556666:assumed-role/Developer/alice@example.com is not authorized to perform: ssm:DescribeInstanceInformation because no identity-based policy allows the ssm:DescribeInstanceInformation action (request id …)
    hint: listing needs one of the IAM actions `ec2:DescribeInstances` and `ssm:DescribeInstanceInformation`
    hint: without both, name nodes by id (i-…), or give the id a name with `[targets.NAME] id = "i-…"`
    "#);
}

#[test]
fn all_regions_are_those_that_the_account_may_use() {
    let env = TestEnv::new();
    let words = ["ls", "--all-regions", "--name", "prod-web*"];
    let everywhere = r"
    [status 0]
    NAME         ID                   STATE    AGENT   ADDRESS    REGION
    prod-web     i-0a1b2c3d4e5f60001  running  online  10.0.1.11  eu-west-2
    prod-web-dr  i-0a1b2c3d4e5f6000e  running  online  10.1.1.11  eu-west-1
    ";
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let wanted: Vec<String> = lines(everywhere.trim());
    assert_eq!(lines(env.run(&words).to_string().trim()), wanted);
    // A policy closes one, and nobody may be asked which there are.
    let faults = env.sandbox.world().faults();
    faults.add(ApiFault {
        region: Some("us-east-1".to_owned()),
        ..ApiFault::new("*", Effect::Deny)
    });
    faults.add(ApiFault::new("ec2:DescribeRegions", Effect::Deny));
    assert_eq!(lines(env.run(&words).to_string().trim()), wanted);
    // One that fails in another way is not passed over.
    faults.add(ApiFault {
        region: Some("eu-west-1".to_owned()),
        ..ApiFault::new("ec2:DescribeInstances", Effect::Throttle)
    });
    let told = env.run(&words);
    assert_eq!(told.status, 255, "{told}");
    assert!(
        told.stdout.contains("prod-web ") && !told.stdout.contains("prod-web-dr"),
        "{told}"
    );
    assert!(
        told.stderr
            .contains("cannot list the nodes of 111122223333 eu-west-1"),
        "{told}"
    );
    // All of them closed is no empty listing.
    faults.clear();
    faults.add(ApiFault::new("ec2:*", Effect::Deny));
    faults.add(ApiFault::new("ssm:*", Effect::Deny));
    assert_eq!(env.run(&words).status, 254);
}

#[tokio::test]
async fn all_profiles_never_ask_a_person() {
    let scenario = include_str!("../sandbox/scenarios/sign-in.toml");
    let mut env = TestEnv::with(Scenario::parse(scenario, "sign-in.toml").unwrap());
    profiles(
        &mut env,
        "[profile base]\nregion = eu-west-2\naws_access_key_id = AKIASANDBOXPROD00001\n\
         aws_secret_access_key = sandbox/prod/alice/not-a-real-secret\n\
         [profile guarded]\nregion = eu-west-2\nrole_arn = arn:aws:iam::444455556666:role/guarded\n\
         external_id = partner\nsource_profile = base\nmfa_serial = arn:aws:iam::111122223333:mfa/alice\n",
    );
    let command = Command::from(env.command(&["ls", "-A", "--no-cli-pager"]));
    let mut terminal = Terminal::start(&command);
    let (screen, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(255), "{screen}");
    assert!(
        screen.contains("prod-web") && screen.contains("guarded"),
        "{screen}"
    );
}

#[test]
fn a_watched_listing_shows_what_changes() {
    let env = TestEnv::new();
    let mut child = env
        .command(&["ls", "--watch=1", "--name", "prod-we*"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("NAME"));
    assert!(next().contains("prod-web  "));
    env.sandbox.world().set_state(WEB, State::Stopped);
    assert!(next().contains("stopped"));
    env.sandbox.world().rename(WEB, "prod-wedding");
    assert!(next().starts_with("prod-wedding"));
    env.sandbox.world().rename(WEB, "other");
    assert!(next().contains("terminated"));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert_eq!(talk, "");
    assert_eq!(env.run(&["ls", "--watch", "-o", "yaml"]).status, 252);
}

#[test]
fn kubectls_words_are_understood() {
    let env = TestEnv::new();
    let ours = env.run(&["ls", "prod-web"]).ok();
    for theirs in [
        &["get", "instances", "prod-web"][..],
        &["get", "nodes", "-l", "Name=prod-web"],
        &["get", "instance", "--selector", "Name=prod-web"],
    ] {
        assert_eq!(env.run(theirs).ok(), ours);
    }
    let name = env.run(&["get", "instances", "prod-web", "-o", "name"]).ok();
    let id = ["resolve", name.trim(), "--query", "id", "-o", "text"];
    assert_eq!(env.run(&id).ok().trim(), WEB);
    env.config("[targets.web]\nname = \"prod-web\"\n[aliases]\nw = \"web\"\n");
    assert_eq!(env.run(&["get", "aliases"]).ok(), env.run(&["alias", "ls"]).ok());
    assert_eq!(env.run(&["get", "sessions"]).status, 0);
    assert_eq!(env.run(&["get"]).status, 252);
}

#[test]
fn tags_of_the_config_are_columns() {
    let env = TestEnv::new();
    env.config("[defaults]\ncolumns = [\"team\", \"env\"]\n");
    assert_snapshot!(env.run(&["ls", "prod-web"]).ok(), @r"
    NAME      ID                   STATE    AGENT   ADDRESS    TEAM  ENV
    prod-web  i-0a1b2c3d4e5f60001  running  online  10.0.1.11  shop  prod
    ");
}

#[tokio::test]
async fn many_scopes_show_how_far_it_is() {
    let env = TestEnv::new();
    let slow = ApiFault::delay("ec2:DescribeInstances", Duration::from_millis(900));
    env.sandbox.world().faults().add(slow);
    let command = Command::from(env.command(&["ls", "--profiles", "prod,dev", "--no-cli-pager"]));
    let mut terminal = Terminal::start(&command);
    terminal.expect("listing 2 scopes: 0 done").await;
    terminal.expect("dev-web").await;
    assert!(terminal.finish().await.1.success());
}

#[tokio::test]
async fn the_pager_is_chosen_as_the_aws_cli_does() {
    let mut env = TestEnv::new();
    let mark = |pager: &str| format!("cli_pager = sed 's/^/<{pager}>/'\n");
    let text = TWO_ACCOUNTS.replace("[default]\n", &format!("[default]\n{}", mark("own")));
    profiles(
        &mut env,
        &text.replace("[profile dev]\n", "[profile dev]\ncli_pager =\n"),
    );
    env.set("PAGER", "sed 's/^/<general>/'");
    let screen = async |env: &TestEnv, words: &[&str]| {
        let mut command = env.command(&["help", "config"]);
        command.args(words);
        let mut terminal = Terminal::start(&Command::from(command));
        terminal.finish().await.0
    };
    assert!(screen(&env, &[]).await.contains("<own>"));
    assert!(
        screen(&env, &["--profile", "prod-again"])
            .await
            .contains("<general>")
    );
    // Set and empty: none.
    assert!(!screen(&env, &["--profile", "dev"]).await.contains('<'));
    assert!(!screen(&env, &["--no-cli-pager"]).await.contains('<'));
    env.set("AWS_PAGER", "sed 's/^/<aws>/'");
    assert!(screen(&env, &[]).await.contains("<aws>"));
    env.set("SSMX_PAGER", "sed 's/^/<ours>/'");
    assert!(screen(&env, &[]).await.contains("<ours>"));
    env.set("SSMX_PAGER", "none");
    assert!(!screen(&env, &[]).await.contains('<'));
}

#[tokio::test]
async fn colour_is_for_terminals_unless_somebody_says_otherwise() {
    let mut env = TestEnv::new();
    let words = ["ls", "prod-web", "--no-cli-pager"];
    let screen = async |env: &TestEnv, more: &[&str]| {
        let mut command = env.command(&words);
        command.args(more).env("TERM", "xterm");
        Terminal::start(&Command::from(command)).finish().await.0
    };
    assert!(screen(&env, &[]).await.contains("\u{1b}["));
    assert!(!screen(&env, &["--color", "off"]).await.contains("\u{1b}["));
    assert!(!env.run(&words).ok().contains("\u{1b}["));
    assert!(
        env.run(&["ls", "prod-web", "--color=on"])
            .ok()
            .contains("\u{1b}[")
    );
    env.set("NO_COLOR", "1");
    assert!(!screen(&env, &[]).await.contains("\u{1b}["));
    assert!(screen(&env, &["--color", "on"]).await.contains("\u{1b}["));
}
