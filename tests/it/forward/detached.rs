//! Forwards without a terminal: listed, ended, killed, and taken up again.

use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::far::{NODE, echo, service, spec};
use crate::env::TestEnv;

#[test]
fn a_detached_forward_lives_is_listed_and_ends() {
    let env = TestEnv::new();
    let port = spec(service(echo));
    let told = env.run(&["forward", NODE, &port, "--detach", "--name", "a"]);
    assert_eq!(told.status, 0, "{told}");
    let list = || -> Value { serde_json::from_str(&env.run(&["forward", "ps", "-o", "json"]).ok()).unwrap() };
    assert_eq!(list()["forwards"][0]["state"], "up");
    let again = env.run(&["forward", NODE, &port, "--detach", "--name", "a"]);
    assert_eq!(again.status, 255, "{again}");
    assert!(again.stderr.contains("is running already"), "{again}");
    let ended = env.run(&["forward", "stop", "a"]);
    assert_eq!(ended.status, 0, "{ended}");
    assert_eq!(list()["forwards"].as_array().unwrap().len(), 0);
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn a_detached_forward_that_was_killed_is_seen_as_dead_and_makes_room() {
    let env = TestEnv::new();
    let port = spec(service(echo));
    let words = ["forward", NODE, &port, "--detach", "--name", "a"];
    let told = env.run(&words);
    assert_eq!(told.status, 0, "{told}");
    let record = env.home().join(".local/state/ssmx/run/forwards/a.json");
    let record: Value = serde_json::from_str(&std::fs::read_to_string(record).unwrap()).unwrap();
    let process = i32::try_from(record["process"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    let state = || -> Value {
        let listed: Value = serde_json::from_str(&env.run(&["forward", "ps", "-o", "json"]).ok()).unwrap();
        listed["forwards"][0]["state"].clone()
    };
    // The system lets go of its lock in its own time.
    let mut dead = false;
    for _ in 0..200 {
        dead = state() == "dead";
        if dead {
            break;
        }
        thread::yield_now();
    }
    assert!(dead);
    let told = env.run(&words);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(state(), "up");
    let ended = env.run(&["forward", "stop", "--all"]);
    assert_eq!(ended.status, 0, "{ended}");
}
