//! An accepted connection, whatever it came by.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::who;

/// Bytes from the local program.
pub type Incoming = Pin<Box<dyn AsyncRead + Send>>;

/// A local program's connection.
#[derive(Debug)]
pub struct Connection(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Bytes to the local program.
#[derive(Debug)]
pub struct Outgoing(Writer);

#[derive(Debug)]
enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
    #[cfg(test)]
    Memory(tokio::io::WriteHalf<tokio::io::DuplexStream>),
}

/// Tells a program that has only shut its sending side from one that is gone: on the wire both look the same.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    tcp: Option<(SocketAddr, SocketAddr)>,
}

impl Ends {
    /// Whether the program has certainly closed its end altogether. Where the system does not tell, it has not.
    /// To be asked after its end of input only.
    pub fn is_gone(&self) -> bool {
        match self.tcp {
            Some((ours, theirs)) => who::has_nobody(theirs, ours),
            None => false,
        }
    }
}

impl Connection {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // Small writes are what interactive protocols are made of. A socket that refuses is dead anyway.
        let _ = stream.set_nodelay(true);
        Self(Kind::Tcp(stream))
    }

    #[cfg(unix)]
    pub(super) fn unix(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }

    /// Both directions, and the means to look at the program's end.
    pub fn split(self) -> (Incoming, Outgoing, Ends) {
        match self.0 {
            Kind::Tcp(stream) => {
                let tcp = stream.local_addr().ok().zip(stream.peer_addr().ok());
                let (read, write) = stream.into_split();
                (Box::pin(read), Outgoing(Writer::Tcp(write)), Ends { tcp })
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                let (read, write) = stream.into_split();
                (Box::pin(read), Outgoing(Writer::Unix(write)), Ends { tcp: None })
            }
        }
    }

    /// Ends it so that the program sees an error and not an end: its other end was not reached.
    pub fn reset(self) {
        let (_incoming, outgoing, _) = self.split();
        outgoing.reset();
    }
}

impl Outgoing {
    /// Ends the connection, once its other half is dropped too, so that the program sees an error: what it has
    /// heard is not all there was to hear. (A Unix socket knows no such end; it is closed.)
    pub fn reset(self) {
        if let Writer::Tcp(half) = self.0 {
            // One that refuses is closed the ordinary way.
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }

    #[cfg(test)]
    pub(super) fn memory(half: tokio::io::WriteHalf<tokio::io::DuplexStream>) -> Self {
        Self(Writer::Memory(half))
    }

    fn inner(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.0 {
            Writer::Tcp(half) => Pin::new(half),
            #[cfg(unix)]
            Writer::Unix(half) => Pin::new(half),
            #[cfg(test)]
            Writer::Memory(half) => Pin::new(half),
        }
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
