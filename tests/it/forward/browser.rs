//! `--open`: which page the person's browser is sent to.

use std::fs;
use std::net::TcpListener;

use super::running::{Running, until};
use crate::env::TestEnv;

#[test]
fn a_browser_is_opened_at_the_forwards_own_address() {
    let mut env = TestEnv::new();
    env.program("xdg-open", "#!/bin/sh\necho \"$1\" > \"$HOME/opened\"\n");
    let opened = env.home().join("opened");
    for (bind, port, scheme, host) in [
        ("loopback", 80, "http", "localhost"),
        ("loopback", 443, "https", "localhost"),
        ("127.0.0.7", 80, "http", "127.0.0.7"),
        ("127.0.0.7", 8443, "https", "127.0.0.7"),
        ("0.0.0.0", 80, "http", "localhost"),
        ("::1", 80, "http", "[::1]"),
        ("::", 443, "https", "[::1]"),
    ] {
        if bind.contains(':') && TcpListener::bind("[::1]:0").is_err() {
            continue;
        }
        env.config(&format!(
            "[presets.page]\ntarget = \"name=prod-bastion\"\nport = {port}\nlocal = 0\nbind = \"{bind}\"\n"
        ));
        let forward = Running::start(&env, &["--open", "page"]);
        let expected = format!("{scheme}://{host}:{}/\n", forward.port);
        until(&format!("a browser is opened at {expected}"), || {
            fs::read_to_string(&opened).is_ok_and(|opened| opened == expected)
        });
    }
}
