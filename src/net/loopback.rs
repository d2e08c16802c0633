//! A page of our own for a browser on this machine: bound to loopback, alive until it has served its purpose.

use std::io;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::secret::Secret;

/// A browser's request is short.
const LONGEST_REQUEST: usize = 32 * 1024;
/// Browsers open connections in advance and leave them; nobody waits for those.
const PATIENCE: Duration = Duration::from_secs(20);
/// More at once are not served.
const MOST: usize = 32;

/// A listener for a browser.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// What is sent back for one request.
pub struct Reply<T> {
    /// HTTP's status line, such as `200 OK`.
    pub status: &'static str,
    /// Where the browser is sent.
    pub location: Option<Secret<String>>,
    /// The page.
    pub page: String,
    /// The purpose is served: the listener ends with this.
    pub done: Option<T>,
}

impl<T> Reply<T> {
    /// Somebody asked for what is not here.
    pub fn not_found() -> Self {
        Self {
            status: "404 Not Found",
            location: None,
            page: String::from("There is nothing here."),
            done: None,
        }
    }
}

impl Loopback {
    /// Binds a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The system's.
    pub async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers GET requests (path and query) until one serves the purpose. Only requests that name this very
    /// listener as their host are answered: a page elsewhere cannot reach it under another name.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve<T>(&self, answer: impl Fn(&str) -> Reply<T>) -> io::Result<T> {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if open.len() < MOST => {
                    let (stream, _) = accepted?;
                    open.push(timeout(PATIENCE, self.one(stream, &answer)));
                }
                Some(served) = open.next(), if !open.is_empty() => {
                    if let Ok(Ok(Some(done))) = served {
                        return Ok(done);
                    }
                }
            }
        }
    }

    async fn one<T>(
        &self,
        mut stream: TcpStream,
        answer: impl Fn(&str) -> Reply<T>,
    ) -> io::Result<Option<T>> {
        let head = Secret::new(read_head(&mut stream).await?);
        let reply = match self.wanted(head.expose()) {
            Some(path) => answer(path),
            None => Reply::not_found(),
        };
        let page = format!(
            "<!doctype html><meta charset=utf-8><title>ssmx</title><body style=\"font-family:sans-serif;margin:4em\"><p>{}</p>",
            html(&reply.page)
        );
        let mut text = format!(
            "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n",
            reply.status,
            page.len()
        );
        if let Some(location) = &reply.location {
            text.push_str(&format!("Location: {}\r\n", location.expose()));
        }
        text.push_str("\r\n");
        text.push_str(&page);
        let text = Secret::new(text);
        stream.write_all(text.expose().as_bytes()).await?;
        stream.shutdown().await?;
        Ok(reply.done)
    }

    fn wanted<'a>(&self, head: &'a str) -> Option<&'a str> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let path = match (words.next(), words.next()) {
            (Some("GET"), Some(path)) if path.starts_with('/') => path,
            _ => return None,
        };
        let host = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        })?;
        let ours = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        ours.iter().any(|ours| ours == host).then_some(path)
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut part).await?;
        if count == 0 || head.len() > LONGEST_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_answers_its_own_browser_alone_and_once() {
        let page = Loopback::bind().await.unwrap();
        let port = page.port();
        let serve = page.serve(|path| match path {
            "/yes" => Reply {
                status: "302 Found",
                location: Some(String::from("https://there").into()),
                page: "<go>".to_owned(),
                done: Some(7),
            },
            _ => Reply::not_found(),
        });
        let browser = async {
            let idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            for bad in [
                format!("GET /yes HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"),
                format!("POST /yes HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
                format!("GET /no HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"),
                "GET /yes HTTP/1.1\r\n\r\n".to_owned(),
            ] {
                let answer = ask(port, &bad).await;
                assert!(answer.starts_with("HTTP/1.1 404"), "{bad}: {answer}");
            }
            let good = format!("GET /yes HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            let answer = ask(port, &good).await;
            assert!(answer.contains("Location: https://there\r\n"), "{answer}");
            assert!(answer.contains("&lt;go&gt;"), "{answer}");
            drop(idle);
        };
        let (done, ()) = tokio::join!(serve, browser);
        assert_eq!(done.unwrap(), 7);
    }
}
