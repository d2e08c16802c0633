//! Every kind of profile, the caches shared with the AWS CLI, logging in, and who we are in the end.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use super::env::TestEnv;
use super::identities::{PROFILES, arn, by_cli};
use super::terminal::Terminal;
use super::tools::tool;

/// Beside those that all share.
const OWN: &str = "
[profile guarded]
region = eu-west-2
role_arn = arn:aws:iam::444455556666:role/guarded
source_profile = static
mfa_serial = arn:aws:iam::111122223333:mfa/alice
external_id = partner
duration_seconds = 7200

[profile broken]
region = eu-west-2
credential_process = sh -c 'echo your session is over >&2; exit 4'

[sso-session no]
sso_start_url = https://no.awsapps.com/start
sso_region = eu-west-1

[sso-session gone]
sso_start_url = https://gone.awsapps.com/start
sso_region = eu-west-1
";

/// Profiles of every kind, and where they lead.
pub fn scenery() -> TestEnv {
    let scenario =
        Scenario::parse(include_str!("../sandbox/scenarios/sign-in.toml"), "sign-in.toml").unwrap();
    let mut env = TestEnv::with(scenario);
    let home = env.home().display().to_string();
    let file = env.home().join(".aws/config");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, format!("{PROFILES}{OWN}").replace("HOME", &home)).unwrap();
    fs::write(env.home().join("token"), "sandbox-web-identity-token\n").unwrap();
    env.set("AWS_CONFIG_FILE", &file.display().to_string());
    env.unset("AWS_SHARED_CREDENTIALS_FILE");
    env.set("USER", "alice");
    env
}

fn cached(env: &TestEnv, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(env.home().join(".aws").join(below)) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn assert_private(file: &Path) {
    let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}", file.display());
}

#[test]
fn each_kind_of_profile_leads_to_its_identity() {
    let env = scenery();
    for (profile, identity) in [
        ("static", "arn:aws:iam::111122223333:user/alice"),
        ("deploy", "arn:aws:sts::444455556666:assumed-role/deploy/alice"),
        ("second", "arn:aws:sts::111122223333:assumed-role/second/chained"),
        ("pod", "arn:aws:sts::444455556666:assumed-role/pod/alice"),
        ("process", "arn:aws:iam::111122223333:user/alice"),
    ] {
        assert_eq!(arn(&env, &["-p", profile]), identity);
    }
    // The roles were assumed once each, and every file is the user's alone.
    arn(&env, &["-p", "second"]);
    assert_eq!(env.sandbox.calls_of("sts:AssumeRole").len(), 2);
    let files = cached(&env, "cli/cache");
    assert_eq!(files.len(), 3);
    files.iter().for_each(|file| assert_private(file));
}

