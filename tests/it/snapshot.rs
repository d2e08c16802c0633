//! What is remembered of scopes: seen, renewed, forgotten; and renewed by a TAB.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::env::TestEnv;

/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < PATIENCE, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn tab(env: &TestEnv) {
    let words = ["__complete", "bash", "ssmx describe prod-w", "prod-w", "9"];
    let output = env.command(&words).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn scopes_are_listed_renewed_and_forgotten() {
    let env = TestEnv::new();
    assert_snapshot!(env.run(&["snapshot", "ls"]), @r"
    [status 0]
    --- stderr
    nothing is remembered yet; `ssmx ls` begins
    ");
    assert_snapshot!(env.run(&["snapshot", "refresh"]), @r"
    [status 0]
    --- stderr
    12 nodes of 111122223333 eu-west-2 are remembered
    ");
    assert_eq!(env.run(&["ls", "--profile", "dev"]).status, 0);
    let query = "snapshots[].[account, region, nodes]";
    let told = env.run(&["snapshot", "ls", "-o", "text", "--query", query]).ok();
    assert_snapshot!(told, @"
    111122223333\teu-west-2\t12
    444455556666\teu-west-2\t2
    ");
    assert_eq!(env.run(&["snapshot", "rm"]).status, 0);
    assert_eq!(
        env.run(&["snapshot", "ls", "-o", "name"]).ok(),
        "snapshot/444455556666/eu-west-2\n"
    );
    assert_eq!(env.run(&["snapshot", "rm", "--all"]).status, 0);
    assert_eq!(env.run(&["snapshot", "ls", "-o", "name"]).ok(), "");
}

#[test]
fn a_tab_renews_an_old_snapshot_where_the_config_says_so() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["ls"]).status, 0);
    let scope = env.cache().join("snapshots/aws/111122223333/eu-west-2");
    let (listing, claim) = (scope.join("listing"), scope.join("renewal"));
    fs::remove_file(&listing).unwrap();
    tab(&env);
    assert!(!claim.exists(), "on-use is the default");
    env.config("[defaults]\nrefresh = \"background\"\n");
    tab(&env);
    wait_for(&listing);
    // Fresh: nothing is due. Old again, but tried a moment ago: not yet.
    let claimed = fs::read(&claim).unwrap();
    tab(&env);
    fs::remove_file(&listing).unwrap();
    tab(&env);
    assert_eq!(fs::read(&claim).unwrap(), claimed);
}

#[test]
fn what_renews_in_the_background_asks_nobody_for_credentials() {
    let mut env = TestEnv::new();
    let caught = env.home().join("caught");
    let file = env.home().join("aws-config");
    let text = format!(
        "[profile program]\nregion = eu-west-2\ncredential_process = touch {}\n\
         [profile guarded]\nregion = eu-west-2\nrole_arn = arn:aws:iam::444455556666:role/x\n\
         source_profile = keys\nmfa_serial = arn:aws:iam::111122223333:mfa/alice\n\
         [profile keys]\nregion = eu-west-2\naws_access_key_id = AKIASANDBOXPROD00001\n\
         aws_secret_access_key = sandbox/prod/alice/not-a-real-secret\n",
        caught.display()
    );
    fs::write(&file, text).unwrap();
    env.set("AWS_CONFIG_FILE", &file.display().to_string());
    for profile in ["program", "guarded", "nothing"] {
        let told = env.run(&["snapshot", "refresh", "--background", "--profile", profile]);
        assert_eq!(told.to_string(), "[status 0]\n", "{profile}");
    }
    assert!(!caught.exists());
    assert!(env.sandbox.calls().operations().is_empty());
    // Where keys lie ready, it works.
    let words = ["snapshot", "refresh", "--background", "--profile", "keys"];
    assert_eq!(env.run(&words).to_string(), "[status 0]\n");
    assert_eq!(
        env.run(&["snapshot", "ls", "-o", "name"]).ok(),
        "snapshot/111122223333/eu-west-2\n"
    );
}
