//! TAB in real shells, driven in a pty, with names that would love to be executed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program};
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty, open};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssmx::ids::{NodeId, Scope};
use ssmx::inventory::node::Node;
use ssmx::inventory::snapshot::{Breadth, RememberedSession, Snapshots};
use ssmx_sandbox::Scenario;
use tempfile::TempDir;

use crate::env::TestEnv;

/// Nothing here takes so long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names that people have given, or might, each of which would leave the file `caught` if anything ran it.
const HOSTILE: &[&str] = &[
    "evil $(touch caught)",
    "evil`touch caught`",
    "evil; touch caught",
    "evil\ntouch caught\n",
    "evil' ; touch caught '",
    "evil\" ; touch caught \"",
    "evil | touch caught",
    "evil\u{1b}[2J\u{202e}",
    "evil:colon name",
    "--evil=touch",
    "~evil",
    "evil*",
    "evil\tdescription",
];

/// A home with a config, profiles and a snapshot, and the built ssmx on PATH.
struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Self { directory };
        home.write(
            "config/ssmx/config.toml",
            "schema = 1\n[targets.cfg-web]\nname = \"x\"\n[aliases]\ncw = \"cfg-web\"\n\
             [presets.prod-db]\ntarget = \"cfg-web\"\nhost = \"db.internal\"\nport = 5432\n",
        );
        home.write(
            ".aws/config",
            "[default]\nregion = eu-west-2\n[profile prod]\nregion = eu-west-1\n[profile $(touch caught)]\n",
        );
        home.snapshot(
            "eu-west-2",
            None,
            &["prod-web", "prod-api-1", "prod-api-2", "under:colon"],
            HOSTILE,
        );
        home.snapshot("eu-west-1", Some("prod"), &["other-web"], &[]);
        home
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path().join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn snapshot(&self, region: &str, profile: Option<&str>, names: &[&str], hostile: &[&str]) {
        let scope = Scope {
            partition: "aws".parse().unwrap(),
            account: "123456789012".parse().unwrap(),
            region: region.parse().unwrap(),
        };
        let snapshots = Snapshots::new(&self.path().join("cache/ssmx"));
        let nodes: Vec<Node> = names
            .iter()
            .chain(hostile)
            .enumerate()
            .map(|(index, name)| node(index, name))
            .collect();
        let mut writer = snapshots.begin(&scope, Breadth::Full).unwrap();
        writer.push(&nodes).unwrap();
        writer.finish().unwrap();
        snapshots.reach().remember(profile, &scope).unwrap();
        let session = RememberedSession {
            id: "alice-0123456789abcdef0".parse().unwrap(),
            target: "prod-web $(touch caught)".to_owned(),
            started: None,
            seen: jiff::Timestamp::now(),
        };
        snapshots.remember_sessions(&scope, &[session]).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let programs = Path::new(env!("CARGO_BIN_EXE_ssmx")).parent().unwrap();
        let below = |name: &str| self.path().join(name).display().to_string();
        vec![
            ("HOME", self.path().display().to_string()),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_CACHE_HOME", below("cache")),
            ("XDG_STATE_HOME", below("state")),
            ("XDG_DATA_HOME", below("data")),
            (
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()),
            ),
            ("TERM", "xterm".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
    }

    fn assert_nothing_ran(&self) {
        assert!(!self.path().join("caught").exists(), "something was executed");
    }
}

fn node(index: usize, name: &str) -> Node {
    let text = serde_json::json!({
        "id": id(index), "name": name, "state": "running", "agent": "online", "addresses": [],
        "tags": { "Role": (if index.is_multiple_of(2) { "web" } else { "api" }), "owner $(touch caught)": "x", "stack:id": "a" },
    });
    serde_json::from_value(text).unwrap()
}

fn id(index: usize) -> NodeId {
    format!("i-{index:017x}").parse().unwrap()
}

/// A shell at a prompt, with the script read.
struct Shell {
    pty: Pty,
    child: Child,
    said: String,
}

/// Each word of the line on its own, as the shell came to understand it.
const WORDS: &str = "words";

