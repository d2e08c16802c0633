//! Detached forwards from outside: what they are called, how they are shown, and what is left of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Signal, kill_process};
use serde_json::json;
use ssmx_sandbox::{Scenario, launch};

use super::detaching::{self, Detaching};
use super::far::{NODE, echo, service, spec};
use super::running::{check_echo, connect, until};
use crate::terminal::Terminal;

impl Detaching {
    /// `forward stop` with these words, which has to succeed; what it says.
    fn stop(&self, words: &[&str]) -> String {
        let told = self.0.run(&[&["forward", "stop"], words].concat());
        assert_eq!(told.status, 0, "{told}");
        told.stderr
    }

    /// Writes down presets of an echo, and a group `all` of them.
    fn presets(&self, names: &[&str]) {
        let port = service(echo);
        let presets = names
            .iter()
            .map(|name| format!("[presets.{name}]\ntarget = \"{NODE}\"\nport = {port}\nlocal = 0\n"));
        self.0.config(&format!(
            "{}[groups]\nall = {names:?}\n",
            presets.collect::<String>()
        ));
    }
}

#[test]
fn where_there_is_nothing_that_is_said() {
    let there = Detaching::new();
    for words in [&["ps"][..], &["ps", "-o", "name"], &["stop", "--all"]] {
        let told = there.0.run(&[&["forward"], words].concat());
        assert_eq!(
            told.to_string(),
            "[status 0]\n--- stderr\nthere are no detached forwards\n"
        );
    }
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    let told = there.0.run(&["forward", "logs", "a"]);
    assert_eq!(told.to_string(), "[status 0]\n--- stderr\na: nothing was said\n");
}

#[test]
fn an_end_that_nobody_asked_for_is_kept_until_it_is_forgotten() {
    let there = Detaching::new();
    there.presets(&["db", "cache"]);
    there.start(&["all"]);
    let sessions = there.list();
    for forward in &sessions {
        let session = forward["session"].as_str().unwrap();
        there.0.sandbox.gateway().terminate(session, "");
    }
    until("both have ended", || {
        there.list().iter().all(|forward| forward["ended"] != json!(null))
    });
    for forward in there.list() {
        assert_eq!(forward["state"], "ended");
        assert_eq!(forward["up"], json!(null));
        let why = forward["why"].as_str().unwrap();
        assert!(why.contains("the session was terminated"), "{why}");
    }
    let table = there.0.run(&["forward", "ps"]);
    assert_eq!(table.status, 0, "{table}");
    assert!(
        table
            .stderr
            .contains("warning: all: cache has ended: the session was"),
        "{table}"
    );
    let log = there.0.run(&["forward", "logs", "all"]).ok();
    assert!(
        log.contains("error: forwards that could not be kept up: db, cache"),
        "{log}"
    );
    for line in log.lines() {
        assert!(
            line.starts_with("20") && line.contains("Z "),
            "with the time: {line}"
        );
    }
    assert_eq!(there.stop(&["cache"]), "all: had ended by itself; forgotten\n");
    assert_eq!(there.list().len(), 0);
}

#[test]
fn a_signal_is_an_end_too_and_the_name_can_be_had_again() {
    let there = Detaching::new();
    let words = [NODE, &spec(service(echo)), "--name", "a"];
    there.start(&words);
    kill_process(there.process("a"), Signal::TERM).unwrap();
    until("it has ended", || there.state() == "ended");
    assert_eq!(there.list()[0]["why"], "its process was ended by signal 15");
    // Its name is taken until the process is gone.
    until("it is started again", || {
        there
            .0
            .run(&[&["forward", "--detach"], &words[..]].concat())
            .status
            == 0
    });
    assert_eq!(there.state(), "up");
    assert_eq!(there.stop(&["a"]), "a: ended\n");
}

