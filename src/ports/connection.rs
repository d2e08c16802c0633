//! An accepted connection, whatever it came by.

use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::who;

/// Bytes from the local program.
pub type Incoming = Pin<Box<dyn AsyncRead + Send>>;
/// Bytes to the local program.
pub type Outgoing = Pin<Box<dyn AsyncWrite + Send>>;

/// A local program's connection.
#[derive(Debug)]
pub struct Connection(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
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
                (Box::pin(read), Box::pin(write), Ends { tcp })
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                let (read, write) = stream.into_split();
                (Box::pin(read), Box::pin(write), Ends { tcp: None })
            }
        }
    }
}
