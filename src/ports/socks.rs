//! SOCKS5, the server's half: CONNECT without authentication. Names stay names: the far side resolves them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::connection::{Connection, Kind, Refusal};
use crate::ids::{Host, Remote};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NOTHING_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// How long a program may take over its few bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a request, in SOCKS's own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Bytes may flow.
    Succeeded = 0,
    /// Something is the matter that has no number.
    GeneralFailure = 1,
    /// It may not.
    NotAllowed = 2,
    /// The node that leads there is out of reach.
    NetworkUnreachable = 3,
    /// There is no such host.
    HostUnreachable = 4,
    /// Nobody listens there.
    ConnectionRefused = 5,
    /// It took too long.
    TtlExpired = 6,
    /// BIND and UDP ASSOCIATE.
    CommandNotSupported = 7,
    /// No kind of address that we know.
    AddressNotSupported = 8,
}

impl From<Refusal> for Reply {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Failed => Self::GeneralFailure,
            Refusal::NotAllowed => Self::NotAllowed,
            Refusal::NetworkUnreachable => Self::NetworkUnreachable,
            Refusal::HostUnreachable => Self::HostUnreachable,
            Refusal::Refused => Self::ConnectionRefused,
            Refusal::TimedOut => Self::TtlExpired,
        }
    }
}

impl Reply {
    /// On the wire: the bound address is nobody's business and says nothing.
    fn encode(self) -> [u8; 10] {
        [VERSION, self as u8, 0, IPV4, 0, 0, 0, 0, 0, 0]
    }
}

