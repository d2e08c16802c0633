//! One HTTP client for all services, with the roots and proxies that the data channel uses too.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::byte_stream::ByteStream;

use super::agent::UserAgent;
use super::error::{ErrorKind, ServiceError, chain, innermost};
use crate::net::Roots;
use crate::net::dialer::Tls;
use crate::secret::Secret;

/// A small answer of ours is done in this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(8);
/// No answer that we read whole is longer.
const LONGEST_ANSWER: usize = 8 << 20;

/// The client: a connector for each way to connect, made with the first request that wants it. Reading
/// certificates costs more than all else that a command does, so plain endpoints never pay for it; a bundle
/// that cannot be used is told with the first TLS connection.
#[derive(Clone)]
pub(super) struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    roots: Arc<Roots>,
    agent: String,
    made: Mutex<Vec<(Way, SharedHttpConnector)>>,
}

/// What one connector cannot change after it was made. The machine's own metadata service, for one, gets far
/// less patience than AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    tls: Tls,
    /// Loopback is never proxied, as the data channel's rules say too.
    loopback: bool,
    connect: Option<Duration>,
    read: Option<Duration>,
}

/// An answer to a small request of ours.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// HTTP's status.
    pub(super) status: u16,
    /// The `Date` header, the server's own clock.
    pub(super) date: Option<String>,
    /// AWS's request id, where it stands in a header.
    pub(super) request_id: Option<String>,
    /// The body, which may be a secret.
    pub(super) body: Secret<Vec<u8>>,
}

impl Http {
    pub(super) fn new(roots: Arc<Roots>, agent: &UserAgent) -> Self {
        Self {
            shared: Arc::new(Shared {
                roots,
                agent: agent.words().to_owned(),
                made: Mutex::new(Vec::new()),
            }),
        }
    }

    /// The client for the SDK.
    pub(super) fn client(&self) -> SharedHttpClient {
        let http = self.clone();
        http_client_fn(move |settings, _components| {
            SharedHttpConnector::new(ByScheme {
                http: http.clone(),
                connect: settings.connect_timeout(),
                read: settings.read_timeout(),
            })
        })
    }

    /// Sends a request of ours, which says who we are, and reads the whole answer.
    ///
    /// # Errors
    /// When nothing usable came back in time; an answer of any status is an answer.
    pub(super) async fn send(&self, mut request: HttpRequest) -> Result<Answer, ServiceError> {
        request
            .headers_mut()
            .insert("user-agent", self.shared.agent.clone());
        let connector = ByScheme {
            http: self.clone(),
            connect: Some(CONNECT),
            read: Some(PATIENCE),
        };
        let whole = async {
            let response = connector.call(request).await;
            let response = response.map_err(|error| unreachable(chain(&error)))?;
            read(response).await
        };
        tokio::time::timeout(PATIENCE, whole).await.unwrap_or_else(|_| {
            Err(unreachable(format!(
                "no answer came within {} s",
                PATIENCE.as_secs()
            )))
        })
    }

    fn connector(&self, way: Way) -> Result<SharedHttpConnector, ConnectorError> {
        let mut made = self.shared.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = made.iter().find(|(known, _)| *known == way) {
            return Ok(connector.clone());
        }
        let connector = self.make(way)?;
        made.push((way, connector.clone()));
        Ok(connector)
    }

    fn make(&self, way: Way) -> Result<SharedHttpConnector, ConnectorError> {
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(way.connect);
        settings.set_read_timeout(way.read);
        let mut builder = Connector::builder()
            .connector_settings(settings.build())
            .sleep_impl(TokioSleep::new());
        builder.set_proxy_config(Some(if way.loopback {
            ProxyConfig::disabled()
        } else {
            ProxyConfig::from_env()
        }));
        if way.tls == Tls::No {
            return Ok(SharedHttpConnector::new(builder.build_http()));
        }
        let builder = builder.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
        // The chosen bundle alone, or the system's; without one the client looks for native roots itself.
        let pem = self.shared.roots.chosen_bundle();
        let pem = pem.map_err(|error| ConnectorError::user(error.into()))?;
        let Some(pem) = pem else {
            return Ok(SharedHttpConnector::new(builder.build()));
        };
        let store = TrustStore::empty().with_pem_certificate(pem);
        let context = TlsContext::builder().with_trust_store(store).build();
        let context =
            context.map_err(|error| ConnectorError::user(Box::<dyn Error + Send + Sync>::from(error)))?;
        Ok(SharedHttpConnector::new(builder.tls_context(context).build()))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// Sends each request the way that its URL asks for.
#[derive(Debug)]
struct ByScheme {
    http: Http,
    connect: Option<Duration>,
    read: Option<Duration>,
}

impl HttpConnector for ByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // What is no URL has no host, and the connector says so.
        let url = request.uri().parse::<http::Uri>().unwrap_or_default();
        let plain = request.uri().starts_with("http://");
        let way = Way {
            tls: if plain { Tls::No } else { Tls::Yes },
            loopback: is_loopback(&url),
            connect: self.connect,
            read: self.read,
        };
        let connector = match self.http.connector(way) {
            Ok(connector) => connector,
            Err(error) => return HttpConnectorFuture::ready(Err(error)),
        };
        let call = Call::read(&url, &request);
        let sent = Instant::now();
        let answer = connector.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(|error| away(&call.host, error));
            let took = sent.elapsed();
            match &answer {
                Ok(response) => {
                    let header = |name: &str| response.headers().get(name);
                    let id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id"));
                    tracing::info!(%call, status = response.status().as_u16(), ?took, id);
                }
                Err(error) => tracing::info!(%call, error = chain(error), ?took),
            }
            answer
        })
    }
}

