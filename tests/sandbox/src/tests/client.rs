//! A client that signs, over whatever stream it is given.

use http::{Method, Request};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Sandbox, sigv4};

/// Whose key signs, and how.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) key: &'static str,
    pub(super) secret: &'static str,
    pub(super) token: Option<&'static str>,
    pub(super) region: &'static str,
    pub(super) at: Timestamp,
    pub(super) address: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error of a JSON service.
    pub(super) fn code(&self) -> String {
        self.json()["__type"].as_str().unwrap_or_default().to_owned()
    }

    /// What stands between the first pair of these tags.
    pub(super) fn element(&self, name: &str) -> String {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let after = self.body.split_once(&open).map_or("", |(_, rest)| rest);
        after
            .split_once(&close)
            .map_or("", |(inside, _)| inside)
            .to_owned()
    }

    pub(super) fn count(&self, text: &str) -> usize {
        self.body.matches(text).count()
    }
}

impl Client {
    /// Alice of the demo's production account.
    pub(super) fn alice(sandbox: &Sandbox) -> Self {
        Self {
            key: "AKIASANDBOXPROD00001",
            secret: "sandbox/prod/alice/not-a-real-secret",
            token: None,
            region: "eu-west-2",
            at: Timestamp::now(),
            address: sandbox.endpoint().trim_start_matches("http://").to_owned(),
        }
    }

    pub(super) async fn ssm(&self, operation: &str, parameters: Value) -> Answer {
        self.json("ssm", &format!("AmazonSSM.{operation}"), parameters)
            .await
    }

    pub(super) async fn json(&self, service: &str, target: &str, parameters: Value) -> Answer {
        let request = self
            .post(service, parameters.to_string(), &[("x-amz-target", target)])
            .await;
        self.send(request).await
    }

    pub(super) async fn ec2(&self, operation: &str, fields: &[(&str, &str)]) -> Answer {
        self.form("ec2", "2016-11-15", operation, fields).await
    }

    pub(super) async fn form(
        &self,
        service: &str,
        version: &str,
        operation: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation)
            .append_pair("Version", version)
            .extend_pairs(fields);
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let request = self.post(service, form.finish(), &[kind]).await;
        self.send(request).await
    }

    async fn post(&self, service: &str, body: String, headers: &[(&str, &str)]) -> Request<Vec<u8>> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header("host", &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into_bytes()).unwrap();
        self.sign(service, &mut request);
        request
    }

    pub(super) fn sign(&self, service: &str, request: &mut Request<Vec<u8>>) {
        let identity = (self.key, self.secret, self.token);
        sigv4::sign(identity, (self.region, service), self.at, request);
    }

    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Answer {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        exchange(stream, request).await.unwrap()
    }
}

/// Sends one request and reads its answer; `None` where the other side closes before its end.
pub(super) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Vec<u8>>,
) -> Option<Answer> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    if !request.headers().contains_key("connection") {
        head.push_str("connection: close\r\n");
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", request.body().len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(request.body()).await.unwrap();
    let mut read = Vec::new();
    while !is_whole(&read) {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8(read).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// Whether an answer is there with the whole of its body.
fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    body.len() >= length.unwrap_or(0)
}
