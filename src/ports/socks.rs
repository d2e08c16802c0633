//! SOCKS5, the server's half: CONNECT without authentication. Names stay names: the far side resolves them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::connection::{Incoming, Outgoing};
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
pub enum Reply {
    /// Bytes may flow.
    Succeeded = 0,
    /// The far side cannot be reached just now.
    GeneralFailure = 1,
    /// We may not.
    NotAllowed = 2,
    /// There is no such host.
    HostUnreachable = 4,
    /// BIND and UDP ASSOCIATE.
    CommandNotSupported = 7,
    /// No kind of address that we know.
    AddressNotSupported = 8,
}

impl Reply {
    /// On the wire: the bound address is nobody's business and says nothing.
    pub fn encode(self) -> [u8; 10] {
        [VERSION, self as u8, 0, IPV4, 0, 0, 0, 0, 0, 0]
    }
}

/// Why a program got no connection.
#[derive(Debug, thiserror::Error)]
pub enum SocksError {
    /// It speaks something else, SOCKS4 or HTTP as likely as not.
    #[error("the program speaks no SOCKS5 (its first byte was {0})")]
    Version(u8),
    /// It insists on a password.
    #[error("the program offers no SOCKS5 without authentication")]
    Authentication,
    /// It asked for something that is refused; it has been told.
    #[error("the program's SOCKS5 request was refused: {0}")]
    Refused(String),
    /// It was gone, or silent.
    #[error("the program's SOCKS5 request did not come: {0}")]
    Io(#[from] io::Error),
}

/// Reads a program's request. What follows it is left to be read; [`answer`] is still to be sent.
///
/// # Errors
/// When there is no request that could be served. The program has been told then, as far as its protocol can.
pub async fn request(incoming: &mut Incoming, outgoing: &mut Outgoing) -> Result<Remote, SocksError> {
    request_within(PATIENCE, incoming, outgoing).await
}

async fn request_within(
    patience: Duration,
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
) -> Result<Remote, SocksError> {
    let talk = async {
        let [version, methods] = read(incoming).await?;
        if version != VERSION {
            return Err(SocksError::Version(version));
        }
        let mut offered = vec![0; usize::from(methods)];
        incoming.read_exact(&mut offered).await?;
        if !offered.contains(&NO_AUTHENTICATION) {
            outgoing.write_all(&[VERSION, NOTHING_ACCEPTABLE]).await?;
            return Err(SocksError::Authentication);
        }
        outgoing.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
        let [version, command, _, kind] = read(incoming).await?;
        if version != VERSION {
            return Err(SocksError::Version(version));
        }
        let host = match kind {
            IPV4 => Ipv4Addr::from(read::<4>(incoming).await?).to_string(),
            IPV6 => Ipv6Addr::from(read::<16>(incoming).await?).to_string(),
            NAME => {
                let [length] = read(incoming).await?;
                let mut name = vec![0; usize::from(length)];
                incoming.read_exact(&mut name).await?;
                String::from_utf8_lossy(&name).into_owned()
            }
            other => {
                let why = format!("address type {other} is unknown");
                return refuse(outgoing, Reply::AddressNotSupported, why).await;
            }
        };
        let port = u16::from_be_bytes(read(incoming).await?);
        if command != CONNECT {
            let why = format!("command {command} is not CONNECT");
            return refuse(outgoing, Reply::CommandNotSupported, why).await;
        }
        match host.parse::<Host>() {
            Ok(host) if port != 0 => Ok(Remote {
                host: Some(host),
                port,
            }),
            Ok(_) => refuse(outgoing, Reply::HostUnreachable, "port 0 is none".to_owned()).await,
            Err(why) => refuse(outgoing, Reply::HostUnreachable, why).await,
        }
    };
    timeout(patience, talk)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Tells the program what became of its request.
///
/// # Errors
/// When it is gone.
pub async fn answer(outgoing: &mut Outgoing, reply: Reply) -> io::Result<()> {
    outgoing.write_all(&reply.encode()).await?;
    outgoing.flush().await
}

async fn refuse<T>(outgoing: &mut Outgoing, reply: Reply, why: String) -> Result<T, SocksError> {
    answer(outgoing, reply).await?;
    Err(SocksError::Refused(why))
}

async fn read<const N: usize>(incoming: &mut Incoming) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    incoming.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// What a program sends, what it hears, and what is made of it. It goes on to speak after its request.
    async fn talk(says: &[u8]) -> (Result<Remote, SocksError>, Vec<u8>, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(says).await.unwrap();
        theirs.write_all(b"GET /").await.unwrap();
        theirs.shutdown().await.unwrap();
        let (read, write) = tokio::io::split(ours);
        let (mut incoming, mut outgoing): (Incoming, Outgoing) = (Box::pin(read), Outgoing::memory(write));
        let made = request(&mut incoming, &mut outgoing).await;
        let mut rest = Vec::new();
        incoming.read_to_end(&mut rest).await.unwrap();
        drop((incoming, outgoing));
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        (made, heard, rest)
    }

    #[tokio::test]
    async fn names_and_addresses_are_kept_as_they_come() {
        for (says, remote) in [
            (
                &hex!("050100 05010003 0b 64622e696e7465726e616c 1538")[..],
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
        let (ours, _theirs) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(ours);
        let (mut incoming, mut outgoing): (Incoming, Outgoing) = (Box::pin(read), Outgoing::memory(write));
        let made = request_within(Duration::from_millis(1), &mut incoming, &mut outgoing).await;
        assert!(matches!(made, Err(SocksError::Io(_))));
    }
}
