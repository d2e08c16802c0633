//! A script in the plugin's place, for tests.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;

use super::PROGRAM;

/// A directory with a stand-in for the plugin: a script that leaves a record of how it was started.
pub(super) fn stand_in(body: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PROGRAM);
    let script = format!("#!/bin/sh\nhere={}\n{body}\n", directory.path().display());
    // Written by another process: had we the file open, a fork of another test's could keep it "busy".
    let mut writer = std::process::Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    (directory, path)
}
