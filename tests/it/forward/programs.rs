//! Programs and servers that others wrote, joined by a forward: what works for them works.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use sha2::{Digest as _, Sha256};

use super::far::{NODE, spec};
use super::running::{Running, until};
use crate::env::TestEnv;
use crate::tools::tool;

/// A server that ends with the story.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Starts a server that takes its port as a word, and waits until it answers there. A port that was free a
    /// moment ago may be another's by then: it is tried again with the next one.
    fn start(command: impl Fn(u16) -> Command) -> (Self, u16) {
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let child = command(port)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut server = Self(child);
            until("the server answers or has ended", || {
                server.0.try_wait().unwrap().is_some() || TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if server.0.try_wait().unwrap().is_none() {
                return (server, port);
            }
        }
        panic!("the server does not start");
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    said(&output)
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    text
}

fn sum(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Bytes without a pattern that a lost block would leave intact.
fn bytes(length: u32) -> Vec<u8> {
    (0..length / 4)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

#[test]
fn curl_keeps_a_connection_and_opens_two_hundred() {
    let Some(curl) = tool("curl") else { return };
    let env = TestEnv::new();
    // The demo sandbox's web server on prod-web.
    let forward = Running::start(&env, &["prod-web", ":80"]);
    let url = format!("http://127.0.0.1:{}/", forward.port);
    let mut kept = env.other(&curl);
    kept.args(["-s", "-w", "%{http_code} %{num_connects}\n"]);
    for _ in 0..3 {
        kept.args(["-o", "page", &url]);
    }
    assert_eq!(run(&mut kept), "200 1\n200 0\n200 0\n");
    let page = fs::read_to_string(env.home().join("page")).unwrap();
    assert_eq!(page, "localhost:80, as seen from prod-web of the sandbox\n");
    let mut parallel = env.other(&curl);
    parallel.args(["-s", "-Z", "--parallel-max", "200", "--parallel-immediate"]);
    parallel.args(["-w", "%{http_code}\n", "-o", "page-#1", &format!("{url}[1-200]")]);
    assert_eq!(run(&mut parallel), "200\n".repeat(200));
    for number in 1..=200 {
        assert_eq!(
            fs::read_to_string(env.home().join(format!("page-{number}"))).unwrap(),
            page
        );
    }
}

#[test]
fn wrk_finds_no_connection_in_error() {
    let Some(wrk) = tool("wrk") else { return };
    let env = TestEnv::new();
    let forward = Running::start(&env, &["prod-web", ":80"]);
    let url = format!("http://127.0.0.1:{}/", forward.port);
    let told = run(env
        .other(&wrk)
        .args(["-t", "2", "-c", "50", "-d", "2s", "--timeout", "20s", &url]));
    assert!(told.contains("requests in"), "{told}");
    assert!(
        !told.contains("Socket errors") && !told.contains("Non-2xx"),
        "{told}"
    );
}

#[test]
fn http2_carries_many_streams_on_one_connection() {
    let (Some(h2load), Some(curl)) = (tool("h2load"), tool("curl")) else {
        return;
    };
    let nghttpd = Path::new("/usr/sbin/nghttpd");
    if !nghttpd.exists() {
        tool("nghttpd");
        return;
    }
    let env = TestEnv::new();
    let page = bytes(4 << 20);
    fs::write(env.home().join("page"), &page).unwrap();
    fs::write(env.home().join("small"), "small").unwrap();
    let (_server, port) = Server::start(|port| {
        let mut command = env.other(nghttpd);
        command.args(["--no-tls", "-a", "127.0.0.1", "-d", ".", &port.to_string()]);
        command
    });
    let forward = Running::start(&env, &[NODE, &spec(port)]);
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", forward.port);
    let told = run(env
        .other(&h2load)
        .args(["-n", "1000", "-c", "10", "-m", "10", &url("small")]));
    assert!(told.contains("1000 succeeded, 0 failed, 0 errored"), "{told}");
    let mut get = env.other(&curl);
    get.args([
        "-s",
        "--http2-prior-knowledge",
        "-w",
        "%{http_version} %{http_code}",
    ]);
    assert_eq!(run(get.args(["-o", "back", &url("page")])), "2 200");
    assert_eq!(sum(&fs::read(env.home().join("back")).unwrap()), sum(&page));
}

#[test]
fn redis_takes_a_hundred_thousand_keys_and_gives_them_back() {
    let (Some(server), Some(cli)) = (tool("redis-server"), tool("redis-cli")) else {
        return;
    };
    let env = TestEnv::new();
    let (_server, port) = Server::start(|port| {
        let mut command = env.other(&server);
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        command
    });
    // A name that only the node knows, by a preset.
    env.sandbox.world().edit(NODE, |node| {
        let there = format!("127.0.0.1:{port}");
        node.session.names.insert("cache.internal:6379".to_owned(), there);
    });
    env.config(&format!(
        "[presets.prod-cache]\ntarget = \"{NODE}\"\nhost = \"cache.internal\"\nport = 6379\nlocal = 0\n"
    ));
    let forward = Running::start(&env, &["prod-cache"]);
    let client = || {
        let mut command = env.other(&cli);
        command.args(["-h", "127.0.0.1", "-p", &forward.port.to_string()]);
        command
    };
    assert_eq!(run(client().arg("ping")), "PONG\n");
    let mut pipe = client()
        .arg("--pipe")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = pipe.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let text: String = (0..100_000)
            .map(|n| format!("SET key:{n} value:{n}\r\n"))
            .collect();
        keys.write_all(text.as_bytes())
    });
    let told = said(&pipe.wait_with_output().unwrap());
    writer.join().unwrap().unwrap();
    assert!(told.contains("errors: 0, replies: 100000"), "{told}");
    assert_eq!(run(client().arg("dbsize")), "100000\n");
    assert_eq!(run(client().args(["get", "key:99999"])), "value:99999\n");
    let all = run(client().args(["keys", "*"]));
    assert_eq!(all.lines().count(), 100_000);
}

/// PostgreSQL's own programs lie beside the path, by version; the newest.
fn postgresql() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions.map(|version| version.path().join("bin")).max();
    if newest.is_none() {
        tool("postgres");
    }
    newest
}

