//! What becomes of a forward when its sessions begin, grow old, and end, by whomever.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use ssmx_sandbox::fault::{Faults, Resume};
use ssmx_sandbox::{ApiFault, Effect};

use super::far::{NODE, echo, greeter, service, spec};
use super::running::{PATIENCE, Running, connect, until};
use crate::env::TestEnv;

const WEB: &str = "i-0a1b2c3d4e5f60001";

pub fn starts(env: &TestEnv) -> usize {
    env.sandbox.calls_of("ssm:StartSession").len()
}

pub fn ends(env: &TestEnv) -> usize {
    env.sandbox.calls_of("ssm:TerminateSession").len()
}

/// The newest session's id, and the node that it is on.
pub fn newest(env: &TestEnv) -> (String, String) {
    let sessions = env.sandbox.sessions();
    let newest = sessions.last().unwrap();
    (newest.id.clone(), newest.target.clone())
}

/// The session's connection is cut, and asking to resume it comes to this.
pub fn lose(env: &TestEnv, resume: Resume) {
    let (session, _) = newest(env);
    let faults = Faults {
        resume,
        ..Faults::default()
    };
    env.sandbox.gateway().set_faults(&session, faults);
    env.sandbox.gateway().cut(&session);
}

/// All that comes until the other end closes, or resets.
pub fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut heard);
    heard
}

/// A connection with a byte that went there and back.
fn carried(forward: &Running) -> TcpStream {
    carried_by(forward.port)
}

/// The same to the forward at this port.
pub fn carried_by(port: u16) -> TcpStream {
    let mut stream = connect(port);
    say(&mut stream).unwrap();
    stream
}

pub fn say(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])
}

#[test]
fn a_session_that_timed_out_is_opened_again_by_the_next_connection() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let open = carried(&forward);
    let session = forward.session.clone().unwrap();
    env.sandbox
        .gateway()
        .terminate(&session, "Session timed out due to inactivity.");
    assert_eq!(rest(open), b"", "what cannot survive is closed");
    forward
        .expect("AWS ended the session for its idle or maximum time (Session timed out due to inactivity.)");
    // Nothing is opened by itself.
    assert_eq!(starts(&env), 1);
    forward.check_echo(1000, 2);
    assert_eq!(starts(&env), 2);
    assert_eq!(ends(&env), 0, "what is over is not ended again");
}

#[test]
fn the_agents_own_idle_time_is_one_more_timeout() {
    let env = TestEnv::new();
    let second = "1s".parse().unwrap();
    env.sandbox
        .world()
        .edit(NODE, |node| node.session.idle_timeout = Some(second));
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    forward.expect("the next connection starts another one");
    forward.check_echo(1000, 2);
    assert_eq!(starts(&env), 2);
}

#[test]
fn a_session_that_somebody_ended_ends_the_forward_with_a_word() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let open = carried(&forward);
    let told = env.run(&["sessions", "end", forward.session.as_deref().unwrap()]);
    assert_eq!(told.status, 0, "{told}");
    let (status, said) = forward.wait();
    assert_eq!(status, 255, "{said}");
    assert!(said.contains("the session was terminated"), "{said}");
    assert!(said.contains("hint: somebody ended it on purpose"), "{said}");
    assert_eq!(rest(open), b"");
    assert_eq!(starts(&env), 1);
}

#[test]
fn of_several_forwards_one_that_was_ended_leaves_the_others_alone() {
    let env = TestEnv::new();
    let port = service(echo);
    let mut forward = Running::start(&env, &[NODE, &spec(port), WEB, &spec(port)]);
    let first = forward.session.clone().unwrap();
    let second = forward.next_ready();
    env.sandbox.gateway().terminate(&first, "");
    forward.expect("has ended");
    super::running::check_echo(super::running::connect(super::running::port(&second)), 1000, 1);
    assert!(
        TcpStream::connect(("127.0.0.1", forward.port)).is_err(),
        "nobody listens for it any more"
    );
    let last = second["session"].as_str().unwrap();
    env.sandbox.gateway().terminate(last, "");
    let (status, said) = forward.wait();
    assert_eq!(status, 255, "{said}");
    assert!(said.contains("forwards that could not be kept up"), "{said}");
}