impl Shell {
    /// `None` where the shell is not installed and may be missing.
    fn start(home: &Home, name: &str) -> Option<Self> {
        if !is_installed(name) {
            return None;
        }
        let script = Program::new(env!("CARGO_BIN_EXE_ssmx"))
            .args(["completions", name])
            .output()
            .unwrap();
        let file = home.write("script", &String::from_utf8(script.stdout).unwrap());
        let file = file.display();
        // `words` is the prompt's proof: what the line came to be, word by word.
        let (arguments, setup): (&[&str], String) = match name {
            "bash" => (
                &["--norc", "--noprofile", "-i"],
                format!(
                    "PS1='> '; bind 'set bell-style none'; words() {{ printf '<%s>' \"$@\"; echo; }}; source {file}\n"
                ),
            ),
            "zsh" => (
                &["-f", "-i"],
                format!(
                    "PS1='> '; unsetopt zle_bracketed_paste beep; bindkey -e; autoload -Uz compinit; compinit -u; \
                     words() {{ printf '<%s>' \"$@\"; echo; }}; source {file}\n"
                ),
            ),
            _ => (
                &["--no-config", "-i"],
                format!(
                    "function fish_prompt; echo '> '; end; function words; printf '<%s>' $argv; echo; end; source {file}\n"
                ),
            ),
        };
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(50, 160)).unwrap();
        let child = Command::new(name)
            .args(arguments)
            .env_clear()
            .envs(home.environment())
            .current_dir(home.path())
            .spawn(pts)
            .unwrap();
        let mut shell = Self {
            pty,
            child,
            said: String::new(),
        };
        shell.type_keys(&setup);
        shell.type_keys("words rea''dy\n");
        shell.hear("<ready>");
        Some(shell)
    }

    fn type_keys(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the shell has said this, and gives all that came before it. Questions to the terminal are
    /// answered, as fish wants it.
    fn hear(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, rest)) = self.said.split_once(wanted) {
                let before = before.to_owned();
                self.said = rest.to_owned();
                return before;
            }
            let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
            let mut polled = [PollFd::new(&self.pty, PollFlags::IN)];
            assert_ne!(
                poll(&mut polled, Some(&left)).unwrap(),
                0,
                "{wanted} was not said, only: {:?}",
                self.said
            );
            let mut buffer = [0; 4096];
            let length = self.pty.read(&mut buffer).unwrap();
            let heard = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if heard.contains("\u{1b}[c") || heard.contains("\u{1b}[0c") {
                self.type_keys("\u{1b}[?62;22c");
            }
            self.said.push_str(&heard);
        }
    }

    /// Types a line and TAB twice, and gives what was shown; the line is thrown away.
    fn list(&mut self, typed: &str) -> String {
        self.said.clear();
        self.type_keys(typed);
        // To the line's start, and off with all of it.
        self.type_keys("\t\t\u{1}\u{b}");
        self.type_keys("words li''sted\n");
        self.hear("<listed>")
    }

    /// Types a line up to TAB, then runs it as the arguments of `words`: what it came to be, and what was shown.
    fn complete(&mut self, typed: &str, keys: &str) -> (String, String) {
        self.said.clear();
        self.type_keys(typed);
        self.type_keys(keys);
        self.type_keys(&format!("\u{1}{WORDS} \u{5} e''nd\n"));
        let shown = self.hear("<ssmx>");
        let line = self.hear("<end>");
        (line, shown)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(
    clippy::print_stderr,
    reason = "who runs the tests is told what they leave out"
)]
fn is_installed(program: &str) -> bool {
    let found = Program::new(program).arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("SSMX_TESTS_NEED_TOOLS").is_none(),
        "{program} is not installed"
    );
    if !found {
        eprintln!("left out: {program} is not installed");
    }
    found
}

fn story(name: &str) {
    let home = Home::new();
    let Some(mut shell) = Shell::start(&home, name) else {
        return;
    };
    let mut line = |typed: &str| shell.complete(typed, "\t").0;
    // A command, a node, a named target, an alias; the word is finished.
    assert_eq!(line("ssmx desc"), "<describe>");
    assert_eq!(line("ssmx describe prod-w"), "<describe><prod-web>");
    assert_eq!(line("ssmx describe cfg"), "<describe><cfg-web>");
    // As far as all candidates agree.
    assert_eq!(line("ssmx describe prod-a"), "<describe><prod-api->");
    // Values of options, also behind `=`, and what they mean for names.
    assert_eq!(line("ssmx --profile pr"), "<--profile><prod>");
    assert_eq!(line("ssmx --output=ya"), "<--output=yaml>");
    assert_eq!(
        line("ssmx --profile prod describe oth"),
        "<--profile><prod><describe><other-web>"
    );
    assert_eq!(line("ssmx describe prod/oth"), "<describe><prod/other-web>");
    assert_eq!(
        line("ssmx -r eu-west-1 describe prod-w"),
        "<-r><eu-west-1><describe><prod-w>"
    );
    // Colons, where bash splits words.
    assert_eq!(line("ssmx describe under:c"), "<describe><under:colon>");
    assert_eq!(line("ssmx describe tag:Na"), "<describe><tag:Name=>");
    // Tags that the snapshot has seen, and their values.
    assert_eq!(line("ssmx describe tag:Ro"), "<describe><tag:Role=>");
    assert_eq!(line("ssmx describe tag:Role=w"), "<describe><tag:Role=web>");
    assert_eq!(line("ssmx describe tag:stack:i"), "<describe><tag:stack:id=>");
    assert_eq!(line("ssmx ls --tag Role=a"), "<ls><--tag><Role=api>");
    // Ids, once one is begun.
    let last = id(3);
    assert_eq!(
        line("ssmx describe i-00000000000000003"),
        format!("<describe><{last}>")
    );
    // Within quotes.
    assert_eq!(line("ssmx describe 'prod-w"), "<describe><prod-web>");
    assert_eq!(line("ssmx describe \"prod-w"), "<describe><prod-web>");
    // A list with commas goes on behind the last one.
    assert_eq!(
        line("ssmx ls --profiles default,pr"),
        "<ls><--profiles><default,prod>"
    );
    assert_eq!(
        line("ssmx ls --profiles=default,pr"),
        "<ls><--profiles=default,prod>"
    );
    // Files where files belong.
    home.write("pem file", "");
    assert_eq!(line("ssmx --ca-bundle pem"), "<--ca-bundle><pem file>");
    home.assert_nothing_ran();
}

