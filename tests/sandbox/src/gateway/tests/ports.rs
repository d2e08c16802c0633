//! Ports: for ssh, one connection at a time, many by smux.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use ssmx::protocol::message::PayloadType;

use super::super::{AgentFacts, Gateway, Kind, PortProperties, SessionSpec};
use super::client::{Client, PATIENCE};
use super::{node, session};

const TERMINATE: [u8; 4] = [0, 0, 0, 2];

async fn service() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.unwrap().unwrap().0
}

fn port_session(agent: AgentFacts, port: u16, forwards: bool) -> SessionSpec {
    session(
        agent,
        Kind::Port(PortProperties {
            port_number: port.to_string(),
            r#type: forwards.then(|| "LocalPortForwarding".to_owned()),
            local_port_number: forwards.then(|| "0".to_owned()),
            ..PortProperties::default()
        }),
    )
}

async fn read_to(stream: &mut TcpStream, wanted: &str) {
    let mut buffer = vec![0; wanted.len()];
    timeout(PATIENCE, stream.read_exact(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer), wanted);
}

#[tokio::test]
async fn for_ssh_the_session_is_one_connection() {
    let (listener, port) = service().await;
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, port_session(node().1, port, false)).await;
    let request = client.shake().await;
    let parameters = &request["RequestedClientActions"][0]["ActionParameters"];
    assert_eq!(
        *parameters,
        json!({ "SessionType": "Port", "Properties": { "portNumber": port.to_string() } })
    );
    let mut server = accept(&listener).await;
    server.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    client.hear("SSH-2.0-test\r\n").await;
    client.send(PayloadType::OUTPUT, "SSH-2.0-client\r\n").await;
    read_to(&mut server, "SSH-2.0-client\r\n").await;
    server.write_all(b"bye").await.unwrap();
    drop(server);
    assert_eq!(client.rest().await, b"bye");
    assert_eq!(client.closed.as_deref(), Some(""));
}

#[tokio::test]
async fn a_closed_port_is_told_in_the_agent_s_words() {
    let (listener, port) = service().await;
    drop(listener);
    let gateway = Gateway::new();
    let mut client = Client::start(&gateway, port_session(node().1, port, false)).await;
    client.shake().await;
    client.rest().await;
    let closed = client.closed.unwrap();
    assert!(
        closed.starts_with("Unable to connect to specified port: dial tcp "),
        "{closed}"
    );
}

#[tokio::test]
async fn old_agents_carry_one_connection_at_a_time() {
    let (listener, port) = service().await;
    let gateway = Gateway::new();
    let (_home, mut agent) = node();
    agent.version = "3.0.196.0".to_owned();
    let mut client = Client::start(&gateway, port_session(agent, port, true)).await;
    client.shake().await;
    let mut first = accept(&listener).await;
    client.send(PayloadType::OUTPUT, "one").await;
    read_to(&mut first, "one").await;
    first.write_all(b"eins").await.unwrap();
    client.hear("eins").await;
    // The client's connection is gone: so is the server's, and the next data makes a new one.
    client.send(PayloadType::FLAG, [0, 0, 0, 1].to_vec()).await;
    assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 0);
    client.send(PayloadType::OUTPUT, "two").await;
    let mut second = accept(&listener).await;
    read_to(&mut second, "two").await;
    // The server hangs up: likewise.
    drop(second);
    let mut third = loop {
        client.send(PayloadType::OUTPUT, "x").await;
        if let Ok(Ok((third, _))) = timeout(Duration::from_millis(20), listener.accept()).await {
            break third;
        }
    };
    third.write_all(b"drei").await.unwrap();
    client.hear("drei").await;
    client.send(PayloadType::FLAG, TERMINATE.to_vec()).await;
    client.rest().await;
    assert_eq!(client.closed.as_deref(), Some(""));
}

fn frame(command: u8, id: u32, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, command];
    frame.extend_from_slice(&u16::try_from(data.len()).unwrap().to_le_bytes());
    frame.extend_from_slice(&id.to_le_bytes());
    frame.extend_from_slice(data);
    frame
}

const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;

/// The smux frames of the agent, put together again from its payloads.
struct Mux {
    client: Client,
    buffer: Vec<u8>,
    flags: Vec<Vec<u8>>,
}

impl Mux {
    async fn start(gateway: &Gateway, spec: SessionSpec) -> Self {
        let mut client = Client::start(gateway, spec).await;
        client.shake().await;
        Self {
            client,
            buffer: Vec::new(),
            flags: Vec::new(),
        }
    }

    async fn put(&mut self, command: u8, id: u32, data: &[u8]) {
        self.client
            .send(PayloadType::OUTPUT, frame(command, id, data))
            .await;
    }

    async fn next(&mut self) -> (u8, u32, Vec<u8>) {
        loop {
            if let Some(head) = self.buffer.first_chunk::<8>().copied() {
                let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
                if self.buffer.len() >= 8 + length {
                    let frame: Vec<u8> = self.buffer.drain(..8 + length).collect();
                    let id = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
                    return (head[1], id, frame[8..].to_vec());
                }
            }
            let message = self.client.read().await.expect("a message");
            match message.payload_type {
                PayloadType::FLAG => self.flags.push(message.payload.to_vec()),
                _ => self.buffer.extend_from_slice(&message.payload),
            }
        }
    }

