//! Credentials beside the AWS CLI, from fakes of the machine's and the container's service, and in bad weather.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::{Value, json};
use ssmx_sandbox::Scenario;

use super::env::TestEnv;
use super::forward::far::deaf_port;
use super::identities::{PROFILES, arn, by_cli};
use super::terminal::Terminal;
use super::tools::{clis, python};

/// Beside those that all share.
const OWN: &str = "
# Keys of this very file do not count beside a program.
[profile torn]
region = eu-west-2
aws_access_key_id = AKIANOBODY
aws_secret_access_key = wrong
credential_process = sh -c \"echo '{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"AKIASANDBOXPROD00001\\\",\\\"SecretAccessKey\\\":\\\"sandbox/prod/alice/not-a-real-secret\\\"}'\"

[profile machine]
region = eu-west-2
role_arn = arn:aws:iam::444455556666:role/deploy
credential_source = Ec2InstanceMetadata

[profile expired]
region = eu-west-2
aws_access_key_id = ASIASANDBOXPROD00002
aws_secret_access_key = s
aws_session_token = over
";

const KEYS: &str = "
[torn-the-other-way]
region = eu-west-2
aws_access_key_id = AKIASANDBOXPROD00001
aws_secret_access_key = sandbox/prod/alice/not-a-real-secret
credential_process = false
";

fn scenery() -> TestEnv {
    let text = include_str!("../sandbox/scenarios/sign-in.toml").replacen(
        "[[accounts]]\nid = \"444455556666\"",
        "[[accounts.keys]]\nid = \"ASIASANDBOXPROD00002\"\nsecret = \"s\"\nsession_token = \"over\"\n\
         identity = \"assumed-role/Engineer/alice\"\nexpires = \"2026-01-01T00:00:00Z\"\nprofiles = []\n\n\
         [[accounts]]\nid = \"444455556666\"",
        1,
    );
    let mut env = TestEnv::with(Scenario::parse(&text, "sign-in").unwrap());
    let home = env.home().display().to_string();
    let write = |name: &str, text: &str| {
        let file = env.home().join(".aws").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let config = write("config", &format!("{PROFILES}{OWN}").replace("HOME", &home));
    let keys = write("credentials", KEYS);
    fs::write(env.home().join("token"), "sandbox-web-identity-token").unwrap();
    env.set("AWS_CONFIG_FILE", &config);
    env.set("AWS_SHARED_CREDENTIALS_FILE", &keys);
    env.set("USER", "alice");
    env
}

fn version_1() -> Option<std::path::PathBuf> {
    Some(python()?.join("aws"))
}

#[test]
fn both_tools_are_the_same_person_by_every_profile() {
    for aws in clis() {
        let mut env = scenery();
        for profile in ["static", "process", "torn", "torn-the-other-way"] {
            let theirs = by_cli(&env, &aws, &["--profile", profile]).unwrap();
            assert_eq!(arn(&env, &["-p", profile]), theirs, "{profile} {}", aws.display());
        }
        // Keys in the environment, with and without a profile that was named.
        env.set("AWS_ACCESS_KEY_ID", "AKIASANDBOXPROD00001");
        env.set("AWS_SECRET_ACCESS_KEY", "sandbox/prod/alice/not-a-real-secret");
        assert_eq!(arn(&env, &[]), by_cli(&env, &aws, &[]).unwrap());
        env.set("AWS_SECRET_ACCESS_KEY", "wrong");
        assert_eq!(
            arn(&env, &["-p", "static"]),
            by_cli(&env, &aws, &["--profile", "static"]).unwrap()
        );
        env.unset("AWS_ACCESS_KEY_ID");
        env.unset("AWS_SECRET_ACCESS_KEY");
        // Neither takes what is over, or what does not exist.
        for profile in ["expired", "statik"] {
            by_cli(&env, &aws, &["--profile", profile]).unwrap_err();
            let told = env.run(&["whoami", "-p", profile]);
            assert_eq!(told.status, 253, "{told}");
        }
        let told = env.run(&["whoami", "-p", "expired"]);
        assert!(told.stderr.contains("xpired"), "{told}");
    }
}

#[test]
fn what_one_tool_was_given_serves_the_other() {
    let Some(aws) = version_1() else { return };
    const CALLS: [&str; 3] = [
        "sts:AssumeRole",
        "sts:AssumeRoleWithWebIdentity",
        "sso:GetRoleCredentials",
    ];
    let asked = |env: &TestEnv| CALLS.map(|call| env.sandbox.calls_of(call).len());
    for profile in ["deploy", "second", "pod", "sso", "old"] {
        for ours_first in [true, false] {
            let env = scenery();
            if ["sso", "old"].contains(&profile) {
                // botocore reads the login from the cache that ssmx wrote.
                assert_eq!(env.run(&["login", profile, "--device-code"]).status, 0);
            }
            let ours = || arn(&env, &["-p", profile]);
            let theirs = || by_cli(&env, &aws, &["--profile", profile]).unwrap();
            let first = if ours_first { ours() } else { theirs() };
            let calls = asked(&env);
            assert!(calls.iter().sum::<usize>() > 0, "{profile}");
            let second = if ours_first { theirs() } else { ours() };
            assert_eq!(first, second, "{profile}, ours first: {ours_first}");
            // Version 1 keeps no credentials of SSO; the login itself serves both.
            if !["sso", "old"].contains(&profile) {
                assert_eq!(asked(&env), calls, "{profile}, ours first: {ours_first}");
            }
        }
    }
}

/// A server on loopback that answers by path, for as long as the test runs.
fn serve(answer: impl Fn(&str, &str, &str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            let mut headers = String::new();
            for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
                headers.push_str(&line.to_lowercase());
                headers.push('\n');
            }
            let mut words = first.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (status, body) = answer(method, path, &headers);
            let length = body.len();
            drop(write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\nconnection: close\r\n\r\n{body}"
            ));
        }
    });
    address
}

