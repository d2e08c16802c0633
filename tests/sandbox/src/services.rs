//! What listens on the nodes and behind them: small servers on loopback that stand for a node's own web server
//! or for a database that only the node reaches.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context as _;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::scenario::{Scenario, Service};

/// A server that has its port and waits for a runtime.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    service: Service,
    /// What the page says.
    greeting: String,
}

/// Gives each service of the scenario a port, and lets its node find it under the name it has there.
pub(crate) fn bind(scenario: &mut Scenario) -> anyhow::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for node in &mut scenario.nodes {
        for (place, service) in node.services.clone() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .with_context(|| format!("cannot listen for the service `{place}`"))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?.to_string();
            let name = node.name.as_deref().unwrap_or("a node without a name");
            bound.push(Bound {
                listener,
                service,
                greeting: format!("{place}, as seen from {name} of the sandbox\n"),
            });
            node.session.names.insert(place, address);
        }
    }
    Ok(bound)
}

/// Serves until the runtime ends.
pub(crate) fn serve(services: Vec<Bound>) -> anyhow::Result<()> {
    for Bound {
        listener,
        service,
        greeting,
    } in services
    {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let greeting = Bytes::from(greeting);
        let accept = move |stream| serve_one(service, stream, greeting.clone());
        tokio::spawn(crate::front::accept_all(listener, accept));
    }
    Ok(())
}

/// A client that breaks off is no news.
async fn serve_one(service: Service, mut stream: TcpStream, greeting: Bytes) {
    match service {
        Service::Echo => {
            let (mut reader, mut writer) = stream.split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        }
        Service::Http => {
            let page = service_fn(move |_| {
                let greeting = greeting.clone();
                async move { Ok::<_, Infallible>(Response::new(Full::new(greeting))) }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), page)
                .await;
        }
    }
}
