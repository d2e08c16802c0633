//! What TAB offers for forwards and the commands that they run.

use super::far::{NODE, echo, service, spec};
use crate::env::TestEnv;

/// What zsh is told behind these words.
fn offered(env: &TestEnv, words: &[&str]) -> String {
    let told = env.run(&[&["__complete", "zsh"], words, &[":"]].concat());
    assert_eq!(told.stderr, "", "a TAB makes no noise");
    told.ok()
}

#[test]
fn a_command_behind_two_dashes_is_offered_nothing_of_ours() {
    let env = TestEnv::new();
    env.config("[presets.db]\ntarget = \"name=prod-web\"\nport = 80\n");
    assert!(offered(&env, &["forward"]).contains("\ndb\t"));
    for command in ["forward", "socks", "exec"] {
        assert_eq!(offered(&env, &[command, "db", "--"]), "ssmx\n", "{command}");
    }
}

#[test]
fn names_of_detached_forwards_are_offered_where_one_is_wanted() {
    let env = TestEnv::new();
    assert!(!offered(&env, &["forward", "stop"]).contains("mine"));
    let port = spec(service(echo));
    let told = env.run(&["forward", "--detach", "--lazy", NODE, &port, "--name", "mine"]);
    assert_eq!(told.status, 0, "{told}");
    let told: Vec<String> = ["stop", "logs"]
        .map(|command| offered(&env, &["forward", command]))
        .into();
    drop(env.run(&["forward", "stop", "--all"]));
    let expected = format!("ssmx\nmine\t{NODE} {port}\n");
    assert_eq!(told, [expected.clone(), expected]);
    assert!(env.sandbox.sessions().is_empty());
}
