//! What the words of a forward mean, and what is said of those that mean nothing.

use std::net::TcpListener;

use super::far::{NODE, echo, service, spec};
use crate::env::TestEnv;

#[test]
fn a_command_finds_its_port_and_its_status_is_ours() {
    let env = TestEnv::new();
    let port = spec(service(echo));
    let told = env.run(&[
        "forward",
        NODE,
        &port,
        "--",
        "sh",
        "-c",
        "test {port} = $SSMX_FORWARD_PORT && echo {host}; exit 7",
    ]);
    assert_eq!(told.status, 7, "{told}");
    assert_eq!(told.stdout, "127.0.0.1\n", "stdout is the command's alone");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn what_makes_no_sense_is_said_before_anything_starts() {
    let env = TestEnv::new();
    env.config("[presets.lost]\ntarget = \"name=prod-bastion\"\nport = 80\nlocal = 0\n");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = format!("{}:80", busy.local_addr().unwrap().port());
    for (words, status, said) in [
        (&["los"][..], 252, "there is no preset or group `los`"),
        (&["prod-web"], 252, "name the port too"),
        (&["8080:80"], 252, "is a forward without a target before it"),
        (&["prod-web", "0"], 252, "the remote port cannot be 0"),
        (&["prod-web", "65536"], 252, "is above 65535"),
        (&["prod-web", "my db:80"], 252, "the host has a space in it"),
        (
            &["prod-web", "192.0.2.1:0:db:80"],
            252,
            "is not an address of this machine",
        ),
        (&["nobody", ":80"], 252, "bears the name `nobody`"),
        (&["prod-batch", ":80"], 254, "stopped"),
        (&["prod-web", &busy], 255, "is in use"),
        (
            &["lost", "--", "echo", "{found.port}"],
            252,
            "names no forward of this run",
        ),
        (
            &["stop", "nothing"],
            252,
            "there is no detached forward `nothing`",
        ),
    ] {
        let told = env.run(&[&["forward"], words].concat());
        assert_eq!(told.status, status, "{words:?} {told}");
        assert!(told.stderr.contains(said), "{words:?} {told}");
    }
}

#[test]
fn a_preset_says_the_region_where_its_target_does_not() {
    let env = TestEnv::new();
    env.config(
        "[targets.there]\nname = \"prod-web-dr\"\nregion = \"eu-west-1\"\n\
         [presets.by-preset]\ntarget = \"name=prod-web-dr\"\nregion = \"eu-west-1\"\nport = 80\nlocal = 0\n\
         [presets.by-target]\ntarget = \"there\"\nregion = \"eu-west-2\"\nport = 80\nlocal = 0\n",
    );
    for preset in ["by-preset", "by-target"] {
        let told = env.run(&["forward", preset, "--", "true"]);
        assert_eq!(told.status, 0, "{told}");
        let sessions = env.sandbox.sessions();
        assert_eq!(sessions.last().unwrap().place.region, "eu-west-1");
    }
    assert_eq!(env.sandbox.sessions().len(), 2);
}
