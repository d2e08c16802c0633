//! Opening a connection: directly or through a proxy, plain or TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::proxy::{Proxies, Proxy, ProxyError};
use super::roots::{Roots, RootsError};

/// How long connecting may take; TLS has as long again. The plugin waits 45 s for the whole.
const PATIENCE: Duration = Duration::from_secs(15);
/// A proxy's answer is a few lines.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// By TLS, with the server's certificate checked.
    Yes,
    /// Not at all: loopback only.
    No,
}

/// A host to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether to encrypt.
    pub tls: Tls,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Dials as this process is configured to.
#[derive(Debug, Default)]
pub struct Dialer {
    roots: Arc<Roots>,
    proxies: Proxies,
}

/// An open connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection did not open.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name is unknown, or nothing answers there.
    #[error("cannot connect to {place}: {cause}")]
    Connect {
        /// Host and port.
        place: String,
        /// The system's word.
        cause: io::Error,
    },
    /// Nothing came back in time.
    #[error("{place} did not answer within {} s", .after.as_secs())]
    Timeout {
        /// Host and port.
        place: String,
        /// How long we waited.
        after: Duration,
    },
    /// The proxy said no.
    #[error("the proxy {proxy} refused to connect to {place}: {answer}")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The wanted host and port.
        place: String,
        /// Its status line, untrusted.
        answer: String,
    },
    /// The proxy's variable is no URL.
    #[error(transparent)]
    ProxyUrl(#[from] ProxyError),
    /// TLS failed: an unknown issuer, a wrong name, an expired certificate.
    #[error("no trusted TLS connection to {place}: {cause}")]
    Tls {
        /// Host and port.
        place: String,
        /// rustls's word.
        cause: io::Error,
    },
    /// Nothing to trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

impl Dialer {
    /// Trusts `roots`, goes through `proxies`.
    pub fn new(roots: Arc<Roots>, proxies: Proxies) -> Self {
        Self { roots, proxies }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// With the cause in a person's words.
    pub async fn connect(&self, place: &Place) -> Result<Stream, DialError> {
        let wanted = authority(&place.host, place.port);
        let tcp = match self.proxies.proxy_for(place.tls, &place.host, place.port)? {
            Some(proxy) => within(&wanted, through(&proxy, &wanted)).await?,
            None => within(&wanted, tcp(&place.host, place.port)).await?,
        };
        if place.tls == Tls::No {
            return Ok(Stream::Plain(tcp));
        }
        let failed = |cause| DialError::Tls {
            place: wanted.clone(),
            cause,
        };
        let name = ServerName::try_from(place.host.clone())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let connector = TlsConnector::from(self.roots.client_config()?);
        let handshake = async { connector.connect(name, tcp).await.map_err(failed) };
        Ok(Stream::Tls(Box::new(within(&wanted, handshake).await?)))
    }
}

impl Stream {
    /// Who signed the server's certificate, where there is one. Untrusted text.
    pub fn issuer(&self) -> Option<String> {
        let Self::Tls(stream) = self else {
            return None;
        };
        let certificates = stream.get_ref().1.peer_certificates()?;
        super::certificate::issuer(certificates.first()?)
    }
}

async fn within<T>(place: &str, work: impl Future<Output = Result<T, DialError>>) -> Result<T, DialError> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        Err(DialError::Timeout {
            place: place.to_owned(),
            after: PATIENCE,
        })
    })
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let failed = |cause| DialError::Connect {
        place: authority(host, port),
        cause,
    };
    let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    // Key strokes are small and must not wait for each other.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

async fn through(proxy: &Proxy, wanted: &str) -> Result<TcpStream, DialError> {
    let refused = |answer: String| DialError::Proxy {
        proxy: authority(&proxy.host, proxy.port),
        place: wanted.to_owned(),
        answer,
    };
    let mut stream = tcp(&proxy.host, proxy.port).await?;
    let mut request = format!("CONNECT {wanted} HTTP/1.1\r\nHost: {wanted}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str(&format!("Proxy-Authorization: {}\r\n", authorization.expose()));
    }
    request.push_str("\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| refused(error.to_string()))?;
    // Byte by byte: what follows the answer already belongs to the server.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if answer.len() < LONGEST_ANSWER => answer.push(byte),
            Ok(_) => return Err(refused("its answer has no end".to_owned())),
            Err(error) => return Err(refused(error.to_string())),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        Ok(stream)
    } else {
        Err(refused(status.to_owned()))
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