/// Names that cannot be written as they are, and lines that would do something if anybody looked twice.
fn hostile_story(name: &str) {
    let home = Home::new();
    let Some(mut shell) = Shell::start(&home, name) else {
        return;
    };
    if name == "zsh" {
        // By itself zsh takes TAB as "run `$(…)` of this word, then complete": the first half is not ours.
        shell.type_keys("bindkey '^I' complete-word\n");
    }
    for typed in [
        "ssmx describe ",
        "ssmx describe ev",
        "ssmx describe evil:",
        "ssmx --profile ",
        "ssmx --profile \\$",
        "ssmx describe tag:ow",
        "ssmx sessions end ",
        "ssmx describe $(touch caught)",
        "ssmx describe \"$(touch caught)",
        "ssmx describe `touch caught` prod-w",
        "ssmx --profile $(touch caught) describe prod-w",
    ] {
        let shown = shell.list(typed);
        if typed == "ssmx sessions end " {
            // Ones that were listed last.
            assert!(shown.contains("alice-0123456789abcdef0"), "{shown:?}");
        }
        if typed == "ssmx describe " {
            // Safe names by themselves, the others by their ids.
            for offered in ["prod-web", "under:colon", id(4).as_str(), id(16).as_str()] {
                assert!(shown.contains(offered), "{offered} is not in {shown:?}");
            }
        }
    }
    home.assert_nothing_ran();
}

/// More names than are given: the line goes on as far as all of them agree, those that are left out too.
fn many_story(name: &str) {
    let home = Home::new();
    let mut names: Vec<String> = (0..600).map(|index| format!("many-{index:04}")).collect();
    names.extend(["many-last".to_owned(), "many-x $(touch caught)".to_owned()]);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    home.snapshot("eu-west-2", None, &names, &[]);
    let Some(mut shell) = Shell::start(&home, name) else {
        return;
    };
    match name {
        "bash" => {
            shell.type_keys("bind 'set completion-query-items 0'; bind 'set page-completions off'\n");
        }
        "zsh" => shell.type_keys("LISTMAX=9999\n"),
        _ => {}
    }
    assert_eq!(shell.complete("ssmx describe m", "\t").0, "<describe><many->");
    assert_eq!(
        shell.complete("ssmx describe many-03", "\t").0,
        "<describe><many-03>"
    );
    let id = "i-00000000000000";
    assert_eq!(
        shell.complete("ssmx describe i-0000", "\t").0,
        format!("<describe><{id}>")
    );
    if name != "fish" {
        // fish says itself how many rows are below.
        let shown = shell.list("ssmx describe many-");
        assert!(
            shown.contains("many-last") && shown.contains("type on"),
            "{shown:?}"
        );
    }
    home.assert_nothing_ran();
}

#[test]
fn bash_has_too_many() {
    many_story("bash");
}

#[test]
fn zsh_has_too_many() {
    many_story("zsh");
}

#[test]
fn fish_has_too_many() {
    many_story("fish");
}

#[test]
fn bash_completes() {
    story("bash");
}

#[test]
fn bash_runs_nothing() {
    hostile_story("bash");
}

#[test]
fn zsh_runs_nothing() {
    hostile_story("zsh");
}

#[test]
fn fish_runs_nothing() {
    hostile_story("fish");
}

#[test]
fn zsh_completes() {
    story("zsh");
}

#[test]
fn fish_completes() {
    story("fish");
}

/// What a script is answered.
fn answered(env: &TestEnv, line: &str) -> std::process::Output {
    let word = line.rsplit(' ').next().unwrap();
    env.command(&["__complete", "bash", line, word, "9"])
        .output()
        .unwrap()
}