#[test]
fn a_process_is_called_as_it_was_asked_for_and_found_by_its_forwards() {
    let there = Detaching::new();
    let long = "d".repeat(60);
    there.presets(&["db", &long]);
    there.start(&["all"]);
    there.start(&[NODE, &spec(service(echo)), "--save", "kept"]);
    let names = there.0.run(&["forward", "ps", "-o", "name"]).ok();
    assert_eq!(names, "forward/all\nforward/kept\n", "a line for each process");
    let told = there.0.run(&["forward", "logs", "forward/kept"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(there.stop(&["forward/kept"]), "kept: ended\n");
    assert_eq!(
        there.stop(&[&long, "db"]),
        format!("all: ended, with db, {long}\n")
    );

    there.start(&[&long]);
    assert_eq!(there.list()[0]["name"], long);
    assert_eq!(there.stop(&[&long]), format!("{long}: ended\n"));

    there.start(&["db", "--name", "one"]);
    there.start(&["db", "--name", "two"]);
    let told = there.0.run(&["forward", "stop", "db"]);
    assert_eq!(
        told.to_string(),
        "[status 252]\n--- stderr\nerror: `db` is a forward of more than one detached process\n\
         hint: name the one that is meant: `one` or `two`\n"
    );
}

#[test]
fn what_is_listed_has_the_shape_of_the_ready_line() {
    let there = Detaching::new();
    there.presets(&["db"]);
    let told = there.0.run(&["forward", "db", "--detach", "-o", "json"]).ok();
    let ready: serde_json::Value = serde_json::from_str(&told).unwrap();
    let listed = &there.list()[0];
    for key in [
        "name", "preset", "local", "remote", "targets", "id", "account", "region", "session",
    ] {
        assert_eq!(listed[key], ready[key], "{key}");
        assert_ne!(listed[key], json!(null), "{key}");
    }
    let process = there.process("db").as_raw_nonzero().get();
    assert_eq!(listed["pid"], process);
    check_echo(connect(detaching::port(listed)), 1000, 1);
}

#[tokio::test]
async fn the_state_is_never_cut() {
    let there = Detaching::new();
    there.presets(&["a-preset-with-a-name-that-leaves-no-room"]);
    there.start(&["all"]);
    let mut command = there
        .0
        .command(&["forward", "ps", "-o", "wide", "--no-cli-pager"]);
    command.env("NO_COLOR", "1");
    kill_process(there.process("all"), Signal::STOP).unwrap();
    let (screen, _) = Terminal::start(&command.into()).finish().await;
    kill_process(there.process("all"), Signal::CONT).unwrap();
    assert!(screen.contains(" silent "), "{screen}");
}

#[test]
fn a_broken_config_does_not_hide_what_runs() {
    let there = Detaching::new();
    there.start(&[NODE, &spec(service(echo)), "--name", "a"]);
    there.0.config("[defaults]\noutput = 7\n");
    let told = there.0.run(&["forward", "ps"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(told.stdout.contains(" up "), "{told}");
    assert!(told.stderr.starts_with("warning: "), "{told}");
    assert!(told.stderr.contains("config.toml"), "{told}");
}

#[test]
fn nothing_that_was_open_before_is_held_on_to() {
    let there = Detaching::new();
    let lock = there.0.home().join("lk");
    let mut shell = there.0.other("sh");
    shell.args([
        "-c",
        "exec 9>lk; flock 9; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_ssmx"),
    ]);
    let started = shell
        .args(["forward", "--detach", NODE, &spec(service(echo))])
        .output()
        .unwrap();
    assert!(started.status.success(), "{started:?}");
    assert!(lock.exists());
    File::open(&lock).unwrap().try_lock().unwrap();
    assert_eq!(there.state(), "up");
}

#[test]
fn a_place_that_cannot_be_had_is_told_in_a_sentence() {
    let there = Detaching::new();
    let state = there.0.home().join(".local/state/ssmx");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("forwards"), "").unwrap();
    for (words, doing) in [
        (&["ps"][..], "list detached forwards"),
        (&[NODE, "80", "--detach"], "take the name of a detached forward"),
    ] {
        let told = there.0.run(&[&["forward"], words].concat());
        assert_eq!(told.status, 255, "{told}");
        assert!(
            told.stderr
                .starts_with(&format!("error: cannot {doing}\n  $HOME/")),
            "{told}"
        );
        assert!(told.stderr.contains("\nhint: "), "{told}");
    }
}

#[tokio::test]
async fn what_a_newcomer_detaches_ends_with_the_sandbox() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("a.sock");
    let spec = format!("{}:80", socket.display());
    let words: Vec<OsString> = ["forward", "prod-web", &spec, "--detach"]
        .map(OsString::from)
        .into();
    let ssmx = Path::new(env!("CARGO_BIN_EXE_ssmx"));
    let status = launch::run_program(ssmx, Scenario::demo(), &words).await.unwrap();
    assert_eq!(status, 0);
    assert!(UnixStream::connect(&socket).is_err(), "nobody is left behind");
}
