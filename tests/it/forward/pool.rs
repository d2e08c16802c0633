//! Several sessions behind one forward: what is told of them, how many there are, and how fast they may be.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ssmx_sandbox::fault::{Faults, Resume};

use super::detaching::Detaching;
use super::far::{NODE, echo, service, spec};
use super::running::{PATIENCE, Running, check_echo, connect, until};
use super::sessions::{carried_by, lose, newest, say, starts};
use crate::env::TestEnv;

/// What a detached forward is known by here.
const NAME: &str = "a";

/// The state and the session that `forward ps` shows.
fn shown(there: &Detaching) -> (String, Option<String>) {
    let listed = &there.list()[0];
    let session = listed["session"].as_str().map(ToOwned::to_owned);
    (listed["state"].as_str().unwrap().to_owned(), session)
}

fn log(there: &Detaching) -> String {
    there.0.run(&["forward", "logs", NAME]).ok()
}

#[test]
fn where_one_session_of_several_is_lost_the_others_are_what_is_told_of() {
    let there = Detaching::new();
    there.start(&["--sessions", "2", NODE, &spec(service(echo)), "--name", NAME]);
    let (first, _) = newest(&there.0);
    let port = there.port();
    let mut streams = [carried_by(port), carried_by(port)];
    assert_eq!(starts(&there.0), 2);
    lose(&there.0, Resume::Unknown);
    until("one of them is left", || {
        shown(&there) == ("up".to_owned(), Some(first.clone()))
    });
    until("it is said", || log(&there).contains("one session less ("));
    let alive = streams.each_mut().map(|stream| say(stream).is_ok());
    assert_eq!(alive.iter().filter(|alive| **alive).count(), 1);
    assert_eq!(starts(&there.0), 2, "nobody asked for another one");
    let said = log(&there);
    assert!(!said.contains("starting a new session"), "{said}");
}

#[test]
fn a_lazy_forward_that_lost_its_session_waits_for_somebody() {
    let there = Detaching::new();
    there.start(&["--lazy", NODE, &spec(service(echo)), "--name", NAME]);
    let port = there.port();
    let mut stream = carried_by(port);
    assert_eq!(shown(&there).0, "up");
    lose(&there.0, Resume::Unknown);
    assert!(
        !matches!(stream.read(&mut [0]), Ok(1..)),
        "what cannot survive is closed"
    );
    until("it sleeps", || shown(&there) == ("idle".to_owned(), None));
    let said = log(&there);
    assert!(said.contains("the next connection starts one"), "{said}");
    assert!(!said.contains("starting a new session"), "{said}");
    assert_eq!(starts(&there.0), 1);
    check_echo(connect(port), 1000, 1);
    assert_eq!((shown(&there).0.as_str(), starts(&there.0)), ("up", 2));
}

#[test]
fn an_old_session_that_carries_on_is_shown_where_the_fresh_one_is_lost() {
    let there = Detaching::new();
    let words = [
        "--lazy",
        "--max-age",
        "1s",
        NODE,
        &spec(service(echo)),
        "--name",
        NAME,
    ];
    there.start(&words);
    let port = there.port();
    let mut stays = carried_by(port);
    let (old, _) = newest(&there.0);
    until("a fresh one takes over", || {
        check_echo(connect(port), 10, 1);
        // Not the call, which is noted before there is a session.
        shown(&there).1.is_some_and(|session| session != old)
    });
    lose(&there.0, Resume::Unknown);
    until("the old one is shown", || {
        shown(&there) == ("idle".to_owned(), Some(old.clone()))
    });
    say(&mut stays).unwrap();
}

#[test]
fn sessions_are_opened_as_connections_ask_for_them() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--sessions", "3", NODE, &spec(service(echo))]);
    let mut streams = Vec::new();
    assert_eq!(starts(&env), 1);
    for sessions in [1, 2, 3, 3, 3] {
        streams.push(carried_by(forward.port));
        assert_eq!(starts(&env), sessions);
    }
    drop(streams);
    forward.check_echo(1000, 1);
    assert_eq!(starts(&env), 3, "those that nobody rides on are taken first");
}

