//! What listens on the nodes: small servers on threads of the test.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use tokio::net::TcpSocket;

/// The bastion of the demo sandbox, which everything here goes through.
pub const NODE: &str = "i-0a1b2c3d4e5f60003";

/// A service on the node: every connection is given to `serve` on a thread of its own.
pub fn service(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> u16 {
    service_on("127.0.0.1", serve).unwrap()
}

/// The same on another address; `None` where the machine has none of its kind.
pub fn service_on(
    address: &str,
    serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static,
) -> Option<u16> {
    let listener = TcpListener::bind((address, 0)).ok()?;
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that has gone is no failure of the service.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    Some(port)
}

/// Sends back what comes.
pub fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut back = stream.try_clone()?;
    io::copy(&mut stream, &mut back)?;
    back.shutdown(Shutdown::Write)
}

/// A service that speaks first, and says this.
pub fn greeter(words: &'static str) -> u16 {
    service(move |mut stream| stream.write_all(words.as_bytes()))
}

/// A port where nobody listens for as long as this is held: a socket that is bound has it, and takes nothing.
pub fn deaf_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A forward from a free local port to a port of the node.
pub fn spec(port: u16) -> String {
    format!(":{port}")
}