/// The host and the operation, for people: never the query or the body, which can hold secrets.
struct Call {
    host: String,
    operation: String,
}

impl Call {
    fn read(url: &http::Uri, request: &HttpRequest) -> Self {
        // Who writes a URL with a name and a password in it gets the host alone.
        let host = url.authority().map_or("", |authority| {
            authority.as_str().rsplit('@').next().unwrap_or_default()
        });
        let target = request.headers().get("x-amz-target");
        let json = target.and_then(|target| target.rsplit('.').next());
        let body = request.body().bytes().unwrap_or_default();
        let query = body.strip_prefix(b"Action=").and_then(|rest| {
            let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
            std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()
        });
        Self {
            host: host.to_owned(),
            operation: json.or(query).unwrap_or(url.path()).to_owned(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.operation)
    }
}

/// Who did not answer stands before why.
fn away(host: &str, error: ConnectorError) -> ConnectorError {
    if error.is_user() {
        return error;
    }
    let is_timeout = error.is_timeout();
    let why = innermost(&error);
    let words = if is_timeout {
        format!("`{host}` did not answer in time")
    } else {
        format!("`{host}` cannot be reached: {why}")
    };
    if is_timeout {
        ConnectorError::timeout(words.into())
    } else if error.is_io() {
        ConnectorError::io(words.into())
    } else {
        ConnectorError::other(words.into(), error.as_other())
    }
}

fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

async fn read(response: HttpResponse) -> Result<Answer, ServiceError> {
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).map(ToOwned::to_owned);
    let (date, request_id) = (header("date"), header("x-amzn-requestid"));
    let mut stream = ByteStream::new(response.into_body());
    let mut body = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| unreachable(chain(&error)))?;
        body.extend_from_slice(&part);
        if body.len() > LONGEST_ANSWER {
            return Err(unreachable("the answer has no end".to_owned()));
        }
    }
    Ok(Answer {
        status,
        date,
        request_id,
        body: body.into(),
    })
}

fn unreachable(message: String) -> ServiceError {
    ServiceError::local(ErrorKind::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_without_its_secrets() {
        let request = |url: &str, target: Option<&'static str>, body: &'static str| {
            let mut request = HttpRequest::new(body.into());
            request.set_uri(url.to_owned()).unwrap();
            if let Some(target) = target {
                request.headers_mut().insert("x-amz-target", target);
            }
            Call::read(&url.parse().unwrap(), &request).to_string()
        };
        assert_eq!(
            request(
                "https://ssm.eu-west-2.amazonaws.com/",
                Some("AmazonSSM.StartSession"),
                "{}"
            ),
            "ssm.eu-west-2.amazonaws.com StartSession"
        );
        assert_eq!(
            request(
                "https://user:word@sts.example:8443/",
                None,
                "Action=AssumeRole&TokenCode=123456"
            ),
            "sts.example:8443 AssumeRole"
        );
        assert_eq!(
            request(
                "https://signin.aws.amazon.com/federation?Session=secret",
                None,
                ""
            ),
            "signin.aws.amazon.com /federation"
        );
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for own in [
            "http://127.0.0.1:4000/",
            "https://localhost/x",
            "http://[::1]:80/",
        ] {
            assert!(is_loopback(&own.parse().unwrap()), "{own}");
        }
        for other in [
            "https://ssm.eu-west-2.amazonaws.com/",
            "http://localhost.example/",
            "http://169.254.169.254/",
        ] {
            assert!(!is_loopback(&other.parse().unwrap()), "{other}");
        }
    }
}