    /// The data of a stream up to its FIN, or until `length` bytes of it are there.
    async fn data(&mut self, of: u32, length: usize) -> Vec<u8> {
        let mut data = Vec::new();
        while data.len() < length {
            let (command, id, more) = self.next().await;
            assert_eq!(id, of);
            if command == FIN {
                break;
            }
            data.extend_from_slice(&more);
        }
        data
    }
}

#[tokio::test]
async fn streams_are_connections() {
    let (listener, port) = service().await;
    let gateway = Gateway::new();
    let mut mux = Mux::start(&gateway, port_session(node().1, port, true)).await;
    mux.put(SYN, 1, b"").await;
    let mut one = accept(&listener).await;
    mux.put(SYN, 3, b"").await;
    let mut three = accept(&listener).await;
    mux.put(PSH, 3, b"to three").await;
    mux.put(PSH, 1, b"to one").await;
    read_to(&mut three, "to three").await;
    read_to(&mut one, "to one").await;
    one.write_all(&[1; 100_000]).await.unwrap();
    assert_eq!(mux.data(1, 100_000).await, [1; 100_000]);
    // The server closes: FIN. The client closes: the connection ends.
    drop(one);
    assert_eq!(mux.next().await, (FIN, 1, Vec::new()));
    mux.put(FIN, 3, b"").await;
    assert_eq!(
        timeout(PATIENCE, three.read(&mut [0; 8])).await.unwrap().unwrap(),
        0
    );
    assert_eq!(mux.next().await, (FIN, 3, Vec::new()));
    mux.client.send(PayloadType::FLAG, TERMINATE.to_vec()).await;
    mux.client.rest().await;
    assert_eq!(mux.client.closed.as_deref(), Some(""));
}

#[tokio::test]
async fn a_refused_dial_is_a_flag_and_a_fin() {
    let (listener, port) = service().await;
    drop(listener);
    let gateway = Gateway::new();
    let mut mux = Mux::start(&gateway, port_session(node().1, port, true)).await;
    mux.put(SYN, 1, b"").await;
    assert_eq!(mux.next().await, (FIN, 1, Vec::new()));
    assert_eq!(mux.flags, [[0, 0, 0, 3]]);
    let (_listener, _) = (TcpListener::bind(("127.0.0.1", port)).await.unwrap(), ());
    mux.put(SYN, 3, b"").await;
    mux.put(FIN, 3, b"").await;
    assert_eq!(mux.next().await, (FIN, 3, Vec::new()));
}

#[tokio::test]
async fn a_remote_name_leads_to_its_service_and_a_forbidden_one_nowhere() {
    let (listener, port) = service().await;
    let gateway = Gateway::new();
    let (_home, mut agent) = node();
    agent
        .names
        .insert("db.internal".to_owned(), format!("127.0.0.1:{port}"));
    let with_host = |host: &str| {
        let mut spec = port_session(agent.clone(), 5432, true);
        let Kind::Port(properties) = &mut spec.kind else {
            unreachable!()
        };
        properties.host = Some(host.to_owned());
        spec
    };
    let mut mux = Mux::start(&gateway, with_host("db.internal")).await;
    mux.put(SYN, 1, b"").await;
    let mut server = accept(&listener).await;
    mux.put(PSH, 1, b"select 1").await;
    read_to(&mut server, "select 1").await;
    for (host, words) in [
        (
            "169.254.169.254",
            "Forwarding to IP address 169.254.169.254 is forbidden.",
        ),
        ("nowhere.internal", "lookup nowhere.internal: no such host"),
    ] {
        let mut client = Client::start(&gateway, with_host(host)).await;
        client.shake().await;
        client.rest().await;
        assert_eq!(client.closed.as_deref(), Some(words));
    }
}

#[tokio::test]
async fn a_black_hole_holds_up_the_streams_behind_it() {
    let gateway = Gateway::new();
    let (_home, mut agent) = node();
    agent
        .names
        .insert("localhost".to_owned(), "black-hole".to_owned());
    let mut mux = Mux::start(&gateway, port_session(agent, 80, true)).await;
    mux.put(SYN, 1, b"").await;
    mux.put(SYN, 3, b"").await;
    let waited = timeout(Duration::from_millis(100), mux.next()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn payloads_are_cut_inside_headers_when_told_so() {
    let (listener, port) = service().await;
    let gateway = Gateway::new();
    let mut spec = port_session(node().1, port, true);
    spec.faults.payload_limit = Some(5);
    let mut mux = Mux::start(&gateway, spec).await;
    mux.put(SYN, 1, b"").await;
    let mut one = accept(&listener).await;
    one.write_all(b"hello world").await.unwrap();
    assert_eq!(mux.data(1, 11).await, b"hello world");
    let mut sizes = mux
        .client
        .log
        .iter()
        .filter(|message| message.payload_type == PayloadType::OUTPUT);
    assert!(sizes.all(|message| message.payload.len() <= 5));
}
