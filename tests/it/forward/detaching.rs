//! What stories about detached forwards share.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::far::{echo, service};
use super::running::until;
use crate::env::TestEnv;

/// The local port of a listed forward.
pub fn port(listed: &Value) -> u16 {
    listed["local"]["port"].as_u64().unwrap().try_into().unwrap()
}

/// What `confirm` asks.
pub const QUESTION: &str = "through prod-bastion (i-0a1b2c3d4e5f60003) in 111122223333 eu-west-2?";

/// A sandbox whose detached forwards end with the story, however that ends.
pub struct Detaching(pub TestEnv);

impl Drop for Detaching {
    fn drop(&mut self) {
        drop(self.0.run(&["forward", "stop", "--all"]));
    }
}

impl Detaching {
    /// The demo sandbox, and nothing detached.
    pub fn new() -> Self {
        Self(TestEnv::new())
    }

    /// Starts one, which has to succeed.
    pub fn start(&self, words: &[&str]) {
        let told = self.0.run(&[&["forward", "--detach"], words].concat());
        assert_eq!(told.status, 0, "{told}");
    }

    /// `forward ps -o json`.
    pub fn list(&self) -> Vec<Value> {
        let told = self.0.run(&["forward", "ps", "-o", "json"]).ok();
        let listed: Value = serde_json::from_str(&told).unwrap();
        listed["forwards"].as_array().unwrap().clone()
    }

    /// The state of the first.
    pub fn state(&self) -> String {
        self.list()[0]["state"].as_str().unwrap().to_owned()
    }

    /// The local port of one that listens on loopback.
    pub fn port(&self) -> u16 {
        port(&self.list()[0])
    }

    /// Writes down a preset `db` of an echo, with this in its section too.
    pub fn preset(&self, section: &str) {
        let port = service(echo);
        self.0.config(&format!(
            "[presets.db]\ntarget = \"name=prod-bastion\"\nport = {port}\nlocal = 0\n{section}\n"
        ));
    }

    /// Starts it at a terminal, where a yes is all that is asked for.
    pub async fn agree(&self) {
        let mut terminal = self.0.terminal(&["forward", "db", "--detach"]);
        terminal.expect(QUESTION).await;
        assert_eq!(self.starts(), 0);
        terminal.send("y").await;
        terminal.expect("detached as `db`").await;
        assert!(terminal.finish().await.1.success());
    }

    /// How many sessions were started.
    pub fn starts(&self) -> usize {
        self.0.sandbox.calls_of("ssm:StartSession").len()
    }

    /// Lets AWS end the session for its idle time.
    pub fn time_out(&self) {
        let session = self.list()[0]["session"].as_str().unwrap().to_owned();
        self.0.sandbox.gateway().terminate(&session, "Session timed out.");
        until("it sleeps", || self.state() == "idle");
    }

    /// How often the log says that a person is needed.
    pub fn cries(&self) -> usize {
        let log = self.0.run(&["forward", "logs", "db"]).ok();
        assert!(!log.contains('\u{1b}'), "{log}");
        log.matches("a new session needs you").count()
    }

    /// The file that says what a process is.
    pub fn record(&self, name: &str) -> PathBuf {
        self.0.detached_file(&format!("{name}.json"))
    }

    /// The process of this name.
    pub fn process(&self, name: &str) -> Pid {
        let record: Value = serde_json::from_str(&fs::read_to_string(self.record(name)).unwrap()).unwrap();
        let process = i32::try_from(record["process"].as_i64().unwrap()).unwrap();
        Pid::from_raw(process).unwrap()
    }

    /// Ends the process as a crash would, and waits until the system has let go of its lock.
    pub fn kill(&self, name: &str) {
        kill_process(self.process(name), Signal::KILL).unwrap();
        until("it is seen as dead", || self.state() == "dead");
    }
}
