//! The API calls. A service is one file (or folder) and one line in [`SERVICES`]; this module finds the service,
//! checks the signature, lets faults strike, notes the call and puts the answer into the service's wire form.

mod ec2;
mod ecs;
mod error;
mod iam;
mod identity_center;
mod input;
mod kms;
mod logs;
mod page;
mod rds;
mod rights;
mod ssm;
mod sts;
mod wire;
mod xml;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::Value;

use crate::api_fault::{self, Effect};
use crate::calls::{Call, Calls};
use crate::scenario::OptIn;
use crate::sigv4::{self, Claim};
use crate::world::{Identity, Place, World};

pub(crate) use error::{ApiError, Trouble};
use input::Input;
use wire::Wire;

/// A service of AWS.
pub(crate) struct Service {
    /// Its name in operations (`ssm`) and in the scope of signatures.
    name: &'static str,
    wire: Wire,
    /// Gives the answer's body in the service's own form; `None` for an operation that it does not have.
    call: fn(&World, &Request<'_>) -> Option<Result<String, ApiError>>,
}

const SERVICES: &[Service] = &[
    ec2::SERVICE,
    ssm::SERVICE,
    sts::SERVICE,
    kms::SERVICE,
    ecs::SERVICE,
    iam::SERVICE,
    logs::SERVICE,
    rds::SERVICE,
];

/// A call that was let in.
pub(crate) struct Request<'a> {
    pub(crate) operation: &'a str,
    pub(crate) caller: &'a Arc<Identity>,
    pub(crate) place: Place,
    pub(crate) input: &'a Input,
    /// Scheme and authority of the stream URLs of sessions started by this call.
    pub(crate) stream_base: &'a str,
}

/// An HTTP request, read whole.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) tls: bool,
    pub(crate) stream_base: String,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What becomes of a call.
pub(crate) enum Reply {
    /// An answer.
    Answer(Response<String>),
    /// None, ever.
    Silence,
    /// The connection is closed.
    Cut,
}

