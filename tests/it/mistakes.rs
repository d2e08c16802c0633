//! What can be got wrong, and what is said then: one page for each kind, the exit status beside each message.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use insta::assert_snapshot;
use ssmx_sandbox::scenario::Ping;
use ssmx_sandbox::{ApiFault, Effect};

use crate::env::TestEnv;
use crate::page::Page;

const WEB: &str = "i-0a1b2c3d4e5f60001";

#[test]
fn words_that_mean_nothing() {
    let env = TestEnv::new();
    let mut page = Page::default();
    for words in [
        &["conect", "prod-web"][..],
        &["connect", "prod-web", "--regoin", "eu-west-1"],
        &["connect", "prod-web", "prod-db"],
        &["connect", "prod-web", "--transport", "pigeon"],
        &["connect", "prod-web", "--parameter", "team"],
        &["connect", "prod-web", "--parameters", "{\"team\":"],
        &["connect", "prod-web", "--escape-char", "long"],
        &["connect", "prod-web", "--record-input"],
        &["connect", "tag:team"],
        &["connect", "ip=10.0.0.300"],
        &["connect", "i-0123"],
        &["connect", "name="],
        &["ls", "-o", "xml"],
        &["ls", "--query", "nodes[?"],
        &["ls", "--sort-by", "colour"],
        &["ls", "--set", "transport"],
        &["ls", "--set", "defaults.transprot=native"],
        &["ls", "--region", "moon"],
        &["ls", "--endpoint-url", "not a url"],
        &["ls", "--no-verify-ssl"],
        &["sessions", "end"],
        &["help", "conect"],
    ] {
        page.run(&env, words);
    }
    assert_snapshot!(page.text);
    assert!(env.sandbox.sessions().is_empty());
}

#[test]
fn a_config_that_cannot_be_meant() {
    let mut env = TestEnv::new();
    let mut page = Page::default();
    for (what, text) in [
        ("a key that is none", "[defaults]\nreigon = \"eu-west-2\"\n"),
        ("another type", "[presets.db]\ntarget = \"x\"\nport = \"http\"\n"),
        ("no TOML", "[targets.web\nname = 1\n"),
        ("aliases in a circle", "[aliases]\na = \"b\"\nb = \"a\"\n"),
        (
            "an alias of nothing",
            "[targets.web]\nname = \"x\"\n[aliases]\nw = \"wbe\"\n",
        ),
        (
            "one name for two things",
            "[targets.web]\nname = \"x\"\n[aliases]\nweb = \"web\"\n",
        ),
        ("a preset of nothing", "[presets.db]\nport = 5432\n"),
        ("a group of nothing", "[groups]\nall = [\"db\"]\n"),
        (
            "a target that names nothing",
            "[targets.web]\nregion = \"eu-west-2\"\n",
        ),
        (
            "what only the administrator says",
            "[policy]\ntransports = [\"native\"]\n",
        ),
    ] {
        env.config(text);
        page.heading(what);
        page.run(&env, &["resolve", "prod-web"]);
    }
    env.config("");
    let file = env.home().join(".config/ssmx/config.toml");
    page.heading("of a later ssmx");
    fs::write(&file, "schema = 2\n").unwrap();
    page.run(&env, &["resolve", "prod-web"]);
    page.heading("no text");
    fs::write(&file, b"schema = 1\n[aliases]\n\xff = \"x\"\n").unwrap();
    page.run(&env, &["resolve", "prod-web"]);
    page.heading("a directory");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    page.run(&env, &["resolve", "prod-web"]);
    fs::remove_dir(&file).unwrap();
    page.heading("named, and not there");
    let none = env.home().join("none.toml").display().to_string();
    env.set("SSMX_CONFIG", &none);
    page.run(&env, &["resolve", "prod-web"]);
    env.unset("SSMX_CONFIG");
    page.heading("a variable");
    env.set("SSMX_TRANSPORT", "pigeon");
    page.run(&env, &["resolve", "prod-web"]);
    assert_snapshot!(page.text);
}