#[test]
fn the_machines_and_the_containers_role_serve_where_nobody_chose() {
    // A temporary key, as these services give them.
    let key = json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAMACHINE0000000001",
        "SecretAccessKey": "m", "Token": "machine-token", "LastUpdated": "2026-01-01T00:00:00Z",
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string();
    let text = r#"
        [[accounts]]
        id = "111122223333"
        alias = "prod"
        keys = [{ id = "ASIAMACHINE0000000001", secret = "m", session_token = "machine-token", identity = "assumed-role/web/i-0a1b2c3d4e5f60001", profiles = [] }]
        [[accounts]]
        id = "444455556666"
        alias = "dev"
        [[roles]]
        arn = "arn:aws:iam::444455556666:role/deploy"
    "#;
    let mut env = TestEnv::with(Scenario::parse(text, "machine").unwrap());
    let file = env.home().join("config");
    fs::write(
        &file,
        "[default]\nregion = eu-west-2\n[profile machine]\nregion = eu-west-2\n\
         role_arn = arn:aws:iam::444455556666:role/deploy\ncredential_source = Ec2InstanceMetadata\n",
    )
    .unwrap();
    env.set("AWS_CONFIG_FILE", &file.display().to_string());
    env.set("USER", "alice");
    let web = "arn:aws:sts::111122223333:assumed-role/web/i-0a1b2c3d4e5f60001";
    let machine = {
        let key = key.clone();
        serve(move |method, path, headers| match (method, path) {
            ("PUT", "/latest/api/token") => (200, "imds-token".to_owned()),
            _ if !headers.contains("x-aws-ec2-metadata-token: imds-token") => (401, String::new()),
            ("GET", path) if path.ends_with("/security-credentials/") => (200, "web".to_owned()),
            ("GET", path) if path.ends_with("/security-credentials/web") => (200, key.clone()),
            _ => (404, String::new()),
        })
    };
    env.unset("AWS_EC2_METADATA_DISABLED");
    env.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &machine);
    assert_eq!(arn(&env, &[]), web);
    assert_eq!(
        arn(&env, &["-p", "machine"]),
        "arn:aws:sts::444455556666:assumed-role/deploy/alice"
    );
    if let Some(aws) = version_1() {
        assert_eq!(by_cli(&env, &aws, &[]).unwrap(), web);
    }
    // Where it is switched off, it is not asked, and what to do is said.
    env.set("AWS_EC2_METADATA_DISABLED", "true");
    let told = env.run(&["whoami"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(told.stderr.contains("hint:"), "{told}");
    // A container's service comes before the machine's.
    let container = serve(move |_, path, headers| {
        if path == "/role" && headers.contains("authorization: container-token") {
            (200, key.clone())
        } else {
            (403, String::new())
        }
    });
    env.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{container}/role"));
    env.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token");
    assert_eq!(arn(&env, &[]), web);
    if let Some(aws) = version_1() {
        assert_eq!(by_cli(&env, &aws, &[]).unwrap(), web);
    }
    env.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong");
    let told = env.run(&["whoami"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(!told.stderr.contains("container-token"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_was_closed_is_left_with_ctrl_c() {
    let mut env = scenery();
    env.program("xdg-open", "#!/bin/sh\nexit 0\n");
    env.set("DISPLAY", ":0");
    let mut terminal = Terminal::start(&env.command(&["login", "sso"]).into());
    terminal.expect("log in with your browser").await;
    terminal.expect("authorize").await;
    terminal.kill(Signal::INT);
    let (_, status) = terminal.finish().await;
    assert!(!status.success());
    assert!(terminal.is_as_before());
    let tokens = fs::read_dir(env.home().join(".aws/sso/cache")).map_or(0, Iterator::count);
    assert_eq!(tokens, 0);
}

#[test]
fn without_a_network_it_is_said_which_host_does_not_answer() {
    let mut env = scenery();
    let (_held, closed) = deaf_port();
    env.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{closed}"));
    env.set("AWS_MAX_ATTEMPTS", "1");
    for words in [
        &["whoami", "-p", "static"][..],
        &["whoami", "-p", "deploy"],
        &["login", "sso", "--device-code"],
    ] {
        let told = env.run(words);
        assert_eq!(told.status, 255, "{told}");
        assert!(told.stderr.contains("refused"), "{told}");
    }
    let told = env.run(&["doctor", "-p", "static"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stdout.contains("cause: endpoint of ssm"), "{told}");
}

#[test]
fn half_written_caches_are_as_good_as_none() {
    let env = scenery();
    let deploy = arn(&env, &["-p", "deploy"]);
    let directory = env.home().join(".aws/cli/cache");
    let file = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for half in [
        &whole[..whole.len() / 2],
        b"",
        b"\xff\xfe",
        b"[]",
        b"{\"Credentials\": 3}",
    ] {
        fs::write(&file, half).unwrap();
        assert_eq!(arn(&env, &["-p", "deploy"]), deploy);
        assert!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).is_ok());
    }
}

#[test]
fn a_clock_that_is_an_hour_off_is_named() {
    for (skew, words) in [(3600, "60 min behind"), (-3600, "60 min ahead")] {
        let mut env = scenery();
        let skew = jiff::SignedDuration::from_secs(skew);
        env.sandbox.world().set_skew(skew);
        let told = env.run(&["doctor", "-p", "static"]);
        assert_eq!(told.status, 255, "{told}");
        assert!(
            told.stdout.contains(&format!("cause: clock: it is {words}")),
            "{told}"
        );
        // One call is repeated by AWS's clock; where it may not be, the word to look for is said.
        assert_eq!(env.run(&["whoami", "-p", "static"]).status, 0);
        env.set("AWS_MAX_ATTEMPTS", "1");
        let told = env.run(&["whoami", "-p", "static"]);
        assert_eq!(told.status, 253, "{told}");
        assert!(told.stderr.contains("this machine's clock"), "{told}");
    }
}
