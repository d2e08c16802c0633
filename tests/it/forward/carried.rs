//! Bytes on their way: whole, in order and once, whatever happens to the data channel.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use ssmx_sandbox::fault::{Faults, Lossy, Trigger};

use super::far::{NODE, echo, service, spec};
use super::running::Running;
use crate::env::TestEnv;

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
