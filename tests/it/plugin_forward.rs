//! Forwards through AWS's plugin: our listener, its port. The plugin is a stand-in that writes down how it was
//! started, or ssmx itself under the plugin's name.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use ssmx_sandbox::fault::Faults;

use crate::env::TestEnv;
use crate::forward::far::{NODE, deaf_port, echo, service};
use crate::forward::running::{Running, until};
use crate::tools::children_of;

const PLUGIN: &str = "session-manager-plugin";

/// Puts a program under the plugin's name before all others.
fn put(env: &mut TestEnv, script: &str) -> PathBuf {
    env.program(PLUGIN, script)
}

/// ssmx as the plugin: a copy, since ssmx does not take itself for the official one.
fn ourselves(env: &mut TestEnv) {
    fs::copy(env!("CARGO_BIN_EXE_ssmx"), env.programs().join(PLUGIN)).unwrap();
}

/// Whether it runs: one that nobody has waited for yet does not.
fn is_alive(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

fn through_plugin<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--transport", "plugin"], words].concat()
}

#[test]
fn our_listener_leads_through_the_plugins_port() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let spec = format!(":{}", service(echo));
    let mut forward = Running::start(&env, &through_plugin(&[NODE, &spec]));
    assert_eq!(children_of(forward.pid()).len(), 1);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| forward.check_echo(100_000, 3));
        }
    });
    forward.check_echo(2_000_000, 3);
    // One that shuts its side still hears the answer, though the plugin knows no half-close.
    let mut stream = forward.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"hello");
    drop(stream);
    let plugin = children_of(forward.pid())[0];
    let (_, said) = forward.interrupt(Signal::INT);
    assert!(!said.contains("Waiting for connections"), "{said}");
    assert!(!is_alive(plugin), "the plugin has left too");
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
    assert!(!env.sandbox.calls_of("ssm:TerminateSession").is_empty());
}

#[test]
fn a_port_where_nobody_listens_resets_the_connection() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let (_held, port) = deaf_port();
    let mut forward = Running::start(&env, &through_plugin(&[NODE, &format!(":{port}")]));
    let error = forward.connect().read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let (_, said) = forward.interrupt(Signal::INT);
    assert!(said.contains("the remote end refused a connection"), "{said}");
}

#[test]
fn what_becomes_of_the_session_is_read_from_the_plugins_words() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let spec = format!(":{}", service(echo));
    // Its time is over: the next connection starts another one.
    let mut forward = Running::start(&env, &through_plugin(&[NODE, &spec]));
    forward.check_echo(1000, 3);
    let ended = env.sandbox.gateway().terminate(
        forward.session.as_deref().unwrap(),
        "Session timed out due to inactivity.",
    );
    assert!(ended);
    forward.reach_echo();
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 2);
    // Somebody ends it: so does the forward.
    let second = env.sandbox.sessions().last().unwrap().id.to_string();
    env.sandbox.gateway().terminate(&second, "");
    let said = forward.wait().1;
    assert!(said.contains("AWS ended the session for its idle"), "{said}");
    assert!(said.contains("the session was terminated"), "{said}");
}

#[test]
fn a_plugin_that_dies_is_started_again() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let spec = format!(":{}", service(echo));
    let mut forward = Running::start(&env, &through_plugin(&[NODE, &spec]));
    forward.check_echo(1000, 3);
    let mut held = forward.connect();
    held.write_all(b"x").unwrap();
    held.read_exact(&mut [0]).unwrap();
    kill_process(children_of(forward.pid())[0], Signal::KILL).unwrap();
    let error = held.read(&mut [0; 8]).unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::ConnectionReset,
        "cut, and not ended"
    );
    forward.reach_echo();
    let (_, said) = forward.interrupt(Signal::INT);
    assert!(said.contains("the plugin failed"), "{said}");
}

/// It would hold its port and its session for as long as nobody looks.
#[cfg(target_os = "linux")]
#[test]
fn the_plugin_goes_with_a_forward_that_is_killed() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let spec = format!(":{}", service(echo));
    let mut forward = Running::start(&env, &through_plugin(&[NODE, &spec]));
    forward.check_echo(1000, 3);
    let plugin = children_of(forward.pid())[0];
    assert!(is_alive(plugin));
    kill_process(forward.pid(), Signal::KILL).unwrap();
    until("the plugin has gone", || !is_alive(plugin));
    let session = forward.session.clone().unwrap();
    until("the session has ended", || {
        let state = env.sandbox.gateway().status(&session).unwrap();
        state.ended.is_some()
    });
    forward.wait();
}

