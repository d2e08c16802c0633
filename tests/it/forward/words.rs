//! What the words of a forward mean, and what is said of those that mean nothing.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::far::{NODE, echo, service, spec};
use crate::env::TestEnv;
use crate::page::Page;

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
    let told = env.run(&["forward", NODE, &port, "--", "/nowhere/program"]);
    assert_eq!(told.status, 252, "{told}");
    assert!(
        told.stderr.contains("there is no program `/nowhere/program`"),
        "{told}"
    );
    assert_eq!(env.sandbox.sessions().len(), 1, "nothing was started for nothing");
}

#[test]
fn a_command_finds_the_port_of_each_forward_by_its_name() {
    let env = TestEnv::new();
    env.config(
        "[presets.prod-db]\ntarget = \"name=prod-bastion\"\nport = 5432\nlocal = 0\nbind = \"127.0.0.7\"\n\
         [presets.cache]\ntarget = \"name=prod-bastion\"\nport = 6379\nlocal = 0\n",
    );
    let told = env.run(&[
        "forward",
        "prod-db",
        "cache",
        "--",
        "sh",
        "-c",
        "echo {prod-db.host} {prod-db.port} {cache.host} {cache.port}
        echo {host} {port} 127.0.0.1 $SSMX_FORWARD_CACHE_PORT
        echo $SSMX_FORWARD_HOST $SSMX_FORWARD_PROD_DB_PORT {cache.host} {cache.port}",
    ]);
    let told = told.ok();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines[1], lines[2]), (lines[0], lines[0]), "{told}");
    let words: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!((words[0], words[2]), ("127.0.0.7", "127.0.0.1"));
    let ports = [words[1], words[3]].map(|port| port.parse::<u16>().unwrap());
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn what_makes_no_sense_is_said_before_anything_starts() {
    let env = TestEnv::new();
    let mut page = Page::default();
    let long = format!("/{}:80", "x".repeat(104));
    page.heading("no preset, no target, no forward");
    for words in [
        &["los"][..],
        &["prod-web"],
        &["8080:80"],
        &["preset/prod-web"],
        &["nobody", ":80"],
        &["prod-batch", ":80"],
        &["prod-legacy", ":80"],
        &["prod-worker", ":80"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("what is no forward");
    for spec in [
        "0",
        "65536",
        ":0",
        "65536:80",
        "80:65536",
        "99999999999999999999:80",
        "db.internal:0",
        "db.internal:65536",
        "my db:80",
        "db\u{1b}[31m:80",
        "-db:80",
        "d..b:80",
        "8080::80",
        "::1:80",
        "[::1:80",
        "[::1]80",
        "[nonsense]:80",
        "1:2:3:4:5",
        "nowhere:8080:db:80",
        "/run/db.sock:0",
        "/run/:80",
        "/run/db.sock",
        long.as_str(),
        "",
        "80:",
        "8080:host:",
        "8080:http",
        "8080:db:5432x",
        "8080:80/tcp",
        "53/udp",
        "8000-8010",
        "22,80",
        "+80",
        "8080:/var/run/docker.sock",
        "~/x.sock:80",
        "./x.sock:80",
    ] {
        page.run(&env, &["forward", "prod-web", spec]);
    }
    page.heading("a target without a forward, a forward without a target");
    for words in [
        &["name=prod-web", "8080:http"][..],
        &["name=prod-web", "http"],
        &["name=prod-web"],
        &["tag:Role=web"],
        &["i-0a1b2c3d4e5f60001", "prod/prod-db", ":80"],
        &["8080:http", "9090:90"],
        &["8080:80", "9090:90"],
        &["8080", "80"],
        &[""],
        &["8080:http"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("what this machine does not have, or has already");
    page.run(&env, &["forward", "prod-web", "192.0.2.1:0:db.internal:80"]);
    page.run(&env, &["forward", "prod-web", "[2001:db8::1]:0:db.internal:80"]);
    page.run(&env, &["forward", "prod-web", "/etc/hostname:80"]);
    page.run(&env, &["forward", "prod-web", "/nowhere/db.sock:80"]);
    page.heading("options");
    for words in [
        &["prod-web", ":80", "--sessions", "0"][..],
        &["prod-web", ":80", "--sessions", "33"],
        &["prod-web", ":80", "--max-age", "soon"],
        &["prod-web", ":80", "--idle-timeout", "-1s"],
        &["prod-web", ":80", "--sessions", "x"],
        &["prod-web", ":80", "--sessions"],
        &["prod-web", ":80", "--idle-timeout", "-5m"],
        &["prod-web", ":80", "--name", "x"],
        &["prod-web", ":80", "--name", "x", "--", "true"],
        &["prod-web", ":80", "--lasy"],
        &["prod-web", ":80", "-o", "csv"],
        &["prod-web", ":80", "-o", "yaml"],
        &["prod-web", ":80", "--query", "local.port"],
        &["prod-web", ":80", "-o", "json", "--query", "["],
        &["prod-web", ":80", "-o", "json", "--", "true"],
        &["prod-web", ":80", "--detach", "--name", "../x"],
        &["prod-web", ":80", "--detach", "--", "true"],
        &["prod-web", ":80", ":81", "--save", "both"],
        &["prod-web", ":80", "--save", "ps"],
        &["prod-web", ":80", "--", "echo", "{found.port}"],
        &["stop", "nothing"],
        &["stop"],
        &["logs", "nothing"],
        &["logs", "../x"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("a command that cannot be");
    let script = env.home().join("script");
    std::fs::write(&script, "").unwrap();
    for words in [
        &["prod-web", ":80", "--"][..],
        &["prod-web", ":80", "--", "nosuchcmd"],
        &["prod-web", ":80", "--", "./nosuchcmd"],
        &["prod-web", ":80", "--", "./script"],
        &["prod-web", ":80", "echo", "hi"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("commands of its own");
    for words in [
        &["stpo", "x"][..],
        &["log", "x"],
        &["ls"],
        &["prod-web", ":80", "stop"],
        &["--detach", "stop", "x"],
        &["prod-web", ":80", "--lazy", "ps"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("nothing to forward");
    for words in [
        &["--", "true"][..],
        &["--"],
        &["--detach"],
        &["--save", "x"],
        &["--open"],
        &["--lazy", "--", "true"],
    ] {
        page.run(&env, &[&["forward"], words].concat());
    }
    page.heading("presets of the config");
    env.config(
        "[presets.lost]\ntarget = \"name=nobody\"\nport = 80\nlocal = 0\n\
         [presets.all-gone]\ntarget = [\"name=prod-batch\", \"name=prod-cache\"]\nport = 80\nlocal = 0\n",
    );
    for name in ["lost", "all-gone", "lots"] {
        page.run(&env, &["forward", name]);
    }
    page.run(&env, &["forward", "lost", ":80"]);
    page.run(&env, &["socks", "lost"]);
    for (what, text) in [
        ("no target", "port = 80\n"),
        ("a target that is none", "target = \"prod-web\"\nport = 80\n"),
        ("no port", "target = \"name=prod-web\"\n"),
        ("port", "target = \"name=prod-web\"\nport = 65536\n"),
        (
            "host",
            "target = \"name=prod-web\"\nport = 80\nhost = \"my db\"\n",
        ),
        (
            "bind",
            "target = \"name=prod-web\"\nport = 80\nbind = \"everywhere\"\n",
        ),
        (
            "sessions",
            "target = \"name=prod-web\"\nport = 80\nsessions = 0\n",
        ),
        (
            "max_age",
            "target = \"name=prod-web\"\nport = 80\nmax_age = \"soon\"\n",
        ),
    ] {
        page.heading(what);
        env.config(&format!("[presets.db]\n{text}"));
        page.run(&env, &["forward", "db"]);
    }
    page.heading("a command's word as a name");
    env.config("[presets.ps]\ntarget = \"name=prod-web\"\nport = 80\n");
    page.run(&env, &["forward", "db"]);
    assert_snapshot!(page.text);
    assert!(
        env.sandbox.sessions().is_empty(),
        "nothing was started for nothing"
    );
}

#[test]
fn an_occupied_port_is_told_with_whoever_has_it() {
    let env = TestEnv::new();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let told = env.run(&["forward", "prod-web", &format!("{port}:80")]);
    assert_eq!(told.status, 255, "{told}");
    let holder = format!("port {port} on 127.0.0.1 is in use by `it");
    assert!(told.stderr.contains(&holder), "{told}");
    assert!(told.stderr.contains("hint: choose another local port"), "{told}");
    // On the other loopback alone, where our own listener has the first.
    let other = TcpListener::bind("[::1]:0").unwrap();
    let elsewhere = other.local_addr().unwrap().port();
    let told = env.run(&["forward", "prod-web", &format!("{elsewhere}:80")]);
    assert_eq!(told.status, 255, "{told}");
    let holder = format!("port {elsewhere} on ::1 is in use by `it");
    assert!(told.stderr.contains(&holder), "{told}");
    // The same port for two forwards of one run.
    drop(busy);
    let told = env.run(&[
        "forward",
        "prod-web",
        &format!("{port}:80"),
        &format!("{port}:81"),
    ]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("is in use"), "{told}");
    assert!(
        env.sandbox.sessions().is_empty(),
        "nothing was started for nothing"
    );
}

#[test]
fn a_privileged_port_is_not_for_everybody() {
    let env = TestEnv::new();
    // A network of its own, where ports below 1024 are privileged whatever this machine says, and no privilege.
    let program = env!("CARGO_BIN_EXE_ssmx");
    let inner = format!(
        "ip link set lo up && exec setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service \
         {program} forward prod-web 443:443"
    );
    let mut outside = env.other("unshare");
    let possible = outside.args(["--net", "sh", "-c", "ip link set lo up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return;
    }
    let output = env
        .other("unshare")
        .args(["--net", "sh", "-c", &inner])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(
        said.contains("port 443 on 127.0.0.1 is not for this user to take"),
        "{said}"
    );
    assert!(
        said.contains("hint: ports below 1024 want privileges; choose one above: `8443:443`"),
        "{said}"
    );
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

#[test]
fn options_for_all_may_stand_before_a_command_of_its_own() {
    let env = TestEnv::new();
    for words in [
        &["-o", "json", "ps"][..],
        &["-v", "ps", "-o", "json"],
        &["ps", "-o", "json"],
    ] {
        let told = env.run(&[&["forward"], words].concat());
        let listed: Value = serde_json::from_str(&told.ok()).unwrap();
        assert_eq!(listed, json!({ "forwards": [] }), "{words:?}");
    }
}

#[test]
fn a_query_picks_from_the_document_of_a_forward() {
    let env = TestEnv::new();
    let port = spec(service(echo));
    let mut command = env.command(&[
        "forward",
        NODE,
        &port,
        "-o",
        "json",
        "--query",
        "{it: name, by: targets[0]}",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    child.wait().unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let name = format!("{NODE}{port}");
    assert_eq!(said, json!({ "it": name, "by": NODE }));
}

#[test]
fn forwards_of_one_name_are_told_apart_or_not_at_all() {
    let env = TestEnv::new();
    let port = service(echo);
    let host = format!(":localhost:{port}");
    let names = format!("{{prod-web:localhost:{port}.port}} {{prod-bastion:localhost:{port}.port}}");
    let told = env.run(&[
        "forward", "prod-web", &host, "prod-bastion", &host, "--", "sh", "-c",
        &format!("echo {names} $SSMX_FORWARD_PROD_WEB_LOCALHOST_{port}_PORT $SSMX_FORWARD_PROD_BASTION_LOCALHOST_{port}_PORT"),
    ]);
    let said = told.ok();
    let ports: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(ports.len(), 4, "{said}");
    assert_eq!(ports[..2], ports[2..]);
    assert_ne!(ports[0], ports[1]);
    // Where two names come to one variable, nobody gets it.
    env.config(&format!(
        "[presets.\"a.b\"]\ntarget = \"name=prod-web\"\nport = {port}\nlocal = 0\n\
         [presets.a-b]\ntarget = \"name=prod-web\"\nport = {port}\nlocal = 0\n"
    ));
    let told = env.run(&[
        "forward",
        "a.b",
        "a-b",
        "--",
        "sh",
        "-c",
        "echo \"[$SSMX_FORWARD_A_B_PORT]\"",
    ]);
    assert_eq!(told.stdout, "[]\n", "{told}");
    assert!(
        told.stderr
            .contains("`a.b` and `a-b` come to one variable, so there is no `SSMX_FORWARD_A_B_PORT`"),
        "{told}"
    );
}
