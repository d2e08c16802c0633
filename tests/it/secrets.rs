//! Where secrets must not be: the loudest log, the process list, the state directory, the environment of every
//! program that ssmx starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use ssmx_sandbox::Scenario;

use super::env::TestEnv;
use super::identities::PROFILES;
use super::terminal::Terminal;
use super::tools::tool;

/// Whatever the sandbox gives out, or is given, begins so.
pub const SECRETS: &[&str] = &[
    "not-a-real-secret",
    "sandbox-secret-",
    "sandbox-token-",
    "sandbox-sso-token-",
    "sandbox-refresh-token-",
    "sandbox-client-secret",
    "sandbox-web-identity-token",
    "sandbox-signin-",
    "222222",
];

const OWN: &str = "
[profile guarded]
region = eu-west-2
role_arn = arn:aws:iam::444455556666:role/guarded
source_profile = static
mfa_serial = arn:aws:iam::111122223333:mfa/alice
external_id = partner

[profile program]
region = eu-west-2
credential_process = HOME/bin/spy program cat HOME/key.json
";

/// Writes down its own and its starter's words and environment, then goes on as another program.
const SPY: &str = "#!/bin/sh
cat /proc/$$/environ /proc/$$/cmdline /proc/$PPID/environ /proc/$PPID/cmdline > \"$HOME/spied/$1\"
shift
exec \"$@\"
";

fn scenery() -> TestEnv {
    let text = include_str!("../sandbox/scenarios/sign-in.toml").replacen(
        "role = \"prod-web\"\n",
        "role = \"prod-web\"\nservices = { \"localhost:80\" = \"http\" }\n",
        1,
    );
    let mut env = TestEnv::with(Scenario::parse(&text, "sign-in").unwrap());
    let home = env.home().to_owned();
    let write = |below: &str, text: &str| {
        let file = home.join(below);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    };
    let profiles = format!("{PROFILES}{OWN}").replace("HOME", &home.display().to_string());
    let config = write(".aws/config", &profiles);
    write("token", "sandbox-web-identity-token");
    write("code", "222222");
    write(
        "key.json",
        r#"{"Version":1,"AccessKeyId":"AKIASANDBOXPROD00001","SecretAccessKey":"sandbox/prod/alice/not-a-real-secret"}"#,
    );
    let spy = write("bin/spy", SPY);
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.join("spied")).unwrap();
    env.config(&format!(
        "[profiles.guarded]\nmfa_command = [\"{0}\", \"code\", \"cat\", \"{1}/code\"]\n\
         [profiles.deploy]\nfederation_endpoint = \"{2}/federation\"\n",
        spy.display(),
        home.display(),
        env.sandbox.endpoint(),
    ));
    env.set("AWS_CONFIG_FILE", &config.display().to_string());
    env.set("USER", "alice");
    env.set("SSMX_LOG", "trace");
    env
}

/// The words and the environment of a process.
fn process(pid: &str) -> Vec<u8> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap();
    [read("environ"), read("cmdline")].concat()
}

fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_others_can_read_it() {
    let Some(curl) = tool("curl") else { return };
    let env = scenery();
    let spy = env.home().join("bin/spy").display().to_string();
    let spying = |name: &str, rest: &str| format!("{spy} {name} {rest}");
    let mut told: Vec<(String, Vec<u8>)> = Vec::new();
    let run = |words: &[&str]| {
        let told = env.run(words);
        assert_eq!(told.status, 0, "{words:?} {told}");
        (words.join(" "), told.stderr.into_bytes())
    };
    told.push(run(&["login", "sso", "--device-code"]));
    let loud = String::from_utf8_lossy(&told[0].1);
    assert!(loud.contains("TRACE") || loud.contains("DEBUG"), "{loud}");
    for profile in ["sso", "deploy", "pod", "static", "guarded", "program"] {
        told.push(run(&["whoami", "-p", profile]));
    }
    let browser = spying("browser", &format!("{} -s -o /dev/null", curl.display()));
    told.push(run(&["console", "-p", "deploy", "--browser", &browser]));
    // Sessions with the temporary credentials of a role.
    told.push(run(&["exec", "-p", "second", "prod-web", "--", "true"]));
    told.push(run(&[
        "forward", "-p", "second", "prod-web", ":80", "--", &spy, "child", "true",
    ]));
    told.push(run(&[
        "forward", "-p", "second", "prod-web", ":80", "--detach", "--name", "d",
    ]));
    let record = fs::read_to_string(env.detached_file("d.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let pid = record["process"].as_i64().unwrap().to_string();
    told.push(("the detached process".to_owned(), process(&pid)));
    told.push(run(&["forward", "stop", "d"]));
    told.push(run(&["doctor", "-p", "second", "prod-web", "--all"]));

    let mut command = env.command(&["connect", "-p", "second", "prod-web"]);
    let mut terminal = Terminal::start(&command.into());
    terminal.expect("$ ").await;
    let pid = terminal.pid().as_raw_nonzero().to_string();
    told.push(("the shell's process".to_owned(), process(&pid)));
    terminal.line("exit").await;
    let (screen, _) = terminal.finish().await;
    told.push(("the shell's screen".to_owned(), screen.into_bytes()));
    // Long enough for a pager.
    command = env.command(&["doctor", "-p", "second", "prod-web", "--all", "-o", "json"]);
    command.env("SSMX_PAGER", spying("pager", "cat"));
    let (screen, _) = Terminal::start(&command.into()).finish().await;
    told.push(("the pager's screen".to_owned(), screen.into_bytes()));

    for spied in ["program", "code", "browser", "child", "pager"] {
        let file = env.home().join("spied").join(spied);
        assert!(fs::metadata(file).is_ok_and(|file| file.len() > 0), "{spied}");
    }
    let mut found = Vec::new();
    for below in ["spied", ".local", ".cache", ".config/ssmx"] {
        files(&env.home().join(below), &mut found);
    }
    // The log of the shell, the ledger, the forward's log, the snapshot among them.
    assert!(
        found.iter().any(|file| file.ends_with("ssmx/ssmx.log")),
        "{found:#?}"
    );
    told.extend(
        found
            .iter()
            .map(|file| (file.display().to_string(), fs::read(file).unwrap())),
    );
    let tokens = env.sandbox.sessions().into_iter().flat_map(|session| {
        let observed = env.sandbox.gateway().observed(&session.id).unwrap_or_default();
        observed.opened.into_iter().map(|opened| opened.token_value)
    });
    let tokens: Vec<String> = tokens.collect();
    assert!(tokens.len() >= 4, "{tokens:?}");
    let secrets = SECRETS.iter().copied().chain(tokens.iter().map(String::as_str));
    for secret in secrets {
        for (what, text) in &told {
            let text = String::from_utf8_lossy(text);
            let line = text.split(['\n', '\0']).find(|line| line.contains(secret));
            assert_eq!(line, None, "`{secret}` in {what}");
        }
    }
}