#[test]
fn a_named_profile_beats_the_environment_and_a_mistyped_one_is_no_machine() {
    let mut env = scenery();
    let told = env.run(&["whoami", "-p", "deplyo"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(
        told.stderr
            .contains("the AWS profile `deplyo` does not exist; did you mean `deploy`?"),
        "{told}"
    );
    let told = env.run(&["whoami", "-p", "broken"]);
    assert!(told.stderr.contains("and said: your session is over"), "{told}");
    assert!(env.sandbox.calls_of("sts:GetCallerIdentity").is_empty());
    env.set("AWS_ACCESS_KEY_ID", "AKIASANDBOXPROD00001");
    env.set("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_eq!(env.run(&["whoami"]).status, 253);
    assert_eq!(
        arn(&env, &["-p", "static"]),
        "arn:aws:iam::111122223333:user/alice"
    );
    env.set("AWS_SECRET_ACCESS_KEY", "sandbox/prod/alice/not-a-real-secret");
    env.set("AWS_DEFAULT_PROFILE", "deploy");
    assert_eq!(arn(&env, &[]), "arn:aws:iam::111122223333:user/alice");
    env.unset("AWS_ACCESS_KEY_ID");
    env.unset("AWS_SECRET_ACCESS_KEY");
    assert_eq!(
        arn(&env, &[]),
        "arn:aws:sts::444455556666:assumed-role/deploy/alice"
    );
}

#[test]
fn a_code_is_asked_of_whoever_can_give_it_and_serves_for_hours() {
    let env = scenery();
    let told = env.run(&["whoami", "-p", "guarded"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(
        told.stderr
            .contains("nobody is there to ask; give it with `--mfa-code`"),
        "{told}"
    );
    let told = env.run(&["whoami", "-p", "guarded", "--mfa-code", "999999"]);
    assert!(told.stderr.contains("MultiFactorAuthentication failed"), "{told}");
    let guarded = "arn:aws:sts::444455556666:assumed-role/guarded/alice";
    assert_eq!(arn(&env, &["-p", "guarded", "--mfa-code", "111 111"]), guarded);
    assert_eq!(arn(&env, &["-p", "guarded"]), guarded);
    // A code is good once: a fresh cache needs another, which the user's own command prints.
    fs::remove_dir_all(env.home().join(".aws/cli")).unwrap();
    env.config("[profiles.guarded]\nmfa_command = \"echo 222222; echo $SSMX_MFA_SERIAL >serial\"\n");
    assert_eq!(arn(&env, &["-p", "guarded"]), guarded);
    let serial = fs::read_to_string(env.home().join("serial")).unwrap();
    assert_eq!(serial, "arn:aws:iam::111122223333:mfa/alice\n");
    // What others may read is told, and made private.
    let file = cached(&env, "cli/cache").remove(0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let told = env.run(&["whoami", "-p", "guarded"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(
        told.stderr
            .contains("holds credentials and could be read by others; it is private now"),
        "{told}"
    );
    assert_private(&file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_again_for_a_wrong_code() {
    let env = scenery();
    let mut terminal = Terminal::start(&env.command(&["whoami", "-p", "guarded"]).into());
    terminal
        .expect("one-time code of arn:aws:iam::111122223333:mfa/alice")
        .await;
    terminal.line("999999").await;
    terminal.expect("AWS does not take this code").await;
    terminal.expect("one-time code of").await;
    terminal.line("333333").await;
    terminal.expect("assumed-role/guarded/alice").await;
    let (_, status) = terminal.finish().await;
    assert!(status.success());
    assert!(terminal.is_as_before());
}

#[test]
fn the_aws_cli_and_ssmx_use_each_others_cache() {
    let Some(aws) = tool("aws") else { return };
    let env = scenery();
    let by_cli = |profile: &str| by_cli(&env, &aws, &["--profile", profile]).unwrap();
    // Ours for the AWS CLI, a one-time code included …
    let guarded = arn(&env, &["-p", "guarded", "--mfa-code", "111111"]);
    assert_eq!(by_cli("guarded"), guarded);
    // … and the AWS CLI's for us: its session's name says who assumed the role.
    let deploy = by_cli("deploy");
    assert!(deploy.contains("/botocore-session-"), "{deploy}");
    assert_eq!(arn(&env, &["-p", "deploy"]), deploy);
    assert_eq!(env.sandbox.calls_of("sts:AssumeRole").len(), 2);
}

#[test]
fn a_login_by_code_serves_profiles_of_both_kinds() {
    let env = scenery();
    let told = env.run(&["whoami", "-p", "sso"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(
        told.stderr
            .contains("nobody is logged in to the SSO session `corp`"),
        "{told}"
    );
    assert!(told.stderr.contains("`ssmx login`"), "{told}");
    // Nothing was asked of AWS before that was known.
    assert_eq!(env.sandbox.calls().all().len(), 0);
    let told = env.run(&["login", "sso", "--device-code"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(told.stderr.contains("ABCD-EFGH"), "{told}");
    assert!(told.stderr.contains("profiles: sso"), "{told}");
    let admin = arn(&env, &["-p", "sso"]);
    assert!(admin.ends_with("/alice@example.com"), "{admin}");
    let told = env.run(&["login", "old"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(arn(&env, &["-p", "old"]), admin);
    let tokens = cached(&env, "sso/cache");
    assert_eq!(tokens.len(), 2);
    tokens.iter().for_each(|file| assert_private(file));
    for (session, words) in [
        ("no", "the login was refused in the browser"),
        ("gone", "nobody finished the login in time"),
    ] {
        let told = env.run(&["login", "--sso-session", session]);
        assert_eq!(told.status, 253, "{told}");
        assert!(told.stderr.contains(words), "{told}");
    }
    assert_eq!(cached(&env, "sso/cache").len(), 2);
}

#[test]
fn two_who_log_in_at_once_do_it_once() {
    let env = scenery();
    let start = || {
        let mut command = env.command(&["login", "sso", "--device-code"]);
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let said = both
        .each_ref()
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(both.iter().all(|output| output.status.success()), "{said:?}");
    assert_eq!(
        env.sandbox.calls_of("sso-oidc:StartDeviceAuthorization").len(),
        1,
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|said| said.contains("another ssmx is logging in")),
        "{said:?}"
    );
}

#[test]
fn an_old_login_is_renewed_silently_or_told() {
    let env = scenery();
    assert_eq!(env.run(&["login", "sso", "--device-code"]).status, 0);
    let file = cached(&env, "sso/cache").remove(0);
    let mut token: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    token["expiresAt"] = "2026-01-01T00:00:00Z".into();
    fs::write(&file, token.to_string()).unwrap();
    arn(&env, &["-p", "sso"]);
    let renewed: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_ne!(renewed["accessToken"], token["accessToken"]);
    // Without a way to renew it a person is needed, and a damaged file is as good as none.
    fs::remove_dir_all(env.home().join(".aws/cli")).unwrap();
    token.as_object_mut().unwrap().remove("refreshToken");
    fs::write(&file, token.to_string()).unwrap();
    let told = env.run(&["whoami", "-p", "sso"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(told.stderr.contains("expired at 2026-01-01T00:00:00Z"), "{told}");
    fs::write(&file, "{\"accessToken\": \"x").unwrap();
    let told = env.run(&["whoami", "-p", "sso"]);
    assert!(told.stderr.contains("nobody is logged in"), "{told}");
}

/// A browser that goes where it is sent, once.
fn browser(env: &mut TestEnv) -> Option<()> {
    let curl = tool("curl")?;
    let script = format!(
        "#!/bin/sh\n{} -sL -o /dev/null \"$1\" >/dev/null 2>&1 &\n",
        curl.display()
    );
    env.program("xdg-open", &script);
    env.set("DISPLAY", ":0");
    Some(())
}

#[test]
fn a_login_by_browser_comes_back_by_itself() {
    let mut env = scenery();
    if browser(&mut env).is_none() {
        return;
    }
    let told = env.run(&["login", "sso"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(env.sandbox.calls_of("sso-oidc:Authorize").len(), 1);
    assert!(arn(&env, &["-p", "sso"]).ends_with("/alice@example.com"));
    let told = env.run(&["login", "--sso-session", "no"]);
    assert_eq!(told.status, 253, "{told}");
    assert!(
        told.stderr.contains("the login was refused in the browser"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_offered_on_the_spot() {
    let env = scenery();
    let mut terminal = Terminal::start(&env.command(&["whoami", "-p", "sso"]).into());
    terminal.expect("log in now?").await;
    terminal.line("y").await;
    terminal.expect("ABCD-EFGH").await;
    terminal.expect("logged in to the SSO session `corp`").await;
    terminal.expect("alice@example.com").await;
    let (_, status) = terminal.finish().await;
    assert!(status.success());
}

#[test]
fn the_console_is_entered_with_the_credentials_of_a_role() {
    let env = scenery();
    let federation = format!("{}/federation", env.sandbox.endpoint());
    env.config(&format!(
        "[profiles.deploy]\nfederation_endpoint = \"{federation}\"\n"
    ));
    let address = env.run(&["console", "-p", "deploy", "--print"]).ok();
    assert!(
        address
            .contains("Action=login&Issuer=ssmx&Destination=https%3A%2F%2Feu-west-2.console.aws.amazon.com"),
        "{address}"
    );
    assert!(address.contains("SigninToken=sandbox-signin-"), "{address}");
    // A user's own keys cannot be exchanged; the page is given, and a word why.
    let told = env.run(&["console", "-p", "static", "--print"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(
        told.stderr.contains("keys of a user cannot be exchanged"),
        "{told}"
    );
    assert!(
        told.stdout
            .starts_with("https://eu-west-2.console.aws.amazon.com/systems-manager/"),
        "{told}"
    );
    // Other partitions have other pages; where nobody has said how one signs in there, the page is given.
    for (region, page) in [
        ("cn-north-1", "https%3A%2F%2Fcn-north-1.console.amazonaws.cn%2F"),
        ("us-gov-west-1", "https%3A%2F%2Fconsole.amazonaws-us-gov.com%2F"),
    ] {
        let address = env
            .run(&["console", "-p", "deploy", "-r", region, "--print"])
            .ok();
        assert!(address.contains(page), "{address}");
    }
    let told = env.run(&["console", "-p", "second", "-r", "us-iso-east-1", "--print"]);
    assert!(
        told.status == 0
            && told
                .stdout
                .starts_with("https://console.c2shome.ic.gov/systems-manager/"),
        "{told}"
    );
    assert!(told.stderr.contains("`federation_endpoint`"), "{told}");
    // The browser is sent to this machine first, so no argument list holds the token.
    let Some(curl) = tool("curl") else { return };
    let head = env.home().join("head");
    let command = format!("{} -s -D {}", curl.display(), head.display());
    let told = env.run(&["console", "-p", "deploy", "--browser", &command]);
    assert_eq!(told.status, 0, "{told}");
    // curl writes the head after ssmx has done its part; it ends within its own bounded time.
    let written = std::time::Instant::now();
    while !fs::read_to_string(&head).is_ok_and(|head| head.contains("\r\n\r\n")) {
        assert!(written.elapsed().as_secs() < 20, "curl wrote nothing");
        std::thread::yield_now();
    }
    let head = fs::read_to_string(&head).unwrap_or_default();
    assert!(
        head.contains("302") && head.contains("SigninToken=sandbox-signin-"),
        "{head}"
    );
}

#[test]
fn the_loudest_log_holds_no_secret() {
    let mut env = scenery();
    env.set("SSMX_LOG", "trace");
    assert_eq!(env.run(&["login", "sso", "--device-code", "-vv"]).status, 0);
    let mut log = String::new();
    for profile in ["sso", "deploy", "pod", "static"] {
        log.push_str(&env.run(&["whoami", "-p", profile, "-vv"]).stderr);
    }
    log.push_str(
        &env.run(&["whoami", "-p", "guarded", "-vv", "--mfa-code", "222222"])
            .stderr,
    );
    for secret in crate::secrets::SECRETS {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[test]
fn doctor_says_what_is_wrong_and_raises_no_alarm() {
    let mut env = scenery();
    env.set("AWS_PROFILE", "static");
    let told = env.run(&["doctor"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(told.stdout.contains("pass     credentials"), "{told}");
    let told = env.run(&["doctor", "i-0a1b2c3d4e5f60001", "-o", "json"]);
    let document: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(document["cause"], Value::Null, "{document:#}");
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:GetConnectionStatus", Effect::Deny));
    let told = env.run(&["doctor", "i-0a1b2c3d4e5f60001", "--all"]);
    assert!(told.stdout.contains("unknown  message channel"), "{told}");
    env.set("AWS_PROFILE", "broken");
    let told = env.run(&["doctor"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stdout.contains("your session is over"), "{told}");
}
