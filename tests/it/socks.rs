//! `ssmx socks`: programs that speak SOCKS5, and what they are told of places that they cannot reach.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use ssmx_sandbox::api_fault::{ApiFault, Effect};
use tokio::net::TcpSocket;
use tokio::runtime;

use crate::env::TestEnv;
use crate::forward::far::{deaf_port, echo, service, service_on};
use crate::forward::pool::check_rate;
use crate::forward::running::{Running, check_echo, until};
use crate::tools::tool;

const NODE: &str = "prod-bastion";
const NODE_ID: &str = "i-0a1b2c3d4e5f60003";

/// A proxy that runs until it is dropped.
struct Proxy {
    running: Running,
    port: u16,
}

impl Proxy {
    fn start(env: &TestEnv, words: &[&str]) -> Self {
        let words = [&["socks", "-o", "json", "--local", "0", NODE], words].concat();
        let running = Running::of(env.command(&words));
        assert_eq!(running.told["remote"]["protocol"], "socks5");
        assert_eq!(running.told["id"], NODE_ID);
        let port = running.port;
        Self { running, port }
    }

    fn connect(&self) -> TcpStream {
        self.running.connect()
    }

    /// Asks for a place; its connection, or the number of the refusal.
    fn ask(&self, place: &Place) -> Result<TcpStream, u8> {
        let mut stream = self.connect();
        stream.write_all(&[5, 1, 0]).unwrap();
        assert_eq!(read::<2>(&mut stream), [5, 0]);
        stream.write_all(&place.request()).unwrap();
        match read::<10>(&mut stream) {
            [5, 0, 0, 1, 0, 0, 0, 0, 0, 0] => Ok(stream),
            [5, reply, 0, 1, 0, 0, 0, 0, 0, 0] => {
                assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "closed after a refusal");
                Err(reply)
            }
            other => panic!("no answer of SOCKS5: {other:?}"),
        }
    }

    /// The same until it is answered so: what ends elsewhere takes its time.
    fn ask_until(&self, place: &Place, wanted: Result<(), u8>) {
        until(&format!("the answer is {wanted:?}"), || {
            self.ask(place).map(drop) == wanted
        });
    }

    fn end(mut self) -> (Option<i32>, String) {
        let (_, said) = self.running.interrupt(Signal::INT);
        (self.running.signal_of_end(), said)
    }
}

enum Place<'a> {
    Name(&'a str, u16),
    V4(Ipv4Addr, u16),
    V6(Ipv6Addr, u16),
}

impl Place<'_> {
    fn request(&self) -> Vec<u8> {
        let mut request = vec![5, 1, 0];
        let port = match self {
            Self::Name(name, port) => {
                request.extend([3, u8::try_from(name.len()).unwrap()]);
                request.extend(name.as_bytes());
                port
            }
            Self::V4(address, port) => {
                request.push(1);
                request.extend(address.octets());
                port
            }
            Self::V6(address, port) => {
                request.push(4);
                request.extend(address.octets());
                port
            }
        };
        request.extend(port.to_be_bytes());
        request
    }
}

/// An echo that only the node's resolver knows by this name.
const ECHO: Place<'_> = Place::Name("db.internal", 5432);
const PAGE: Place<'_> = Place::Name("intranet.internal", 80);

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Opens a port where nobody listened.
fn hear(deaf: TcpSocket) -> TcpListener {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let listener = deaf.listen(1).unwrap().into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    listener
}

fn starts(env: &TestEnv) -> usize {
    env.sandbox.calls_of("ssm:StartSession").len()
}

fn ends(env: &TestEnv) -> usize {
    env.sandbox.calls_of("ssm:TerminateSession").len()
}

#[test]
fn curl_finds_a_page_by_a_name_that_the_node_alone_knows() {
    let Some(curl) = tool("curl") else { return };
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let through = format!("127.0.0.1:{}", proxy.port);
    let get = |page: &str| {
        let words = ["-sS", "--fail", "--socks5-hostname", &through, page];
        env.other(&curl).args(words).output().unwrap()
    };
    let page = get("http://intranet.internal/");
    assert!(page.status.success(), "{page:?}");
    assert_eq!(
        String::from_utf8_lossy(&page.stdout),
        "intranet.internal:80, as seen from prod-bastion of the sandbox\n"
    );
    // curl's status for a proxy that has said no, and in its words the number.
    let nowhere = get("http://nowhere.internal/");
    assert_eq!(nowhere.status.code(), Some(97), "{nowhere:?}");
    assert!(
        String::from_utf8_lossy(&nowhere.stderr).contains("(4)"),
        "{nowhere:?}"
    );
}

