//! HTTP: reads a request whole and hands it to the API, or turns it into a data channel.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming as HttpBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::{Behind, Stream, data_channel};
use crate::api::{self, Incoming, Reply};

/// More than any call of an API needs.
const LARGEST_BODY: usize = 4 << 20;

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

pub(super) async fn serve(behind: Behind, stream: impl Stream, tls: bool) {
    let service = service_fn(move |request| {
        let behind = behind.clone();
        async move { handle(behind, request, tls).await }
    });
    // A client that goes away is no news.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

async fn handle(behind: Behind, request: Request<HttpBody>, tls: bool) -> Result<Response<Full<Bytes>>, Cut> {
    let is_upgrade = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if is_upgrade {
        return data_channel::upgrade(behind, request, tls).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, ""));
    };
    let authority = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("127.0.0.1");
    let incoming = Incoming {
        stream_base: stream_base(authority, tls),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        body: body.to_bytes(),
        tls,
    };
    match api::answer(&behind.world, &behind.calls, &incoming).await {
        Reply::Answer(mut response) => {
            let date = behind
                .world
                .wall()
                .strftime("%a, %d %b %Y %H:%M:%S GMT")
                .to_string();
            if let Ok(date) = date.parse() {
                response.headers_mut().insert(header::DATE, date);
            }
            Ok(response.map(|text| Full::new(Bytes::from(text))))
        }
        Reply::Silence => silence().await,
        Reply::Cut => Err(Cut),
    }
}

/// Never answers; the client's patience ends it, or the sandbox's end.
pub(super) async fn silence() -> Result<Response<Full<Bytes>>, Cut> {
    let never: Infallible = std::future::pending().await;
    match never {}
}

pub(super) fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// Stream URLs lead to where the call came in. Who called AWS's own host (through the proxy) is sent to AWS's
/// own host for data channels.
fn stream_base(authority: &str, tls: bool) -> String {
    let scheme = if tls { "wss" } else { "ws" };
    match authority.split_once('.') {
        Some(("ssm", rest)) => format!("{scheme}://ssmmessages.{rest}"),
        Some(("ssm-fips", rest)) => format!("{scheme}://ssmmessages-fips.{rest}"),
        _ => format!("{scheme}://{authority}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_urls_lead_back() {
        assert_eq!(stream_base("127.0.0.1:4000", false), "ws://127.0.0.1:4000");
        assert_eq!(stream_base("localhost:4000", true), "wss://localhost:4000");
        assert_eq!(
            stream_base("ssm.eu-west-2.amazonaws.com", true),
            "wss://ssmmessages.eu-west-2.amazonaws.com"
        );
    }
}
