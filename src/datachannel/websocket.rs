//! Opening the WebSocket: address, signed upgrade, open message.

use std::time::Duration;

use futures_util::SinkExt as _;
use http::{HeaderName, HeaderValue, Uri};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use super::{ChannelError, Gateway, Opening};
use crate::net::dialer::{Place, Tls};
use crate::net::{Dialer, Stream};
use crate::protocol::session::CLIENT_VERSION;

/// Agents send 1 KiB at a time. Some dozens of messages wait for a slow reader whatever their size.
const LONGEST_MESSAGE: usize = 256 << 10;
/// How long the answer to the upgrade may take, once the connection stands.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a refusing gateway says is shown up to here.
const LONGEST_BODY: usize = 300;

pub(super) type Socket = WebSocketStream<Stream>;

/// Dials, upgrades with a fresh signature, and sends the open message.
pub(super) async fn connect(
    opening: &Opening,
    client_id: Uuid,
    gateway: &dyn Gateway,
    dialer: &Dialer,
) -> Result<Socket, ChannelError> {
    let url = opening.url.expose();
    let place = place(url).ok_or(ChannelError::Address)?;
    let mut request = url
        .as_str()
        .into_client_request()
        .map_err(|_| ChannelError::Address)?;
    let signing = gateway.sign(url);
    let (stream, headers) = tokio::join!(dialer.connect(&place), signing);
    let (stream, headers) = (stream?, headers?);
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| ChannelError::Address)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| ChannelError::Address)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    let upgrade = client_async_with_config(request, stream, Some(config));
    let (mut socket, _) = timeout(PATIENCE, upgrade)
        .await
        .map_err(|_| {
            let words = format!("no answer to the upgrade within {} s", PATIENCE.as_secs());
            ChannelError::WebSocket(words)
        })?
        .map_err(refusal)?;
    let open = serde_json::json!({
        "MessageSchemaVersion": "1.0",
        "RequestId": Uuid::new_v4().to_string(),
        "TokenValue": opening.token.expose(),
        "ClientId": client_id.to_string(),
        "ClientVersion": CLIENT_VERSION,
    });
    socket
        .send(Message::text(open.to_string()))
        .await
        .map_err(|error| ChannelError::WebSocket(error.to_string()))?;
    Ok(socket)
}

fn place(url: &str) -> Option<Place> {
    let uri: Uri = url.parse().ok()?;
    let tls = match uri.scheme_str()? {
        "wss" => Tls::Yes,
        "ws" => Tls::No,
        _ => return None,
    };
    let port = uri.port_u16().unwrap_or(if tls == Tls::Yes { 443 } else { 80 });
    Some(Place {
        tls,
        host: uri.host()?.trim_matches(['[', ']']).to_owned(),
        port,
    })
}

fn refusal(error: tungstenite::Error) -> ChannelError {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response
                .body()
                .as_deref()
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            ChannelError::Refused {
                status: response.status().as_u16(),
                body: body.chars().take(LONGEST_BODY).collect(),
            }
        }
        other => ChannelError::WebSocket(other.to_string()),
    }
}
