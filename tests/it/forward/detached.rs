//! Forwards without a terminal: listed, ended, killed, and taken up again.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ssmx_sandbox::{ApiFault, Effect};

use super::far::{NODE, echo, service, spec};
use super::running::{check_echo, connect, until};
use crate::env::TestEnv;
use crate::terminal::Terminal;

/// A sandbox whose detached forwards end with the story, however that ends.
struct Detaching(TestEnv);

impl Drop for Detaching {
    fn drop(&mut self) {
        drop(self.0.run(&["forward", "stop", "--all"]));
    }
}

impl Detaching {
    fn new() -> Self {
        Self(TestEnv::new())
    }

    fn start(&self, words: &[&str]) {
        let told = self.0.run(&[&["forward", "--detach"], words].concat());
        assert_eq!(told.status, 0, "{told}");
    }

    /// `forward ps -o json`.
    fn list(&self) -> Vec<Value> {
        let told = self.0.run(&["forward", "ps", "-o", "json"]).ok();
        let listed: Value = serde_json::from_str(&told).unwrap();
        listed["forwards"].as_array().unwrap().clone()
    }

    fn state(&self) -> String {
        self.list()[0]["state"].as_str().unwrap().to_owned()
    }

    /// The local port of one that listens on loopback.
    fn port(&self) -> u16 {
        let listed = self.list();
        let (_, port) = listed[0]["local"].as_str().unwrap().rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    fn record(&self, name: &str) -> std::path::PathBuf {
        self.0
            .home()
            .join(format!(".local/state/ssmx/run/forwards/{name}.json"))
    }

    /// Ends the process as a crash would, and waits until the system has let go of its lock.
    fn kill(&self, name: &str) {
        let record: Value = serde_json::from_str(&fs::read_to_string(self.record(name)).unwrap()).unwrap();
        let process = i32::try_from(record["process"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
        until("it is seen as dead", || self.state() == "dead");
    }
}

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
fn a_detached_forward_that_was_killed_is_seen_as_dead_and_makes_room() {
    let there = Detaching::new();
    let port = spec(service(echo));
    there.start(&[NODE, &port, "--name", "a"]);
    there.kill("a");
    let table = there.0.run(&["forward", "ps", "-o", "wide"]).ok();
    assert!(table.contains("its process ended without a word"), "{table}");
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
    let session = there.list()[0]["session"].as_str().unwrap().to_owned();
    there
        .0
        .sandbox
        .gateway()
        .terminate(&session, "Session timed out.");
    until("it sleeps", || there.state() == "idle");
    // Closed, not left hanging.
    let mut heard = Vec::new();
    let _ = connect(port).read_to_end(&mut heard);
    until("it needs a person", || there.state() == "needs you");
    let listed = there.list();
    let why = listed[0]["why"].as_str().unwrap();
    assert!(why.contains("ExpiredTokenException"), "{why}");
    there.0.sandbox.faults().clear();
    check_echo(connect(port), 1000, 1);
    assert_eq!(there.state(), "up");
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
        let (_, port) = forward["local"].as_str().unwrap().rsplit_once(':').unwrap();
        check_echo(connect(port.parse().unwrap()), 10_000, 1);
    }
    assert!(there.list().iter().all(|forward| forward["received"] == 10_000));
    let told = there.0.run(&["forward", "stop", "ten"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(there.0.sandbox.calls_of("ssm:TerminateSession").len(), 10);
}
