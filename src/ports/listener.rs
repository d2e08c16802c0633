//! Taking connections: bound once, before a session is started, and kept for as long as the forward runs.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;

use super::connection::Connection;
#[cfg(unix)]
use super::descriptors;
#[cfg(unix)]
use super::unix::SocketFile;
use super::who;
use crate::ids::{Bind, Local};

/// How often a free port is sought that both loopbacks have.
const TRIES: usize = 32;
/// When the process is out of descriptors, or the system of memory: so long until the next try.
const OUT_OF_BREATH: Duration = Duration::from_millis(100);

/// A bound local end.
#[derive(Debug)]
pub struct Listener {
    sockets: Sockets,
    address: Local,
    #[cfg(unix)]
    _waiting: descriptors::Waiting,
}

#[derive(Debug)]
enum Sockets {
    Tcp(TcpListener, Option<TcpListener>),
    #[cfg(unix)]
    Unix(SocketFile),
}

/// A local end that was to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A port of an address.
    Port(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(address) => write!(f, "port {} on {}", address.port(), address.ip()),
            Self::Socket(path) => write!(f, "socket {}", path.display()),
        }
    }
}

/// Why a local end could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there.
    #[error("{wanted} is in use{}", by(.holder.as_deref()))]
    Busy {
        /// The port or socket.
        wanted: Wanted,
        /// Who, where the system tells: a program's name and process id, untrusted.
        holder: Option<String>,
    },
    /// A port below 1024, or a directory that is not ours.
    #[error("{wanted} is not for this user to take")]
    Denied {
        /// The port or socket.
        wanted: Wanted,
    },
    /// No address of this machine.
    #[error("{address} is not an address of this machine")]
    NotOurs {
        /// The address.
        address: IpAddr,
    },
    /// The socket's path is taken by something that is no socket.
    #[error("{} is there and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// Anything else.
    #[error("{wanted} cannot be taken: {cause}")]
    Failed {
        /// The port or socket.
        wanted: Wanted,
        /// The system's word.
        cause: io::Error,
    },
}

fn by(holder: Option<&str>) -> String {
    holder.map(|who| format!(" by {who}")).unwrap_or_default()
}

impl BindError {
    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy {
                wanted: Wanted::Socket(_),
                ..
            } => Some("choose another path, or end what listens there"),
            Self::Busy {
                wanted: Wanted::Port(_),
                ..
            } => Some("choose another local port, or let one be found: `:REMOTE` or `local = 0`"),
            Self::Denied {
                wanted: Wanted::Port(_),
            } => Some("ports below 1024 want privileges; choose one above"),
            Self::Denied {
                wanted: Wanted::Socket(_),
            } => Some("its directory has to be one that you may write to"),
            Self::Failed {
                wanted: Wanted::Socket(_),
                cause,
            } if cause.kind() == io::ErrorKind::NotFound => {
                Some("its directory has to be there: make it, or choose another path")
            }
            Self::NotOurs { .. } => Some(
                "leave the address out for loopback, or take one that this machine has (`*` is all of them)",
            ),
            Self::NotASocket(_) => Some("choose another path; what is there is left alone"),
            Self::Failed { .. } => None,
        }
    }

    pub(super) fn from_io(wanted: Wanted, cause: io::Error, holder: impl FnOnce() -> Option<String>) -> Self {
        match cause.kind() {
            io::ErrorKind::AddrInUse => Self::Busy {
                wanted,
                holder: holder(),
            },
            io::ErrorKind::PermissionDenied => Self::Denied { wanted },
            _ => Self::Failed { wanted, cause },
        }
    }
}

impl Listener {
    /// Takes the local end.
    ///
    /// # Errors
    /// When it is taken, not allowed, or not of this machine. A busy port is never exchanged for another one.
    pub async fn bind(local: &Local) -> Result<Self, BindError> {
        #[cfg(unix)]
        descriptors::raise();
        match local {
            Local::Port {
                bind: Bind::Loopback,
                port,
            } => Self::on_loopback(*port).await,
            Local::Port {
                bind: Bind::Address(address),
                port,
            } => {
                let listener = on_address(SocketAddr::new(*address, *port)).await?;
                Ok(Self::tcp(Bind::Address(*address), listener, None))
            }
            #[cfg(unix)]
            Local::Socket(path) => Ok(Self {
                sockets: Sockets::Unix(SocketFile::bind(path)?),
                address: local.clone(),
                _waiting: descriptors::Waiting::new(),
            }),
            #[cfg(not(unix))]
            Local::Socket(path) => Err(BindError::Failed {
                wanted: Wanted::Socket(path.clone()),
                cause: io::Error::from(io::ErrorKind::Unsupported),
            }),
        }
    }

