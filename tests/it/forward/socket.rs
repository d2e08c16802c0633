//! Forwards from a Unix socket: whose it is, what stands in its way, and what is left of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use insta::assert_snapshot;
use rustix::process::Signal;

use super::far::{NODE, echo, service};
use super::running::{PATIENCE, Running};
use crate::env::TestEnv;
use crate::page::Page;
use crate::tools::tool;

/// Where the socket is, and the words of a forward from there to a port of the bastion.
fn from_socket(env: &TestEnv, port: u16) -> (PathBuf, [String; 2]) {
    let path = env.home().join("db.sock");
    let spec = format!("{}:{port}", path.display());
    (path, [NODE.to_owned(), spec])
}

fn start(env: &TestEnv, words: &[String; 2]) -> Running {
    Running::start(env, &words.each_ref().map(String::as_str))
}

/// Sends bytes of a pattern, shuts its side, and checks that all of them come back.
fn check_echo(path: &Path, length: usize) {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..length).map(|at| ((at * 7) >> 3) as u8).collect();
    let mut writing = stream.try_clone().unwrap();
    let out = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&out)?;
        writing.shutdown(Shutdown::Write)
    });
    let mut heard = vec![0; length];
    stream.read_exact(&mut heard).unwrap();
    writer.join().unwrap().unwrap();
    assert!(heard == sent, "{length} bytes came back changed");
}

#[test]
fn a_socket_is_the_users_alone_and_goes_with_the_forward() {
    let env = TestEnv::new();
    let (path, words) = from_socket(&env, service(echo));
    let mut forward = start(&env, &words);
    assert_eq!(forward.told["local"]["socket"], path.to_str().unwrap());
    let meta = fs::metadata(&path).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| check_echo(&path, 100_000));
        }
    });
    check_echo(&path, 3_000_000);
    let (status, said) = forward.interrupt(Signal::INT);
    assert_eq!(status, 130, "{said}");
    assert!(!path.exists(), "the file is cleared away");
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
}

#[test]
fn curl_goes_through_a_socket_that_a_preset_names() {
    let Some(curl) = tool("curl") else { return };
    let env = TestEnv::new();
    let path = env.home().join("web.sock");
    for local in [path.to_str().unwrap(), "~/web.sock"] {
        // The demo sandbox's web server on prod-web.
        env.config(&format!(
            "[presets.web]\ntarget = \"name=prod-web\"\nport = 80\nlocal = \"{local}\"\n"
        ));
        let forward = Running::start(&env, &["web"]);
        let output = env
            .other(&curl)
            .args(["-sS", "--unix-socket"])
            .arg(&path)
            .args(["-w", "%{http_code}", "-o", "page", "http://prod-web/"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"200", "{output:?}");
        drop(forward);
        // A command finds it as its host.
        let command = [
            "--",
            curl.to_str().unwrap(),
            "-sS",
            "--unix-socket",
            "{host}",
            "http://prod-web/",
        ];
        let told = env.run(&[&["forward", "web"], &command[..]].concat());
        let page = fs::read_to_string(env.home().join("page")).unwrap();
        assert_eq!(told.ok(), page);
    }
}

#[test]
fn the_socket_of_a_dead_process_is_replaced() {
    let env = TestEnv::new();
    let (path, words) = from_socket(&env, service(echo));
    let mut dead = start(&env, &words);
    dead.interrupt(Signal::KILL);
    assert!(path.exists(), "a crash leaves it behind");
    assert!(UnixStream::connect(&path).is_err());
    let _forward = start(&env, &words);
    check_echo(&path, 1000);
}

#[test]
fn what_stands_there_and_is_not_ours_is_left_alone() {
    let env = TestEnv::new();
    let (path, words) = from_socket(&env, service(echo));
    let mut page = Page::default();
    let mut refused = |env: &TestEnv, what: &str| {
        let told = env.run(&["forward", NODE, &format!("{}:80", path.display())]);
        page.heading(what);
        page.note(&["forward", NODE, "$HOME/db.sock:80"], &told);
    };
    let forward = start(&env, &words);
    refused(&env, "another forward's");
    check_echo(&path, 1000);
    drop(forward);
    fs::remove_file(&path).unwrap();
    let somebody = UnixListener::bind(&path).unwrap();
    refused(&env, "another program's");
    UnixStream::connect(&path).unwrap();
    drop(somebody);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    refused(&env, "a file");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    refused(&env, "a link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&env, "a directory");
    assert_snapshot!(page.text);
    assert_eq!(env.sandbox.calls_of("ssm:StartSession").len(), 1);
}