#[test]
fn completions_hold_while_two_renew_the_snapshot() {
    let env = TestEnv::with(Scenario::demo().with_generated(1000));
    assert_eq!(env.run(&["ls", "-o", "name"]).status, 0);
    let line = "ssmx describe node-0003";
    let whole = answered(&env, line).stdout;
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 101);
    std::thread::scope(|scope| {
        let listing = (0..2).map(|_| {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(env.run(&["ls", "-o", "name"]).status, 0);
                }
            })
        });
        let listing: Vec<_> = listing.collect();
        let asking = (0..5).map(|_| {
            scope.spawn(|| {
                for _ in 0..10 {
                    let output = answered(&env, line);
                    assert!(output.status.success() && output.stderr.is_empty());
                    assert_eq!(output.stdout, whole, "torn");
                }
            })
        });
        let asking: Vec<_> = asking.collect();
        for thread in listing.into_iter().chain(asking) {
            thread.join().unwrap();
        }
    });
    // Nothing is left: no file that was begun, no process.
    let scope = env.cache().join("snapshots/aws/111122223333/eu-west-2");
    let mut files: Vec<String> = fs::read_dir(scope)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["listing", "lock"]);
    let home = format!("HOME={}", env.home().display());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let zombie = fs::read_to_string(process.path().join("stat")).is_ok_and(|stat| stat.contains(") Z "));
        !zombie
            && environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == home.as_bytes())
    });
    assert_eq!(ours.count(), 0, "a process is left");
}

#[test]
fn a_damaged_snapshot_gives_what_can_be_given() {
    let env = TestEnv::with(Scenario::demo().with_generated(100));
    env.config("[targets.node-of-mine]\nname = \"x\"\n");
    assert_eq!(env.run(&["ls", "-o", "name"]).status, 0);
    let listing = env.cache().join("snapshots/aws/111122223333/eu-west-2/listing");
    let good = fs::read(&listing).unwrap();
    let offered = |line: &str| String::from_utf8(answered(&env, line).stdout).unwrap();
    assert!(offered("ssmx describe node-").contains("node-000000"));
    let mut shorter = good.clone();
    shorter.truncate(good.len() / 2);
    let mut scribbled = good.clone();
    let middle = good.len() - 4000;
    scribbled[middle..middle + 500].fill(0xff);
    let mut other_version = good.clone();
    other_version[..19].copy_from_slice(b"{\"ssmx_snapshot\":9,");
    for bad in [shorter, scribbled, other_version, Vec::new(), vec![b'\n'; 10_000]] {
        fs::write(&listing, bad).unwrap();
        let output = answered(&env, "ssmx describe node-");
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(String::from_utf8_lossy(&output.stdout).contains("node-of-mine"));
    }
    // The next listing mends it.
    assert_eq!(env.run(&["ls", "-o", "name"]).status, 0);
    assert!(offered("ssmx describe node-").contains("node-000000"));
}

/// elvish's editor is asked what it would offer: its function is called from the file that it reads at the start.
#[test]
fn elvish_completes() {
    if !is_installed("elvish") {
        return;
    }
    let home = Home::new();
    let script = Program::new(env!("CARGO_BIN_EXE_ssmx"))
        .args(["completions", "elvish"])
        .output()
        .unwrap();
    let script = home.write("script.elv", &String::from_utf8(script.stdout).unwrap());
    let answers = home.path().join("answers");
    let mut start = format!("eval (slurp < {})\n", script.display());
    for words in [
        "describe prod-w",
        "--profile pr",
        "--profile prod describe oth",
        "sessions end ali",
        "describe evil",
        "describe tag:Role=",
        "--ca-bundle /etc/hostn",
    ] {
        start.push_str(&format!(
            "pprint [($edit:completion:arg-completer[ssmx] ssmx {words})] >> {}\n",
            answers.display()
        ));
    }
    start.push_str("exit\n");
    let start = home.write("rc.elv", &start);
    let (mut pty, pts) = open().unwrap();
    let mut child = Command::new("elvish")
        .args([Path::new("-rc"), &start])
        .env_clear()
        .envs(home.environment())
        .current_dir(home.path())
        .spawn(pts)
        .unwrap();
    // Until it ends: then the pty has nothing more to say.
    let mut said = Vec::new();
    drop(pty.read_to_end(&mut said));
    child.wait().unwrap();
    let told = fs::read_to_string(&answers).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said)));
    for offered in [
        "prod-web",
        "prod ",
        "other-web",
        "alice-0123456789abcdef0",
        "tag:Role=api",
        "hostname",
    ] {
        assert!(told.contains(offered), "{offered} is not in {told}");
    }
    assert!(!told.contains("evil"), "{told}");
    home.assert_nothing_ran();
}
