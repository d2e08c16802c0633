//! Choosing with the keyboard, in a real terminal.

use crate::env::TestEnv;

#[tokio::test]
async fn a_node_is_found_by_what_is_not_its_name() {
    let env = TestEnv::new();
    let mut terminal = env.terminal(&["connect", "--dry-run"]);
    terminal.expect("Nodes in 111122223333 eu-west-2 (12)").await;
    // A tag; the details of the one at hand are below.
    terminal.send("shop").await;
    terminal.expect("(1 of 12) › shop").await;
    terminal.expect("❯ prod-web").await;
    terminal.expect("203.0.113.11").await;
    terminal.expect("team=shop").await;
    terminal.send("\r").await;
    let (screen, status) = terminal.finish().await;
    assert!(
        status.success() && screen.contains("--target i-0a1b2c3d4e5f60001"),
        "{screen}"
    );
    assert!(terminal.is_as_before());
    // It stands on top the next time, which opens from what is remembered, without asking AWS first.
    env.sandbox.calls().clear();
    let mut terminal = env.terminal(&["connect", "--dry-run"]);
    terminal.expect("❯ prod-web").await;
    assert_eq!(env.sandbox.calls().count("ec2:DescribeInstances"), 0);
    terminal.send("\u{1b}").await;
    let (_, status) = terminal.finish().await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
    assert!(terminal.is_as_before());
}

#[tokio::test]
async fn ssmx_alone_helps_the_newcomer_and_lets_others_choose() {
    let mut env = TestEnv::new();
    let (screen, status) = env.terminal(&["--no-cli-pager"]).finish().await;
    assert!(status.success());
    assert!(
        screen.contains("ssmx connect NAME    a shell on one of them"),
        "{screen}"
    );
    // Scripts are told nothing beside the help.
    assert_eq!(env.run(&[]).stderr, "");
    let none = env.home().join("none").display().to_string();
    env.set("AWS_CONFIG_FILE", &none);
    env.set("AWS_SHARED_CREDENTIALS_FILE", &none);
    let (screen, _) = env.terminal(&["--no-cli-pager"]).finish().await;
    assert!(screen.contains("aws configure sso"), "{screen}");

    let env = TestEnv::new();
    env.config("");
    let mut terminal = env.terminal(&[]);
    terminal.expect("❯").await;
    terminal.send("prod-web\r").await;
    terminal.expect("$").await;
    terminal.line("exit").await;
    let (screen, status) = terminal.finish().await;
    assert!(status.success(), "{screen}");
}