/// A plugin that writes down how it was started, then carries nothing.
fn recording(env: &mut TestEnv) -> PathBuf {
    let record = env.home().join("record");
    put(
        env,
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 1.2.677.0; exit; }}\n\
             {{ printf '%s\\n' \"$@\"; echo \"response=$AWS_SSM_START_SESSION_RESPONSE\"; \
             ps -o pgid= $$; ps -o pgid= $PPID; }} > {}\n\
             echo 'Cannot perform start session: the agent has left'\n",
            record.display()
        ),
    );
    record
}

#[test]
fn the_plugin_is_started_as_the_aws_cli_starts_it_and_out_of_reach_of_the_terminal() {
    let mut env = TestEnv::new();
    let record = recording(&mut env);
    let told = env.run(&[
        "forward",
        "--transport",
        "plugin",
        "-p",
        "prod",
        NODE,
        "0:db.internal:5432",
    ]);
    assert_eq!(told.status, 255, "{told}");
    assert!(
        told.stderr
            .contains("the plugin could not carry the session: the agent has left"),
        "{told}"
    );
    let record = fs::read_to_string(record).unwrap();
    let [
        response_in,
        region,
        operation,
        profile,
        request,
        endpoint,
        response,
        group,
        ours,
    ] = record.lines().collect::<Vec<_>>()[..]
    else {
        panic!("{record}");
    };
    assert_eq!(response_in, "AWS_SSM_START_SESSION_RESPONSE");
    assert_eq!(
        (region, operation, profile),
        ("eu-west-2", "StartSession", "prod")
    );
    let request: Value = serde_json::from_str(request).unwrap();
    assert_eq!(
        request["DocumentName"],
        "AWS-StartPortForwardingSessionToRemoteHost"
    );
    assert_eq!(request["Parameters"]["host"][0], "db.internal");
    assert_eq!(endpoint, env.sandbox.endpoint());
    assert!(response.starts_with("response={"), "{response}");
    assert_ne!(group.trim(), ours.trim(), "a group of its own");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

/// ssmx as the plugin behind a script, which tells its version, and so lets another session be started, when there
/// is the file that this returns.
fn ourselves_later(env: &mut TestEnv) -> PathBuf {
    let (aside, go) = (env.home().join("aside"), env.home().join("go"));
    fs::create_dir(&aside).unwrap();
    let copy = aside.join(PLUGIN);
    fs::copy(env!("CARGO_BIN_EXE_ssmx"), &copy).unwrap();
    put(
        env,
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ until [ -e {} ]; do sleep 0.01; done; }}\nexec {} \"$@\"\n",
            go.display(),
            copy.display()
        ),
    );
    go
}

/// Runs `start`, whose first session's agent is not understood; the others' are.
fn misunderstood_once<T>(env: &TestEnv, go: &Path, start: impl FnOnce() -> T) -> T {
    env.sandbox.calls().clear();
    let before = env.sandbox.sessions().len();
    env.sandbox.set_session_faults(Some(Faults {
        unknown_actions: true,
        ..Faults::default()
    }));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Not the call, which is noted before the session takes its faults.
            until("the first session is there", || {
                env.sandbox.sessions().len() > before
            });
            env.sandbox.set_session_faults(None);
            fs::write(go, "").unwrap();
        });
        start()
    })
}

#[test]
fn a_forward_whose_agent_is_not_understood_goes_through_the_plugin() {
    let mut env = TestEnv::new();
    let go = ourselves_later(&mut env);
    let spec = format!(":{}", service(echo));
    let (starts, ends) = (
        |env: &TestEnv| env.sandbox.calls_of("ssm:StartSession").len(),
        |env: &TestEnv| env.sandbox.calls_of("ssm:TerminateSession").len(),
    );
    let mut forward = misunderstood_once(&env, &go, || Running::start(&env, &[NODE, &spec]));
    forward.expect("since its agent is not understood");
    forward.expect("another one goes through the plugin");
    assert_eq!((starts(&env), ends(&env)), (2, 1), "the first is ended before");
    assert_eq!(children_of(forward.pid()).len(), 1);
    forward.check_echo(1_000_000, 3);
    forward.interrupt(Signal::INT);
    assert_eq!(env.run(&["sessions", "-o", "name"]).ok(), "", "none is left");

    // A connection that was given to the first session rides on the second.
    fs::remove_file(&go).unwrap();
    let forward = Running::start(&env, &["--lazy", NODE, &spec]);
    misunderstood_once(&env, &go, || {
        let mut early = forward.connect();
        early.write_all(b"x").unwrap();
        early.read_exact(&mut [0]).unwrap();
    });
    assert_eq!(starts(&env), 2);
}