#[test]
fn a_team_file_of_a_stranger_does_nothing() {
    let env = TestEnv::new();
    let hostile = "schema = 1\n[aliases]\n\"prod\\u001b]0;owned\\u0007web\" = \"x\"\n\
                   [targets.prod-web]\nid = \"i-0a1b2c3d4e5f60003\"\n[profiles.default]\nconfirm = \"never\"\n";
    fs::write(env.home().join(".ssmx.toml"), hostile).unwrap();
    env.config("[profiles.default]\nconfirm = \"ask\"\n");
    // Not accepted: its names mean nothing, and one line says so.
    let told = env.run(&["resolve", "prod-web", "-o", "name"]);
    assert_eq!(told.stdout, format!("instance/{WEB}\n"));
    assert_snapshot!(told, @r"
    [status 0]
    instance/i-0a1b2c3d4e5f60001
    --- stderr
    warning: `$HOME/.ssmx.toml` has not been accepted and is left out; `ssmx config trust` shows it
    ");
    // Shown, it is harmless; without a person nothing is accepted.
    let told = env.run(&["config", "trust"]);
    assert_ne!(told.status, 0);
    assert!(
        !told.stdout.contains(['\x1b', '\x07']) && !told.stderr.contains(['\x1b', '\x07']),
        "{told}"
    );
}

#[test]
fn credentials_and_ways_that_lead_nowhere() {
    let mut env = TestEnv::new();
    let mut page = Page::default();
    page.run(&env, &["connect", "prod-web", "--profile", "prdo"]);
    page.run(&env, &["connect", "prod-web", "--profile", "expired"]);
    page.run(
        &env,
        &[
            "connect",
            "prod-web",
            "--ca-bundle",
            "/nonexistent.pem",
            "--endpoint-url",
            "https://127.0.0.1:9",
        ],
    );
    let bundle = env.home().join("bundle.pem");
    fs::write(&bundle, "nonsense").unwrap();
    let bundle = bundle.display().to_string();
    let https = "https://127.0.0.1:9";
    page.run(
        &env,
        &[
            "connect",
            "prod-web",
            "--ca-bundle",
            &bundle,
            "--endpoint-url",
            https,
        ],
    );
    env.config("[profiles.prod]\naccount = \"999999999999\"\n");
    page.run(&env, &["connect", "prod/prod-web"]);
    env.config("");
    page.heading("no region anywhere");
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"] {
        env.unset(name);
    }
    page.run(&env, &["connect", "prod-web"]);
    page.heading("no credentials anywhere");
    env.set("AWS_REGION", "eu-west-2");
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_PROFILE",
    ] {
        env.unset(name);
    }
    page.run(&env, &["connect", "prod-web"]);
    page.heading("an account that nobody tells");
    let env = TestEnv::new();
    env.sandbox.faults().add(ApiFault::new("sts:*", Effect::Deny));
    page.run(&env, &["connect", "prod-web"]);
    assert_snapshot!(page.text);

    // A port where nobody listens any more.
    let env = TestEnv::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let told = env.run(&[
        "connect",
        "prod-web",
        "--endpoint-url",
        &format!("http://127.0.0.1:{port}"),
    ]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains(&format!("127.0.0.1:{port}")), "{told}");
}