/// How many sessions are open.
fn open(env: &TestEnv) -> usize {
    let sessions = env.sandbox.sessions();
    let gateway = env.sandbox.gateway();
    let is_open = |id: &str| {
        gateway
            .status(id)
            .is_some_and(|session| !session.status.is_over())
    };
    sessions.iter().filter(|session| is_open(&session.id)).count()
}

#[test]
fn connections_that_stay_keep_no_more_than_one_old_session_for_each_fresh_one() {
    for (sessions, most) in [("1", 2), ("2", 4)] {
        let env = TestEnv::new();
        let words = [
            "--max-age",
            "1s",
            "--sessions",
            sessions,
            NODE,
            &spec(service(echo)),
        ];
        let forward = Running::start(&env, &words);
        let mut stay = Vec::new();
        for second in 1..=5 {
            let begun = Instant::now();
            stay.extend([(); 3].map(|()| carried_by(forward.port)));
            until("the fresh ones are too old", || {
                begun.elapsed() > Duration::from_millis(1100)
            });
            assert!(open(&env) <= most, "after {second} s: {}", open(&env));
        }
        assert_eq!(starts(&env), most);
        // All ride on.
        stay.iter_mut().for_each(|stream| say(stream).unwrap());
        // Where the old ones have gone, who comes has a fresh one again.
        let last = stay.pop();
        drop(stay);
        until("those that nobody rides on have ended", || {
            drop(carried_by(forward.port));
            starts(&env) > most
        });
        drop(last);
    }
}

/// Checks that 400,000 bytes over connections to ports that only listen, each to one of its own or all to one, take
/// the time that 100,000 a second take.
pub fn check_rate<const COUNT: usize>(connect: impl FnOnce(&dyn Fn() -> u16) -> [TcpStream; COUNT]) {
    let each = 400_000 / COUNT;
    let (tell, told) = mpsc::channel();
    let sink = move |mut stream: TcpStream| {
        let mut buffer = [0; 4096];
        while let length @ 1.. = stream.read(&mut buffer)? {
            tell.send(length).map_err(io::Error::other)?;
        }
        Ok(())
    };
    let streams = connect(&|| service(sink.clone()));
    let begun = Instant::now();
    let writers = streams.map(|mut stream| {
        thread::spawn(move || {
            stream.write_all(&vec![7; each])?;
            io::Result::Ok(stream)
        })
    });
    let mut arrived = 0;
    while arrived < each * COUNT {
        arrived += told.recv_timeout(PATIENCE).unwrap();
    }
    // But for the first message of each, and what may be sent at once.
    assert!(
        begun.elapsed() >= Duration::from_millis(3500),
        "{:?}",
        begun.elapsed()
    );
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn all_sessions_together_send_no_faster_than_the_limit() {
    let env = TestEnv::new();
    env.config("[defaults]\nrate_limit = \"100000\"\n");
    let mut forward = None;
    check_rate::<4>(|listens| {
        let words = ["--sessions", "4", NODE, &spec(listens())];
        let forward = forward.insert(Running::start(&env, &words));
        [(); 4].map(|()| forward.connect())
    });
    assert_eq!(starts(&env), 4);
}

#[test]
fn no_message_is_larger_than_the_limit() {
    for (limit, frames) in [("600", 900), ("4000", 4300)] {
        let env = TestEnv::new();
        env.config(&format!("[defaults]\npayload_limit = \"{limit}\"\n"));
        // A larger one would be the end of the data channel.
        env.sandbox.set_session_faults(Some(Faults {
            frame_limit: Some(frames),
            ..Faults::default()
        }));
        let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
        forward.check_echo(600_000, 1);
        assert_eq!(env.sandbox.calls_of("ssm:ResumeSession").len(), 0, "{limit}");
    }
}
