//! A story's scenery: a home of its own, a sandbox, and the built program run in both.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ssmx_sandbox::scenario::Document;
use ssmx_sandbox::{Options, Sandbox, Scenario};
use tempfile::TempDir;

use crate::terminal::Terminal;

/// A document of the account's own, whose output comes as two streams.
const SEPARATE: &str = r#"{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands",
    "parameters":{"command":{"type":"String"},"separateOutputStream":{"type":"String","default":"False","allowedValues":["True","False"]}},
    "properties":{"linux":{"commands":"{{ command }}","separateOutputStream":"{{ separateOutputStream }}"}}}"#;

/// A home and a sandbox. Both are gone when it is dropped.
pub struct TestEnv {
    home: TempDir,
    /// The AWS that the program meets.
    pub sandbox: Sandbox,
    variables: Vec<(String, String)>,
}

impl TestEnv {
    /// The demo sandbox, an empty home.
    pub fn new() -> Self {
        Self::with(Scenario::demo())
    }

    /// Another sandbox.
    pub fn with(scenario: Scenario) -> Self {
        let sandbox = Sandbox::start_blocking(scenario, &Options::default()).unwrap();
        let mut variables = sandbox.env();
        // A throttled or broken endpoint is met in milliseconds, not in the seconds that real ones deserve.
        variables.push(("AWS_MAX_ATTEMPTS".to_owned(), "2".to_owned()));
        Self {
            home: tempfile::tempdir().unwrap(),
            sandbox,
            variables,
        }
    }

    /// The demo sandbox, where the output of commands comes as two streams.
    pub fn with_separate_output() -> Self {
        let mut scenario = Scenario::demo();
        scenario.documents.push(Document {
            account: Some("111122223333".to_owned()),
            region: "eu-west-2".to_owned(),
            name: "Own-Separate".to_owned(),
            content: SEPARATE.to_owned(),
        });
        let env = Self::with(scenario);
        env.config("[defaults]\nexec_document = \"Own-Separate\"\n");
        env
    }

    /// Sets a variable for all runs.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// A directory for programs of this story alone, which are found before all others.
    pub fn programs(&mut self) -> PathBuf {
        let directory = self.home().join("bin");
        fs::create_dir_all(&directory).unwrap();
        self.set(
            "PATH",
            &format!("{}:/usr/local/bin:/usr/bin:/bin", directory.display()),
        );
        directory
    }

    /// Puts a script there.
    pub fn program(&mut self, name: &str, script: &str) -> PathBuf {
        let file = self.programs().join(name);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where snapshots lie.
    pub fn cache(&self) -> PathBuf {
        self.home().join(".cache/ssmx")
    }

    /// A file of a detached forward; of this machine, which alone has a directory.
    pub fn detached_file(&self, name: &str) -> PathBuf {
        let all = self.home().join(".local/state/ssmx/forwards");
        let machines: Vec<_> = fs::read_dir(all).unwrap().map(Result::unwrap).collect();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines[0].path().join(name)
    }

    /// Writes the user's config.
    pub fn config(&self, text: &str) {
        let file = self.home().join(".config/ssmx/config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("schema = 1\n{text}")).unwrap();
    }

    /// The program with these words, its environment no more than what is set here.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.other(env!("CARGO_BIN_EXE_ssmx"));
        command.args(words);
        command
    }

    /// The program in a terminal, without colours.
    pub fn terminal(&self, words: &[&str]) -> Terminal {
        let mut command = self.command(words);
        command.env("TERM", "xterm").env("NO_COLOR", "1");
        Terminal::start(&command.into())
    }

    /// Another program in the same home and environment.
    pub fn other(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program without a terminal.
    pub fn run(&self, words: &[&str]) -> Told {
        Told::of(&self.command(words).output().unwrap(), self)
    }

    /// Runs it where the system's config has this `[policy]`, on a file system of its own; `None` where this
    /// machine lets nobody have one.
    pub fn run_under(&self, policy: &str, words: &[&str]) -> Option<Told> {
        let file = self.home().join("policy.toml");
        fs::write(&file, format!("schema = 1\n[policy]\n{policy}\n")).unwrap();
        let etc = "mount -t tmpfs tmpfs /etc && mkdir /etc/ssmx";
        let inside = |line: &str| {
            let mut command = self.other("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-c", line]);
            command
        };
        if !inside(etc).output().is_ok_and(|output| output.status.success()) {
            return None;
        }
        let line = format!("{etc} && cp \"$0\" /etc/ssmx/config.toml && exec \"$@\"");
        let mut command = inside(&line);
        command.arg(file).arg(env!("CARGO_BIN_EXE_ssmx")).args(words);
        Some(Told::of(&command.output().unwrap(), self))
    }
}

/// What a run told: status and both streams, with what differs from run to run replaced.
#[must_use]
pub struct Told {
    /// The exit status.
    pub status: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Told {
    fn of(output: &Output, env: &TestEnv) -> Self {
        let plain = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.replace(&env.home().display().to_string(), "$HOME")
                .replace(&env.sandbox.endpoint(), "$AWS")
                .replace(env.sandbox.endpoint().trim_start_matches("http://"), "$AWS")
        };
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: plain(&output.stdout),
            stderr: without_request_ids(&plain(&output.stderr)),
        }
    }

    /// stdout of a run that has to succeed.
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{self}");
        self.stdout
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[status {}]", self.status)?;
        f.write_str(&self.stdout)?;
        if !self.stderr.is_empty() {
            write!(f, "--- stderr\n{}", self.stderr)?;
        }
        Ok(())
    }
}

fn without_request_ids(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("(request id ") {
        plain.push_str(before);
        plain.push_str("(request id …");
        rest = after.find(')').map_or("", |end| &after[end..]);
    }
    plain.push_str(rest);
    plain
}