#[test]
fn a_lazy_forward_starts_with_its_first_connection() {
    let env = TestEnv::new();
    let port = service(echo);
    env.config(&format!(
        "[presets.db]\ntarget = \"{NODE}\"\nport = {port}\nlocal = 0\nlazy = true\n"
    ));
    for words in [&["--lazy", NODE, &spec(port)][..], &["db"]] {
        let before = starts(&env);
        let forward = Running::start(&env, words);
        assert_eq!(forward.session, None);
        assert_eq!(starts(&env), before);
        forward.check_echo(1000, 1);
        assert_eq!(starts(&env), before + 1);
    }
}

#[test]
fn an_unused_session_is_ended_after_the_forwards_idle_time() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--idle-timeout", "1s", NODE, &spec(service(echo))]);
    forward.check_echo(1000, 1);
    forward.expect("unused, so its session was ended");
    until("the session is ended", || ends(&env) == 1);
    let mut open = carried(&forward);
    // In use, it stays.
    let since = Instant::now();
    while since.elapsed().as_millis() < 1500 {
        say(&mut open).unwrap();
    }
    assert_eq!((starts(&env), ends(&env)), (2, 1));
}

#[test]
fn at_its_highest_age_a_session_gives_way_to_one_that_resolves_the_name_anew() {
    let env = TestEnv::new();
    let lead_to = |port: u16| {
        let there = format!("127.0.0.1:{port}");
        env.sandbox.world().edit(NODE, |node| {
            node.session.names.insert("db.internal:5432".to_owned(), there);
        });
    };
    lead_to(service(echo));
    let forward = Running::start(&env, &["--max-age", "1s", NODE, ":db.internal:5432"]);
    let mut open = carried(&forward);
    // The database fails over: its name leads elsewhere from now on.
    lead_to(greeter("the new one"));
    until("a fresh session leads there", || {
        let mut stream = forward.connect();
        // The old one waits for what it is to send back.
        stream.write_all(b"0123456789a").unwrap();
        let mut heard = [0; 11];
        stream.read_exact(&mut heard).is_ok() && heard == *b"the new one"
    });
    say(&mut open).unwrap();
    let first = forward.session.clone().unwrap();
    let is_over = || env.sandbox.gateway().status(&first).unwrap().status.is_over();
    assert!(!is_over(), "a connection rides on it");
    drop(open);
    until("the old session is ended", is_over);
}

#[test]
fn an_unused_forward_keeps_its_old_session_until_somebody_comes() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--max-age", "1s", NODE, &spec(service(echo))]);
    let idle = carried(&forward);
    let since = Instant::now();
    until("it is too old three times over", || {
        since.elapsed().as_millis() > 3500
    });
    let before = starts(&env);
    assert!(before <= 2, "one for whoever came lately, and no more: {before}");
    let (old, _) = newest(&env);
    let is_over = |session: &str| env.sandbox.gateway().status(session).unwrap().status.is_over();
    drop(idle);
    let first = forward.session.as_deref().unwrap();
    until("one that it kept has ended", || first == old || is_over(first));
    let mut open = carried(&forward);
    let (new, _) = newest(&env);
    assert_ne!(new, old, "who comes goes to a fresh one");
    assert_eq!(starts(&env), before + 1);
    until("the old session is ended", || is_over(&old));
    say(&mut open).unwrap();
}

#[test]
fn an_old_session_carries_who_comes_while_there_is_no_fresh_one() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["--max-age", "1s", NODE, &spec(service(echo))]);
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:StartSession", Effect::Expired));
    let ready = Instant::now();
    until("its session is too old", || ready.elapsed().as_millis() > 1100);
    forward.check_echo(1000, 1);
    forward.expect("a new session needs you");
    forward.check_echo(1000, 2);
}

#[test]
fn the_first_interrupt_lets_connections_finish_and_the_second_does_not() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let mut open = carried(&forward);
    forward.signal(Signal::INT);
    forward.expect("ending; one open connection has a moment");
    until("no more connections are taken", || {
        TcpStream::connect(("127.0.0.1", forward.port)).is_err()
    });
    say(&mut open).unwrap();
    drop(open);
    let (status, said) = forward.wait();
    assert_eq!(status, 130, "{said}");
    assert_eq!(ends(&env), 1);

    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let open = carried(&forward);
    forward.signal(Signal::INT);
    forward.expect("ending; one open connection has");
    let second = Instant::now();
    let (status, said) = forward.interrupt(Signal::INT);
    assert_eq!(status, 130, "{said}");
    assert!(second.elapsed().as_millis() < 2500, "before the moment is over");
    assert_eq!(rest(open), b"");
    assert_eq!(ends(&env), 2);
}

