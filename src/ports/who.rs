//! Who is at the other end, where the system tells. A platform file: Linux tells by /proc, elsewhere nothing is
//! known.

use std::net::SocketAddr;

/// The program that listens on a TCP port, with its process id. Untrusted text.
pub(super) fn listens_on(port: u16) -> Option<String> {
    system::listens_on(port)
}

/// Whether the local TCP end `theirs`, connected to `ours`, belongs to no process any more.
pub(super) fn has_nobody(theirs: SocketAddr, ours: SocketAddr) -> bool {
    system::has_nobody(theirs, ours)
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::net::SocketAddr;

    pub(super) fn listens_on(_port: u16) -> Option<String> {
        None
    }

    pub(super) fn has_nobody(_theirs: SocketAddr, _ours: SocketAddr) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
    const LISTEN: &str = "0A";

    pub(super) fn listens_on(port: u16) -> Option<String> {
        let inode = TABLES.iter().find_map(|table| {
            let text = fs::read_to_string(table).ok()?;
            text.lines()
                .filter_map(Row::read)
                .find(|row| row.state == LISTEN && row.local.port() == port && row.inode != 0)
                .map(|row| row.inode)
        })?;
        holder(inode)
    }

    pub(super) fn has_nobody(theirs: SocketAddr, ours: SocketAddr) -> bool {
        if !ours.ip().to_canonical().is_loopback() {
            // The other machine's table is not ours to read.
            return false;
        }
        let table = if theirs.is_ipv4() { TABLES[0] } else { TABLES[1] };
        let Ok(text) = fs::read_to_string(table) else {
            return false;
        };
        let row = text
            .lines()
            .filter_map(Row::read)
            .find(|row| row.local == theirs && row.remote == ours);
        // A row without an inode, or none: the system still sees to the connection, nobody holds it.
        row.is_none_or(|row| row.inode == 0)
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
        remote: SocketAddr,
        state: &'a str,
        inode: u64,
    }

    impl<'a> Row<'a> {
        /// `sl local remote state queues timer retransmits uid timeout inode …`
        fn read(line: &'a str) -> Option<Self> {
            let mut columns = line.split_whitespace().skip(1);
            let local = address(columns.next()?)?;
            let remote = address(columns.next()?)?;
            let state = columns.next()?;
            let inode = columns.nth(5)?.parse().ok()?;
            Some(Self {
                local,
                remote,
                state,
                inode,
            })
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
