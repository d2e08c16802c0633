//! What is kept on disk is the user's alone, whichever part of the program comes to it first.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::env::TestEnv;
use crate::terminal::Terminal;

#[tokio::test]
async fn all_that_is_kept_is_the_users_alone() {
    let env = TestEnv::new();
    // The usual umask, whoever runs the tests: it lets everybody read what says nothing of itself.
    let ssmx = |words: &[&str]| {
        let mut command = env.other("sh");
        command.args(["-c", "umask 022; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ssmx")]);
        command.args(words).env("TERM", "xterm");
        command
    };
    let mut terminal = Terminal::start(&ssmx(&["connect", "--dry-run"]).into());
    terminal.expect("❯").await;
    terminal.send("prod-web\r").await;
    let (screen, status) = terminal.finish().await;
    assert!(status.success(), "{screen}");
    let told = ssmx(&["exec", "prod-web", "--", "true"]).output().unwrap();
    assert!(told.status.success(), "{told:?}");

    let (cache, state) = (env.cache(), env.home().join(".local/state/ssmx"));
    let mut open: Vec<PathBuf> = vec![cache.clone(), state.clone()];
    let mut seen = Vec::new();
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let is_directory = path.is_dir();
        let wanted = if is_directory { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{} {mode:o}", path.display());
        if is_directory {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.push(path);
    }
    for kept in [
        cache.join("accounts"),
        cache.join("documents"),
        cache.join("snapshots"),
        state.join("choices"),
        state.join("sessions/log.jsonl"),
    ] {
        assert!(seen.contains(&kept), "{}: {seen:#?}", kept.display());
    }
}