#[test]
fn an_agent_that_is_gone_without_a_word_is_left_for_a_new_session() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let (mut open, idle) = (carried(&forward), carried(&forward));
    env.sandbox
        .gateway()
        .kill_agent(forward.session.as_deref().unwrap());
    open.write_all(b"y").unwrap();
    forward.expect("the agent does not answer any more");
    forward.check_echo(1000, 1);
    assert_eq!(starts(&env), 2);
    assert_eq!(rest(open), b"", "closed, not left hanging");
    assert_eq!(rest(idle), b"");
    until("the old session is ended", || ends(&env) == 1);
}

#[test]
fn a_target_that_stands_still_keeps_only_its_own_bytes_back() {
    const LENGTH: usize = 24 << 20;
    let env = TestEnv::new();
    let (go_on, told) = mpsc::channel::<()>();
    let (count, counted) = mpsc::channel();
    let gate = Arc::new(Mutex::new(Some((told, count))));
    let port = service(move |stream| {
        let first = gate.lock().unwrap().take();
        let Some((told, count)) = first else {
            return echo(stream);
        };
        told.recv().map_err(io::Error::other)?;
        let bytes = io::copy(&mut &stream, &mut io::sink())?;
        count.send(bytes).map_err(io::Error::other)
    });
    let forward = Running::start(&env, &[NODE, &spec(port)]);
    let mut stuck = forward.connect();
    let writer = thread::spawn(move || stuck.write_all(&vec![7; LENGTH]).map(|()| drop(stuck)));
    forward.expect("the agent does not answer any more");
    forward.check_echo(100_000, 1);
    // The agent is as good as it was: longer than an agent that is gone is waited for, nothing is closed.
    assert!(counted.recv_timeout(Duration::from_secs(20)).is_err());
    go_on.send(()).unwrap();
    // Half a second, and on a machine that is busy otherwise so much longer.
    assert_eq!(counted.recv_timeout(4 * PATIENCE).unwrap(), LENGTH as u64);
    writer.join().unwrap().unwrap();
}

#[test]
fn a_session_that_is_not_resumed_is_replaced() {
    for resume in [Resume::Unknown, Resume::NoToken] {
        let env = TestEnv::new();
        let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
        let open = carried(&forward);
        lose(&env, resume);
        forward.expect("reconnecting…");
        assert_eq!(rest(open), b"");
        forward.reach_echo();
        assert_eq!(starts(&env), 2);
    }
}

#[test]
fn a_name_that_resolves_no_more_is_said_and_tried_again_with_the_next_connection() {
    let env = TestEnv::new();
    let name = "db.internal:5432".to_owned();
    let there = format!("127.0.0.1:{}", service(echo));
    let names = |change: &dyn Fn(&mut std::collections::BTreeMap<String, String>)| {
        env.sandbox
            .world()
            .edit(NODE, |node| change(&mut node.session.names));
    };
    names(&|names| drop(names.insert(name.clone(), there.clone())));
    let forward = Running::start(&env, &[NODE, ":db.internal:5432"]);
    forward.check_echo(1000, 1);
    names(&|names| drop(names.remove(&name)));
    lose(&env, Resume::Unknown);
    forward.expect("the agent ended the session");
    names(&|names| drop(names.insert(name.clone(), there.clone())));
    forward.reach_echo();
}

