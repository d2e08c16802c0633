//! For newcomers: ssmx, built if need be, run in a sandbox with a config that is ready.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Options, Sandbox, Scenario};

/// The config that ssmx is given.
const CONFIG: &str = r#"# Made for the sandbox; it is gone when the command ends.
schema = 1

[defaults]
profile = "prod"
region = "eu-west-2"

[profiles.prod]
account = "111122223333"

[targets.prod-web]
profile = "prod"
name = "prod-web"

[targets.prod-bastion]
profile = "prod"
name = "prod-bastion"

[aliases]
pw = "prod-web"

[presets.prod-db]
target = "prod-bastion"
host = "db.internal"
port = 5432
local = 15432
"#;

/// What ssmx keeps of the caller's environment; all else could lead it out of the sandbox.
const KEPT: &[&str] = &[
    "COLORTERM",
    "COLUMNS",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LINES",
    "NO_COLOR",
    "PATH",
    "RUST_BACKTRACE",
    "SSMX_LOG",
    "SSMX_TRANSPORT",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// A build that takes longer is spoken of; one with nothing to do is not.
const SILENCE: Duration = Duration::from_secs(2);

/// Runs `ssmx WORDS…` in a sandbox, with this process's terminal, and gives its exit status.
///
/// # Errors
/// When ssmx cannot be built or started, or the sandbox not.
pub async fn run(scenario: Scenario, words: &[OsString]) -> anyhow::Result<u8> {
    run_program(&find_or_build().await?, scenario, words).await
}

/// The same with this program as ssmx.
///
/// # Errors
/// When it or the sandbox cannot be started.
pub async fn run_program(ssmx: &Path, scenario: Scenario, words: &[OsString]) -> anyhow::Result<u8> {
    let sandbox =
        tokio::task::spawn_blocking(move || Sandbox::start_blocking(scenario, &Options::default())).await??;
    let home = home(&sandbox)?;
    let command = || {
        let mut command = Command::new(ssmx);
        command.env_clear().kill_on_drop(true);
        for name in KEPT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(sandbox.env()).envs(home.iter().cloned());
        command
    };
    let child = command()
        .args(words)
        .spawn()
        .with_context(|| format!("cannot start `{}`", ssmx.display()))?;
    let status = wait(child).await?;
    end_detached(command).await?;
    // The sandbox's end waits for its threads.
    tokio::task::spawn_blocking(move || drop(sandbox)).await?;
    Ok(code(status))
}

/// Ends what goes on without a terminal: its AWS and its home end with us, and nobody could end it afterwards.
async fn end_detached(ssmx: impl Fn() -> Command) -> anyhow::Result<()> {
    let listed = ssmx()
        .args(["forward", "ps", "-o", "name"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await?;
    if listed.stdout.is_empty() {
        return Ok(());
    }
    // Where nobody reads it, they end all the same.
    let _ = writeln!(
        std::io::stderr(),
        "ssmx-sandbox: the sandbox ends with its command, and so do the detached forwards in it; \
         `ssmx-sandbox serve` keeps one for a shell of your own"
    );
    ssmx().args(["forward", "stop", "--all"]).status().await?;
    Ok(())
}

/// A home directory with a config, and the variables that lead to it.
///
/// # Errors
/// When it cannot be written.
pub fn home(sandbox: &Sandbox) -> anyhow::Result<Vec<(String, String)>> {
    let home = sandbox.dir().join("home");
    let config = home.join(".config/ssmx/config.toml");
    fs::create_dir_all(home.join(".config/ssmx"))?;
    fs::write(&config, CONFIG)?;
    let text = |path: &Path| path.display().to_string();
    Ok(vec![
        ("HOME".to_owned(), text(&home)),
        ("SSMX_CONFIG".to_owned(), text(&config)),
    ])
}

/// The program beside this one; where cargo runs us, built first, so that it is never an old one.
async fn find_or_build() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let dir = here.parent().context("this program has no directory")?;
    let ssmx = dir.join(format!("ssmx{}", std::env::consts::EXE_SUFFIX));
    if let Some(cargo) = std::env::var_os("CARGO") {
        // Both packages, as cargo unites the features of what it builds at once: for ssmx alone they would
        // be others, and the AWS SDK would be compiled a second time.
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--quiet",
            "-p",
            "ssmx",
            "-p",
            "ssmx-sandbox",
            "--bins",
            "--manifest-path",
        ]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
        if dir.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        if let Some(target) = dir.parent() {
            build.arg("--target-dir").arg(target);
        }
        let mut building = build.spawn().context("cannot run cargo")?;
        let status = tokio::select! {
            status = building.wait() => status,
            () = tokio::time::sleep(SILENCE) => {
                // Where nobody reads it, nobody is kept waiting either.
                let _ = writeln!(
                    std::io::stderr(),
                    "ssmx-sandbox: building ssmx, which takes a minute the first time"
                );
                building.wait().await
            }
        }
        .context("cannot run cargo")?;
        ensure!(status.success(), "ssmx could not be built");
    }
    ensure!(
        ssmx.exists(),
        "there is no `{}`: build it with `cargo build -p ssmx`",
        ssmx.display()
    );
    Ok(ssmx)
}

/// Waits for ssmx. What the terminal sends to the whole group (Ctrl-C) is ssmx's to answer; a signal that is
/// meant for us alone is handed on.
async fn wait(mut child: Child) -> anyhow::Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let pass_on = |signal| {
        if let Some(pid) = pid {
            // It may have ended this very moment.
            let _ = rustix::process::kill_process(pid, signal);
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => pass_on(rustix::process::Signal::TERM),
            _ = hangup.recv() => pass_on(rustix::process::Signal::HUP),
        }
    }
}

/// As a shell tells it: 128 and the signal's number for one that was killed.
fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}