    /// Both loopbacks with one port, or the one that this machine has. Programs ask for `localhost` and get
    /// either.
    async fn on_loopback(port: u16) -> Result<Self, BindError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let first = match on_address((Ipv4Addr::LOCALHOST, port).into()).await {
                Err(BindError::NotOurs { .. }) => {
                    let only = on_address((Ipv6Addr::LOCALHOST, port).into()).await?;
                    return Ok(Self::tcp(Bind::Loopback, only, None));
                }
                other => other?,
            };
            let taken = port_of(&first).unwrap_or(port);
            match on_address((Ipv6Addr::LOCALHOST, taken).into()).await {
                Ok(second) => return Ok(Self::tcp(Bind::Loopback, first, Some(second))),
                // That one was taken on this side alone: another one.
                Err(BindError::Busy { .. } | BindError::Denied { .. }) if port == 0 && tries < TRIES => {}
                Err(error @ (BindError::Busy { .. } | BindError::Denied { .. })) => return Err(error),
                // A machine without IPv6.
                Err(_) => return Ok(Self::tcp(Bind::Loopback, first, None)),
            }
        }
    }

    fn tcp(bind: Bind, first: TcpListener, second: Option<TcpListener>) -> Self {
        let port = port_of(&first).unwrap_or_default();
        Self {
            sockets: Sockets::Tcp(first, second),
            address: Local::Port { bind, port },
            #[cfg(unix)]
            _waiting: descriptors::Waiting::new(),
        }
    }

    /// Where it listens, a port that was chosen by the system included.
    pub fn local(&self) -> &Local {
        &self.address
    }

    /// Its port; zero for a socket.
    pub fn port(&self) -> u16 {
        match &self.address {
            Local::Port { port, .. } => *port,
            Local::Socket(_) => 0,
        }
    }

    /// An address that a program of this machine connects to.
    pub fn host(&self) -> String {
        match (&self.sockets, &self.address) {
            (
                Sockets::Tcp(first, _),
                Local::Port {
                    bind: Bind::Loopback, ..
                },
            ) => first
                .local_addr()
                .map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string()),
            (
                _,
                Local::Port {
                    bind: Bind::Address(address),
                    ..
                },
            ) => match address {
                IpAddr::V4(address) if address.is_unspecified() => "127.0.0.1".to_owned(),
                IpAddr::V6(address) if address.is_unspecified() => "::1".to_owned(),
                address => address.to_string(),
            },
            (_, Local::Socket(path)) => path.display().to_string(),
            #[cfg(unix)]
            (Sockets::Unix(_), Local::Port { .. }) => String::new(),
        }
    }

    /// The next connection. Failures that pass are waited for. While descriptors are scarce, programs wait for one with
    /// the system. Cancel-safe.
    pub async fn accept(&self) -> Connection {
        loop {
            #[cfg(unix)]
            while self.finds_descriptors_scarce() {
                sleep(OUT_OF_BREATH).await;
            }
            match self.try_accept().await {
                Ok(connection) => return connection,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    tracing::debug!(%error, "no connection can be taken just now");
                    sleep(OUT_OF_BREATH).await;
                }
            }
        }
    }

    #[cfg(unix)]
    fn finds_descriptors_scarce(&self) -> bool {
        match &self.sockets {
            Sockets::Tcp(socket, _) => descriptors::are_scarce(socket),
            Sockets::Unix(socket) => descriptors::are_scarce(socket),
        }
    }

    async fn try_accept(&self) -> io::Result<Connection> {
        match &self.sockets {
            Sockets::Tcp(only, None) => Ok(Connection::tcp(only.accept().await?.0)),
            Sockets::Tcp(first, Some(second)) => {
                let (stream, _) = tokio::select! {
                    accepted = first.accept() => accepted?,
                    accepted = second.accept() => accepted?,
                };
                Ok(Connection::tcp(stream))
            }
            #[cfg(unix)]
            Sockets::Unix(socket) => Ok(Connection::unix(socket.accept().await?)),
        }
    }
}

impl fmt::Display for Listener {
    /// As a person would connect to it: `127.0.0.1:15432`, `[::1]:80`, `/run/db.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Local::Socket(path) => write!(f, "{}", path.display()),
            Local::Port {
                bind: Bind::Address(address),
                port,
            } => write!(f, "{}", SocketAddr::new(*address, *port)),
            Local::Port { port, .. } => {
                let host = self.host();
                match host.parse::<IpAddr>() {
                    Ok(address) => write!(f, "{}", SocketAddr::new(address, *port)),
                    Err(_) => write!(f, "{host}:{port}"),
                }
            }
        }
    }
}

