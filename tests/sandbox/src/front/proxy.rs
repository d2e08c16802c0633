//! A CONNECT proxy. It leads to loopback, and from AWS's own hosts to the sandbox: never to the world.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request's head may be so long.
const LONGEST_HEAD: usize = 16 << 10;

/// What was asked of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// `host:port`.
    pub target: String,
    /// The proxy's answer.
    pub status: u16,
}

/// The proxy's memory and rules.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    passages: Arc<Mutex<Vec<Passage>>>,
    credentials: Arc<Mutex<Option<(String, String)>>>,
}

impl Proxy {
    /// What went through, and what was refused.
    pub fn passages(&self) -> Vec<Passage> {
        locked(&self.passages).clone()
    }

    /// Asks for a name and a password from now on.
    pub fn require(&self, user: &str, password: &str) {
        *locked(&self.credentials) = Some((user.to_owned(), password.to_owned()));
    }

    /// Serves one client; `home` is the sandbox's own TLS port.
    pub(super) async fn serve(&self, mut client: TcpStream, home: SocketAddr) {
        let Some((head, rest)) = read_head(&mut client).await else {
            return;
        };
        let mut lines = head.split("\r\n");
        let request: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let target = request.get(1).copied().unwrap_or_default();
        let opened = match request[..] {
            ["CONNECT", _, _] if !self.lets_in(lines) => Err(407),
            ["CONNECT", target, _] => connect(target, home).await,
            _ => Err(405),
        };
        let status = opened.as_ref().map_or_else(|status| *status, |_| 200);
        locked(&self.passages).push(Passage {
            target: target.to_owned(),
            status,
        });
        let extra = if status == 407 {
            "Proxy-Authenticate: Basic realm=\"sandbox\"\r\n"
        } else {
            ""
        };
        let reason = match status {
            200 => "Connection established",
            403 => "Forbidden",
            407 => "Proxy Authentication Required",
            502 => "Bad Gateway",
            _ => "Method Not Allowed",
        };
        let length = if status == 200 {
            ""
        } else {
            "Content-Length: 0\r\n"
        };
        let answer = format!("HTTP/1.1 {status} {reason}\r\n{extra}{length}\r\n");
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let Ok(mut server) = opened else {
            return;
        };
        if server.write_all(&rest).await.is_ok() {
            // Either side may break off; there is nobody to tell.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    }

    fn lets_in<'a>(&self, headers: impl Iterator<Item = &'a str>) -> bool {
        let Some((user, password)) = locked(&self.credentials).clone() else {
            return true;
        };
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        headers
            .filter_map(|line| line.split_once(':'))
            .any(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value.trim() == expected)
    }
}

/// Up to the empty line, and what came behind it.
async fn read_head(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Some((String::from_utf8(read).ok()?, rest));
        }
        if read.len() > LONGEST_HEAD || client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

async fn connect(target: &str, home: SocketAddr) -> Result<TcpStream, u16> {
    let (host, port) = target.rsplit_once(':').ok_or(403_u16)?;
    let port: u16 = port.parse().map_err(|_| 403_u16)?;
    let host = host.trim_matches(['[', ']']);
    let address = match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => SocketAddr::new(ip, port),
        _ if host == "localhost" => SocketAddr::from(([127, 0, 0, 1], port)),
        _ if is_aws(host) && port == 443 => home,
        _ => return Err(403),
    };
    let stream = TcpStream::connect(address).await.map_err(|_| 502_u16)?;
    // Best effort, as everywhere.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn is_aws(host: &str) -> bool {
    [".amazonaws.com", ".api.aws"]
        .iter()
        .any(|suffix| host.ends_with(suffix))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
