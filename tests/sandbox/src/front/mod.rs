//! The sandbox's doors: one HTTP port for all APIs and the data channel, the same over TLS, and a CONNECT proxy.

mod data_channel;
mod http_server;
mod proxy;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

pub use proxy::{Passage, Proxy};

use crate::calls::Calls;
use crate::world::World;

/// What the doors share.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    pub(crate) world: Arc<World>,
    pub(crate) calls: Calls,
    pub(crate) proxy: Proxy,
}

/// Where the doors are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) proxy: SocketAddr,
}

/// Opens the doors; whoever comes is served by tasks of the runtime. `port` 0 takes a free one; the CA's
/// certificate is written to `ca_bundle`.
///
/// # Errors
/// When a port is taken, or the file cannot be written.
pub(crate) async fn open(behind: Behind, port: u16, ca_bundle: &Path) -> anyhow::Result<Addresses> {
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port}"))?;
    let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let connect = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addresses = Addresses {
        plain: plain.local_addr()?,
        tls: secure.local_addr()?,
        proxy: connect.local_addr()?,
    };
    let acceptor = tls::acceptor(behind.world.regions().keys(), ca_bundle)?;

    let for_plain = behind.clone();
    let accept = move |stream| http_server::serve(for_plain.clone(), stream, false);
    tokio::spawn(accept_all(plain, accept));

    let for_tls = behind.clone();
    let accept = move |stream| {
        let (behind, acceptor) = (for_tls.clone(), acceptor.clone());
        async move {
            // A client that does not trust us hangs up within the handshake; that is its right.
            if let Ok(stream) = acceptor.accept(stream).await {
                http_server::serve(behind, stream, true).await;
            }
        }
    };
    tokio::spawn(accept_all(secure, accept));

    let proxy = behind.proxy;
    let accept = move |stream| {
        let proxy = proxy.clone();
        async move { proxy.serve(stream, addresses.tls).await }
    };
    tokio::spawn(accept_all(connect, accept));
    Ok(addresses)
}

/// Serves whoever comes.
pub(crate) async fn accept_all<F>(listener: TcpListener, accept: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Best effort: without it small answers wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                tokio::spawn(accept(stream));
            }
            // Out of file descriptors, most likely: others will be given back.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

/// A connection, whatever carries it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}
