//! `ssmx forward` on the sandbox's nodes: real sockets on both ends, and everything in between gone wrong.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use ssmx_sandbox::fault::{Faults, Lossy, Trigger};

use crate::env::TestEnv;

/// Nothing here takes so long; a story that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const NODE: &str = "i-0a1b2c3d4e5f60003";

/// A service on the node: every connection is given to `serve` on a thread of its own.
fn service(serve: fn(TcpStream) -> io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that has gone is no failure of the service.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut back = stream.try_clone()?;
    io::copy(&mut stream, &mut back)?;
    back.shutdown(Shutdown::Write)
}

/// A forward that runs until it is dropped.
struct Running {
    child: Child,
    port: u16,
    session: Option<String>,
}

impl Running {
    fn start(env: &TestEnv, words: &[&str]) -> Self {
        let mut command = env.command(&["forward", "-o", "json"]);
        let mut child = command
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Ok(told) = serde_json::from_str::<Value>(&line) else {
            child.kill().unwrap();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("no forward: {line} {said}");
        };
        Self {
            child,
            port: u16::try_from(told["local"]["port"].as_u64().unwrap()).unwrap(),
            session: told["session"].as_str().map(ToOwned::to_owned),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes of a pattern to an echo and checks that they come back whole.
    fn check_echo(&self, length: usize, seed: u64) {
        let sent: Vec<u8> = (0..length as u64)
            .map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8)
            .collect();
        let mut stream = self.connect();
        let mut writing = stream.try_clone().unwrap();
        let out = sent.clone();
        let writer = thread::spawn(move || writing.write_all(&out));
        let mut heard = vec![0; length];
        stream.read_exact(&mut heard).unwrap();
        writer.join().unwrap().unwrap();
        assert!(heard == sent, "{length} bytes came back changed");
    }

    fn interrupt(&mut self, signal: Signal) -> (i32, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.wait()
    }

    fn wait(&mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        if let Some(mut talk) = self.child.stderr.take() {
            talk.read_to_string(&mut said).unwrap();
        }
        let status = status.code().or(status.signal().map(|signal| 128 + signal));
        (status.unwrap(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spec(port: u16) -> String {
    format!(":{port}")
}

#[test]
fn many_connections_are_carried_whole_at_once_and_the_session_is_ended() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    thread::scope(|scope| {
        for seed in 0..20 {
            let forward = &forward;
            scope.spawn(move || forward.check_echo(100_000, seed));
        }
    });
    forward.check_echo(3_000_000, 7);
    let (status, said) = forward.interrupt(Signal::INT);
    assert_eq!(status, 130, "{said}");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn no_byte_is_lost_or_doubled_whatever_happens_to_the_data_channel() {
    let trigger = |bytes| {
        Some(Trigger {
            after_bytes: bytes,
            times: 3,
            ..Trigger::default()
        })
    };
    let lossy = Lossy {
        lose: 0.02,
        repeat: 0.02,
        reorder: 0.02,
        lose_acks: 0.02,
        ..Lossy::default()
    };
    let weather = [
        Faults {
            bye: trigger(200_000),
            ..Faults::default()
        },
        Faults {
            cut: trigger(200_000),
            ..Faults::default()
        },
        Faults {
            to_client: lossy,
            to_agent: lossy,
            ..Faults::default()
        },
        Faults {
            frame_limit: Some(20_000),
            ..Faults::default()
        },
        Faults {
            payload_limit: Some(5),
            ..Faults::default()
        },
    ];
    for faults in weather {
        let env = TestEnv::new();
        let length = if faults.payload_limit.is_some() {
            20_000
        } else {
            600_000
        };
        env.sandbox.set_session_faults(Some(faults));
        let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
        forward.check_echo(length, 3);
        forward.check_echo(1_000, 5);
    }
}

#[test]
fn a_program_that_shuts_its_side_still_hears_the_answer() {
    let env = TestEnv::new();
    let slow = service(|mut stream| {
        let mut line = String::new();
        BufReader::new(stream.try_clone()?).read_line(&mut line)?;
        thread::sleep(Duration::from_millis(300));
        stream.write_all(line.to_uppercase().as_bytes())
    });
    let forward = Running::start(&env, &[NODE, &spec(slow)]);
    let mut stream = forward.connect();
    stream.write_all(b"hello\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "HELLO\n");
}

#[test]
fn a_port_where_nobody_listens_resets_the_connection() {
    let env = TestEnv::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut forward = Running::start(&env, &[NODE, &spec(free)]);
    let error = forward.connect().read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let (_, said) = forward.interrupt(Signal::INT);
    assert!(said.contains("the remote end refused a connection"), "{said}");
}

#[test]
fn a_session_that_timed_out_is_opened_again_by_the_next_connection() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    forward.check_echo(1000, 1);
    let session = forward.session.clone().unwrap();
    env.sandbox
        .gateway()
        .terminate(&session, "Session timed out due to inactivity.");
    // Connections that the old session still takes do not survive it; the first after it opens a new one.
    let answered = (0..1000).any(|_| {
        let mut stream = forward.connect();
        let mut heard = [0];
        stream.write_all(b"x").is_ok() && stream.read_exact(&mut heard).is_ok()
    });
    assert!(answered);
    forward.check_echo(1000, 2);
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 2);
}

#[test]
fn a_session_that_somebody_ended_ends_the_forward_with_a_word() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    env.sandbox
        .gateway()
        .terminate(forward.session.as_deref().unwrap(), "");
    let (status, said) = forward.wait();
    assert_eq!(status, 255, "{said}");
    assert!(said.contains("the session was terminated"), "{said}");
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
}

#[test]
fn a_lazy_forward_starts_with_its_first_connection() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--lazy", NODE, &spec(service(echo))]);
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 0);
    forward.check_echo(1000, 1);
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
}

#[test]
fn several_sessions_share_the_connections() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--sessions", "4", NODE, &spec(service(echo))]);
    let streams: Vec<TcpStream> = (0..8).map(|_| forward.connect()).collect();
    for mut stream in streams {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 4);
}