#[test]
fn an_agent_that_is_not_understood_is_said_where_no_plugin_may_help() {
    let mut env = TestEnv::new();
    env.sandbox.set_session_faults(Some(Faults {
        unknown_actions: true,
        ..Faults::default()
    }));
    let refused = |env: &TestEnv, words: &[&str]| {
        env.sandbox.calls().clear();
        let told = env.run(&[&["forward"], words, &[NODE, ":80"]].concat());
        assert_eq!(told.status, 255, "{told}");
        assert!(
            told.stderr
                .contains("the other end speaks what ssmx does not understand"),
            "{told}"
        );
        assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
        assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
    };
    // Nobody asks for its version, which it would not tell.
    ourselves_later(&mut env);
    refused(&env, &["--transport", "native"]);
    let directory = env.home().join("empty");
    fs::create_dir(&directory).unwrap();
    env.set("PATH", directory.to_str().unwrap());
    refused(&env, &[]);
}

#[test]
fn a_word_about_the_transport_reaches_a_forward_wherever_it_stands() {
    let mut env = TestEnv::new();
    let record = recording(&mut env);
    let preset = |more: &str| {
        format!(
            "[presets.db]\ntarget = \"name=prod-bastion\"\nprofile = \"prod\"\nport = 80\nlocal = 0\n{more}"
        )
    };
    let is_by_plugin = |env: &TestEnv, words: &[&str]| {
        drop(fs::remove_file(&record));
        let words = [&["forward", "db"][..], words, &["--", "true"]].concat();
        let told = env.run(&words);
        assert_eq!(told.status == 255, record.exists(), "{told}");
        record.exists()
    };
    for (config, words, expected) in [
        (preset(""), &[][..], false),
        (preset("transport = \"plugin\"\n"), &[], true),
        (preset("[profiles.prod]\ntransport = \"plugin\"\n"), &[], true),
        (
            preset("transport = \"native\"\n[profiles.prod]\ntransport = \"plugin\"\n"),
            &[],
            false,
        ),
        (preset("[defaults]\ntransport = \"plugin\"\n"), &[], true),
        (
            preset("transport = \"plugin\"\n"),
            &["--transport", "native"],
            false,
        ),
    ] {
        env.config(&config);
        assert_eq!(is_by_plugin(&env, words), expected, "{config} {words:?}");
    }
    env.config(&preset("transport = \"plugin\"\n"));
    env.set("SSMX_TRANSPORT", "native");
    assert!(!is_by_plugin(&env, &[]), "what is said now counts first");
}

#[test]
fn a_plugin_that_is_missing_or_old_is_told_before_a_session_starts() {
    let mut env = TestEnv::new();
    let words = ["forward", "--transport", "plugin", NODE, ":80"];
    put(&mut env, "#!/bin/sh\necho 1.2.463.0\n");
    let told = env.run(&words);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("1.2.463.0"), "{told}");
    assert!(told.stderr.contains("hint: install it"), "{told}");
    let directory = env.home().join("empty");
    fs::create_dir(&directory).unwrap();
    env.set("PATH", directory.to_str().unwrap());
    // Where AWS's packages put one it is found without PATH.
    if !Path::new("/usr/local/sessionmanagerplugin").exists()
        && !Path::new("/usr/local/bin").join(PLUGIN).exists()
    {
        let told = env.run(&words);
        assert_eq!(told.status, 255, "{told}");
        assert!(
            told.stderr.contains("`session-manager-plugin` was not found"),
            "{told}"
        );
    }
    assert!(env.sandbox.sessions().is_empty());
}

#[test]
fn socks_goes_through_the_plugin_too() {
    let mut env = TestEnv::new();
    ourselves(&mut env);
    let words = [
        "socks",
        "-o",
        "json",
        "--local",
        "0",
        "--transport",
        "plugin",
        NODE,
    ];
    let mut proxy = Running::of(env.command(&words));
    let ask = |name: &str, port_there: u16| {
        let mut stream = proxy.connect();
        let mut request = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        request.extend(name.as_bytes());
        request.extend(port_there.to_be_bytes());
        stream.write_all(&request).unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).unwrap();
        (reply[3], stream)
    };
    let (reply, mut stream) = ask("localhost", service(echo));
    assert_eq!(reply, 0);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let (_held, deaf) = deaf_port();
    assert_eq!(ask("localhost", deaf).0, 5);
    assert_eq!(ask("nowhere.internal", 80).0, 4);
    proxy.interrupt(Signal::TERM);
}

#[test]
fn where_the_policy_permits_no_plugin_auto_does_not_go_on_to_it() {
    let mut env = TestEnv::new();
    let go = ourselves_later(&mut env);
    let spec = format!(":{}", service(echo));
    let words = ["forward", NODE, &spec, "--", "true"];
    // Whether this machine lets a story have a policy.
    if env.run_under("", &["version"]).is_none() {
        return;
    }
    let policy = "transports = [\"native\"]";
    let told = misunderstood_once(&env, &go, || env.run_under(policy, &words)).unwrap();
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("could not be carried"), "{told}");
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
}
