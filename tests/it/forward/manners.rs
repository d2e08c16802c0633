//! A forward beside the terminal, its readers, and the signals of whoever has started it.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Signal, kill_process_group};
use ssmx_sandbox::ApiFault;

use super::far::{NODE, echo, service, spec};
use super::running::{Running, until};
use crate::env::TestEnv;
use crate::tools::state_of;

fn calls(env: &TestEnv, operation: &str) -> usize {
    env.sandbox.calls_of(operation).len()
}

#[test]
fn sessions_are_ended_where_nobody_reads_that_they_are_ready() {
    let env = TestEnv::new();
    let (one, other) = (spec(service(echo)), spec(service(echo)));
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let told = env
        .command(&["forward", NODE, &one, &other])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(told.status.code(), Some(0), "a broken pipe is quiet: {told:?}");
    assert_eq!(String::from_utf8_lossy(&told.stderr), "");
    assert_eq!(
        calls(&env, "ssm:TerminateSession"),
        calls(&env, "ssm:StartSession")
    );
}

/// A pipe that takes no more bytes.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

#[test]
fn a_reader_of_talk_who_stands_still_holds_nobody_up() {
    let env = TestEnv::new();
    let (mut reader, writer) = full_pipe();
    let mut command = env.command(&["forward", "-o", "json", NODE, &spec(service(echo))]);
    command.stderr(writer);
    let mut forward = Running::without_talk(command);
    // Each has something to say that nobody hears.
    for sessions in 2..5 {
        let session = env.sandbox.sessions().last().unwrap().id.clone();
        env.sandbox
            .gateway()
            .terminate(&session, "Session timed out due to inactivity.");
        forward.reach_echo();
        assert_eq!(calls(&env, "ssm:StartSession"), sessions);
    }
    forward.signal(Signal::TERM);
    assert_eq!(forward.signal_of_end(), Some(Signal::TERM.as_raw()));
    assert_eq!(calls(&env, "ssm:TerminateSession"), 1);
    // What waited when it ended is lost, and nothing else was in the way.
    let mut heard = Vec::new();
    reader.read_to_end(&mut heard).unwrap();
    assert!(heard.iter().all(|byte| *byte == b'x'));
}

#[test]
fn who_is_to_outlive_the_terminal_does() {
    let env = TestEnv::new();
    let ssmx = env.command(&["forward", "-o", "json", NODE, &spec(service(echo))]);
    let mut command = env.other("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(ssmx.get_program())
        .args(ssmx.get_args());
    let mut forward = Running::of(command);
    forward.signal(Signal::HUP);
    forward.check_echo(1000, 1);
    let (status, _) = forward.interrupt(Signal::TERM);
    assert_eq!(status, 128 + Signal::TERM.as_raw());
}

#[tokio::test]
async fn a_forward_stops_and_goes_on_with_its_command() {
    let env = TestEnv::new();
    let mut terminal = env.terminal(&["forward", NODE, &spec(service(echo)), "--", "cat"]);
    terminal.expect("via ").await;
    terminal.line("hello").await;
    terminal.expect("hello\r\nhello").await;
    terminal.send("\u{1a}").await;
    // The command stops by the system's hand, where a shell is there to go on with it.
    until("the forward stops", || state_of(terminal.pid()) == 'T');
    kill_process_group(terminal.pid(), Signal::CONT).unwrap();
    terminal.line("again").await;
    terminal.expect("again\r\nagain").await;
    terminal.send("\u{4}").await;
    let (screen, status) = terminal.finish().await;
    assert!(status.success(), "{screen}");
}

#[tokio::test]
async fn a_person_is_asked_in_the_order_of_the_words_and_told_about_what() {
    let env = TestEnv::new();
    let preset = |name: &str, port: u16| {
        format!(
            "[presets.{name}]\ntarget = \"{NODE}\"\nconfirm = \"ask\"\nhost = \"localhost\"\nport = {port}\nlocal = 0\n"
        )
    };
    let ports = [service(echo), service(echo), service(echo)];
    let names = ["one", "two", "three"];
    let presets: Vec<String> = names
        .iter()
        .zip(ports)
        .map(|(name, port)| preset(name, port))
        .collect();
    env.config(&format!(
        "{}[groups]\nall = [\"one\", \"two\", \"three\"]\n",
        presets.concat()
    ));
    let mut terminal = env.terminal(&["forward", "all", "-p", "prod"]);
    for (name, port) in names.iter().zip(ports) {
        terminal
            .expect(&format!("Open `{name}` to localhost:{port} through"))
            .await;
        terminal.send("y").await;
    }
    terminal.expect("→").await;
    terminal.send("\u{3}").await;
    terminal.finish().await;
}

#[test]
fn who_waits_for_the_end_is_told_that_aws_takes_its_time() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    env.sandbox
        .faults()
        .add(ApiFault::delay("ssm:TerminateSession", Duration::from_secs(60)));
    forward.signal(Signal::INT);
    forward.expect("still ending the sessions (Ctrl-C again: do not wait)");
    let (status, _) = forward.interrupt(Signal::INT);
    assert_eq!(status, 130);
}
