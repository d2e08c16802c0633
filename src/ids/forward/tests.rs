//! Every form, and every mistake.

use proptest::prelude::*;

use super::*;

fn spec(text: &str) -> ForwardSpec {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_form_is_read() {
    let loopback = |port| Local::Port {
        bind: Bind::Loopback,
        port,
    };
    let remote = |host: &str, port| Remote {
        host: (!host.is_empty()).then(|| Host(host.to_owned())),
        port,
    };
    let table = [
        ("5432", loopback(5432), remote("", 5432)),
        ("15432:5432", loopback(15432), remote("", 5432)),
        (":5432", loopback(0), remote("", 5432)),
        ("0:5432", loopback(0), remote("", 5432)),
        ("db.internal:5432", loopback(5432), remote("db.internal", 5432)),
        ("10.0.0.7:5432", loopback(5432), remote("10.0.0.7", 5432)),
        ("[fd00::7]:5432", loopback(5432), remote("fd00::7", 5432)),
        ("1:db_1.internal.:2", loopback(1), remote("db_1.internal.", 2)),
        (":db:2", loopback(0), remote("db", 2)),
        ("1:[::1]:2", loopback(1), remote("::1", 2)),
        (
            "127.0.0.2:1:db:2",
            Local::Port {
                bind: Bind::Address([127, 0, 0, 2].into()),
                port: 1,
            },
            remote("db", 2),
        ),
        (
            "[::1]:1:db:2",
            Local::Port {
                bind: Bind::Address(Ipv6Addr::LOCALHOST.into()),
                port: 1,
            },
            remote("db", 2),
        ),
        (
            "*:1:db:2",
            Local::Port {
                bind: Bind::Address([0, 0, 0, 0].into()),
                port: 1,
            },
            remote("db", 2),
        ),
        ("localhost:1:db:2", loopback(1), remote("db", 2)),
        (
            "/run/a.sock:80",
            Local::Socket("/run/a.sock".into()),
            remote("", 80),
        ),
        ("/a:db:80", Local::Socket("/a".into()), remote("db", 80)),
        ("/a:[::2]:80", Local::Socket("/a".into()), remote("::2", 80)),
    ];
    for (text, local, remote) in table {
        assert_eq!(spec(text), ForwardSpec { local, remote }, "{text}");
        assert!(ForwardSpec::is_meant(text), "{text}");
    }
}

#[test]
fn every_mistake_has_its_words() {
    let table = [
        ("", "it is empty, and the forms are"),
        ("db", "a host wants a port, as in `db:5432`"),
        ("[::1]", "a host wants a port, as in `[::1]:5432`"),
        ("0", "the remote port cannot be 0"),
        ("80:0", "the remote port cannot be 0"),
        ("65536", "the remote port 65536 is above 65535"),
        (
            "99999999999999999999:1",
            "the local port 99999999999999999999 is above 65535",
        ),
        ("80:", "the remote port is missing"),
        (
            "80:http",
            "the remote port has to be a number from 1 to 65535, not `http`",
        ),
        (
            "80:-1",
            "the remote port has to be a number from 1 to 65535, not `-1`",
        ),
        (
            "80:+1",
            "the remote port has to be a number from 1 to 65535, not `+1`",
        ),
        (
            "a:b:c",
            "the remote port has to be a number from 1 to 65535, not `c`",
        ),
        (
            "a:b:1",
            "the local port has to be a number from 0 to 65535, not `a`",
        ),
        ("1:2:3", "a host was expected where the number 2 stands"),
        ("1::3", "the host is empty"),
        ("my db:5432", "the host has a space in it"),
        ("a$b:5432", "the host has a `$` in it"),
        ("a\u{7}b:5432", "the host has a character U+0007 in it"),
        ("-x:5432", "the host is neither a name nor an address"),
        ("a..b:5432", "the host is neither a name nor an address"),
        (
            "eth0:1:db:2",
            "the bind address has to be an IP address of this machine",
        ),
        ("1:2:3:4:5", "it has too many colons"),
        ("::1:80", "an IPv6 address wants brackets, as in `[::1]:80`"),
        ("fd00::1:80", "an IPv6 address wants brackets"),
        ("[::1:80", "a bracket is opened and not closed"),
        ("[::1]80", "a closing bracket wants a colon after it"),
        ("[db]:80", "`db` in brackets is no IPv6 address"),
        ("[127.0.0.1]:80", "`127.0.0.1` in brackets is no IPv6 address"),
        (
            "1:[80]",
            "the remote port has to be a number from 1 to 65535, not `[80]`",
        ),
        ("/run/a.sock", "a socket wants a port"),
        ("/run/:80", "the socket's path is a directory"),
        ("/a:b:c:80", "it has too many colons"),
        ("/a:0", "the remote port cannot be 0"),
        (
            "8000-8010",
            "the remote port has to be a number from 1 to 65535, not `8000-8010`",
        ),
        (
            "22,80",
            "the remote port has to be a number from 1 to 65535, not `22,80`",
        ),
        (
            "+80",
            "the remote port has to be a number from 1 to 65535, not `+80`",
        ),
        (
            "80/tcp",
            "the remote port has to be a number from 1 to 65535, not `80/tcp`",
        ),
        ("10.0.0.7", "a host wants a port, as in `10.0.0.7:5432`"),
        ("80:/run/x.sock", "the remote end has to be a port"),
        ("~/x.sock:80", "the path of a socket begins with `/`"),
        ("./x.sock:80", "the path of a socket begins with `/`"),
    ];
    for (text, words) in table {
        let Err(error) = text.parse::<ForwardSpec>() else {
            panic!("`{text}` was read")
        };
        let said = error.to_string();
        assert!(
            said.starts_with(&format!("`{text}` is not a forward: {words}")),
            "{said}"
        );
    }
    let long = format!("/{}:80", "x".repeat(LONGEST_SOCKET));
    assert!(long.parse::<ForwardSpec>().is_err());
    assert!(format!("{}:80", "x".repeat(254)).parse::<ForwardSpec>().is_err());
}

#[test]
fn words_that_can_only_be_forwards_are_told_from_names() {
    for spec in [
        "",
        "80:",
        "80:http",
        "8000-8010",
        "22,80",
        "+80",
        "80/tcp",
        "~/x.sock",
        "./x.sock",
        "10.0.0.7",
    ] {
        assert!(ForwardSpec::is_meant(spec), "{spec}");
    }
    for name in [
        "prod-db",
        "prod/web",
        "name=web-*",
        "1a",
        "2024-web",
        "i-0123456789abcdef0",
    ] {
        assert!(!ForwardSpec::is_meant(name), "{name}");
    }
}

#[test]
fn the_nodes_own_loopback_needs_no_remote_host() {
    assert_eq!(spec("1:localhost:2").remote.foreign_host(), None);
    assert!(spec("1:db:2").remote.foreign_host().is_some());
}

#[test]
fn what_others_could_reach_is_known() {
    for (text, beyond) in [
        ("1:db:2", false),
        ("127.0.0.9:1:db:2", false),
        ("[::1]:1:db:2", false),
        ("[::ffff:127.0.0.1]:1:db:2", false),
        ("[::ffff:10.0.0.1]:1:db:2", true),
        ("*:1:db:2", true),
        ("10.0.0.1:1:db:2", true),
    ] {
        let Local::Port { bind, .. } = spec(text).local else {
            panic!("{text} is a port")
        };
        assert_eq!(bind.is_beyond_loopback(), beyond, "{text}");
    }
}

fn any_spec() -> impl Strategy<Value = ForwardSpec> {
    let host = prop_oneof![
        "[a-z][a-z0-9_-]{0,10}(\\.[a-z0-9]{1,5}){0,3}".prop_map(Some),
        any::<Ipv6Addr>().prop_map(|address| Some(address.to_string())),
        Just(None),
    ];
    let bind = prop_oneof![Just(Bind::Loopback), any::<IpAddr>().prop_map(Bind::Address)];
    let local = prop_oneof![
        (bind, any::<u16>()).prop_map(|(bind, port)| Local::Port { bind, port }),
        "/[a-z/]{0,10}[a-z]".prop_map(|path| Local::Socket(path.into())),
    ];
    (local, host, 1..=u16::MAX).prop_map(|(local, host, port)| {
        // A chosen address cannot be said without a host: the node's own is `localhost` then.
        let chosen = matches!(
            local,
            Local::Port {
                bind: Bind::Address(_),
                ..
            }
        );
        let host = host.or_else(|| chosen.then(|| "localhost".to_owned())).map(Host);
        ForwardSpec {
            local,
            remote: Remote { host, port },
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(spec in any_spec()) {
        prop_assert_eq!(spec.to_string().parse::<ForwardSpec>().unwrap(), spec);
    }

    #[test]
    fn nothing_panics(text in "[0-9a-z:/\\[\\]. *\\PC]{0,24}") {
        if let Ok(spec) = text.parse::<ForwardSpec>() {
            prop_assert_eq!(spec.to_string().parse::<ForwardSpec>().unwrap(), spec);
        }
    }
}
