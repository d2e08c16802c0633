//! Sessions that are kept from the service's idle timeout, and what an administrator says to that.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;

use insta::assert_snapshot;
use rustix::process::Signal;

use crate::env::TestEnv;
use crate::forward::far::{NODE, echo, service, spec};
use crate::forward::running::{Running, until};
use crate::page::Page;

const KEEP: [&str; 2] = ["--set", "defaults.keepalive=1s"];
/// Signs of use, one a second: with so many a session has outlived its idle timeout twice.
const SIGNS: u64 = 7;

/// A sandbox whose bastion ends sessions that were idle for three seconds.
fn hasty() -> TestEnv {
    let env = TestEnv::new();
    env.sandbox.world().edit(NODE, |node| {
        node.session.idle_timeout = Some("3s".parse().unwrap())
    });
    env
}

/// What was heard of the newest session's client.
fn heard(env: &TestEnv) -> u64 {
    let session = env.sandbox.sessions().last().unwrap().id.clone();
    env.sandbox.gateway().observed(&session).unwrap().input_messages
}

/// Waits until the newest session would have been ended twice.
fn outlive(env: &TestEnv) {
    let before = heard(env);
    until("signs of use have come", || heard(env) >= before + SIGNS);
}

/// What is kept alive ends with its command all the same.
fn nothing_is_left(env: &TestEnv) {
    assert_eq!(env.run(&["sessions", "-o", "name"]).ok(), "");
}

fn say(stream: &mut TcpStream) {
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

#[test]
fn an_idle_forward_outlives_the_timeout_where_it_is_told_to() {
    // With streams, and of the older kind, one connection after the other.
    thread::scope(|scope| {
        for version in ["3.3.1142.0", "3.0.161.0"] {
            scope.spawn(|| idle_forward(version));
        }
    });
}

fn idle_forward(version: &str) {
    let env = hasty();
    env.sandbox
        .world()
        .edit(NODE, |node| node.agent.version = version.to_owned());
    let words = [NODE, &spec(service(echo))];
    let mut forward = Running::start(&env, &[&KEEP[..], &words].concat());
    let mut open = forward.connect();
    say(&mut open);
    outlive(&env);
    say(&mut open);
    drop(open);
    outlive(&env);
    forward.check_echo(10_000, 3);
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1, "{version}");
    forward.interrupt(Signal::INT);
    nothing_is_left(&env);

    let forward = Running::start(&env, &words);
    forward.expect("AWS ended the session for its idle or maximum time");
}

#[test]
fn a_forwards_own_idle_time_is_not_put_off() {
    let env = hasty();
    let forward = Running::start(
        &env,
        &[&KEEP[..], &["--idle-timeout", "5s", NODE, &spec(service(echo))]].concat(),
    );
    forward.expect("unused, so its session was ended");
    until("the session is ended", || {
        env.sandbox.calls_of("ssm:TerminateSession").len() == 1
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_shell_outlives_the_timeout_where_it_is_told_to() {
    let env = hasty();
    let mut terminal = env.terminal(&[&KEEP[..], &["connect", NODE]].concat());
    terminal.expect("$ ").await;
    terminal.line("stty size > size; echo be''fore").await;
    terminal.expect("before").await;
    tokio::task::block_in_place(|| outlive(&env));
    // It is as it was: nothing was typed, and the terminal has its size.
    terminal.line("stty size | diff - size && echo sa''me").await;
    let shown = terminal.expect("same").await;
    assert!(!shown.contains("not found"), "{shown}");
    terminal.line("exit").await;
    assert!(terminal.finish().await.1.success());
    nothing_is_left(&env);

    let mut terminal = env.terminal(&["connect", NODE]);
    terminal.expect("$ ").await;
    let (screen, status) = terminal.finish().await;
    assert_eq!(status.code(), Some(255), "{screen}");
    assert!(screen.contains("timed out"), "{screen}");
}

#[test]
fn a_quiet_command_and_a_quiet_stream_outlive_it_too() {
    let env = hasty();
    let words = ["exec", NODE, "--", "sh", "-c", "sleep 7; echo lived"];
    assert_eq!(env.run(&[&KEEP[..], &words].concat()).ok(), "lived\n");
    let told = env.run(&words);
    assert_ne!(told.status, 0, "{told}");

    let port = service(echo).to_string();
    let mut child = env
        .command(&[&KEEP[..], &["proxy", NODE, &port]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut say = |byte: u8| {
        stdin.write_all(&[byte]).unwrap();
        let mut back = [0];
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, [byte], "and nothing that was not sent");
    };
    say(b'a');
    outlive(&env);
    say(b'b');
    drop(stdin);
    assert!(child.wait().unwrap().success());
    nothing_is_left(&env);
}

#[test]
fn where_the_policy_forbids_it_nothing_starts() {
    let env = TestEnv::new();
    let mut page = Page::default();
    for words in [
        &["connect", "prod-web"][..],
        &["exec", "prod-web", "--", "true"],
        &["proxy", "prod-web"],
        &["forward", "prod-web", ":80"],
        &["socks", "prod-web", "--local", "0"],
    ] {
        let words = [&["--set", "defaults.keepalive=5m"], words].concat();
        let Some(told) = env.run_under("keepalive = false", &words) else {
            return;
        };
        page.note(&words, &told);
    }
    assert_snapshot!(page.text);
    assert!(env.sandbox.sessions().is_empty());
    let told = env.run_under("keepalive = false", &["exec", "prod-web", "--", "true"]);
    assert_eq!(told.unwrap().status, 0, "what nobody asks for is not refused");
}
