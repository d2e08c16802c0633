//! What to forward where, as one word of the command line.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

mod near;

/// The forms, for errors.
const FORMS: &str = "REMOTE, LOCAL:REMOTE, HOST:REMOTE, LOCAL:HOST:REMOTE, BIND:LOCAL:HOST:REMOTE, :REMOTE or \
                     /path.sock:[HOST:]REMOTE, with IPv6 addresses in brackets";
/// No name in DNS is longer.
const LONGEST_HOST: usize = 253;
/// A Unix socket's address holds no more (108 bytes with the final zero on Linux, 104 on macOS).
const LONGEST_SOCKET: usize = 103;

/// One port forward: from a local port or socket to a port of a node, or of a host that the node reaches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardSpec {
    /// Where connections are taken.
    pub local: Local,
    /// Where they go.
    pub remote: Remote,
}

/// The local end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Local {
    /// A TCP port.
    Port {
        /// On which addresses.
        bind: Bind,
        /// Zero for any free port.
        port: u16,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

/// The addresses that a local port is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Bind {
    /// 127.0.0.1 and ::1.
    #[default]
    Loopback,
    /// One address.
    Address(IpAddr),
}

/// The remote end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    /// A host as the node's resolver knows it; `None` for the node itself.
    pub host: Option<Host>,
    /// Its port, never zero.
    pub port: u16,
}

/// A host's name or address, in a form that is safe in a document's parameter and on a screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

/// Why a word is no forward.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a forward: {why}")]
pub struct InvalidSpec {
    text: String,
    why: String,
    hint: Option<String>,
}

impl InvalidSpec {
    /// What was meant, or what to write.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Host {
    /// The name or address; an IPv6 address without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = String;