/// Answers one call.
pub(crate) async fn answer(world: &World, calls: &Calls, incoming: &Incoming) -> Reply {
    if let Some(operation) = identity_center::recognise(incoming) {
        return without_signature(world, calls, incoming, operation).await;
    }
    if let Some(bucket) = bucket(incoming) {
        return of_a_bucket(world, calls, incoming, bucket).await;
    }
    let request_id = uuid::Uuid::new_v4().to_string();
    let Some((service, operation, input)) = recognise(incoming) else {
        let refusal = Response::builder()
            .status(StatusCode::NOT_FOUND)
            .header("content-type", "application/json")
            .body(r#"{"__type":"UnknownOperationException"}"#.to_owned());
        return Reply::Answer(refusal.unwrap_or_default());
    };
    let input = match input {
        Ok(input) => input,
        Err(error) => return Reply::Answer(service.wire.refuse(&error, &request_id)),
    };
    let parameters = input.to_json();
    let signed = sigv4::check(
        world,
        service.name,
        &sigv4::Subject {
            method: &incoming.method,
            uri: &incoming.uri,
            headers: &incoming.headers,
            body: &incoming.body,
        },
    )
    .or_else(|unsigned| match (unsigned, operation.as_str()) {
        (sigv4::Unsigned::Missing, sts::OPEN) => Ok(sigv4::Signed::nobody()),
        (unsigned, _) => Err(unsigned),
    })
    .and_then(|signed| match world.regions().get(&signed.region) {
        Some(OptIn::NotOptedIn) | None => Err(sigv4::Unsigned::UnknownKey),
        Some(_) => Ok(signed),
    });
    let (account, region) = match &signed {
        Ok(signed) => (signed.identity.account.clone(), signed.region.clone()),
        Err(_) => (String::new(), String::new()),
    };
    let operation_name = format!("{}:{operation}", service.name);
    let finish = calls.begin(Call {
        operation: operation_name.clone(),
        at: Instant::now(),
        account: account.clone(),
        region: region.clone(),
        key: Claim::of(&incoming.headers).ok().map(|claim| claim.key),
        parameters: parameters.clone(),
        user_agent: incoming.header("user-agent").to_owned(),
        tls: incoming.tls,
        status: None,
        error: None,
    });
    let (delay, effect) = world.faults.strike(&api_fault::Subject {
        operation: &operation_name,
        account: &account,
        region: &region,
        parameters: &parameters.to_string(),
    });
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let may = |signed: &sigv4::Signed| {
        let place = Place {
            account: account.clone(),
            region: region.clone(),
        };
        rights::allows(world, &signed.identity, &place, &operation_name, &input)
    };
    let trouble = match effect {
        Some(Effect::Hang) => return Reply::Silence,
        Some(Effect::Cut) => return Reply::Cut,
        None if signed.as_ref().is_ok_and(|signed| !may(signed)) => Some(Trouble::Denied),
        Some(Effect::Garbage) => {
            finish(200, None);
            let page = Response::builder().header("content-type", "text/html");
            let page = page.body("<html><body>Sign in to the network</body></html>".to_owned());
            return Reply::Answer(page.unwrap_or_default());
        }
        Some(Effect::Deny) => Some(Trouble::Denied),
        Some(Effect::Throttle) => Some(Trouble::Throttled),
        Some(Effect::Unavailable) => Some(Trouble::Unavailable),
        Some(Effect::Internal) => Some(Trouble::Internal),
        Some(Effect::Expired) => Some(Trouble::Unsigned(sigv4::Unsigned::Expired)),
        None => None,
    };
    let result = match (signed, trouble) {
        (Err(unsigned), _) => Err(service
            .wire
            .error(Trouble::Unsigned(unsigned), &operation_name, None)),
        (Ok(signed), Some(trouble)) => {
            Err(service
                .wire
                .error(trouble, &operation_name, Some(&signed.identity)))
        }
        (Ok(signed), None) => {
            let request = Request {
                operation: &operation,
                caller: &signed.identity,
                place: Place { account, region },
                input: &input,
                stream_base: &incoming.stream_base,
            };
            (service.call)(world, &request).unwrap_or_else(|| Err(service.wire.unknown_operation(&operation)))
        }
    };
    let response = match &result {
        Ok(body) => service.wire.answer(&operation, body, &request_id),
        Err(error) => service.wire.refuse(error, &request_id),
    };
    finish(
        response.status().as_u16(),
        result.err().map(|error| error.code.into_owned()),
    );
    Reply::Answer(response)
}

/// The bucket whose encryption is asked for: the one call of S3.
fn bucket(incoming: &Incoming) -> Option<&str> {
    let asks = incoming
        .uri
        .query()
        .is_some_and(|query| query.starts_with("encryption"));
    let bucket = incoming.uri.path().trim_matches('/');
    (incoming.method == Method::GET && asks && !bucket.is_empty()).then_some(bucket)
}

async fn of_a_bucket(world: &World, calls: &Calls, incoming: &Incoming, bucket: &str) -> Reply {
    const OPERATION: &str = "s3:GetEncryptionConfiguration";
    let subject = sigv4::Subject {
        method: &incoming.method,
        uri: &incoming.uri,
        headers: &incoming.headers,
        body: &incoming.body,
    };
    let signed = sigv4::check(world, "s3", &subject).ok();
    let finish = calls.begin(Call {
        operation: OPERATION.to_owned(),
        at: Instant::now(),
        account: signed
            .as_ref()
            .map(|signed| signed.identity.account.clone())
            .unwrap_or_default(),
        region: signed
            .as_ref()
            .map(|signed| signed.region.clone())
            .unwrap_or_default(),
        key: Claim::of(&incoming.headers).ok().map(|claim| claim.key),
        parameters: Value::from(bucket),
        user_agent: incoming.header("user-agent").to_owned(),
        tls: incoming.tls,
        status: None,
        error: None,
    });
    let (delay, effect) = world.faults.strike(&api_fault::Subject {
        operation: OPERATION,
        account: "",
        region: "",
        parameters: bucket,
    });
    tokio::time::sleep(delay).await;
    let response = match (signed, effect) {
        (_, Some(Effect::Hang)) => return Reply::Silence,
        (_, Some(Effect::Cut)) => return Reply::Cut,
        (Some(_), None) => logs::encryption(world, bucket),
        _ => logs::denied(),
    };
    finish(response.status().as_u16(), None);
    Reply::Answer(response)
}

/// Answers a call of those that are not signed. Denials, throttling and delays strike these too.
async fn without_signature(
    world: &World,
    calls: &Calls,
    incoming: &Incoming,
    operation: &'static str,
) -> Reply {
    let parameters: Value = serde_json::from_slice(&incoming.body).unwrap_or_default();
    let finish = calls.begin(Call {
        operation: operation.to_owned(),
        at: Instant::now(),
        account: String::new(),
        region: String::new(),
        key: None,
        parameters: parameters.clone(),
        user_agent: incoming.header("user-agent").to_owned(),
        tls: incoming.tls,
        status: None,
        error: None,
    });
    let (delay, effect) = world.faults.strike(&api_fault::Subject {
        operation,
        account: "",
        region: "",
        parameters: &parameters.to_string(),
    });
    tokio::time::sleep(delay).await;
    let failed = |status: u16| {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Reply::Answer(response.body("{}".to_owned()).unwrap_or_default())
    };
    match effect {
        None => {}
        Some(Effect::Hang) => return Reply::Silence,
        Some(Effect::Cut) => return Reply::Cut,
        Some(Effect::Throttle) => return failed(429),
        Some(Effect::Unavailable) => return failed(503),
        Some(Effect::Internal | Effect::Garbage) => return failed(500),
        Some(Effect::Deny | Effect::Expired) => return failed(403),
    }
    let response = identity_center::answer(world, incoming);
    finish(response.status().as_u16(), None);
    Reply::Answer(response)
}

type Recognised = (&'static Service, String, Result<Input, ApiError>);

/// Which service and operation a request is for: by `X-Amz-Target`, else by the form's `Action` and `Version`.
fn recognise(incoming: &Incoming) -> Option<Recognised> {
    let target = incoming.header("x-amz-target");
    if let Some((prefix, operation)) = target.rsplit_once('.') {
        let service = SERVICES.iter().find(|service| service.wire.is_target(prefix))?;
        let body: &[u8] = if incoming.body.is_empty() {
            b"{}"
        } else {
            &incoming.body
        };
        let input = serde_json::from_slice::<Value>(body)
            .ok()
            .filter(Value::is_object)
            .map(Input::Json)
            .ok_or_else(|| ApiError::new("SerializationException", "The request is no JSON object."));
        return Some((service, operation.to_owned(), input));
    }
    let mut fields: Vec<(String, String)> = form_urlencoded::parse(&incoming.body).into_owned().collect();
    if let Some(query) = incoming.uri.query() {
        fields.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let (action, version) = (field("Action")?, field("Version")?);
    let service = SERVICES
        .iter()
        .find(|service| service.wire.is_version(&version))?;
    fields.retain(|(name, _)| name != "Action" && name != "Version");
    Some((service, action, Ok(Input::Form(fields))))
}
