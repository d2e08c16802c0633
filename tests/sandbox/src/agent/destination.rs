//! Where a port session leads: what the node makes of a host and a port, and what its agent refuses.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

use crate::gateway::{AgentFacts, PortProperties};

/// A destination that never answers a connection, as a value of [`AgentFacts::names`].
const BLACK_HOLE: &str = "black-hole";

/// The addresses of a port session, tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    ways: Vec<Way>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// A service on loopback that stands for it.
    Here(SocketAddr),
    /// Somewhere else: the sandbox goes nowhere but loopback.
    Beyond(SocketAddr),
    /// Where packets vanish.
    Nowhere,
}

impl Destination {
    /// Resolves once, as the agent does at the session's start.
    ///
    /// # Errors
    /// With the agent's words for a bad port, an unknown name or a forbidden address.
    pub(super) fn resolve(agent: &AgentFacts, properties: &PortProperties) -> Result<Self, String> {
        let port: u16 = properties
            .port_number
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("Invalid port number: {}", properties.port_number))?;
        let host = properties.host.as_deref().filter(|host| !host.is_empty());
        let name = host.unwrap_or("localhost");
        if let Some(ip) = literal(name) {
            refuse_forbidden(agent, ip)?;
        }
        let mapped = lookup(&agent.names, name, port);
        let ways = match mapped {
            Some(BLACK_HOLE) => vec![Way::Nowhere],
            Some(place) => {
                let address = place_of(place, port)
                    .ok_or_else(|| format!("lookup {name}: the scenario maps it to `{place}`, no address"))?;
                refuse_forbidden(agent, address.ip())?;
                vec![Way::to(address)]
            }
            None => match literal(name) {
                Some(ip) => vec![Way::to(SocketAddr::new(ip, port))],
                None if name == "localhost" => {
                    [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
                        .map(|ip| Way::Here(SocketAddr::new(ip, port)))
                        .to_vec()
                }
                None => return Err(format!("lookup {name}: no such host")),
            },
        };
        Ok(Self { ways })
    }

    /// Connects to the first address that answers.
    pub(super) async fn dial(&self) -> io::Result<TcpStream> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for way in &self.ways {
            let (address, error) = match way {
                Way::Nowhere => std::future::pending().await,
                Way::Here(address) => match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(stream);
                    }
                    Err(error) => (address, error.to_string()),
                },
                Way::Beyond(address) => (address, "no route to host".to_owned()),
            };
            failure = io::Error::other(format!("dial tcp {address}: connect: {error}"));
        }
        Err(failure)
    }
}

impl Way {
    fn to(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() {
            Self::Here(address)
        } else {
            Self::Beyond(address)
        }
    }
}

fn literal(name: &str) -> Option<IpAddr> {
    name.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn lookup<'a>(names: &'a BTreeMap<String, String>, name: &str, port: u16) -> Option<&'a str> {
    let exact = names.get(&format!("{name}:{port}"));
    exact.or_else(|| names.get(name)).map(String::as_str)
}

fn place_of(place: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = place.parse::<SocketAddr>() {
        let port = if address.port() == 0 { port } else { address.port() };
        return Some(SocketAddr::new(address.ip(), port));
    }
    place.parse().ok().map(|ip| SocketAddr::new(ip, port))
}

/// The services at link-local addresses, and what VPCs keep for themselves.
fn refuse_forbidden(agent: &AgentFacts, ip: IpAddr) -> Result<(), String> {
    let forbidden = match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            ([a, b, c] == [169, 254, 169] && [254, 253, 123, 250, 251].contains(&d))
                || agent.vpc_blocks.iter().any(|block| is_reserved(block, ip))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, last] = ip.segments();
            [a, b, c, d, e, f, g] == [0xfd00, 0xec2, 0, 0, 0, 0, 0]
                && [0x254, 0x253, 0x123, 0x240].contains(&last)
        }
    };
    if forbidden {
        return Err(format!("Forwarding to IP address {ip} is forbidden."));
    }
    Ok(())
}

/// Whether it is one of the first four addresses of the block, or the last.
fn is_reserved(block: &str, ip: Ipv4Addr) -> bool {
    let Some((base, bits)) = block.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(bits @ 1..=32)) = (base.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX << (32 - bits);
    let (ip, base) = (ip.to_bits(), base.to_bits() & mask);
    ip & mask == base && (ip - base < 4 || ip == base | !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(host: Option<&str>, port: &str) -> Result<Destination, String> {
        let mut agent = AgentFacts::new("n", "/nowhere");
        agent.vpc_blocks.push("10.0.0.0/16".to_owned());
        for (name, place) in [
            ("db.internal:5432", "127.0.0.1:41234"),
            ("db.internal", "10.0.7.7"),
            ("hole.internal", "black-hole"),
            ("meta.internal", "169.254.169.254"),
            ("localhost:80", "127.0.0.1:40080"),
        ] {
            agent.names.insert(name.to_owned(), place.to_owned());
        }
        let properties = PortProperties {
            host: host.map(str::to_owned),
            port_number: port.to_owned(),
            ..PortProperties::default()
        };
        Destination::resolve(&agent, &properties)
    }

    fn ways(host: Option<&str>, port: &str) -> Vec<Way> {
        resolve(host, port).unwrap().ways
    }

    #[test]
    fn names_lead_to_services_on_loopback() {
        let here = |address: &str| Way::Here(address.parse().unwrap());
        assert_eq!(ways(Some("db.internal"), "5432"), [here("127.0.0.1:41234")]);
        assert_eq!(
            ways(Some("db.internal"), "22"),
            [Way::Beyond("10.0.7.7:22".parse().unwrap())]
        );
        assert_eq!(ways(Some("hole.internal"), "1"), [Way::Nowhere]);
        assert_eq!(ways(None, "80"), [here("127.0.0.1:40080")]);
        assert_eq!(ways(None, "81"), [here("127.0.0.1:81"), here("[::1]:81")]);
    }

    #[test]
    fn what_agents_forbid_is_refused_by_name_too() {
        for host in [
            "169.254.169.254",
            "169.254.169.253",
            "169.254.169.123",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "10.0.0.0",
            "10.0.0.3",
            "10.0.255.255",
            "meta.internal",
        ] {
            let refusal = resolve(Some(host), "80").unwrap_err();
            assert!(refusal.ends_with(" is forbidden."), "{host}: {refusal}");
        }
        for host in ["10.0.0.4", "10.1.0.0", "169.254.169.1", "127.0.0.1"] {
            assert!(resolve(Some(host), "80").is_ok(), "{host}");
        }
    }

    #[test]
    fn nonsense_is_told() {
        assert!(resolve(None, "0").is_err());
        assert!(resolve(None, "65536").is_err());
        assert_eq!(
            resolve(Some("other.internal"), "80").unwrap_err(),
            "lookup other.internal: no such host"
        );
    }

    #[tokio::test]
    async fn beyond_loopback_there_is_no_way() {
        let error = resolve(Some("10.1.2.3"), "80").unwrap().dial().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "dial tcp 10.1.2.3:80: connect: no route to host"
        );
    }
}
