//! An accepted connection, whatever it came by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::time::timeout;

use super::socks::{self, Reply};
use super::who;

/// After the last word the program has this long to close: closed on it, the system may throw the word away.
const PARTING: Duration = Duration::from_secs(2);

/// Bytes from the local program.
pub type Incoming = Pin<Box<dyn AsyncRead + Send>>;

/// A local program's connection.
#[derive(Debug)]
pub struct Connection {
    kind: Kind,
    owed: Owed,
}

#[derive(Debug)]
pub(super) enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What the program is to hear before bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// Whether the far end was reached, by SOCKS5.
    SocksReply,
}

/// Why a program gets no connection. One that cannot be told so sees its connection reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// For a reason that has no number.
    Failed,
    /// It is not allowed.
    NotAllowed,
    /// The node that leads there is out of reach.
    NetworkUnreachable,
    /// The host has no address, or none that answers.
    HostUnreachable,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    TimedOut,
}

/// Bytes to the local program.
#[derive(Debug)]
pub struct Outgoing {
    writer: Writer,
    owed: Owed,
}

#[derive(Debug)]
enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

impl Connection {
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // Small writes are what interactive protocols are made of. A socket that refuses is dead anyway.
        let _ = stream.set_nodelay(true);
        Self::new(Kind::Tcp(stream))
    }

    #[cfg(unix)]
    pub(super) fn unix(stream: UnixStream) -> Self {
        Self::new(Kind::Unix(stream))
    }

    /// One, and the program at its other end.
    #[cfg(test)]
    pub async fn with_program() -> (Self, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let program = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Self::tcp(listener.accept().await.unwrap().0), program)
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            owed: Owed::Nothing,
        }
    }

    /// The stream itself, while nothing of the session was read from it.
    pub(super) fn kind(&mut self) -> &mut Kind {
        &mut self.kind
    }

    /// Whether the program waits to hear that its far end was reached.
    pub fn owes_an_answer(&self) -> bool {
        self.owed != Owed::Nothing
    }

    /// From now on the program waits for SOCKS5's answer.
    pub(super) fn owing_a_reply(mut self) -> Self {
        self.owed = Owed::SocksReply;
        self
    }

    /// Both directions.
    pub fn split(self) -> (Incoming, Outgoing) {
        let owed = self.owed;
        match self.kind {
            Kind::Tcp(stream) => {
                let (read, write) = stream.into_split();
                let writer = Writer::Tcp(write);
                (Box::pin(read), Outgoing { writer, owed })
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                let (read, write) = stream.into_split();
                let writer = Writer::Unix(write);
                (Box::pin(read), Outgoing { writer, owed })
            }
        }
    }

    /// Closes it without losing the last word that was said on it, which a task of its own sees to.
    pub fn close(self) {
        let (incoming, outgoing) = self.split();
        tokio::spawn(part(incoming, outgoing));
    }

    /// Ends it so that the program sees an error and not an end, and why where it can be told.
    pub fn refuse(self, why: Refusal) {
        let (incoming, outgoing) = self.split();
        refuse(incoming, outgoing, why);
    }
}

/// Ends a connection so that the program sees an error and not an end, and why where it can be told. That takes a
/// moment, which a task of its own sees to.
pub fn refuse(incoming: Incoming, mut outgoing: Outgoing, why: Refusal) {
    if outgoing.owed == Owed::Nothing {
        outgoing.reset();
        return;
    }
    tokio::spawn(async move {
        // One that is gone need not be told.
        if socks::answer(&mut outgoing, Reply::from(why)).await.is_ok() {
            part(incoming, outgoing).await;
        }
    });
}

/// Closes a connection without losing the last word said on it.
async fn part(mut incoming: Incoming, mut outgoing: Outgoing) {
    let mut rest = [0; 512];
    let heard = async {
        if outgoing.shutdown().await.is_ok() {
            while incoming.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        }
    };
    drop(timeout(PARTING, heard).await);
}

impl Outgoing {
    /// Whether the program has certainly closed its end altogether, and not only shut its sending side: what it
    /// sends looks the same. Where the system does not tell, it has not. To be asked after its end of input only.
    pub fn is_gone(&self) -> bool {
        match &self.writer {
            Writer::Tcp(half) => match (half.peer_addr(), half.local_addr()) {
                (Ok(theirs), Ok(ours)) => who::has_nobody(theirs, ours),
                _ => false,
            },
            #[cfg(unix)]
            Writer::Unix(half) => who::has_hung_up(half.as_ref()),
        }
    }

    /// Whether the program waits to hear that its far end was reached.
    pub fn owes_an_answer(&self) -> bool {
        self.owed != Owed::Nothing
    }

    /// Says that it was.
    ///
    /// # Errors
    /// When the program is gone.
    pub async fn accept(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Nothing => Ok(()),
            Owed::SocksReply => socks::answer(self, Reply::Succeeded).await,
        }
    }

    /// Ends the connection, once its other half is dropped too, so that the program sees an error: what it has
    /// heard is not all there was to hear. (A Unix socket knows no such end; it is closed.)
    fn reset(self) {
        if let Writer::Tcp(half) = self.writer {
            // One that refuses is closed the ordinary way.
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }

    fn inner(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.writer {
            Writer::Tcp(half) => Pin::new(half),
            #[cfg(unix)]
            Writer::Unix(half) => Pin::new(half),
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
