//! Who is at the other end, where the system tells. A platform file: Linux tells by /proc and sock_diag(7),
//! elsewhere nothing is known.

use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsFd;

/// The program whose listener keeps a TCP address from being taken, with its process id. Untrusted text.
pub(super) fn listens_on(address: SocketAddr) -> Option<String> {
    system::listens_on(address)
}

/// Whether the local TCP end `theirs`, connected to `ours`, belongs to no process any more.
pub(super) fn has_nobody(theirs: SocketAddr, ours: SocketAddr) -> bool {
    system::has_nobody(theirs, ours)
}

/// Whether the other end of a Unix socket is closed for both directions.
#[cfg(unix)]
pub(super) fn has_hung_up(ours: impl AsFd) -> bool {
    system::has_hung_up(ours.as_fd())
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::net::SocketAddr;

    pub(super) fn listens_on(_address: SocketAddr) -> Option<String> {
        None
    }

    pub(super) fn has_nobody(_theirs: SocketAddr, _ours: SocketAddr) -> bool {
        false
    }

    #[cfg(unix)]
    pub(super) fn has_hung_up(_ours: std::os::fd::BorrowedFd<'_>) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::BorrowedFd;
    use std::{fs, io};

    use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, TCP_LISTEN};
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;
    use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
    const LISTEN: &str = "0A";

    pub(super) fn listens_on(address: SocketAddr) -> Option<String> {
        let tables: Vec<String> = TABLES
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .collect();
        let rows = tables.iter().flat_map(|text| text.lines()).filter_map(Row::read);
        let listeners = rows.filter(|row| row.state == LISTEN && row.inode != 0);
        let (_, inode) = listeners
            .filter_map(|row| Some((in_the_way(row.local, address)?, row.inode)))
            .min()?;
        holder(inode)
    }

    /// How a listener is in the way of an address, the surest way first.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum InTheWay {
        Exactly,
        WithinFamily,
        /// An IPv6 one for all addresses, unless it leaves IPv4 out, which the table does not tell.
        AcrossFamilies,
    }

    fn in_the_way(listener: SocketAddr, wanted: SocketAddr) -> Option<InTheWay> {
        let (has, wants) = (listener.ip().to_canonical(), wanted.ip().to_canonical());
        let covers = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
        if listener.port() != wanted.port() || has != wants && !covers(has, wants) && !covers(wants, has) {
            return None;
        }
        Some(match (has == wants, has.is_ipv4() == wants.is_ipv4()) {
            (true, _) => InTheWay::Exactly,
            (false, true) => InTheWay::WithinFamily,
            (false, false) => InTheWay::AcrossFamilies,
        })
    }

    pub(super) fn has_nobody(theirs: SocketAddr, ours: SocketAddr) -> bool {
        // A program of this family reaches a listener of the other one: its own table has plain addresses.
        let [theirs, ours] = [theirs, ours].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()));
        if !ours.ip().is_loopback() {
            // The other machine's sockets are not ours to look at.
            return false;
        }
        matches!(held(theirs, ours), Ok(Held::ByNobody))
    }

    pub(super) fn has_hung_up(ours: BorrowedFd<'_>) -> bool {
        // Asked for nothing, the system tells of a hang-up alone, which a direction that was shut is not.
        let mut end = [PollFd::from_borrowed_fd(ours, PollFlags::empty())];
        let asked = poll(&mut end, Some(&Timespec::default()));
        asked.is_ok() && end.iter().any(|end| end.revents().contains(PollFlags::HUP))
    }

    /// Whether a process holds a socket.
    enum Held {
        BySomebody,
        ByNobody,
    }

    /// Asks for this one socket. (/proc would list all of the machine, those that only wait to be forgotten too.)
    fn held(local: SocketAddr, remote: SocketAddr) -> io::Result<Held> {
        let socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        // The answer is there when the question has been sent.
        socket.set_non_blocking(true)?;
        socket.send(&question(local, remote), 0)?;
        let mut answer = [0; 4096];
        let length = socket.recv(&mut answer.as_mut_slice(), 0)?;
        let answer = answer.get(..length).unwrap_or_default();
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(answer).map_err(io::Error::other)?;
        match answer.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => Ok(match found.header {
                // Nothing that is connected, but somebody who listens on this end's port.
                header if header.state == TCP_LISTEN => Held::ByNobody,
                // The system still sees to the connection.
                header if header.inode == 0 => Held::ByNobody,
                _ => Held::BySomebody,
            }),
            NetlinkPayload::Error(error) => match error.to_io() {
                error if error.kind() == io::ErrorKind::NotFound => Ok(Held::ByNobody),
                error => Err(error),
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
        let (family, any) = match local {
            SocketAddr::V4(_) => (AF_INET, SocketId::new_v4()),
            SocketAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
        };
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId {
                source_address: local.ip(),
                source_port: local.port(),
                destination_address: remote.ip(),
                destination_port: remote.port(),
                // Whichever socket has these ends.
                cookie: [0xff; 8],
                ..any
            },
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn holder(inode: u64) -> Option<String> {
        let wanted = format!("socket:[{inode}]");
        let holds = |pid: &str| {
            fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
        };
        if holds("self") {
            return Some("this very ssmx".to_owned());
        }
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = processes
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
        let pid = pids.find(|pid| holds(pid))?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        match name.trim() {
            "" => Some(format!("process {pid}")),
            name => Some(format!("`{name}` (process {pid})")),
        }
    }

    struct Row<'a> {
        local: SocketAddr,
        state: &'a str,
        inode: u64,
    }

    impl<'a> Row<'a> {
        /// `sl local remote state queues timer retransmits uid timeout inode …`
        fn read(line: &'a str) -> Option<Self> {
            let mut columns = line.split_whitespace().skip(1);
            let local = address(columns.next()?)?;
            let state = columns.nth(1)?;
            let inode = columns.nth(5)?.parse().ok()?;
            Some(Self { local, state, inode })
        }
    }

    /// Hexadecimal words in the machine's own order, a colon, the port.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let word = |at: usize| {
            u32::from_str_radix(ip.get(at..at + 8)?, 16)
                .ok()
                .map(u32::to_ne_bytes)
        };
        let ip = match ip.len() {
            8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
            32 => {
                let words = [word(0)?, word(8)?, word(16)?, word(24)?];
                let bytes: [u8; 16] = words.concat().try_into().ok()?;
                IpAddr::from(Ipv6Addr::from(bytes))
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_listener_is_in_the_way_of_its_own_addresses_alone() {
            use InTheWay::{AcrossFamilies, Exactly, WithinFamily};
            for (listener, wanted, expected) in [
                ("[::1]:80", "[::1]:80", Some(Exactly)),
                ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", Some(Exactly)),
                ("0.0.0.0:80", "127.0.0.1:80", Some(WithinFamily)),
                ("127.0.0.1:80", "0.0.0.0:80", Some(WithinFamily)),
                ("[::]:80", "[::1]:80", Some(WithinFamily)),
                ("[::]:80", "127.0.0.1:80", Some(AcrossFamilies)),
                ("127.0.0.1:80", "[::]:80", Some(AcrossFamilies)),
                ("127.0.0.1:80", "[::1]:80", None),
                ("0.0.0.0:80", "[::1]:80", None),
                ("127.0.0.2:80", "127.0.0.1:80", None),
                ("127.0.0.1:81", "127.0.0.1:80", None),
            ] {
                let found = in_the_way(listener.parse().unwrap(), wanted.parse().unwrap());
                assert_eq!(found, expected, "{listener} {wanted}");
            }
        }

        #[test]
        fn rows_are_read_as_the_kernel_writes_them() {
            let line = "   1: 0100007F:1F90 0100007F:C35C 05 00000000:00000000 03:00000E6C 00000000     0        0 0 3 000";
            let row = Row::read(line).unwrap();
            if cfg!(target_endian = "little") {
                assert_eq!(row.local, "127.0.0.1:8080".parse().unwrap());
                assert_eq!(
                    address("00000000000000000000000001000000:0050"),
                    "[::1]:80".parse().ok()
                );
            }
            assert_eq!((row.state, row.inode), ("05", 0));
            assert!(Row::read("  sl  local_address rem_address   st tx_queue").is_none());
            assert!(address("0100007F:x").is_none());
        }
    }
}