#[test]
fn one_place_has_one_session_whatever_its_connections_and_all_are_ended() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    assert_eq!(starts(&env), 0, "none before it is asked for");
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| check_echo(proxy.ask(&ECHO).unwrap(), 100_000, 1));
        }
    });
    // A name in other letters is the same host.
    check_echo(proxy.ask(&Place::Name("DB.Internal", 5432)).unwrap(), 10, 1);
    assert_eq!(starts(&env), 1);
    drop(proxy.ask(&PAGE).unwrap());
    assert_eq!(starts(&env), 2);
    let hosts: Vec<Value> = env
        .sandbox
        .calls_of("ssm:StartSession")
        .iter()
        .map(|call| call.parameters["Parameters"]["host"][0].clone())
        .collect();
    assert_eq!(hosts, ["db.internal", "intranet.internal"]);
    let (signal, said) = proxy.end();
    assert_eq!(signal, Some(Signal::INT.as_raw()), "{said}");
    assert_eq!(ends(&env), 2);
}

#[test]
fn addresses_of_both_kinds_and_the_nodes_own_loopback_are_reached() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let port = service(echo);
    check_echo(proxy.ask(&Place::Name("localhost", port)).unwrap(), 1000, 1);
    check_echo(proxy.ask(&Place::V4(Ipv4Addr::LOCALHOST, port)).unwrap(), 1000, 1);
    // A machine without IPv6 has nothing to show.
    if let Some(port) = service_on("::1", echo) {
        check_echo(proxy.ask(&Place::V6(Ipv6Addr::LOCALHOST, port)).unwrap(), 1000, 1);
    }
}

#[test]
fn a_server_that_speaks_first_and_a_program_that_does_not_wait_lose_nothing() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let port = service(|mut stream| {
        stream.write_all(b"220 hello\r\n")?;
        let mut line = String::new();
        BufReader::new(stream.try_clone()?).read_line(&mut line)?;
        stream.write_all(line.to_uppercase().as_bytes())
    });
    let mut stream = proxy.connect();
    let mut all = vec![5, 1, 0];
    all.extend(Place::Name("localhost", port).request());
    all.extend(b"quit\n");
    stream.write_all(&all).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    let expected = [&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], &b"220 hello\r\nQUIT\n"[..]].concat();
    assert_eq!(heard, expected);
}

#[test]
fn each_refusal_has_its_number() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let metadata = Ipv4Addr::new(169, 254, 169, 254);
    let (deaf, port) = deaf_port();
    for (place, number) in [
        // The agent's own words.
        (Place::Name("nowhere.internal", 80), 4),
        (Place::V4(metadata, 80), 2),
        // Nobody listens there.
        (Place::Name("localhost", port), 5),
        // Words that are no host.
        (Place::Name("a b", 80), 4),
        (Place::Name("db.internal", 0), 4),
    ] {
        assert_eq!(proxy.ask(&place).map(drop), Err(number));
    }
    // A port that is opened after a refusal.
    let listener = hear(deaf);
    let mut stream = proxy.ask(&Place::Name("localhost", port)).unwrap();
    listener.accept().unwrap().0.write_all(b"x").unwrap();
    assert_eq!(read::<1>(&mut stream), *b"x");
    drop((listener, stream));

    // What is no CONNECT, no address, no SOCKS5.
    for (says, hears) in [
        (&[5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80][..], &[5, 0, 5, 7][..]),
        (&[5, 1, 0, 5, 3, 0, 1, 127, 0, 0, 1, 0, 80], &[5, 0, 5, 7]),
        (&[5, 1, 0, 5, 1, 0, 9], &[5, 0, 5, 8]),
        (&[5, 1, 2], &[5, 0xff]),
        (&[4, 1, 0, 80, 127, 0, 0, 1, 0], &[]),
        (b"GET http://intranet.internal/ HTTP/1.1\r\n\r\n", &[]),
    ] {
        let mut stream = proxy.connect();
        stream.write_all(says).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert_eq!(heard.get(..hears.len()), Some(hears), "{says:?}");
        assert!(heard.len() <= 12, "{heard:?}");
    }
    let (_, said) = proxy.end();
    for words in [
        "nowhere.internal: no such host",
        "is forbidden",
        "the remote end refused a connection",
        "speaks no SOCKS5 (its first byte was 71)",
        "command 2 is not CONNECT",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_aws_refuses_is_told_and_the_proxy_goes_on() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let faults = env.sandbox.faults();
    faults.add(ApiFault::new("ssm:StartSession", Effect::Deny));
    assert_eq!(proxy.ask(&ECHO).map(drop), Err(2));
    faults.clear();
    check_echo(proxy.ask(&ECHO).unwrap(), 1000, 1);

    // The node is lost: no new session, and who asks is told at once.
    let online = |online| {
        env.sandbox
            .world()
            .edit(NODE_ID, |node| node.agent.connected = Some(online))
    };
    assert!(online(false));
    assert_eq!(proxy.ask(&PAGE).map(drop), Err(3));
    assert!(online(true));
    proxy.ask_until(&PAGE, Ok(()));
    let (_, said) = proxy.end();
    assert!(
        said.contains("prod-bastion: db.internal:5432: given up: ssm:StartSession"),
        "{said}"
    );
}