#[test]
fn what_aws_says_no_to() {
    let env = TestEnv::new();
    let mut page = Page::default();
    let under = |page: &mut Page, fault: ApiFault, words: &[&str]| {
        page.heading(&format!("{} {:?}", fault.operation, fault.effect.unwrap()));
        env.sandbox.faults().add(fault);
        page.run(&env, words);
        env.sandbox.faults().clear();
    };
    for effect in [
        Effect::Deny,
        Effect::Throttle,
        Effect::Internal,
        Effect::Garbage,
        Effect::Cut,
        Effect::Expired,
    ] {
        under(
            &mut page,
            ApiFault::new("ssm:StartSession", effect),
            &["connect", WEB],
        );
    }
    page.run(&env, &["connect", WEB, "--document", "No-Such-Document"]);
    // From here on nothing is remembered: the name has to be looked up.
    let env = TestEnv::new();
    for (operations, effect) in [
        (&["ec2:*"][..], Effect::Throttle),
        (&["ec2:*", "ssm:DescribeInstanceInformation"], Effect::Deny),
        (&["ec2:*", "ssm:DescribeInstanceInformation"], Effect::Unavailable),
    ] {
        page.heading(&format!("{operations:?} {effect:?}"));
        for operation in operations {
            env.sandbox.faults().add(ApiFault::new(operation, effect));
        }
        page.run(&env, &["connect", "prod-web"]);
        env.sandbox.faults().clear();
    }
    assert_snapshot!(page.text);
}

#[test]
fn nodes_that_cannot_be_entered() {
    let env = TestEnv::new();
    let mut page = Page::default();
    page.heading("stopped, lost, never registered, deleted under the same name, unknown");
    for name in [
        "prod-batch",
        "prod-cache",
        "prod-legacy",
        "i-0a1b2c3d4e5f60002",
        "i-0fedcba9876543210",
    ] {
        page.run(&env, &["connect", name]);
    }
    page.heading("several, and nobody to choose");
    page.run(&env, &["connect", "prod-worker"]);
    page.heading("the beginning of a name, without a terminal");
    page.run(&env, &["connect", "prod-we"]);
    page.heading("mistyped");
    page.run(&env, &["connect", "prod-wbe"]);
    page.heading("lost since the listing");
    assert_eq!(env.run(&["ls"]).status, 0);
    env.sandbox
        .world()
        .edit(WEB, |node| node.agent.ping = Ping::ConnectionLost);
    page.run(&env, &["connect", "prod-web"]);
    env.sandbox
        .world()
        .edit(WEB, |node| node.agent.ping = Ping::Online);
    page.heading("what has to be agreed, and nobody to agree");
    env.config("[profiles.default]\nconfirm = \"ask\"\nreason = \"required\"\n");
    page.run(&env, &["connect", "prod-web"]);
    page.run(&env, &["connect", "prod-web", "--yes"]);
    assert_snapshot!(page.text);
}

#[test]
fn a_home_and_a_disk_that_take_nothing() {
    let env = TestEnv::new();
    // No home at all, one that is a file, one that nobody may write.
    let file = env.home().join("file");
    fs::write(&file, "").unwrap();
    for home in ["", "/dev/null/home", file.to_str().unwrap(), "/proc"] {
        let output = env
            .command(&["ls", "prod-web", "-o", "name"])
            .env("HOME", home)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("instance/{WEB}\n"),
            "{home}: {output:?}"
        );
        assert!(output.status.success());
    }
    // stdout that is full is a failure, one that is closed is the reader's affair.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = env
        .command(&["ls"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("No space left on device"), "{said}");
    let program = env!("CARGO_BIN_EXE_ssmx");
    let shell = |line: &str| env.other("sh").args(["-c", line]).output().unwrap();
    let output = shell(&format!("{program} ls >&-"));
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("panicked"),
        "{output:?}"
    );
    // A disk without room for the snapshot: the listing is whole, and the snapshot's absence told.
    let cache = env.home().join("small");
    fs::create_dir(&cache).unwrap();
    let small = cache.display();
    let room = "mount -t tmpfs -o size=4k,nr_inodes=8 tmpfs";
    if !shell(&format!("unshare --mount --map-root-user {room} {small}"))
        .status
        .success()
    {
        return;
    }
    let inner = format!(
        "{room} {small} && XDG_CACHE_HOME={small} {program} ls prod-web -o name && XDG_CACHE_HOME={small} {program} ls -o name"
    );
    let output = shell(&format!("unshare --mount --map-root-user sh -c '{inner}'"));
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(listed, 1 + 12, "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("the snapshot for completions could not be renewed"),
        "{said}"
    );
}
