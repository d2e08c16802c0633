//! `aws ssmx …` with the real AWS CLI, both major versions where they are installed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::tools::clis;

fn run(program: &Path, home: &TempDir, words: &[&str]) -> Output {
    let ours = Path::new(env!("CARGO_BIN_EXE_ssmx")).parent().unwrap();
    Command::new(program)
        .args(words)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", format!("{}:/usr/bin:/bin", ours.display()))
        .env("LANG", "C.UTF-8")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_alias_runs_ssmx_with_all_its_options() {
    for aws in clis() {
        let home = tempfile::tempdir().unwrap();
        let alias = home.path().join(".aws/cli/alias");
        fs::create_dir_all(alias.parent().unwrap()).unwrap();
        fs::write(&alias, "[toplevel]\nhello = !echo hello\n").unwrap();
        let made = run(Path::new(env!("CARGO_BIN_EXE_ssmx")), &home, &["plugin", "alias"]);
        assert!(made.status.success(), "{}", said(&made));
        // What was there still works.
        assert_eq!(said(&run(&aws, &home, &["hello"])), "hello\n");
        assert!(said(&run(&aws, &home, &["ssmx", "version"])).starts_with("ssmx "));
        // Lost and found: the flag's own origin tells.
        for words in [
            &[
                "--region",
                "eu-west-9",
                "ssmx",
                "config",
                "view",
                "defaults.region",
                "--query",
                "@",
            ][..],
            &["ssmx", "config", "view", "defaults.region", "--reg", "eu-west-9"][..],
            &["ssmx", "config", "view", "-r", "eu-west-9", "defaults.region"][..],
            &[
                "ssmx",
                "--",
                "config",
                "view",
                "--region",
                "eu-west-9",
                "defaults.region",
            ][..],
        ] {
            let output = run(&aws, &home, words);
            assert!(
                output.status.success() && said(&output).contains("eu-west-9"),
                "{words:?}: {}",
                said(&output)
            );
        }
        // The exit status comes through.
        assert_eq!(
            run(&aws, &home, &["ssmx", "no-such-command"]).status.code(),
            Some(252)
        );
    }
}

#[test]
fn without_the_aws_cli_above_nothing_is_guessed() {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("/bin/sh")
        .args([
            "-c",
            &format!("SSMX_VIA=aws {} version; exit $?", env!("CARGO_BIN_EXE_ssmx")),
        ])
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(252));
    assert!(said(&output).contains("hint:"), "{}", said(&output));
}
