//! Bytes on their way: whole, in order and once, whatever happens to the data channel.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use insta::assert_snapshot;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use ssmx_sandbox::fault::{Faults, Lossy, Trigger};

use super::far::{NODE, deaf_port, echo, greeter, service, spec};
use super::running::{Running, until};
use crate::env::TestEnv;
use crate::page::Page;

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
    let (_held, closed) = deaf_port();
    let mut forward = Running::start(&env, &[NODE, &spec(closed)]);
    for _ in 0..5 {
        let error = forward.connect().read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    let (_, said) = forward.interrupt(Signal::INT);
    let warnings = said.matches("the remote end refused a connection").count();
    assert_eq!(warnings, 1, "it is said once: {said}");
}

#[test]
fn so_many_sessions_share_the_connections_as_the_nearest_word_says() {
    let env = TestEnv::new();
    let port = service(echo);
    let preset = |more: &str| {
        format!(
            "[presets.db]\ntarget = \"name=prod-bastion\"\nprofile = \"prod\"\nport = {port}\nlocal = 0\n{more}"
        )
    };
    let section = "[profiles.prod]\nsessions = 4\n";
    let general = "[defaults]\nsessions = 5\n";
    for (config, words, expected) in [
        (preset(""), &["db"][..], 1),
        (preset(general), &["db"], 5),
        (preset(&format!("{section}{general}")), &["db"], 4),
        (preset(&format!("lazy = true\n{section}")), &["db"], 4),
        (preset(&format!("sessions = 3\n{section}{general}")), &["db"], 3),
        (preset(&format!("sessions = 1\n{section}{general}")), &["db"], 1),
        (
            preset(&format!("sessions = 3\n{section}")),
            &["--sessions", "2", "db"],
            2,
        ),
    ] {
        env.config(&config);
        env.sandbox.calls().clear();
        let forward = Running::start(&env, words);
        let streams: Vec<TcpStream> = (0..8).map(|_| forward.connect()).collect();
        for mut stream in streams {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        let started = env.sandbox.calls_of("ssm:StartSession").len();
        assert_eq!(started, expected, "{config} {words:?}");
    }
}

#[test]
fn where_the_policy_wants_one_session_nobody_gets_more() {
    let env = TestEnv::new();
    let mut page = Page::default();
    let preset = "[presets.db]\ntarget = \"name=prod-bastion\"\nprofile = \"prod\"\nport = 80\nlocal = 0\n";
    for (whose, more, words) in [
        ("the flag", "", &["forward", "--sessions", "2", "db"][..]),
        ("the preset", "sessions = 2\n", &["forward", "db"]),
        (
            "the profile's section",
            "[profiles.prod]\nsessions = 2\n",
            &["forward", "db"],
        ),
        ("the default", "[defaults]\nsessions = 2\n", &["forward", "db"]),
    ] {
        env.config(&format!("{preset}{more}"));
        let Some(told) = env.run_under("pools = false", words) else {
            return;
        };
        page.heading(whose);
        page.note(words, &told);
    }
    assert_snapshot!(page.text);
    assert!(env.sandbox.sessions().is_empty());
    // The profile's word is the nearer one.
    env.config(&format!(
        "{preset}[defaults]\nsessions = 2\n[profiles.prod]\nsessions = 1\n"
    ));
    let told = env.run_under("pools = false", &["forward", "db", "--", "true"]);
    told.unwrap().ok();
}

/// Bytes without a pattern that a lost block would leave intact.
fn bytes(length: u32) -> Vec<u8> {
    (0..length / 4)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

#[test]
fn sixty_four_mib_each_way_have_equal_checksums() {
    const LENGTH: u32 = 64 << 20;
    let env = TestEnv::new();
    // It tells the checksum of what came, then sends bytes of its own.
    let far = service(|mut stream| {
        let mut heard = vec![0; LENGTH as usize];
        stream.read_exact(&mut heard)?;
        stream.write_all(&Sha256::digest(&heard))?;
        heard.reverse();
        stream.write_all(&heard)
    });
    let forward = Running::start(&env, &[NODE, &spec(far)]);
    let mut sent = bytes(LENGTH);
    let mut stream = forward.connect();
    stream.write_all(&sent).unwrap();
    let mut sum = [0; 32];
    stream.read_exact(&mut sum).unwrap();
    assert_eq!(sum, *Sha256::digest(&sent));
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    sent.reverse();
    assert_eq!(Sha256::digest(&back), Sha256::digest(&sent));
}

#[test]
fn a_server_may_speak_first_and_a_connection_may_be_idle_over_a_bye() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(greeter("220 ready\r\n"))]);
    let mut heard = String::new();
    forward.connect().read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "220 ready\r\n");

    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let mut idle = forward.connect();
    for turn in 0..3_u8 {
        idle.write_all(&[turn]).unwrap();
        let mut heard = [0];
        idle.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [turn]);
        env.sandbox.gateway().bye(forward.session.as_deref().unwrap());
        forward.expect("reconnecting…");
        forward.expect("back");
    }
}

/// Open descriptors, threads, and memory in KiB.
fn holds(forward: &Running) -> (usize, usize, usize) {
    let process = format!("/proc/{}", forward.pid().as_raw_nonzero());
    let count = |what: &str| fs::read_dir(format!("{process}/{what}")).unwrap().count();
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    (count("fd"), count("task"), memory)
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let at_once = || {
        let mut streams: Vec<TcpStream> = (0..200).map(|_| forward.connect()).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[number as u8; 5000]).unwrap();
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut heard = [0; 5000];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, [number as u8; 5000]);
        }
    };
    let in_turn = |count: u64| (0..count).for_each(|seed| forward.check_echo(2000, seed));
    // What it keeps for the next ones, it has after the first.
    at_once();
    in_turn(50);
    let quiet = || until("all have ended", || holds(&forward).0 <= 32);
    quiet();
    let before = holds(&forward);
    in_turn(1000);
    at_once();
    until("no descriptor is left behind", || holds(&forward).0 <= before.0);
    let after = holds(&forward);
    assert_eq!(after.1, before.1, "threads");
    // A connection that is kept by mistake holds some 10 KiB.
    assert!(
        after.2 < before.2 + 4096,
        "{} KiB before, {} after",
        before.2,
        after.2
    );
}
