//! ssmx as `session-manager-plugin` under the real AWS CLI, both major versions where they are installed, in a
//! real pty.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use ssmx_sandbox::Scenario;
use ssmx_sandbox::scenario::Document;

use crate::env::TestEnv;
use crate::forward::far::{deaf_port, service};
use crate::terminal::Terminal;
use crate::tools::{children_of, clis};

const NODE: &str = "i-0a1b2c3d4e5f60003";
const PATIENCE: Duration = Duration::from_secs(30);

/// The AWS CLI in a sandbox where ssmx is the plugin.
struct Client {
    env: TestEnv,
    cli: PathBuf,
}

impl Client {
    fn new(cli: PathBuf, scenario: Scenario) -> Self {
        let env = TestEnv::with(scenario);
        let links = env.home().join("bin");
        fs::create_dir(&links).unwrap();
        let told = env.run(&["plugin", "link", "--dir", links.to_str().unwrap()]);
        assert_eq!(told.status, 0, "{told}");
        Self { env, cli }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.env.other(&self.cli);
        command
            .args(words)
            .args(["--region", "eu-west-2", "--endpoint-url"])
            .arg(self.env.sandbox.endpoint());
        let links = self.env.home().join("bin");
        command
            .env("PATH", format!("{}:/usr/bin:/bin", links.display()))
            .env("LANG", "C.UTF-8");
        command
    }

    fn start_session(&self, more: &[&str]) -> Terminal {
        let words = [&["ssm", "start-session", "--target", NODE], more].concat();
        Terminal::start(&self.command(&words).into())
    }
}

