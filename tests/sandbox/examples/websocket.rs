//! A TCP port carried by a bare WebSocket of the library that ssmx uses: what its data channel is measured beside.
//!
//! `websocket far PORT` takes WebSockets and joins each to the port; `websocket near PORT` takes TCP connections and
//! carries each by a WebSocket to that port. Both print the port that they listen on. No acknowledgements, no
//! numbers, no checksums, no sharing: nothing but the library and two sockets.

use std::io::Write as _;
use std::net::Ipv4Addr;

use anyhow::Context as _;
use bytes::BytesMut;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{self, Message};

/// As much as ssmx puts into a message at most.
const PAYLOAD: usize = 32 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (end, port) = match words.as_slice() {
        [end, port] => (end.clone(), port.parse::<u16>().context("PORT is no port")?),
        _ => anyhow::bail!("usage: websocket near|far PORT"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
    loop {
        let (taken, _) = listener.accept().await?;
        let near = end == "near";
        tokio::spawn(async move {
            // A connection that breaks off is the measurement's to notice.
            let _ = if near {
                carry(taken, port).await
            } else {
                serve(taken, port).await
            };
        });
    }
}

async fn carry(local: TcpStream, port: u16) -> anyhow::Result<()> {
    let onward = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    onward.set_nodelay(true)?;
    let (socket, _) = tokio_tungstenite::client_async("ws://localhost/", onward).await?;
    join(local, socket).await
}

async fn serve(taken: TcpStream, port: u16) -> anyhow::Result<()> {
    taken.set_nodelay(true)?;
    let socket = tokio_tungstenite::accept_async(taken).await?;
    join(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?, socket).await
}

async fn join<S>(tcp: TcpStream, socket: S) -> anyhow::Result<()>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Sink<Message, Error = tungstenite::Error>,
{
    tcp.set_nodelay(true)?;
    let (mut reading, mut writing) = tcp.into_split();
    let (mut to, mut from) = socket.split();
    let up = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PAYLOAD);
            if reading.read_buf(&mut buffer).await? == 0 {
                to.close().await?;
                return anyhow::Ok(());
            }
            to.send(Message::Binary(buffer.split().freeze())).await?;
        }
    };
    let down = async {
        while let Some(Ok(message)) = from.next().await {
            if let Message::Binary(bytes) = message {
                writing.write_all(&bytes).await?;
            }
        }
        writing.shutdown().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(up, down)?;
    Ok(())
}
