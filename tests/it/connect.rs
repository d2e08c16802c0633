//! A shell by name, in a real terminal: from the headline to the last byte, and every way out.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use ssmx_sandbox::ApiFault;
use ssmx_sandbox::fault::{Faults, Resume, Trigger};

use crate::env::TestEnv;
use crate::terminal::{Terminal, numbers};

const WEB: &str = "i-0a1b2c3d4e5f60001";
const BASTION: &str = "i-0a1b2c3d4e5f60003";

/// A shell on `prod-web`, its first prompt on the screen.
async fn shell(env: &TestEnv, words: &[&str]) -> Terminal {
    let mut terminal = env.terminal(&[&["connect", "prod-web"], words].concat());
    terminal.expect("prod-web (i-0a1b2c3d4e5f60001)").await;
    terminal.expect("$ ").await;
    terminal
}

/// Ends what was begun, and sees that nothing is left: no session, no odd terminal.
async fn leave(env: &TestEnv, mut terminal: Terminal) -> String {
    terminal.line("exit").await;
    let (rest, status) = terminal.finish().await;
    assert!(status.success(), "{status} {rest}");
    nothing_is_left(env, &terminal);
    rest
}

fn nothing_is_left(env: &TestEnv, terminal: &Terminal) {
    assert!(terminal.is_as_before());
    assert_eq!(env.run(&["sessions", "-o", "name"]).ok(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_as_a_terminal_has_to_be() {
    let env = TestEnv::new();
    let mut terminal = env.terminal(&["connect", "prod-web"]);
    let headline = terminal.expect("prod-web (i-0a1b2c3d4e5f60001)").await;
    assert_eq!(headline, "");
    let rest = terminal.expect("\r\n").await;
    assert_eq!(
        rest,
        " · account 111122223333 · eu-west-2 · the default credentials · auto"
    );
    terminal.expect("$ ").await;
    assert!(terminal.is_raw());
    terminal.line("printf '\\033[31m%s\\033[0m\\n' re''d").await;
    terminal.expect("\x1b[31mred\x1b[0m").await;
    terminal.line("stty size").await;
    terminal.expect("30 100").await;
    terminal.resize(41, 123);
    terminal
        .line("until [ \"$(stty size)\" = '41 123' ]; do sleep 0.05; done; echo resi''zed")
        .await;
    terminal.expect("resized").await;
    // Ctrl-C is the remote's: the command ends, the shell does not, nor do we.
    // The word comes from the command that is to be ended: bash may still be handing the terminal on after its own.
    terminal
        .line("sh -c \"echo star''ted; exec sleep 1000\"; echo sl''ept")
        .await;
    terminal.expect("started").await;
    terminal.send("\x03").await;
    terminal.expect("$ ").await;
    terminal.line("echo still h''ere").await;
    let before = terminal.expect("still here").await;
    assert!(!before.contains("slept"), "{before}");
    // So are Ctrl-Z and Ctrl-\.
    let traps = r#"bash -c 'trap "echo g-tstp" TSTP; trap "echo g-quit; exit" QUIT; echo rea""dy; while :; do read -t 0.1; done'"#;
    terminal.line(traps).await;
    terminal.expect("ready").await;
    terminal.send("\x1a").await;
    terminal.expect("^Zg-tstp").await;
    terminal.send("\x1c").await;
    terminal.expect("^\\g-quit").await;
    leave(&env, terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headline_says_whether_the_shell_is_logged_once_that_is_known() {
    let env = TestEnv::new();
    // Looked up by somebody who asked for it; from then on it costs no call.
    assert_eq!(env.run(&["describe", "prod-web"]).status, 0);
    env.sandbox.calls().clear();
    let mut terminal = env.terminal(&["connect", "prod-web"]);
    terminal.expect(" · auto · not logged\r\n").await;
    terminal.expect("$ ").await;
    assert_eq!(env.sandbox.calls_of("ssm:GetDocument").len(), 0);
    leave(&env, terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_and_a_pager_draw_and_leave() {
    if crate::tools::tool("vi").is_none() {
        return;
    }
    let env = TestEnv::new();
    let mut terminal = shell(&env, &[]).await;
    terminal.line("vi +startinsert poem").await;
    terminal.send("roses\rviolets\x1b:wq\r").await;
    terminal.expect("written").await;
    // The screen of before, then the prompt.
    terminal.expect("\x1b[?1049l").await;
    terminal.expect("$ ").await;
    terminal.line("tr a-z A-Z < poem").await;
    terminal.expect("ROSES").await;
    terminal.expect("VIOLETS").await;
    terminal.line("seq 1 500 | less").await;
    terminal.send("G").await;
    terminal.expect("500").await;
    terminal.send("q").await;
    terminal.expect("$ ").await;
    leave(&env, terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_byte_arrives() {
    let env = TestEnv::new();
    let mut terminal = shell(&env, &[]).await;
    terminal.line("seq 1 100000; exit").await;
    let (screen, status) = terminal.finish().await;
    assert!(status.success());
    let numbers = numbers(&screen);
    assert!(numbers.iter().copied().eq(1..=100_000), "{} lines", numbers.len());
    nothing_is_left(&env, &terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_it_the_terminal_is_sane_and_the_session_over() {
    let env = TestEnv::new();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = shell(&env, &[]).await;
        assert!(terminal.is_raw());
        terminal.kill(signal);
        let (_, status) = terminal.finish().await;
        assert_eq!(status.signal(), Some(signal.as_raw()));
        nothing_is_left(&env, &terminal);
    }
    // A stuck one is ended by the person.
    let mut terminal = shell(&env, &[]).await;
    terminal.line("sleep 1000").await;
    terminal.send("~.").await;
    let (_, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(0), "it was the person's own wish");
    nothing_is_left(&env, &terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_survived_or_told() {
    let env = TestEnv::new();
    let cut = Trigger {
        // In the midst of the numbers, never before the prompt.
        after_bytes: 30_000,
        ..Trigger::default()
    };
    env.sandbox.set_session_faults(Some(Faults {
        cut: Some(cut),
        ..Faults::default()
    }));
    let mut terminal = shell(&env, &[]).await;
    terminal.line("seq 1 20000; echo all th''ere").await;
    let before = terminal.expect("all there").await;
    assert!(numbers(&before).into_iter().eq(1..=20_000));
    assert!(before.contains("reconnecting"), "the line was never cut");
    leave(&env, terminal).await;
    // Where the session is gone too, so is the shell: with a word, and a terminal as it was.
    env.sandbox.set_session_faults(Some(Faults {
        cut: Some(cut),
        resume: Resume::NoToken,
        ..Faults::default()
    }));
    let mut terminal = shell(&env, &[]).await;
    terminal.line("seq 1 20000").await;
    let (screen, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(255));
    assert!(screen.contains("error: the session had timed out"), "{screen}");
    assert!(terminal.is_as_before());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changed_its_owner_gets_no_byte() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    // A session on the remembered id starts at once; what is typed is held until the look-up has spoken.
    let slow = ApiFault::delay("ec2:DescribeInstances", Duration::from_millis(700));
    env.sandbox.faults().add(slow);
    assert!(env.sandbox.world().rename(WEB, "prod-web-old"));
    assert!(env.sandbox.world().rename(BASTION, "prod-web"));
    let mut terminal = env.terminal(&["connect", "prod-web"]);
    terminal.expect("prod-web (i-0a1b2c3d4e5f60001)").await;
    terminal.line("touch caught").await;
    let (screen, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(254), "{screen}");
    assert!(
        screen.contains("`prod-web` is not what was remembered"),
        "{screen}"
    );
    assert!(
        screen.contains("it is i-0a1b2c3d4e5f60003 now, not i-0a1b2c3d4e5f60001"),
        "{screen}"
    );
    nothing_is_left(&env, &terminal);
    let sessions = env.sandbox.sessions();
    let [session] = sessions.as_slice() else {
        panic!("{} sessions", sessions.len())
    };
    assert_eq!(session.target, WEB);
    assert!(
        !holds(env.sandbox.dir(), "caught"),
        "something was typed into a stranger's shell"
    );
    // The second time the snapshot knows.
    let mut terminal = env.terminal(&["connect", "prod-web"]);
    terminal.expect("prod-web (i-0a1b2c3d4e5f60003)").await;
    terminal.expect("$ ").await;
    leave(&env, terminal).await;
}

/// Whether there is a file of this name anywhere below.
fn holds(directory: &Path, name: &str) -> bool {
    fs::read_dir(directory).unwrap().map(Result::unwrap).any(|entry| {
        entry.file_name() == name || entry.file_type().unwrap().is_dir() && holds(&entry.path(), name)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_node_that_is_gone_is_looked_up_anew() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    // Replaced by an Auto Scaling group: the old id cannot be connected to, the name can.
    env.sandbox.world().remove(WEB);
    assert!(env.sandbox.world().rename(BASTION, "prod-web"));
    let mut terminal = env.terminal(&["connect", "prod-web"]);
    terminal.expect("$ ").await;
    let started = env.sandbox.sessions();
    assert_eq!(started.last().unwrap().target, BASTION);
    leave(&env, terminal).await;
}

/// A stand-in for AWS's plugin, which writes down what it was given.
fn stand_in(env: &mut TestEnv, version: &str) {
    let record = env.home().join("record");
    // Ctrl-C at a terminal reaches both; the one that waits has to live through it.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo {version}; exit; }}\n\
         {{ printf '%s\\n' \"$@\"; echo \"response=$AWS_SSM_START_SESSION_RESPONSE\"; \
         kill -INT $PPID; kill -QUIT $PPID; kill -TSTP $PPID; sleep 0.2; ps -o stat= $PPID | cut -c1; }} > {}\n\
         echo \"this is the plugin\"\n",
        record.display()
    );
    env.program("session-manager-plugin", &script);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_started_as_the_aws_cli_starts_it() {
    let mut env = TestEnv::new();
    stand_in(&mut env, "1.2.677.0");
    let words = [
        "connect",
        "prod/prod-web",
        "--transport",
        "plugin",
        "--reason",
        "disk full",
    ];
    let mut terminal = env.terminal(&words);
    terminal.expect("this is the plugin").await;
    let (_, _) = terminal.finish().await;
    let record = fs::read_to_string(env.home().join("record")).unwrap();
    let [
        response_in,
        region,
        operation,
        profile,
        request,
        endpoint,
        response,
        survived,
    ] = record.lines().collect::<Vec<_>>()[..]
    else {
        panic!("{record}");
    };
    assert_eq!(response_in, "AWS_SSM_START_SESSION_RESPONSE");
    assert_eq!(
        (region, operation, profile),
        ("eu-west-2", "StartSession", "prod")
    );
    let request: serde_json::Value = serde_json::from_str(request).unwrap();
    assert_eq!(request["Target"], WEB);
    assert_eq!(request["Reason"], "disk full");
    assert_eq!(endpoint, env.sandbox.endpoint());
    let response: serde_json::Value =
        serde_json::from_str(response.strip_prefix("response=").unwrap()).unwrap();
    for key in ["SessionId", "StreamUrl", "TokenValue"] {
        assert!(response[key].is_string(), "{response}");
    }
    assert_eq!(survived, "S", "waits, neither dead nor stopped");
    nothing_is_left(&env, &terminal);
}

#[test]
fn a_plugin_that_is_missing_or_old_is_told_before_a_session_starts() {
    let mut env = TestEnv::new();
    env.set("PATH", "/nonexistent");
    let words = ["connect", WEB, "--transport", "plugin"];
    let told = env.run(&words);
    assert_ne!(told.status, 0);
    assert!(told.stderr.contains("session-manager-plugin"), "{told}");
    stand_in(&mut env, "1.2.463.0");
    let told = env.run(&words);
    assert_ne!(told.status, 0);
    assert!(
        told.stderr.contains("1.2.463.0") && told.stderr.contains("1.2.497.0"),
        "{told}"
    );
    assert!(env.sandbox.sessions().is_empty());
}
