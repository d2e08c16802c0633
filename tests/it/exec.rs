//! `ssmx exec` and `ssmx proxy` on the sandbox's nodes.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use crate::env::TestEnv;
use crate::forward::far::deaf_port;

#[test]
fn the_status_and_the_output_are_the_remotes() {
    let env = TestEnv::new();
    let words = [
        "exec",
        "prod-web",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ];
    let told = env.run(&words);
    assert_eq!((told.status, told.stdout.as_str()), (3, "out\nerr\n"), "{told}");
    let told = env.run(&["exec", "prod-web", "--shell", "kill -9 $$"]);
    assert_eq!(told.status, 137, "{told}");
    let told = env.run(&["exec", "-v", "prod-web", "--", "true"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(told.stderr.contains("has no separate output"), "{told}");
}

#[test]
fn with_separate_output_the_streams_come_apart() {
    let env = TestEnv::with_separate_output();
    let words = [
        "exec",
        "prod-web",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ];
    for _ in 0..2 {
        let told = env.run(&words);
        assert_eq!(
            (told.status, told.stdout.as_str(), told.stderr.as_str()),
            (3, "out\n", "err\n"),
            "{told}"
        );
    }
    // What a document offers is asked for once.
    assert_eq!(env.sandbox.calls_of("ssm:GetDocument").len(), 1);
}

#[test]
fn arguments_arrive_as_typed_and_binary_output_whole() {
    for env in [TestEnv::new(), TestEnv::with_separate_output()] {
        let told = env.run(&[
            "exec", "prod-web", "--", "printf", "%s|", "a b", "", "$HOME", "it's", "x\ny", "-n",
        ]);
        assert_eq!(told.stdout, "a b||$HOME|it's|x\ny|-n|", "{told}");
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let file = env.home().join("bytes");
        std::fs::write(&file, &bytes).unwrap();
        let mut command = env.command(&["exec", "prod-web", "--binary", "--", "cat"]);
        let output = command.arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
    }
}

#[test]
fn whose_status_it_was_is_told_for_certain() {
    let env = TestEnv::new();
    let status = || std::fs::read_to_string(env.home().join("status")).unwrap();
    let told = env.run(&[
        "exec",
        "prod-web",
        "--status-file",
        "status",
        "--shell",
        "exit 255",
    ]);
    assert_eq!((told.status, status().as_str()), (255, "remote 255\n"), "{told}");
    let told = env.run(&["exec", "prod-batch", "--status-file", "status", "--", "true"]);
    assert_eq!((told.status, status().as_str()), (254, "ssmx 254\n"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_starts() {
    let env = TestEnv::new();
    for words in [
        &["exec", "prod-web"][..],
        &["exec", "-i", "prod-web", "--", "cat"],
        &["exec", "prod-iis", "--binary", "--", "x"],
    ] {
        let told = env.run(words);
        assert_eq!(told.status, 252, "{told}");
        assert!(told.stderr.contains("hint:"), "{told}");
    }
    assert!(env.sandbox.calls_of("ssm:StartSession").is_empty());
}

#[test]
fn a_command_that_takes_too_long_is_given_up_and_its_session_ended() {
    let env = TestEnv::new();
    let told = env.run(&["exec", "prod-web", "--timeout", "1s", "--", "sleep", "100"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains("did not end within 1 s"), "{told}");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
}

#[test]
fn a_port_is_carried_whole_both_ways() {
    let env = TestEnv::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = bytes.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; expected.len()];
        stream.read_exact(&mut heard).unwrap();
        assert!(heard == expected);
        stream.write_all(&heard).unwrap();
    });
    let mut proxy = env
        .command(&["proxy", "prod-web", &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = proxy.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || {
        stdin.write_all(&sent).unwrap();
        stdin
    });
    let output = proxy.wait_with_output().unwrap();
    drop(writer.join().unwrap());
    server.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
}

#[test]
fn a_port_without_a_server_is_a_word_on_stderr() {
    let env = TestEnv::new();
    let (_held, closed) = deaf_port();
    let told = env.run(&["proxy", "prod-web", &closed.to_string()]);
    assert_eq!((told.status, told.stdout.as_str()), (255, ""), "{told}");
    assert!(
        told.stderr.contains("Unable to connect to specified port"),
        "{told}"
    );
}

#[test]
fn called_by_its_name_it_is_the_plugin() {
    use std::os::unix::process::CommandExt as _;
    let env = TestEnv::new();
    let said = |words: &[&str]| {
        let output = env
            .command(words)
            .arg0("/usr/local/bin/session-manager-plugin")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(said(&["--version"]), (Some(0), "1.2.835.0\n".to_owned()));
    let (status, text) = said(&[]);
    assert!(text.contains("was installed successfully"), "{text}");
    assert_eq!(status, Some(0));
    let (status, text) = said(&["{}", "eu-west-2", "StartSession"]);
    assert_eq!(
        text,
        "Cannot perform start session: the session has no SessionId\n"
    );
    assert_eq!(status, Some(2));
}