/// As somebody whom the server, which will not run as root, accepts.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

#[test]
fn psql_works_as_the_readme_says() {
    let (Some(programs), Some(_)) = (postgresql(), tool("psql")) else {
        return;
    };
    let directory = run(as_postgres("mktemp").args(["-d", "/tmp/ssmx-story-XXXXXX"]));
    let directory = directory.trim();
    let cluster = format!("{directory}/data");
    run(as_postgres(programs.join("initdb")).args(["-D", &cluster, "-A", "trust", "-U", "postgres", "-N"]));
    let (server, port) = Server::start(|port| {
        let mut command = as_postgres(programs.join("postgres"));
        command.args([
            "-D",
            &cluster,
            "-F",
            "-k",
            "",
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        command
    });
    let env = TestEnv::new();
    env.sandbox.world().edit(NODE, |node| {
        let there = format!("127.0.0.1:{port}");
        node.session.names.insert("db.internal:5432".to_owned(), there);
    });
    env.config(&format!(
        "[presets.prod-db]\ntarget = \"{NODE}\"\nhost = \"db.internal\"\nport = 5432\nlocal = 0\n"
    ));
    let psql = |more: &[&str]| {
        let words = [
            "forward",
            "prod-db",
            "--",
            "psql",
            "-X",
            "-U",
            "postgres",
            "-h",
            "127.0.0.1",
            "-p",
            "{port}",
        ];
        env.run(&[&words, more].concat())
    };
    // A server that is still starting answers, and says so.
    until("it is ready", || psql(&["-Atc", "select 1"]).status == 0);
    assert_eq!(psql(&["-Atc", "select 6 * 7"]).ok(), "42\n");
    let rows: String = (0..100_000).map(|n| format!("{n}\t{}\n", n * 7)).collect();
    fs::write(env.home().join("rows"), &rows).unwrap();
    psql(&["-c", "create table t (a int, b int)", "-c", "\\copy t from rows"]).ok();
    psql(&["-c", "\\copy (select * from t order by a) to back"]).ok();
    assert!(fs::read_to_string(env.home().join("back")).unwrap() == rows);
    let failed = psql(&["-v", "ON_ERROR_STOP=1", "-c", "select 1/0"]);
    assert_eq!(failed.status, 1, "psql's own status: {failed}");
    assert!(failed.stderr.contains("division by zero"), "{failed}");
    // Its own processes end with it.
    drop(server);
    run(as_postgres("rm").args(["-rf", directory]));
}