#[test]
fn a_place_that_nobody_uses_loses_its_session_and_gets_another_one() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &["--idle-timeout", "1s"]);
    let mut held = proxy.ask(&PAGE).unwrap();
    check_echo(proxy.ask(&ECHO).unwrap(), 1000, 1);
    until("the session is ended", || ends(&env) == 1);
    let ended = &env.sandbox.calls_of("ssm:TerminateSession")[0].parameters["SessionId"];
    let echo = env.sandbox.sessions().last().unwrap().id.clone();
    assert_eq!(*ended, *echo, "the one that is used stays");
    held.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read::<5>(&mut held), *b"HTTP/");
    check_echo(proxy.ask(&ECHO).unwrap(), 1000, 1);
    assert_eq!(starts(&env), 3);
}

#[test]
fn all_places_together_are_sent_to_no_faster_than_the_limit() {
    let env = TestEnv::new();
    env.config("[defaults]\nrate_limit = \"100000\"\n");
    let proxy = Proxy::start(&env, &[]);
    check_rate::<2>(|listens| {
        [(); 2].map(|()| proxy.ask(&Place::V4(Ipv4Addr::LOCALHOST, listens())).unwrap())
    });
    assert_eq!(starts(&env), 2);
}

#[test]
fn no_more_places_than_allowed_are_open_at_a_time() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &["--sessions", "1"]);
    let held = proxy.ask(&ECHO).unwrap();
    assert_eq!(proxy.ask(&PAGE).map(drop), Err(1));
    check_echo(&held, 1000, 1);
    drop(held);
    // Once nobody uses it any more, it makes room.
    proxy.ask_until(&PAGE, Ok(()));
    assert_eq!((starts(&env), ends(&env)), (2, 1));
    let (_, said) = proxy.end();
    assert!(
        said.contains("intranet.internal:80: refused, since all other destinations are in use"),
        "{said}"
    );
    assert_eq!(
        said.matches("refused").count(),
        1,
        "not for each of many tries: {said}"
    );
}

#[test]
fn a_place_whose_program_waits_for_its_turn_is_in_use() {
    let env = TestEnv::new();
    let slow = ApiFault::delay("ssm:TerminateSession", Duration::from_secs(3));
    env.sandbox.faults().add(slow);
    let proxy = Proxy::start(&env, &["--sessions", "1"]);
    drop(proxy.ask(&PAGE).unwrap());
    let mut waits = proxy.connect();
    // The first one's turn is over when its session is.
    until("it is unused", || {
        waits = proxy.connect();
        waits.write_all(&[5, 1, 0]).unwrap();
        assert_eq!(read::<2>(&mut waits), [5, 0]);
        waits.write_all(&ECHO.request()).unwrap();
        waits.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // A refusal comes at once.
        waits.peek(&mut [0]).is_err()
    });
    assert_eq!(
        proxy.ask(&PAGE).unwrap_err(),
        1,
        "and nobody takes the turn from it"
    );
    waits.set_read_timeout(None).unwrap();
    assert_eq!(read::<10>(&mut waits)[..2], [5, 0]);
    check_echo(&waits, 1000, 1);
}

