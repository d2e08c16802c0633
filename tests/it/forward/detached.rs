//! Forwards without a terminal: listed, ended, killed, and taken up again.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process_group};
use serde_json::{Value, json};
use ssmx_sandbox::scenario::Node;
use ssmx_sandbox::{ApiFault, Effect};

use super::detaching::{self, Detaching, QUESTION};
use super::far::{NODE, echo, service, spec};
use super::running::{check_echo, connect, until};
use crate::credentials::scenery;
use crate::terminal::Terminal;
use crate::tools::state_of;

#[test]
fn a_detached_forward_lives_is_listed_and_ends() {
    let there = Detaching::new();
    let port = spec(service(echo));
    there.start(&[NODE, &port, "--name", "a"]);
    check_echo(connect(there.port()), 1000, 1);
    let listed = there.list();
    assert_eq!(listed[0]["state"], "up");
    assert_eq!(listed[0]["connections"]["all"], 1);
    assert_eq!(
        (&listed[0]["sent"], &listed[0]["received"]),
        (&json!(1000), &json!(1000))
    );
    assert_eq!(listed[0]["session"], there.0.sandbox.sessions()[0].id);
    let again = there.0.run(&["forward", NODE, &port, "--detach", "--name", "a"]);
    assert_eq!(again.status, 255, "{again}");
    assert!(again.stderr.contains("is running already"), "{again}");
    let ended = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(ended.status, 0, "{ended}");
    assert_eq!(there.list().len(), 0);
    assert_eq!(there.0.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn a_detached_forward_outlives_what_is_emptied_at_the_last_logout() {
    let mut there = Detaching::new();
    let runtime = tempfile::tempdir().unwrap();
    there
        .0
        .set("XDG_RUNTIME_DIR", &runtime.path().display().to_string());
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    drop(runtime);
    assert_eq!(there.state(), "up");
    // As `cron` would start it.
    there.0.unset("XDG_RUNTIME_DIR");
    assert_eq!(there.state(), "up");
    let told = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(told.status, 0, "{told}");
}

#[test]
fn a_state_directory_deep_down_will_do() {
    let mut there = Detaching::new();
    let deep = there.0.home().join("deep".repeat(30));
    there.0.set("XDG_STATE_HOME", &deep.display().to_string());
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    assert_eq!(there.state(), "up");
    let told = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(told.status, 0, "{told}");
}

#[test]
fn a_detached_forward_that_was_killed_is_seen_as_dead_and_makes_room() {
    let there = Detaching::new();
    let port = spec(service(echo));
    there.start(&[NODE, &port, "--name", "a"]);
    there.kill("a");
    let table = there.0.run(&["forward", "ps"]);
    assert!(
        table
            .stderr
            .contains("warning: a is dead: its process ended without a word"),
        "{table}"
    );
    there.start(&[NODE, &port, "--name", "a"]);
    assert_eq!(there.state(), "up");
    check_echo(connect(there.port()), 1000, 1);
}

#[test]
fn a_process_that_bears_a_dead_ones_number_is_left_alone() {
    let there = Detaching::new();
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    there.kill("a");
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let record = there.record("a");
    let mut told: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    told["process"] = json!(stranger.id());
    fs::write(&record, told.to_string()).unwrap();
    let ended = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(ended.status, 0, "{ended}");
    assert!(ended.stderr.contains("was dead already"), "{ended}");
    assert_eq!(stranger.try_wait().unwrap(), None, "nobody has ended it");
    assert_eq!(there.list().len(), 0);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_forward_outlives_the_terminal_that_it_was_started_in() {
    let there = Detaching::new();
    let words = ["forward", "--detach", "--name", "a", NODE, &spec(service(echo))];
    let command = tokio::process::Command::from(there.0.command(&words));
    let mut terminal = Terminal::start(&command);
    terminal.expect("detached as `a`").await;
    let (_, status) = terminal.finish().await;
    assert!(status.success());
    // Its end hangs up on whoever is still in it.
    drop(terminal);
    assert_eq!(there.state(), "up");
    let port = there.port();
    tokio::task::spawn_blocking(move || check_echo(connect(port), 1000, 1))
        .await
        .unwrap();
    let told = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(told.status, 0, "{told}");
}

#[test]
fn what_a_detached_forward_says_can_be_followed_to_its_end() {
    let there = Detaching::new();
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    let mut following = there
        .0
        .command(&["forward", "logs", "a", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(following.stdout.take().unwrap());
    let session = there.list()[0]["session"].as_str().unwrap().to_owned();
    there.0.sandbox.gateway().cut(&session);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("reconnecting…"), "{line}");
    assert!(line.starts_with("20"), "with the time: {line}");
    let told = there.0.run(&["forward", "stop", "a"]);
    assert_eq!(told.status, 0, "{told}");
    said.read_to_string(&mut line).unwrap();
    assert!(line.contains("back"), "{line}");
    assert!(following.wait().unwrap().success());
    let told = there.0.run(&["forward", "logs", "a"]);
    assert_eq!(told.stdout, line, "it is there still");
}

#[test]
fn a_detached_forward_that_needs_a_person_says_so() {
    let there = Detaching::new();
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    let port = there.port();
    there
        .0
        .sandbox
        .faults()
        .add(ApiFault::new("ssm:StartSession", Effect::Expired));
    there.time_out();
    refused(port);
    until("it needs a person", || there.state() == "needs you");
    let listed = there.list();
    let why = listed[0]["why"].as_str().unwrap();
    assert!(why.contains("ExpiredTokenException"), "{why}");
    there.0.sandbox.faults().clear();
    check_echo(connect(port), 1000, 1);
    assert_eq!(there.state(), "up");
}

/// Closed, not left hanging.
fn refused(port: u16) {
    let mut heard = Vec::new();
    // Whether by a reset or not.
    let _ = connect(port).read_to_end(&mut heard);
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn what_is_to_be_agreed_is_asked_before_the_terminal_is_left() {
    let there = Detaching::new();
    there.preset("confirm = \"ask\"\nreason = \"required\"");
    // With colours, which the log is not to have.
    let mut command = there.0.command(&["forward", "db", "--detach"]);
    command.env("TERM", "xterm");
    let mut terminal = Terminal::start(&command.into());
    terminal.expect(QUESTION).await;
    assert_eq!(there.starts(), 0);
    terminal.send("y").await;
    terminal.expect("Reason (for the audit)").await;
    terminal.line("to look around").await;
    terminal.expect("detached as `db`").await;
    assert!(terminal.finish().await.1.success());
    drop(terminal);
    let calls = there.0.sandbox.calls_of("ssm:StartSession");
    assert_eq!(calls[0].parameters["Reason"], "to look around");
    let port = there.port();
    check_echo(connect(port), 1000, 1);

    // Nobody is there to agree to another one.
    there.time_out();
    refused(port);
    refused(port);
    until("it was told", || there.cries() == 1);
    let listed = &there.list()[0];
    assert_eq!(listed["state"], "needs you");
    let why = listed["why"].as_str().unwrap();
    assert!(why.contains("the config asks for a confirmation"), "{why}");
    assert!(why.contains("`ssmx forward stop db`"), "{why}");
    let table = there.0.run(&["forward", "ps"]);
    assert!(table.stderr.contains("db needs you: the config asks"), "{table}");
    assert_eq!(
        (there.cries(), there.starts()),
        (1, 1),
        "nothing is tried unasked, nor said twice"
    );

    let told = there.0.run(&["forward", "stop", "db"]);
    assert_eq!(told.status, 0, "{told}");
    there.start(&["db", "--yes", "--reason", "again"]);
    check_echo(connect(there.port()), 1000, 1);
}

#[tokio::test]
async fn who_does_not_agree_starts_nothing() {
    let there = Detaching::new();
    there.preset("confirm = \"ask\"");
    for keys in ["n", "\u{3}"] {
        let mut terminal = there.0.terminal(&["forward", "db", "--detach"]);
        terminal.expect(QUESTION).await;
        // A Ctrl-C before that is a signal, which waits behind the question.
        until("keys are read as they are typed", || terminal.is_raw());
        terminal.send(keys).await;
        let (_, status) = terminal.finish().await;
        assert_eq!(status.signal(), Some(2), "{status}");
        assert_eq!(there.list().len(), 0);
    }
    there.preset("confirm = \"type-name\"");
    let mut terminal = there.0.terminal(&["forward", "db", "--detach"]);
    terminal.expect("Type its name").await;
    terminal.line("prod-web").await;
    let (screen, status) = terminal.finish().await;
    assert!(screen.contains("that is another name"), "{screen}");
    assert_eq!(status.code(), Some(252));
    assert_eq!((there.list().len(), there.starts()), (0, 0));
}

#[test]
fn without_a_terminal_it_ends_as_it_does_without_detaching() {
    let there = Detaching::new();
    for section in ["confirm = \"ask\"", "reason = \"required\""] {
        there.preset(section);
        let before = there.0.run(&["forward", "db"]);
        let told = there.0.run(&["forward", "db", "--detach"]);
        assert_eq!(told.status, 252, "{told}");
        assert!(told.stderr.contains("error: the config asks for a"), "{told}");
        assert_eq!(told.to_string(), before.to_string());
        assert_eq!(there.list().len(), 0);
    }
}

#[tokio::test]
async fn a_lazy_one_asks_while_somebody_is_there() {
    let there = Detaching::new();
    there.preset("lazy = true\nconfirm = \"ask\"");
    there.agree().await;
    assert_eq!((there.state().as_str(), there.starts()), ("idle", 0));
    let port = there.port();
    check_echo(connect(port), 1000, 1);
    assert_eq!((there.state().as_str(), there.starts()), ("up", 1));
    there.time_out();
    refused(port);
    until("it needs a person", || there.state() == "needs you");
    assert_eq!(there.starts(), 1);
}

#[test]
fn a_lazy_one_that_asks_nobody_does_not_ask_aws_either() {
    let there = Detaching::new();
    there.preset("lazy = true\nconfirm = \"ask\"");
    there.start(&["db", "--yes"]);
    assert_eq!(there.0.sandbox.calls().all().len(), 0);
    check_echo(connect(there.port()), 1000, 1);
}

#[tokio::test]
async fn a_session_too_old_carries_on_where_nobody_agrees_to_the_next() {
    let there = Detaching::new();
    there.preset("max_age = \"1s\"\nconfirm = \"ask\"");
    there.agree().await;
    // Used lately, it wants its successor before the next connection does.
    check_echo(connect(there.port()), 1000, 0);
    until("its successor needs a person", || there.state() == "needs you");
    for seed in 1..4 {
        check_echo(connect(there.port()), 1000, seed);
    }
    // Once for itself, and once for each connection at the most.
    let cries = there.cries();
    assert!((1..=5).contains(&cries), "{cries}");
    assert_eq!(there.starts(), 1);
}

#[tokio::test]
async fn a_one_time_code_is_asked_before_the_terminal_is_left() {
    let there = Detaching(scenery());
    let node = Node {
        account: Some("444455556666".to_owned()),
        ..Node::named("guarded")
    };
    let node = there.0.sandbox.world().add(node).unwrap();
    let port = spec(service(echo));
    let words = [
        "forward", "-p", "guarded", &node, &port, "--detach", "--name", "db",
    ];
    let mut terminal = there.0.terminal(&words);
    terminal.expect("one-time code of").await;
    terminal.line("222222").await;
    terminal.expect("detached as `db`").await;
    assert!(terminal.finish().await.1.success());
    check_echo(connect(there.port()), 1000, 1);
}

#[tokio::test]
async fn a_preset_is_chosen_before_the_terminal_is_left() {
    let there = Detaching::new();
    there.preset("");
    let mut terminal = there.0.terminal(&["forward", "--detach"]);
    terminal.expect("Forward which preset?").await;
    terminal.send("\r").await;
    terminal.expect("detached as `db`").await;
    assert!(terminal.finish().await.1.success());
    check_echo(connect(there.port()), 1000, 1);
}

#[test]
fn the_process_is_told_all_words_wherever_they_stand() {
    let mut there = Detaching::new();
    let profiles = there.0.home().join("aws-config");
    fs::write(
        &profiles,
        "[profile forward]\nregion = eu-west-2\naws_access_key_id = AKIASANDBOXPROD00001\n\
         aws_secret_access_key = sandbox/prod/alice/not-a-real-secret\n",
    )
    .unwrap();
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
    ] {
        there.0.unset(name);
    }
    there.0.set("AWS_CONFIG_FILE", &profiles.display().to_string());
    let port = spec(service(echo));
    let none = there.0.run(&["forward", "--detach", NODE, &port]);
    assert_eq!(none.status, 253, "{none}");
    for (words, name) in [
        (
            &["-p", "forward", "forward", NODE, &port, "--detach", "--name", "a"][..],
            "a",
        ),
        (&["-pforward", "pf", "--name=b", "--detach", NODE, &port], "b"),
        (
            &["-p=forward", "port-forward", "--detach", NODE, &port, "--name=c"],
            "c",
        ),
        (
            &[
                "--profile",
                "forward",
                "pf",
                "--name",
                "forward",
                NODE,
                &port,
                "--detach",
            ],
            "forward",
        ),
        (
            &[
                "forward",
                "--detach",
                "--name",
                "pf",
                NODE,
                &port,
                "--profile",
                "forward",
            ],
            "pf",
        ),
        (
            &[
                "--set",
                "defaults.profile=forward",
                "--region",
                "eu-west-2",
                "pf",
                "--detach",
                "--name=d",
                NODE,
                &port,
            ],
            "d",
        ),
        (
            &[
                "--profile=forward",
                "socks",
                "--local=0",
                NODE,
                "--name",
                "socks",
                "--detach",
            ],
            "socks",
        ),
    ] {
        let told = there.0.run(words);
        assert_eq!(told.status, 0, "{words:?} {told}");
        assert_eq!(there.list()[0]["name"], name, "{words:?}");
        if name != "socks" {
            check_echo(connect(there.port()), 1000, 1);
        }
        let told = there.0.run(&["forward", "stop", name]);
        assert_eq!(told.status, 0, "{words:?} {told}");
    }
}

#[test]
fn what_is_done_before_it_is_ready_is_done_and_said_once() {
    let there = Detaching::new();
    let port = service(echo);
    let spec = format!("0.0.0.0:0:localhost:{port}");
    let told = there
        .0
        .run(&["forward", NODE, &spec, "--save", "kept", "--detach"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(
        told.stderr.matches("other machines can reach it").count(),
        1,
        "{told}"
    );
    let config = fs::read_to_string(there.0.home().join(".config/ssmx/config.toml")).unwrap();
    assert!(config.contains("[presets.kept]"), "{config}");
}

#[test]
fn where_one_of_several_cannot_be_there_is_none_left() {
    let there = Detaching::new();
    let port = spec(service(echo));
    let words = ["forward", "--detach", NODE, &port, "prod-batch", &port];
    let told = there.0.run(&words);
    assert_eq!(told.status, 254, "{told}");
    assert!(told.stderr.contains("stopped"), "{told}");
    assert_eq!(there.list().len(), 0);
    assert_eq!(
        there.0.sandbox.calls_of("ssm:TerminateSession").len(),
        there.starts()
    );
}

#[tokio::test]
async fn keys_are_heard_until_it_is_ready() {
    let there = Detaching::new();
    there.preset("");
    there
        .0
        .sandbox
        .faults()
        .add(ApiFault::new("ec2:DescribeInstances", Effect::Hang));
    let mut terminal = there.0.terminal(&["forward", "db", "--detach"]);
    let asks = || there.0.sandbox.calls_of("ec2:DescribeInstances").len();
    until("it asks AWS", || asks() == 1);
    let processes = [terminal.pid(), there.process("db")];
    terminal.send("\u{1a}").await;
    until("both stop", || {
        processes.iter().all(|process| state_of(*process) == 'T')
    });
    kill_process_group(terminal.pid(), Signal::CONT).unwrap();
    until("both go on", || {
        processes.iter().all(|process| state_of(*process) != 'T')
    });
    terminal.send("\u{3}").await;
    let (_, status) = terminal.finish().await;
    assert_eq!(status.signal(), Some(2), "{status}");
    assert_eq!(there.list().len(), 0);
}

#[test]
fn ten_presets_of_a_group_are_one_process_and_end_together() {
    let there = Detaching::new();
    let mut config = String::new();
    let names: Vec<String> = (0..10).map(|number| format!("db-{number}")).collect();
    for name in &names {
        let port = service(echo);
        config.push_str(&format!(
            "[presets.{name}]\ntarget = \"{NODE}\"\nport = {port}\nlocal = 0\n"
        ));
    }
    config.push_str(&format!("[groups]\nall = {names:?}\n"));
    there.0.config(&config);
    there.start(&["all", "--name", "ten"]);
    let listed = there.list();
    assert_eq!(listed.len(), 10);
    for (forward, name) in listed.iter().zip(&names) {
        assert_eq!(
            (&forward["name"], &forward["forward"]),
            (&json!("ten"), &json!(name))
        );
        assert_eq!(forward["state"], "up");
        check_echo(connect(detaching::port(forward)), 10_000, 1);
    }
    assert!(there.list().iter().all(|forward| forward["received"] == 10_000));
    let told = there.0.run(&["forward", "stop", "ten"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(there.0.sandbox.calls_of("ssm:TerminateSession").len(), 10);
}
