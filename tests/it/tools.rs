//! Programs of others that tests compare with. Who lacks one is told and goes on without; the gate wants them all.
#![expect(
    clippy::print_stderr,
    reason = "who runs the tests is told what they leave out"
)]

use std::fs;
use std::path::PathBuf;

use rustix::process::Pid;

/// Every AWS CLI of this machine: version 2 as the system's package, version 1 from PyPI.
pub fn clis() -> Vec<PathBuf> {
    let mut candidates = vec![PathBuf::from("/usr/bin/aws")];
    candidates.extend(python().map(|directory| directory.join("aws")));
    let found: Vec<PathBuf> = candidates.into_iter().filter(|path| path.exists()).collect();
    let wanted = if std::env::var_os("SSMX_TESTS_NEED_TOOLS").is_some() {
        2
    } else {
        0
    };
    assert!(found.len() >= wanted, "only {found:?}");
    if found.is_empty() {
        eprintln!("left out: the AWS CLI is not installed");
    }
    found
}

/// Where the programs of the gate's Python environment lie.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("SSMX_TESTS_PYTHON").map(PathBuf::from)
}

/// A program on the path.
pub fn tool(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&paths)
        .map(|path| path.join(name))
        .find(|path| path.is_file());
    assert!(
        found.is_some() || std::env::var_os("SSMX_TESTS_NEED_TOOLS").is_none(),
        "`{name}` is not installed"
    );
    if found.is_none() {
        eprintln!("left out: `{name}` is not installed");
    }
    found
}

/// What a program has started, such as a plugin.
pub fn children_of(program: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(&program.as_raw_nonzero().to_string()) {
            let pid: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            found.push(Pid::from_raw(pid).unwrap());
        }
    }
    found
}

/// `T` for one that is stopped.
pub fn state_of(process: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}