/// A client of each AWS CLI in a sandbox of its own.
fn clients(scenario: &dyn Fn() -> Scenario) -> Vec<Client> {
    clis()
        .into_iter()
        .map(|cli| Client::new(cli, scenario()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_of_the_aws_cli() {
    for client in clients(&Scenario::demo) {
        let mut terminal = client.start_session(&[]);
        terminal.expect("\nStarting session with SessionId: ").await;
        terminal.expect("$ ").await;
        assert!(terminal.is_raw(), "{:?}", client.cli);
        // Version 2 of this machine is from before the environment; newer ones keep the token out of sight.
        if client.cli != Path::new("/usr/bin/aws") {
            let plugin = children_of(terminal.pid())[0].as_raw_nonzero();
            let plugin = fs::read(format!("/proc/{plugin}/cmdline")).unwrap();
            let plugin = String::from_utf8_lossy(&plugin).replace('\0', " ");
            assert!(
                plugin.starts_with("session-manager-plugin AWS_SSM_START_SESSION_RESPONSE eu-west-2"),
                "{plugin}"
            );
        }
        terminal.line("stty size; echo $((6 * 7)) is it").await;
        terminal.expect("30 100").await;
        terminal.expect("42 is it").await;
        // The keys are the remote's.
        terminal
            .line("bash -c 'trap \"echo cau''ght; exit\" INT; echo rea''dy; while :; do read -t 0.1; done'")
            .await;
        terminal.expect("ready").await;
        terminal.send("\u{3}").await;
        terminal.expect("caught").await;
        terminal.line("exit 3").await;
        terminal.expect("Exiting session with sessionId: ").await;
        let (_, status) = terminal.finish().await;
        assert_eq!(status.code(), Some(0), "{:?}", client.cli);
        assert!(terminal.is_as_before(), "{:?}", client.cli);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_aws_cli() {
    for client in clients(&Scenario::demo) {
        let words = [
            "--document-name",
            "AWS-StartInteractiveCommand",
            "--parameters",
            r#"{"command":["echo re''ady; read name; echo hello $name; exit 4"]}"#,
        ];
        let mut terminal = client.start_session(&words);
        terminal.expect("Starting session with SessionId: ").await;
        // Before the first output the agent would throw it away.
        terminal.expect("ready").await;
        terminal.line("world").await;
        terminal.expect("hello world").await;
        terminal.expect("Exiting session with sessionId: ").await;
        assert_eq!(terminal.finish().await.1.code(), Some(0), "{:?}", client.cli);

        let words = [
            "--document-name",
            "AWS-StartNonInteractiveCommand",
            "--parameters",
            r#"{"command":["echo out; echo err >&2; exit 5"]}"#,
        ];
        let mut terminal = client.start_session(&words);
        terminal.expect("Starting session with SessionId: ").await;
        terminal.expect("out\r\nerr\r\n").await;
        terminal.expect("Exiting session with sessionId: ").await;
        assert_eq!(terminal.finish().await.1.code(), Some(0), "{:?}", client.cli);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_s_command_of_the_aws_cli() {
    for client in clients(&Scenario::demo) {
        let words = [
            "ecs",
            "execute-command",
            "--cluster",
            "shop",
            "--task",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "--container",
            "app",
            "--interactive",
            "--command",
            "sh -c 'echo ready; read name; echo hello $name'",
        ];
        let mut terminal = Terminal::start(&client.command(&words).into());
        terminal
            .expect("The Session Manager plugin was installed successfully.")
            .await;
        terminal
            .expect("Starting session with SessionId: ecs-execute-command-")
            .await;
        // Before the first output the agent would throw it away.
        terminal.expect("ready").await;
        terminal.line("world").await;
        terminal.expect("hello world").await;
        terminal.expect("Exiting session with sessionId: ").await;
        assert_eq!(terminal.finish().await.1.code(), Some(0), "{:?}", client.cli);
        assert!(terminal.is_as_before());
    }
}

/// A server of the node that answers each line.
fn answering() -> u16 {
    service(|mut stream| {
        let mut heard = [0; 64];
        loop {
            match stream.read(&mut heard)? {
                0 => return Ok(()),
                length => stream.write_all(&heard[..length].to_ascii_uppercase())?,
            }
        }
    })
}

/// Says a word and hears the answer.
fn ask(mut stream: impl std::io::Read + std::io::Write, word: &str) {
    stream.write_all(word.as_bytes()).unwrap();
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, word.to_ascii_uppercase().as_bytes());
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

async fn port_told(terminal: &mut Terminal) -> u16 {
    terminal.expect("Port ").await;
    let port = terminal.expect(" opened for sessionId ").await;
    port.parse().unwrap()
}

fn to_port(document: &str, port: u16, local: u16) -> [String; 4] {
    [
        "--document-name".to_owned(),
        document.to_owned(),
        "--parameters".to_owned(),
        format!(r#"{{"portNumber":["{port}"],"localPortNumber":["{local}"]}}"#),
    ]
}

fn forward(client: &Client, port: u16, local: u16) -> Terminal {
    let words = to_port("AWS-StartPortForwardingSession", port, local);
    client.start_session(&words.each_ref().map(String::as_str))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_aws_cli_carries_many_connections() {
    let server = answering();
    for client in clients(&Scenario::demo) {
        let mut terminal = forward(&client, server, 0);
        let port = port_told(&mut terminal).await;
        terminal.expect(".\r\nWaiting for connections...\r\n").await;
        let (first, second) = (connect(port), connect(port));
        ask(&second, "second");
        ask(&first, "first");
        terminal
            .expect("\r\nConnection accepted for session [alice-")
            .await;
        // Once only.
        drop((first, second));
        ask(connect(port), "third");
        terminal.send("\u{3}").await;
        let before = terminal.expect("Terminate signal received, exiting.\r\n").await;
        assert!(!before.contains("accepted"), "{before}");
        terminal
            .expect("\r\n\r\nExiting session with sessionId: alice-")
            .await;
        assert_eq!(terminal.finish().await.1.code(), Some(0), "{:?}", client.cli);
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "nobody listens any more"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_an_old_agent_carries_one_connection_after_another() {
    let server = answering();
    let old = || {
        let mut scenario = Scenario::demo();
        for node in &mut scenario.nodes {
            node.agent.version = "3.0.100.0".to_owned();
        }
        scenario
    };
    for client in clients(&old).into_iter().take(1) {
        let mut terminal = forward(&client, server, 0);
        let port = port_told(&mut terminal).await;
        terminal.expect(".\r\n").await;
        ask(connect(port), "first");
        terminal.expect("Connection accepted for session alice-").await;
        ask(connect(port), "second");
        terminal.send("\u{1a}").await;
        let before = terminal.expect("Terminate signal received, exiting.\r\n").await;
        assert!(!before.contains("Waiting for"), "{before}");
        assert_eq!(terminal.finish().await.1.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_local_port_is_a_line_and_not_a_hang() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    for client in clients(&Scenario::demo).into_iter().take(1) {
        let mut terminal = forward(&client, 80, port);
        terminal
            .expect(&format!(
                "Cannot perform start session: port {port} on 127.0.0.1 is in use by "
            ))
            .await;
        let (_, status) = terminal.finish().await;
        assert_ne!(status.code(), Some(0));
        let ended = client.env.sandbox.calls_of("ssm:TerminateSession");
        assert_eq!(ended.len(), 1, "the session is not left behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_and_a_port_that_is_not_there() {
    let server = answering();
    let socket = || {
        let mut scenario = Scenario::demo();
        scenario.documents.push(Document {
            account: Some("111122223333".to_owned()),
            region: "eu-west-2".to_owned(),
            name: "Own-Socket".to_owned(),
            content: r#"{"schemaVersion":"1.0","sessionType":"Port",
                "parameters":{"portNumber":{"type":"String"},"path":{"type":"String"}},
                "properties":{"portNumber":"{{ portNumber }}","type":"LocalPortForwarding",
                    "localConnectionType":"unix","localUnixSocket":"{{ path }}"}}"#
                .to_owned(),
        });
        scenario
    };
    let (_held, closed) = deaf_port();
    for client in clients(&socket).into_iter().take(1) {
        for (port, is_there) in [(server, true), (closed, false)] {
            let path = client.env.home().join("local.sock");
            let parameters = format!(r#"{{"portNumber":["{port}"],"path":["{}"]}}"#, path.display());
            let words = ["--document-name", "Own-Socket", "--parameters", &parameters];
            let mut terminal = client.start_session(&words);
            terminal
                .expect(&format!("Unix socket {} opened for sessionId ", path.display()))
                .await;
            terminal.expect("Waiting for connections...\r\n").await;
            let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            if is_there {
                ask(&stream, "by socket");
            } else {
                assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
                terminal
                    .expect("\r\nConnection to destination port failed, check SSM Agent logs.\r\n")
                    .await;
            }
            terminal.send("\u{1c}").await;
            terminal.expect("Terminate signal received, exiting.").await;
            terminal.finish().await;
            assert!(!path.exists(), "the socket's file is left behind");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_plugin_ends_its_session() {
    let server = answering();
    for client in clients(&Scenario::demo).into_iter().take(1) {
        let mut terminal = forward(&client, server, 0);
        port_told(&mut terminal).await;
        kill_process(children_of(terminal.pid())[0], Signal::TERM).unwrap();
        terminal.expect("Exiting session with sessionId: ").await;
        terminal.finish().await;
        assert_eq!(client.env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
    }
}
