//! Sessions listed, ended, and written down on this machine.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use ssmx_sandbox::{ApiFault, Effect, Scenario};

use super::env::TestEnv;
use super::terminal::Terminal;
use super::tools::clis;

const WEB: &str = "i-0a1b2c3d4e5f60001";

const PEOPLE: &str = r#"
[[accounts]]
id = "111122223333"
alias = "prod"
keys = [
    { id = "ASIASANDBOXADA000001", secret = "s", session_token = "t1", identity = "assumed-role/Admin/ada@example.com", profiles = ["default", "admin"] },
    { id = "ASIASANDBOXADA000002", secret = "s", session_token = "t2", identity = "assumed-role/ReadOnly/ada@example.com", profiles = ["readonly"] },
    { id = "ASIASANDBOXBOB000001", secret = "s", session_token = "t3", identity = "assumed-role/Admin/bob", profiles = ["bob"] },
]

[[accounts]]
id = "444455556666"
alias = "dev"
keys = [{ id = "AKIASANDBOXADA000003", secret = "s", identity = "user/ada", profiles = ["other"] }]

[[nodes]]
name = "web"
id = "i-0a1b2c3d4e5f60001"

[[nodes]]
name = "db"
id = "i-0a1b2c3d4e5f60002"

[[nodes]]
name = "far"
account = "444455556666"
id = "i-0a1b2c3d4e5f60009"
"#;

fn people() -> TestEnv {
    TestEnv::with(Scenario::parse(PEOPLE, "people").unwrap())
}

/// A shell that stays open: what started it, and where it reads.
struct Open {
    child: Child,
    stdin: ChildStdin,
    /// Whoever closes it ends the session.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Open {
    fn shell(env: &TestEnv, words: &[&str]) -> Self {
        let mut child = env
            .command(&[&["connect"], words].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        stdin.write_all(b"echo here'I'am\n").unwrap();
        assert!(lines.any(|line| line.unwrap().contains("hereIam")));
        Self {
            child,
            stdin,
            _stdout: lines,
        }
    }

    /// As by a crash: nothing is ended, nothing cleaned up.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn leave(mut self) {
        self.stdin.write_all(b"exit\n").unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

fn listed(env: &TestEnv, words: &[&str]) -> Vec<Value> {
    let text = env.run(&[&["sessions", "-o", "json"], words].concat()).ok();
    let document: Value = serde_json::from_str(&text).unwrap();
    document["sessions"].as_array().unwrap().clone()
}

fn ids(sessions: &[Value]) -> Vec<String> {
    let id = |session: &Value| session["id"].as_str().unwrap().to_owned();
    sessions.iter().map(id).collect()
}

#[test]
fn mine_come_first_whatever_role_they_were_started_by() {
    let env = people();
    let shells = [
        Open::shell(&env, &["web", "-p", "admin", "--reason", "disk \u{1b}[31mfull"]),
        Open::shell(&env, &["db", "-p", "readonly"]),
        Open::shell(&env, &["web", "-p", "bob"]),
    ];
    let all = listed(&env, &[]);
    let of = |key: &str| all.iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("mine"), [true, true, false]);
    assert_eq!(of("name"), ["db", "web", "web"]);
    assert_eq!(of("account")[0], "111122223333");
    assert_eq!(listed(&env, &["-p", "bob"])[0]["owner"], all[2]["owner"]);
    assert_eq!(listed(&env, &["--mine"]).len(), 2);
    for target in ["web", WEB] {
        assert_eq!(listed(&env, &["--target", target]).len(), 2);
    }
    let table = env.run(&["sessions"]).ok();
    assert!(table.starts_with("SESSION "), "{table}");
    for words in ["mine", "bob", "Connected", "disk \\e[31mfull", " s "] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains('\u{1b}'), "{table}");
    let names = env.run(&["sessions", "ls", "--mine", "-o", "name"]).ok();
    assert!(names.starts_with("session/ada@example.com-"), "{names}");
    assert_eq!(env.run(&["sessions", "--query", "length(sessions)"]).ok(), "3\n");
    for shell in shells {
        shell.leave();
    }
    assert_eq!(
        env.run(&["sessions"]).stderr,
        "no active session in 111122223333 eu-west-2\n"
    );
    let ended = listed(&env, &["--history"]);
    assert!(ended.iter().all(|one| one["ended"].is_string()), "{ended:?}");
    assert_eq!(listed(&env, &["--all"]).len(), 3);
}

#[test]
fn names_are_looked_up_where_none_is_remembered() {
    let env = people();
    let shell = Open::shell(&env, &[WEB]);
    fs::remove_dir_all(env.cache()).unwrap();
    assert_eq!(listed(&env, &[])[0]["name"], "web");
    // Without the right to look, a listing without names is still one.
    fs::remove_dir_all(env.cache()).unwrap();
    env.sandbox
        .faults()
        .add(ApiFault::new("ec2:DescribeInstances", Effect::Deny));
    assert_eq!(listed(&env, &[])[0]["name"], Value::Null);
    shell.leave();
}

