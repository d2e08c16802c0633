//! The upgrade of a data channel: checked as the service checks it, then the gateway's.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming as HttpBody;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Behind;
use super::http_server::{Cut, plain, silence};
use crate::api_fault::{self, Effect};
use crate::calls::Call;
use crate::gateway::Admission;
use crate::sigv4::{self, Claim, Unsigned};

const OPERATION: &str = "ssmmessages:OpenDataChannel";

pub(super) async fn upgrade(
    behind: Behind,
    mut request: Request<HttpBody>,
    tls: bool,
) -> Result<Response<Full<Bytes>>, Cut> {
    let Some(id) = request.uri().path().strip_prefix("/v1/data-channel/") else {
        return Ok(plain(StatusCode::NOT_FOUND, ""));
    };
    let id = id.to_owned();
    let signed = sigv4::check(
        &behind.world,
        "ssmmessages",
        &sigv4::Subject {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            body: b"",
        },
    );
    let (account, region) = match &signed {
        Ok(signed) => (signed.identity.account.clone(), signed.region.clone()),
        Err(_) => (String::new(), String::new()),
    };
    let parameters = json!({ "SessionId": id, "Query": request.uri().query() });
    let finish = behind.calls.begin(Call {
        operation: OPERATION.to_owned(),
        at: Instant::now(),
        account: account.clone(),
        region: region.clone(),
        key: Claim::of(request.headers()).ok().map(|claim| claim.key),
        parameters: parameters.clone(),
        user_agent: text(request.headers(), &header::USER_AGENT).to_owned(),
        tls,
        status: None,
        error: None,
    });
    match signed {
        Err(Unsigned::Missing) if behind.world.allows_unsigned_upgrades() => {}
        Err(unsigned) => return refuse(finish, StatusCode::FORBIDDEN, &format!("{unsigned:?}")),
        Ok(signed) => {
            let record = behind.world.sessions.record(&id);
            let mine = record.is_some_and(|record| {
                record.place.account == signed.identity.account && record.place.region == signed.region
            });
            if !mine {
                return refuse(
                    finish,
                    StatusCode::FORBIDDEN,
                    "the session is not of this account and region",
                );
            }
        }
    }
    let (delay, effect) = behind.world.faults.strike(&api_fault::Subject {
        operation: OPERATION,
        account: &account,
        region: &region,
        parameters: &parameters.to_string(),
    });
    tokio::time::sleep(delay).await;
    match effect {
        None => {}
        Some(Effect::Hang) => return silence().await,
        Some(Effect::Cut) => return Err(Cut),
        Some(Effect::Garbage) => return refuse(finish, StatusCode::OK, "<html></html>"),
        Some(Effect::Deny | Effect::Expired) => return refuse(finish, StatusCode::FORBIDDEN, "denied"),
        Some(Effect::Throttle) => return refuse(finish, StatusCode::TOO_MANY_REQUESTS, "throttled"),
        Some(Effect::Internal) => return refuse(finish, StatusCode::INTERNAL_SERVER_ERROR, "broken"),
        Some(Effect::Unavailable) => return refuse(finish, StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = key
        .map(|key| derive_accept_key(key.as_bytes()))
        .and_then(|accept| HeaderValue::from_str(&accept).ok());
    let Some(accept) = accept.filter(|_| text(request.headers(), &header::SEC_WEBSOCKET_VERSION) == "13")
    else {
        return refuse(finish, StatusCode::BAD_REQUEST, "no WebSocket");
    };
    let gateway = behind.world.sessions.gateway().clone();
    match gateway.admit(&id) {
        Admission::Upgrade => {}
        Admission::Silence => return silence().await,
        Admission::Refuse(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            return refuse(finish, status, "refused");
        }
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            gateway.serve(TokioIo::new(stream), &id).await;
        }
    });
    finish(StatusCode::SWITCHING_PROTOCOLS.as_u16(), None);
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

fn refuse(
    finish: impl FnOnce(u16, Option<String>),
    status: StatusCode,
    why: &str,
) -> Result<Response<Full<Bytes>>, Cut> {
    finish(status.as_u16(), Some(why.to_owned()));
    Ok(plain(status, why))
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
