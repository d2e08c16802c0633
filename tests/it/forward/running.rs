//! A forward that runs beside the test.

use std::borrow::Borrow;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::env::TestEnv;

/// Nothing here takes so long; a story that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A forward that runs until it is dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    talk: Arc<Talk>,
    /// Zero where it listens on a socket.
    pub port: u16,
    pub session: Option<String>,
    /// The document of the first that was ready.
    pub told: Value,
}

/// What a process says, as it says it.
#[derive(Default)]
struct Talk {
    said: Mutex<Said>,
    news: Condvar,
}

#[derive(Default)]
struct Said {
    text: String,
    /// How far it was expected.
    seen: usize,
    ended: bool,
}

impl Running {
    /// Starts a forward of these words and waits until it is ready.
    pub fn start(env: &TestEnv, words: &[&str]) -> Self {
        Self::of(env.command(&[&["forward", "-o", "json"], words].concat()))
    }

    /// Starts this command, which is to print a document for each forward, and waits for the first.
    pub fn of(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::without_talk(command)
    }

    /// The same where stderr is the command's own affair.
    pub fn without_talk(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = Arc::new(Talk::default());
        let stderr = child.stderr.take();
        let heard = Arc::clone(&talk);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            if let Some(mut stderr) = stderr {
                while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                    heard.say(&String::from_utf8_lossy(&buffer[..length]));
                }
            }
            heard.said.lock().unwrap().ended = true;
            heard.news.notify_all();
        });
        let mut running = Self {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            talk,
            port: 0,
            session: None,
            told: Value::Null,
        };
        let told = running.next_ready();
        running.port = told["local"].get("port").map_or(0, |_| port(&told));
        running.session = told["session"].as_str().map(ToOwned::to_owned);
        running.told = told;
        running
    }

    /// The document of the next forward that is ready.
    pub fn next_ready(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| {
            drop(self.child.kill());
            panic!("no forward: {line} {}", self.wait().1)
        })
    }

    /// Waits until this is said, after all that was expected before.
    #[track_caller]
    pub fn expect(&self, words: &str) {
        let until = Instant::now() + PATIENCE;
        let mut said = self.talk.said.lock().unwrap();
        loop {
            if let Some(at) = said.text[said.seen..].find(words) {
                said.seen += at + words.len();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !said.ended,
                "not said: {words:?}; said: {}",
                said.text
            );
            said = self.talk.news.wait_timeout(said, left).unwrap().0;
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// Sends bytes of a pattern to an echo and checks that they come back whole.
    pub fn check_echo(&self, length: usize, seed: u64) {
        check_echo(self.connect(), length, seed);
    }

    /// Connects until a connection is carried: those that a dying session still takes are closed with it.
    #[track_caller]
    pub fn reach_echo(&self) {
        until("a connection is carried", || {
            let mut stream = self.connect();
            stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Signals it and waits for its end.
    pub fn interrupt(&mut self, signal: Signal) -> (i32, String) {
        self.signal(signal);
        self.wait()
    }

    /// The signal that it ended by, once it has.
    pub fn signal_of_end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().signal()
    }

    /// Its exit status, 128 and the signal where one killed it, and all that it said.
    pub fn wait(&mut self) -> (i32, String) {
        let status = self.child.wait().unwrap();
        let mut said = self.talk.said.lock().unwrap();
        while !said.ended {
            said = self.talk.news.wait(said).unwrap();
        }
        let status = status.code().or(status.signal().map(|signal| 128 + signal));
        (status.unwrap(), said.text.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Talk {
    fn say(&self, words: &str) {
        self.said.lock().unwrap().text.push_str(words);
        self.news.notify_all();
    }
}

/// The local port in a forward's document.
pub fn port(told: &Value) -> u16 {
    u16::try_from(told["local"]["port"].as_u64().unwrap()).unwrap()
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes of a pattern to an echo and checks that they come back whole.
pub fn check_echo(stream: impl Borrow<TcpStream>, length: usize, seed: u64) {
    let mut stream = stream.borrow();
    let sent: Vec<u8> = (0..length as u64)
        .map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8)
        .collect();
    let mut writing = stream.try_clone().unwrap();
    let out = sent.clone();
    let writer = thread::spawn(move || writing.write_all(&out));
    let mut heard = vec![0; length];
    stream.read_exact(&mut heard).unwrap();
    writer.join().unwrap().unwrap();
    assert!(heard == sent, "{length} bytes came back changed");
}

/// Waits until something has come about.
#[track_caller]
pub fn until(what: &str, mut came_about: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !came_about() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