#[test]
fn programs_that_say_nothing_keep_nobody_out() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let silent: Vec<TcpStream> = (0..256).map(|_| proxy.connect()).collect();
    let began = Instant::now();
    drop(proxy.ask(&ECHO).unwrap());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(silent);
}

#[test]
fn a_session_that_is_cut_or_ended_is_replaced() {
    let env = TestEnv::new();
    let proxy = Proxy::start(&env, &[]);
    let mut held = proxy.ask(&ECHO).unwrap();
    check_echo(&held, 1000, 1);
    env.sandbox.gateway().cut_all();
    check_echo(&held, 100_000, 1);
    let session = env.sandbox.sessions()[0].id.to_string();
    env.sandbox.gateway().terminate(&session, "");
    assert_eq!(
        held.read(&mut [0; 8]).map_err(|error| error.kind()),
        Err(io::ErrorKind::ConnectionReset)
    );
    // Whoever asks while it ends may still be refused.
    until("a connection is carried", || {
        let mut heard = [0];
        let asked = proxy.ask(&ECHO);
        asked.is_ok_and(|mut stream| stream.write_all(b"x").is_ok() && stream.read_exact(&mut heard).is_ok())
    });
    check_echo(proxy.ask(&ECHO).unwrap(), 1000, 1);
    assert_eq!(starts(&env), 2);
}

#[test]
fn a_command_runs_with_the_proxy_up() {
    let env = TestEnv::new();
    let told = env.run(&[
        "socks",
        "--local",
        "0",
        NODE,
        "--",
        "sh",
        "-c",
        "test {port} = $SSMX_FORWARD_PORT && echo {host}; exit 7",
    ]);
    assert_eq!(told.status, 7, "{told}");
    assert_eq!(told.stdout, "127.0.0.1\n", "stdout is the command's alone");
    assert!(
        told.stderr
            .contains("→ SOCKS5 via prod-bastion (i-0a1b2c3d4e5f60003)"),
        "{told}"
    );
    assert_eq!(starts(&env), 0);
}

#[test]
fn a_detached_proxy_is_listed_and_ended() {
    let env = TestEnv::new();
    let told = env.run(&["socks", NODE, "--local", "0", "--detach"]);
    assert_eq!(told.status, 0, "{told}");
    let listed: Value = serde_json::from_str(&env.run(&["forward", "ps", "-o", "json"]).ok()).unwrap();
    let listed = &listed["forwards"][0];
    assert_eq!(listed["name"], NODE);
    assert_eq!(
        (&listed["state"], &listed["remote"]["protocol"]),
        (&"up".into(), &"socks5".into())
    );
    let ended = env.run(&["forward", "stop", NODE]);
    assert_eq!(ended.status, 0, "{ended}");
}

#[test]
fn a_confirmation_is_asked_for_once_and_not_for_each_place() {
    let env = TestEnv::new();
    env.config("[defaults]\nconfirm = \"ask\"\n");
    let told = env.run(&["socks", "--local", "0", NODE]);
    assert_eq!(told.status, 252, "{told}");
    assert!(told.stderr.contains("open a SOCKS5 proxy through"), "{told}");
    let proxy = Proxy::start(&env, &["--yes"]);
    drop((proxy.ask(&ECHO).unwrap(), proxy.ask(&PAGE).unwrap()));
    assert_eq!(starts(&env), 2);
}

#[test]
fn what_cannot_be_is_said_before_anything_listens() {
    let env = TestEnv::new();
    for (words, status, said) in [
        (&["nobody"][..], 252, "bears the name `nobody`"),
        (&["prod-batch"], 254, "stopped"),
        (&[NODE, "--sessions", "0"], 252, "--sessions"),
        (&[NODE, "--idle-timeout", "soon"], 252, "a length of time"),
    ] {
        let words = [&["socks", "--local", "0"][..], words].concat();
        let told = env.run(&words);
        assert_eq!(told.status, status, "{words:?} {told}");
        assert!(told.stderr.contains(said), "{words:?} {told}");
    }
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let told = env.run(&["socks", NODE, "--local", &port]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("is in use"), "{told}");
    assert!(told.stderr.contains("`--local 0`"), "{told}");
    assert_eq!(starts(&env), 0);
}