#[test]
fn a_command_finds_its_port_and_its_status_is_ours() {
    let env = TestEnv::new();
    let port = spec(service(echo));
    let told = env.run(&[
        "forward",
        NODE,
        &port,
        "--",
        "sh",
        "-c",
        "test {port} = $SSMX_FORWARD_PORT && echo {host}; exit 7",
    ]);
    assert_eq!(told.status, 7, "{told}");
    assert_eq!(told.stdout, "127.0.0.1\n", "stdout is the command's alone");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn what_makes_no_sense_is_said_before_anything_starts() {
    let env = TestEnv::new();
    env.config("[presets.lost]\ntarget = \"name=prod-bastion\"\nport = 80\nlocal = 0\n");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = format!("{}:80", busy.local_addr().unwrap().port());
    for (words, status, said) in [
        (&["los"][..], 252, "there is no preset or group `los`"),
        (&["prod-web"], 252, "name the port too"),
        (&["8080:80"], 252, "is a forward without a target before it"),
        (&["prod-web", "0"], 252, "the remote port cannot be 0"),
        (&["prod-web", "65536"], 252, "is above 65535"),
        (&["prod-web", "my db:80"], 252, "the host has a space in it"),
        (
            &["prod-web", "192.0.2.1:0:db:80"],
            252,
            "is not an address of this machine",
        ),
        (&["nobody", ":80"], 252, "bears the name `nobody`"),
        (&["prod-batch", ":80"], 254, "stopped"),
        (&["prod-web", &busy], 255, "is in use"),
        (
            &["lost", "--", "echo", "{found.port}"],
            252,
            "names no forward of this run",
        ),
        (
            &["stop", "nothing"],
            252,
            "there is no detached forward `nothing`",
        ),
    ] {
        let told = env.run(&[&["forward"], words].concat());
        assert_eq!(told.status, status, "{words:?} {told}");
        assert!(told.stderr.contains(said), "{words:?} {told}");
    }
}

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

#[test]
fn a_preset_says_the_region_where_its_target_does_not() {
    let env = TestEnv::new();
    env.config(
        "[targets.there]\nname = \"prod-web-dr\"\nregion = \"eu-west-1\"\n\
         [presets.by-preset]\ntarget = \"name=prod-web-dr\"\nregion = \"eu-west-1\"\nport = 80\nlocal = 0\n\
         [presets.by-target]\ntarget = \"there\"\nregion = \"eu-west-2\"\nport = 80\nlocal = 0\n",
    );
    for preset in ["by-preset", "by-target"] {
        let told = env.run(&["forward", preset, "--", "true"]);
        assert_eq!(told.status, 0, "{told}");
        let sessions = env.sandbox.sessions();
        assert_eq!(sessions.last().unwrap().place.region, "eu-west-1");
    }
    assert_eq!(env.sandbox.sessions().len(), 2);
}