#[test]
fn an_agent_that_ends_each_session_is_asked_less_and_less_often() {
    let env = TestEnv::new();
    let name = "db.internal:5432".to_owned();
    let there = format!("127.0.0.1:{}", service(echo));
    let world = env.sandbox.world();
    world.edit(NODE, |node| drop(node.session.names.insert(name.clone(), there)));
    let forward = Running::start(&env, &[NODE, ":db.internal:5432"]);
    forward.check_echo(1000, 1);
    world.edit(NODE, |node| drop(node.session.names.remove(&name)));
    lose(&env, Resume::Unknown);
    forward.expect("the agent ended the session");
    let (began, before) = (Instant::now(), starts(&env));
    for _ in 0..3 {
        // A program that tries again at once.
        rest(forward.connect());
    }
    assert!(starts(&env) <= before + 3);
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_forward_that_never_worked_is_no_forward() {
    let env = TestEnv::new();
    for (spec, why) in [
        (":nowhere.internal:80", "lookup nowhere.internal: no such host"),
        (
            ":169.254.169.254:80",
            "Forwarding to IP address 169.254.169.254 is forbidden",
        ),
    ] {
        for lookup in ["0s", "1s"] {
            looks_up_within(&env, lookup);
            for words in [&["forward", NODE, spec][..], &["forward", "--detach", NODE, spec]] {
                let told = env.run(words);
                assert_eq!(told.status, 255, "{told}");
                assert_eq!(told.stdout, "", "it was never ready: {told}");
                assert!(told.stderr.contains("cannot be carried"), "{told}");
                assert!(told.stderr.contains(why), "{told}");
            }
        }
    }
    assert!(!env.run(&["forward", "ps"]).stdout.contains("up"));
}

/// From now on the node's agent takes so long to look a host up.
fn looks_up_within(env: &TestEnv, time: &str) {
    let time = time.parse().unwrap();
    env.sandbox
        .world()
        .edit(NODE, |node| node.session.lookup = Some(time));
}

#[test]
fn a_forward_is_ready_once_its_agent_has_looked_the_host_up() {
    let env = TestEnv::new();
    let there = format!("127.0.0.1:{}", service(echo));
    env.sandbox.world().edit(NODE, |node| {
        node.session.names.insert("db.internal:5432".to_owned(), there);
    });
    looks_up_within(&env, "1s");
    let begun = Instant::now();
    let forward = Running::start(&env, &[NODE, ":db.internal:5432"]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    forward.check_echo(1000, 1);
    // Who comes before that waits for no more than the agent.
    let forward = Running::start(&env, &["--lazy", NODE, ":db.internal:5432"]);
    forward.check_echo(1000, 1);
    assert_eq!(starts(&env), 2);
}

#[test]
fn an_old_agents_forward_is_ready_once_its_port_was_reached() {
    let env = TestEnv::new();
    env.sandbox
        .world()
        .edit(NODE, |node| node.agent.version = "3.0.161.0".to_owned());
    let port = service(echo);
    Running::start(&env, &[NODE, &spec(port)]).check_echo(1000, 1);
    // Its agent has dialled when the session began, and a server that speaks first has spoken.
    let forward = Running::start(&env, &[NODE, &spec(greeter("220 hello"))]);
    let mut heard = [0; 9];
    forward.connect().read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"220 hello");
    let told = env.run(&["forward", NODE, ":nowhere.internal:80"]);
    assert_eq!((told.status, told.stdout.as_str()), (255, ""), "{told}");
    assert!(told.stderr.contains("cannot be carried"), "{told}");
}

#[test]
fn a_session_outlives_credentials_that_expire_and_are_renewed() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let mut open = carried(&forward);
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:ResumeSession", Effect::Expired));
    env.sandbox.gateway().cut(forward.session.as_deref().unwrap());
    forward.expect("reconnecting…");
    open.write_all(b"y").unwrap();
    let resumes = || env.sandbox.calls_of("ssm:ResumeSession").len();
    until("it is tried again and again", || resumes() > 2);
    env.sandbox.faults().clear();
    let mut heard = [0];
    open.read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"y");
    assert_eq!(starts(&env), 1);
}

#[test]
fn a_new_session_without_credentials_needs_a_person_and_asks_again() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:StartSession", Effect::Expired));
    let session = forward.session.as_deref().unwrap();
    env.sandbox
        .gateway()
        .terminate(session, "Session timed out due to inactivity.");
    forward.expect("the next connection starts another one");
    assert_eq!(rest(forward.connect()), b"", "closed, not left hanging");
    forward.expect("a new session needs you");
    forward.expect("the next connection asks again");
    assert_eq!(rest(forward.connect()), b"");
    env.sandbox.faults().clear();
    forward.check_echo(1000, 1);
}

#[test]
fn a_right_that_was_taken_away_ends_the_forward() {
    let env = TestEnv::new();
    let mut forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:StartSession", Effect::Deny));
    lose(&env, Resume::Unknown);
    let (status, said) = forward.wait();
    assert_eq!(status, 254, "{said}");
    assert!(said.contains("ssm:StartSession"), "{said}");
}

#[test]
fn an_old_agent_carries_one_connection_after_the_other() {
    let env = TestEnv::new();
    env.sandbox
        .world()
        .edit(NODE, |node| node.agent.version = "3.0.161.0".to_owned());
    let forward = Running::start(&env, &[NODE, &spec(service(echo))]);
    let mut first = carried(&forward);
    let mut second = forward.connect();
    second.write_all(b"y").unwrap();
    say(&mut first).unwrap();
    drop(first);
    let mut heard = [0];
    second.read_exact(&mut heard).unwrap();
    assert_eq!(heard, *b"y");
    drop(second);
    for seed in 0..5 {
        forward.check_echo(200_000, seed);
    }
    assert_eq!(starts(&env), 1);
}