/// Why a program got no connection.
#[derive(Debug, thiserror::Error)]
pub enum SocksError {
    /// It speaks something else, SOCKS4 or HTTP as likely as not.
    #[error("a program that connected speaks no SOCKS5 (its first byte was {0})")]
    Version(u8),
    /// It insists on a password.
    #[error("a program that connected offers no SOCKS5 without authentication")]
    Authentication,
    /// It asked for something that is refused; it has been told.
    #[error("a program's SOCKS5 request was refused: {0}")]
    Refused(String),
    /// It was gone, or silent.
    #[error("a program's SOCKS5 request did not come: {0}")]
    Io(#[from] io::Error),
}

/// Hears where a program wants to go. What follows its request is left to be read, and the program waits for the
/// answer, which whoever carries the connection gives. Where there is no request that could be served, the program
/// has been told, as far as its protocol can, and its connection is to be closed.
pub async fn request(mut connection: Connection) -> (Connection, Result<Remote, SocksError>) {
    let heard = match connection.kind() {
        Kind::Tcp(stream) => hear(PATIENCE, stream).await,
        #[cfg(unix)]
        Kind::Unix(stream) => hear(PATIENCE, stream).await,
    };
    match heard {
        Ok(remote) => (connection.owing_a_reply(), Ok(remote)),
        Err(error) => (connection, Err(error)),
    }
}

async fn hear(
    patience: Duration,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<Remote, SocksError> {
    timeout(patience, hear_all(stream))
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

async fn hear_all(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Remote, SocksError> {
    let [version, methods] = read(stream).await?;
    if version != VERSION {
        return Err(SocksError::Version(version));
    }
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await?;
    if !offered.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[VERSION, NOTHING_ACCEPTABLE]).await?;
        return Err(SocksError::Authentication);
    }
    stream.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, _, kind] = read(stream).await?;
    if version != VERSION {
        return Err(SocksError::Version(version));
    }
    let host = match kind {
        IPV4 => Ipv4Addr::from(read::<4>(stream).await?).to_string(),
        IPV6 => Ipv6Addr::from(read::<16>(stream).await?).to_string(),
        NAME => {
            let [length] = read(stream).await?;
            let mut name = vec![0; usize::from(length)];
            stream.read_exact(&mut name).await?;
            // Names in DNS know no case, and one host is one destination.
            String::from_utf8_lossy(&name).to_ascii_lowercase()
        }
        other => {
            let why = format!("address type {other} is unknown");
            return refused(stream, Reply::AddressNotSupported, why).await;
        }
    };
    let port = u16::from_be_bytes(read(stream).await?);
    if command != CONNECT {
        let why = format!("command {command} is not CONNECT");
        return refused(stream, Reply::CommandNotSupported, why).await;
    }
    match host.parse::<Host>() {
        Ok(host) if port != 0 => Ok(Remote {
            host: Some(host),
            port,
        }),
        Ok(_) => refused(stream, Reply::HostUnreachable, "port 0 is none".to_owned()).await,
        Err(why) => refused(stream, Reply::HostUnreachable, why).await,
    }
}

/// Tells the program what became of its request.
///
/// # Errors
/// When it is gone.
pub(super) async fn answer(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> io::Result<()> {
    stream.write_all(&reply.encode()).await?;
    stream.flush().await
}

async fn refused<T>(
    stream: &mut (impl AsyncWrite + Unpin),
    reply: Reply,
    why: String,
) -> Result<T, SocksError> {
    answer(stream, reply).await?;
    Err(SocksError::Refused(why))
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// What a program sends, what it hears, and what is made of it. It goes on to speak after its request.
    async fn talk(says: &[u8]) -> (Result<Remote, SocksError>, Vec<u8>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(says).await.unwrap();
        theirs.write_all(b"GET /").await.unwrap();
        theirs.shutdown().await.unwrap();
        let made = hear(PATIENCE, &mut ours).await;
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        drop(ours);
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        (made, heard, rest)
    }

    #[tokio::test]
    async fn names_and_addresses_are_kept_as_they_come() {
        for (says, remote) in [
            (
                &hex!("050100 05010003 0b 64422e696e7465726e614c 1538")[..],
                "db.internal:5432",
            ),
            (&hex!("05020002 05010001 0a000007 0050"), "10.0.0.7:80"),
            (
                &hex!("050100 05010004 00000000000000000000000000000001 0050"),
                "[::1]:80",
            ),
        ] {
            let (made, heard, rest) = talk(says).await;
            assert_eq!(made.unwrap().to_string(), remote);
            assert_eq!(heard, hex!("0500"));
            assert_eq!(rest, b"GET /", "what follows is the program's own");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_served_is_said() {
        let (made, heard, _) = talk(b"\x04\x01\x00\x50\x00\x00\x00\x01a\x00").await;
        assert!(matches!(made, Err(SocksError::Version(4))));
        assert_eq!(heard, b"");
        let (made, heard, _) = talk(&hex!("050102")).await;
        assert!(matches!(made, Err(SocksError::Authentication)));
        assert_eq!(heard, hex!("05ff"));
        for (says, reply) in [
            (
                &hex!("050100 05020001 0a000007 0050")[..],
                Reply::CommandNotSupported,
            ),
            (&hex!("050100 05010009"), Reply::AddressNotSupported),
            (&hex!("050100 05010003 03 612062 0050"), Reply::HostUnreachable),
            (&hex!("050100 05010003 00 0050"), Reply::HostUnreachable),
            (&hex!("050100 05010001 0a000007 0000"), Reply::HostUnreachable),
        ] {
            let (made, heard, _) = talk(says).await;
            assert!(matches!(made, Err(SocksError::Refused(_))), "{made:?}");
            assert_eq!(heard, [&hex!("0500")[..], &reply.encode()].concat());
        }
    }

    #[tokio::test]
    async fn a_silent_program_is_not_waited_for() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let made = hear(Duration::from_millis(1), &mut ours).await;
        assert!(matches!(made, Err(SocksError::Io(_))));
    }

    #[tokio::test]
    async fn the_answer_is_owed_and_given_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asking = hex!("050100 05010003 01 78 0050");
        for (why, number) in [
            (None, 0),
            (Some(Refusal::Failed), 1),
            (Some(Refusal::NotAllowed), 2),
            (Some(Refusal::NetworkUnreachable), 3),
            (Some(Refusal::HostUnreachable), 4),
            (Some(Refusal::Refused), 5),
            (Some(Refusal::TimedOut), 6),
        ] {
            let mut theirs = tokio::net::TcpStream::connect(address).await.unwrap();
            // It goes on to speak before it is answered, which must not cost it the answer.
            theirs.write_all(&asking).await.unwrap();
            theirs.write_all(b"early").await.unwrap();
            let ours = Connection::tcp(listener.accept().await.unwrap().0);
            let (ours, remote) = request(ours).await;
            assert_eq!(remote.unwrap().to_string(), "x:80");
            match why {
                Some(why) => ours.refuse(why),
                None => {
                    let (_incoming, mut outgoing) = ours.split();
                    assert!(outgoing.owes_an_answer());
                    outgoing.accept().await.unwrap();
                    assert!(!outgoing.owes_an_answer());
                    outgoing.accept().await.unwrap();
                    outgoing.shutdown().await.unwrap();
                }
            }
            theirs.shutdown().await.unwrap();
            let mut heard = Vec::new();
            theirs.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, [0x05, 0x00, 0x05, number, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
    }
}