#[test]
fn all_profiles_are_listed_that_need_nobody() {
    let env = people();
    let shells = [
        Open::shell(&env, &["web", "-p", "bob"]),
        Open::shell(&env, &["far", "-p", "other"]),
    ];
    let variables = env.sandbox.env();
    let file = &variables
        .iter()
        .find(|(name, _)| name == "AWS_CONFIG_FILE")
        .unwrap()
        .1;
    let config = fs::read_to_string(file).unwrap();
    fs::write(
        file,
        format!(
            "{config}\n[profile asks]\nregion = eu-west-2\nrole_arn = arn:aws:iam::111122223333:role/x\n\
             source_profile = admin\nmfa_serial = arn:aws:iam::111122223333:mfa/ada\n"
        ),
    )
    .unwrap();
    let told = env.run(&["sessions", "--all-profiles", "-o", "json"]);
    assert_eq!(told.status, 0, "{told}");
    let document: Value = serde_json::from_str(&told.stdout).unwrap();
    let accounts = document["sessions"].as_array().unwrap().iter();
    let accounts: Vec<_> = accounts.map(|one| (&one["account"], &one["mine"])).collect();
    // The same account by three profiles is one scope; mine is the one of the other.
    assert_eq!(accounts.len(), 2, "{told}");
    assert!(told.stderr.contains("profile `asks` is left out"), "{told}");
    // What cannot be listed is told, and the rest is there.
    let mut fault = ApiFault::new("ssm:DescribeSessions", Effect::Deny);
    fault.account = Some("444455556666".to_owned());
    env.sandbox.faults().add(fault);
    let told = env.run(&["sessions", "--all-profiles", "-o", "name"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stdout.contains("session/bob-"), "{told}");
    assert!(told.stderr.contains("ssm:DescribeSessions"), "{told}");
    for shell in shells {
        shell.leave();
    }
}

#[test]
fn sessions_are_ended_by_id_beginning_or_target_and_nobody_elses_unasked() {
    let env = people();
    let shells = [
        Open::shell(&env, &["web"]),
        Open::shell(&env, &["db"]),
        Open::shell(&env, &["db", "-p", "bob"]),
    ];
    let all = ids(&listed(&env, &[]));
    let told = env.run(&["sessions", "end", "ada@"]);
    assert_eq!(told.status, 252, "{told}");
    assert!(told.stderr.contains("is the beginning of several"), "{told}");
    for words in [&["end", "bob"][..], &["end", "db"], &["end", "--mine"]] {
        let told = env.run(&[&["sessions"], words].concat());
        assert_eq!(told.status, 252, "{told}");
        assert!(told.stderr.contains("`--yes`"), "{told}");
    }
    let told = env.run(&["sessions", "end", "nobody-here"]);
    assert_eq!(told.status, 252, "{told}");
    assert!(
        told.stderr.contains("no active session's id begins with"),
        "{told}"
    );
    assert!(env.sandbox.calls_of("ssm:TerminateSession").is_empty());
    // One of mine, by enough of its id.
    let start = &all[0][..all[0].len() - 2];
    let told = env.run(&["sessions", "end", start]);
    assert_eq!((told.status, told.stderr), (0, format!("ended {}\n", all[0])));
    // A target's, with one that cannot be ended: the others are.
    let mut fault = ApiFault::new("ssm:TerminateSession", Effect::Deny);
    fault.containing = Some(all[1].clone());
    env.sandbox.faults().add(fault);
    let told = env.run(&["sessions", "end", "--yes", &all[1], "bob"]);
    assert_eq!(told.status, 255, "{told}");
    assert!(told.stderr.contains(&format!("ended {}", all[2])), "{told}");
    assert!(
        told.stderr.contains(&format!("cannot end session {}", all[1])),
        "{told}"
    );
    let told = env.run(&["sessions", "end", "target/none"]);
    assert_eq!(told.status, 252, "{told}");
    for shell in shells {
        shell.kill();
    }
}

#[test]
fn without_the_right_to_list_a_whole_id_is_enough() {
    let env = people();
    let shell = Open::shell(&env, &["web"]);
    let id = ids(&listed(&env, &[])).remove(0);
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:DescribeSessions", Effect::Deny));
    let told = env.run(&["sessions", "end", "--mine"]);
    assert_eq!(told.status, 254, "{told}");
    let told = env.run(&["sessions", "end", &id]);
    assert_eq!((told.status, told.stderr), (0, format!("ended {id}\n")));
    shell.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_before_somebody_elses_ends() {
    let env = people();
    let shell = Open::shell(&env, &["web", "-p", "bob"]);
    for (answer, calls) in [("n", 0), ("y", 1)] {
        let mut terminal = Terminal::start(&env.command(&["sessions", "end", "bob"]).into());
        terminal.expect("web  i-0a1b2c3d4e5f60001").await;
        terminal.expect("End this session of somebody else?").await;
        terminal.line(answer).await;
        terminal.finish().await;
        assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), calls);
    }
    shell.kill();
}

