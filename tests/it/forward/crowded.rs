//! Programs that hold more connections than there are descriptors.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::far::{NODE, echo, service, spec};
use super::running::{Running, until};
use crate::env::TestEnv;

/// A forward to an echo, after these words of a shell.
fn limited(env: &TestEnv, limits: &str) -> Running {
    let spec = spec(service(echo));
    let script = format!("{limits}; exec \"$@\"");
    let mut shell = env.other("/bin/sh");
    shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_ssmx")]);
    shell.args(["forward", "-o", "json", NODE, &spec]);
    Running::of(shell)
}

fn ask(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

#[test]
fn the_soft_limit_of_descriptors_does_not_bound_the_connections() {
    let env = TestEnv::new();
    let forward = limited(&env, "ulimit -S -n 64");
    let held: Vec<TcpStream> = (0..100).map(|_| forward.connect()).collect();
    for stream in &held {
        ask(stream).unwrap();
    }
}

#[test]
fn programs_that_hold_all_they_can_do_not_keep_a_session_from_being_resumed() {
    let env = TestEnv::new();
    let forward = limited(&env, "ulimit -n 64");
    let mut held: Vec<TcpStream> = (0..100).map(|_| forward.connect()).collect();
    ask(&held[0]).unwrap();
    let descriptors = format!("/proc/{}/fd", forward.pid().as_raw_nonzero());
    until("no more connections are taken", || {
        fs::read_dir(&descriptors).unwrap().count() >= 48
    });
    env.sandbox.gateway().bye(forward.session.as_deref().unwrap());
    forward.expect("reconnecting");
    forward.expect("back");
    ask(&held[0]).unwrap();
    // The others had to wait, no more.
    held.drain(..90);
    for stream in &held {
        ask(stream).unwrap();
    }
}