    /// The error says what is wrong with it, without naming it.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        if text.is_empty() {
            return Err("the host is empty".to_owned());
        }
        if text.len() > LONGEST_HOST {
            return Err(format!("the host is longer than {LONGEST_HOST} characters"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if let Some(odd) = text.chars().find(|c| !allowed(*c)) {
            return Err(format!("the host has a {} in it", name_of(odd)));
        }
        if text.starts_with('-') || text.split('.').rev().skip(1).any(str::is_empty) || text == "." {
            return Err("the host is neither a name nor an address".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

fn name_of(c: char) -> String {
    match c {
        ' ' => "space".to_owned(),
        c if c.is_ascii_graphic() => format!("`{c}`"),
        c => format!("character U+{:04X}", c as u32),
    }
}

impl fmt::Display for Host {
    /// With brackets around an IPv6 address, as it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(&self.0)
        }
    }
}

impl FromStr for Bind {
    type Err = String;

    /// `loopback` and `localhost` are both loopback addresses, `*` is every IPv4 address of the machine. The
    /// error says what was expected, without naming the text.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loopback" | "localhost" => Ok(Self::Loopback),
            "*" => Ok(Self::Address(IpAddr::from([0, 0, 0, 0]))),
            _ => {
                let bare = text
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .unwrap_or(text);
                bare.parse().map(Self::Address).map_err(|_| {
                    "the bind address has to be an IP address of this machine, `localhost` or `*`".to_owned()
                })
            }
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("localhost"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Bind {
    /// Whether other machines could reach the port.
    pub fn is_beyond_loopback(&self) -> bool {
        matches!(self, Self::Address(address) if !address.to_canonical().is_loopback())
    }
}

impl Remote {
    /// The host to name in the document; none where it is the node's own loopback, by whatever name.
    pub fn foreign_host(&self) -> Option<&Host> {
        self.host.as_ref().filter(|host| host.0 != "localhost")
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

impl fmt::Display for ForwardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.local {
            Local::Socket(path) => write!(f, "{}:{}", path.display(), self.remote),
            Local::Port {
                bind: Bind::Loopback,
                port,
            } => write!(f, "{port}:{}", self.remote),
            // The form with an address has a host in it: the node's own is `localhost`.
            Local::Port { bind, port } if self.remote.host.is_none() => {
                write!(f, "{bind}:{port}:localhost:{}", self.remote.port)
            }
            Local::Port { bind, port } => write!(f, "{bind}:{port}:{}", self.remote),
        }
    }
}

impl ForwardSpec {
    /// Whether a word looks like a forward, right or wrong, and can be no name of the config: it has a colon in it
    /// or is made of numbers, or begins as a socket's path or an address in brackets does. A selector may look so.
    pub fn is_meant(text: &str) -> bool {
        let (ports, _) = near::protocol(text);
        text.contains(':')
            || text.starts_with(['/', '[', '~'])
            || text.starts_with("./")
            || ports.bytes().all(|b| b.is_ascii_digit() || b"+-,.".contains(&b))
    }
}

impl FromStr for ForwardSpec {
    type Err = InvalidSpec;

    fn from_str(text: &str) -> Result<Self, InvalidSpec> {
        parse(text).map_err(|why| InvalidSpec {
            text: text.to_owned(),
            why,
            hint: near::hint(text),
        })
    }
}

fn parse(text: &str) -> Result<ForwardSpec, String> {
    if text.is_empty() {
        return Err(format!("it is empty, and the forms are {FORMS}"));
    }
    if text.starts_with('/') {
        return parse_socket(text);
    }
    if text.split(':').next().is_some_and(|first| first.contains('/')) && near::protocol(text).1.is_none() {
        return Err("the path of a socket begins with `/`".to_owned());
    }
    if let Some((address, port)) = text.rsplit_once(':')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(format!(
            "an IPv6 address wants brackets, as in `[{address}]:{port}`"
        ));
    }
    let parts = split(text)?;
    let bare = |part: &Part<'_>| part.is_number();
    let (bind, local, host, remote) = match parts.as_slice() {
        [remote] if remote.is_bracketed() || remote.is_named_host() => {
            return Err(format!("a host wants a port, as in `{}:5432`", remote.as_typed()));
        }
        [remote] => (Bind::Loopback, None, None, remote),
        [local, remote] if local.is_empty() || bare(local) => (Bind::Loopback, Some(local), None, remote),
        [host, remote] => (Bind::Loopback, None, Some(host), remote),
        [local, host, remote] => (Bind::Loopback, Some(local), Some(host), remote),
        [bind, local, host, remote] => (bind.as_typed().parse()?, Some(local), Some(host), remote),
        _ => return Err(format!("it has too many colons; the forms are {FORMS}")),
    };
    let port = remote_port(remote)?;
    let local_port = match local {
        None => port,
        Some(local) => local_port(local)?,
    };
    Ok(ForwardSpec {
        local: Local::Port {
            bind,
            port: local_port,
        },
        remote: Remote {
            host: host.map(parse_host).transpose()?,
            port,
        },
    })
}

fn parse_socket(text: &str) -> Result<ForwardSpec, String> {
    let (path, rest) = text
        .split_once(':')
        .ok_or("a socket wants a port, as in `/run/db.sock:5432`")?;
    if path.ends_with('/') {
        return Err("the socket's path is a directory".to_owned());
    }
    if path.len() > LONGEST_SOCKET {
        return Err(format!(
            "the socket's path is longer than the {LONGEST_SOCKET} bytes that a socket's address holds"
        ));
    }
    if path.contains('\0') {
        return Err("the socket's path has a zero byte in it".to_owned());
    }
    let parts = split(rest)?;
    let (host, remote) = match parts.as_slice() {
        [remote] => (None, remote),
        [host, remote] => (Some(host), remote),
        _ => return Err(format!("it has too many colons; the forms are {FORMS}")),
    };
    Ok(ForwardSpec {
        local: Local::Socket(PathBuf::from(path)),
        remote: Remote {
            host: host.map(parse_host).transpose()?,
            port: remote_port(remote)?,
        },
    })
}

/// What stands between colons.
enum Part<'a> {
    Bare(&'a str),
    Bracketed(&'a str),
}

impl Part<'_> {
    fn is_bracketed(&self) -> bool {
        matches!(self, Self::Bracketed(_))
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Bare(""))
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Bare(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Whether it can be a host and no mistyped port.
    fn is_named_host(&self) -> bool {
        let Self::Bare(text) = self else { return false };
        let named = text.bytes().any(|b| b.is_ascii_alphabetic()) || text.parse::<IpAddr>().is_ok();
        named && text.parse::<Host>().is_ok()
    }

    fn as_typed(&self) -> String {
        match self {
            Self::Bare(text) => (*text).to_owned(),
            Self::Bracketed(text) => format!("[{text}]"),
        }
    }
}

/// At colons, but for those in brackets.
fn split(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix('[') {
            let (address, after) = inner
                .split_once(']')
                .ok_or("a bracket is opened and not closed")?;
            parts.push(Part::Bracketed(address));
            match after.strip_prefix(':') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(parts),
                None => return Err("a closing bracket wants a colon after it".to_owned()),
            }
        } else {
            let Some((part, next)) = rest.split_once(':') else {
                parts.push(Part::Bare(rest));
                return Ok(parts);
            };
            parts.push(Part::Bare(part));
            rest = next;
        }
    }
}

fn parse_host(part: &Part<'_>) -> Result<Host, String> {
    match part {
        Part::Bare(text) if part.is_number() => {
            Err(format!("a host was expected where the number {text} stands"))
        }
        Part::Bare(text) => text.parse(),
        Part::Bracketed(text) => text
            .parse::<Ipv6Addr>()
            .map(|_| Host((*text).to_owned()))
            .map_err(|_| format!("`{text}` in brackets is no IPv6 address")),
    }
}

fn local_port(part: &Part<'_>) -> Result<u16, String> {
    match part {
        Part::Bare("") => Ok(0),
        part => number(part, Which::Local),
    }
}

fn remote_port(part: &Part<'_>) -> Result<u16, String> {
    if part.is_empty() {
        return Err("the remote port is missing".to_owned());
    }
    match number(part, Which::Remote)? {
        0 => Err("the remote port cannot be 0".to_owned()),
        port => Ok(port),
    }
}

/// Which of the two ports.
#[derive(Clone, Copy)]
enum Which {
    Local,
    Remote,
}

impl Which {
    fn least(self) -> u16 {
        match self {
            Self::Local => 0,
            Self::Remote => 1,
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Remote => "remote",
        })
    }
}

fn number(part: &Part<'_>, which: Which) -> Result<u16, String> {
    if !part.is_number() {
        let typed = part.as_typed();
        return Err(match which {
            Which::Remote if typed.starts_with('/') => {
                "the remote end has to be a port: no session leads to a node's sockets".to_owned()
            }
            _ => format!(
                "the {which} port has to be a number from {} to 65535, not `{typed}`",
                which.least()
            ),
        });
    }
    let Part::Bare(digits) = part else {
        return Err(format!("the {which} port has to be a number"));
    };
    digits
        .parse()
        .map_err(|_| format!("the {which} port {digits} is above 65535"))
}

#[cfg(test)]
mod tests;