fn port_of(listener: &TcpListener) -> Option<u16> {
    listener.local_addr().ok().map(|address| address.port())
}

async fn on_address(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| {
        if cause.kind() == io::ErrorKind::AddrNotAvailable {
            return BindError::NotOurs {
                address: address.ip(),
            };
        }
        BindError::from_io(Wanted::Port(address), cause, || who::listens_on(address))
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::super::connection::{Refusal, refuse};
    use super::*;

    async fn bind(spec: &str) -> Result<Listener, BindError> {
        let spec: crate::ids::ForwardSpec = spec.parse().unwrap();
        Listener::bind(&spec.local).await
    }

    #[tokio::test]
    async fn both_loopbacks_lead_to_one_listener() {
        let listener = bind(":80").await.unwrap();
        assert_ne!(listener.port(), 0);
        assert_eq!(listener.to_string(), format!("127.0.0.1:{}", listener.port()));
        let mut reached = 0;
        for host in ["127.0.0.1", "::1"] {
            let Ok(mut client) = TcpStream::connect((host, listener.port())).await else {
                // A machine without IPv6.
                continue;
            };
            reached += 1;
            let (mut incoming, mut outgoing) = listener.accept().await.split();
            client.write_all(b"hi").await.unwrap();
            let mut heard = [0; 2];
            incoming.read_exact(&mut heard).await.unwrap();
            outgoing.write_all(b"ho").await.unwrap();
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ho");
        }
        assert!(reached > 0);
    }

    #[tokio::test]
    async fn a_busy_port_says_who_has_it() {
        let holder = bind(":80").await.unwrap();
        let error = bind(&format!("{}:80", holder.port())).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("port {} on 127.0.0.1 is in use", holder.port())),
            "{said}"
        );
        assert!(error.hint().is_some());
        if cfg!(target_os = "linux") {
            assert!(said.contains("by this very ssmx"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_port_that_only_one_loopback_has_is_busy_all_the_same() {
        let Ok(other) = TcpListener::bind("[::1]:0").await else {
            return;
        };
        let port = other.local_addr().unwrap().port();
        let error = bind(&format!("{port}:80")).await.unwrap_err();
        assert!(
            matches!(&error, BindError::Busy { wanted: Wanted::Port(address), .. } if address.is_ipv6()),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_no_address_to_bind() {
        // Reserved for documentation: nobody's.
        let error = bind("192.0.2.1:0:db:80").await.unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1 is not an address of this machine");
    }

    #[tokio::test]
    async fn a_chosen_address_is_the_only_one() {
        let listener = bind("127.0.0.3:0:db:80").await.unwrap();
        assert_eq!(listener.to_string(), format!("127.0.0.3:{}", listener.port()));
        assert_eq!(listener.host(), "127.0.0.3");
        assert!(TcpStream::connect(("127.0.0.1", listener.port())).await.is_err());
    }

    #[tokio::test]
    async fn a_reset_is_no_end() {
        let listener = bind(":80").await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", listener.port())).await.unwrap();
        let (incoming, mut outgoing) = listener.accept().await.split();
        outgoing.write_all(b"half of").await.unwrap();
        let mut heard = [0; 7];
        client.read_exact(&mut heard).await.unwrap();
        refuse(incoming, outgoing, Refusal::Refused);
        let error = client.read(&mut heard).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_half_closed_program_is_told_from_one_that_is_gone() {
        // A listener for any address meets programs of the other family under an address of its own.
        for (spec, host) in [
            (":80", "127.0.0.1"),
            (":80", "::1"),
            ("[::]:0:db:80", "127.0.0.1"),
        ] {
            let listener = bind(spec).await.unwrap();
            let mut client = TcpStream::connect((host, listener.port())).await.unwrap();
            let (mut incoming, outgoing) = listener.accept().await.split();
            client.shutdown().await.unwrap();
            assert_eq!(incoming.read(&mut [0; 8]).await.unwrap(), 0);
            assert!(!outgoing.is_gone(), "{spec} {host}");
            drop(client);
            assert!(soon(|| outgoing.is_gone()).await, "{spec} {host}: nobody notices");
        }
    }

    #[cfg(target_os = "linux")]
    async fn soon(happened: impl Fn() -> bool) -> bool {
        for _ in 0..1000 {
            if happened() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }
}