/// Waits until a process is gone. The kernel tells it, and there is a limit.
fn wait_for_the_end_of(pid: &str) {
    let begun = Instant::now();
    while Path::new("/proc").join(pid.trim()).exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "process {pid} goes on");
        std::thread::yield_now();
    }
}

#[test]
fn what_a_killed_ssmx_left_behind_is_ended_with_its_process() {
    let env = people();
    let file = env.home().join("pid");
    let mut left = Open::shell(&env, &["web"]);
    let command = format!("echo $$ >{0}.new && mv {0}.new {0}; sleep 1000\n", file.display());
    left.stdin.write_all(command.as_bytes()).unwrap();
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    let pid = fs::read_to_string(&file).unwrap();
    let alive = Open::shell(&env, &["db"]);
    // Nothing is stale as long as its process lives.
    let told = env.run(&["sessions", "end", "--stale"]);
    assert_eq!(told.status, 0, "{told}");
    assert!(
        told.stderr.contains("no active session that was left behind"),
        "{told}"
    );
    left.kill();
    assert!(Path::new("/proc").join(pid.trim()).exists());
    let told = env.run(&["sessions", "end", "--stale"]);
    assert_eq!(told.status, 0, "{told}");
    assert_eq!(env.sandbox.calls_of("ssm:TerminateSession").len(), 1);
    wait_for_the_end_of(&pid);
    assert_eq!(listed(&env, &[])[0]["name"], "db");
    alive.leave();
}

#[test]
fn this_machine_remembers_who_why_and_where_and_nothing_else() {
    let mut env = people();
    env.set("USER", "ada");
    env.set("SSMX_REASON", "ticket 7");
    let shell = Open::shell(&env, &["web", "-p", "admin"]);
    assert_eq!(
        env.run(&["exec", "db", "--", "echo", "a-word-of-the-session"])
            .status,
        0
    );
    let calls = env.sandbox.calls().all().len();
    let rows = listed(&env, &["--local"]);
    // AWS was not asked.
    assert_eq!(env.sandbox.calls().all().len(), calls);
    let row = |index: usize, key: &str| rows[index][key].as_str().unwrap_or("null").to_owned();
    let told =
        |index: usize| ["command", "name", "process", "user", "reason", "profile"].map(|key| row(index, key));
    assert_eq!(told(0), ["exec", "db", "over", "ada", "ticket 7", "null"]);
    assert_eq!(told(1), ["connect", "web", "running", "ada", "ticket 7", "admin"]);
    assert_eq!(row(0, "document"), "AWS-StartNonInteractiveCommand");
    assert_eq!(listed(&env, &["--local", "--target", "web"]).len(), 1);
    let directory = env.home().join(".local/state/ssmx/sessions");
    let file = directory.join("log.jsonl");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains("a-word-of-the-session"), "{text}");
    // TAB knows them too.
    let offered = env.run(&["__complete", "fish", "sessions", "end", ":ada@"]).ok();
    assert!(
        offered.contains("exec  i-0a1b2c3d4e5f60002  its process is over"),
        "{offered}"
    );
    assert_eq!(env.sandbox.calls().all().len(), calls);
    shell.leave();
}

#[test]
fn a_log_that_cannot_be_written_keeps_nobody_out() {
    let env = people();
    let state = env.home().join(".local/state/ssmx");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("sessions"), "a file where a directory should be").unwrap();
    let told = env.run(&["exec", "web", "--", "echo", "hello"]);
    assert_eq!((told.status, told.stdout.as_str()), (0, "hello\n"), "{told}");
    assert!(told.stderr.contains("the session is not written down"), "{told}");
}

#[test]
fn the_aws_cli_lists_the_same_and_ends_what_ssmx_started() {
    for aws in clis() {
        let env = people();
        let shells = [
            Open::shell(&env, &["web"]),
            Open::shell(&env, &["db", "-p", "bob"]),
        ];
        let by_cli = |words: &[&str]| {
            let output = env
                .other(&aws)
                .args(["ssm"])
                .args(words)
                .args(["--output", "json", "--endpoint-url", &env.sandbox.endpoint()])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        for (flag, state) in [("--all", "Active"), ("--history", "History")] {
            let document = by_cli(&["describe-sessions", "--state", state]);
            let rows = document["Sessions"].as_array().unwrap().iter();
            let theirs = rows.map(|row| {
                ["SessionId", "Target", "Status", "Owner", "DocumentName"].map(|key| row[key].clone())
            });
            let mut theirs: Vec<_> = theirs.collect();
            let ours = listed(&env, &[flag]);
            let ours = ours
                .iter()
                .map(|row| ["id", "target", "status", "owner", "document"].map(|key| row[key].clone()));
            let mut ours: Vec<_> = ours.collect();
            let order = |row: &[Value; 5]| row[0].to_string();
            theirs.sort_by_key(order);
            ours.sort_by_key(order);
            assert_eq!(ours, theirs, "{}", aws.display());
            if flag == "--all" {
                for row in &theirs {
                    by_cli(&["terminate-session", "--session-id", row[0].as_str().unwrap()]);
                }
            }
        }
        for shell in shells {
            shell.kill();
        }
    }
}
