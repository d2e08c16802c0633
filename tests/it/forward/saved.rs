//! `--save`, and `ssmx preset add`, which writes in the same words: a preset says all that was said.

use std::fs;

use insta::assert_snapshot;

use crate::env::TestEnv;

const DEV: &str = "444455556666";

/// What the user's config says of a preset.
fn preset(env: &TestEnv, name: &str) -> String {
    let text = fs::read_to_string(env.home().join(".config/ssmx/config.toml")).unwrap();
    let (_, after) = text.split_once(&format!("[presets.{name}]\n")).unwrap();
    let end = after.find("\n[").unwrap_or(after.len());
    after[..end].to_owned()
}

/// Runs a forward that has to work, and gives the account in which its session was.
fn account(env: &TestEnv, words: &[&str]) -> String {
    let before = env.sandbox.sessions().len();
    let words = [&["forward"], words, &["--", "true"]].concat();
    env.run(&words).ok();
    let sessions = env.sandbox.sessions();
    assert_eq!(sessions.len(), before + 1, "{words:?}");
    sessions.last().unwrap().place.account.clone()
}

#[test]
fn a_saved_forward_leads_where_the_first_one_did() {
    let env = TestEnv::new();
    env.config("[targets.own]\nname = \"*-web\"\nprofile = \"prod\"\n");
    let flags = [
        "name=dev-web",
        ":80",
        "-p",
        "dev",
        "-r",
        "eu-west-2",
        "--transport",
        "native",
        "--save",
        "flags",
    ];
    let words = [&["forward"], &flags[..], &["--", "true"]].concat();
    env.run(&words).ok();
    assert_snapshot!(preset(&env, "flags"), @r#"
    target = "name=dev-web"
    port = 80
    local = 0
    profile = "dev"
    region = "eu-west-2"
    transport = "native"
    "#);
    assert_eq!(account(&env, &["flags"]), DEV);
    assert_eq!(account(&env, &["dev/dev-web", ":80", "--save", "typed"]), DEV);
    assert_snapshot!(preset(&env, "typed"), @r#"
    target = "dev/dev-web"
    port = 80
    local = 0
    "#);
    assert_eq!(account(&env, &["typed"]), DEV);
    // A named target's own profile goes before a preset's.
    let other = ["target/own", ":80", "-p", "dev", "--save", "other"];
    assert_eq!(account(&env, &other), DEV);
    assert_snapshot!(preset(&env, "other"), @r#"
    target = "dev/own"
    port = 80
    local = 0
    "#);
    assert_eq!(account(&env, &["other"]), DEV);
    // As does a slash in a word.
    env.run(&["preset", "add", "tagged", "tag:path=a/b", "80", "-p", "dev"])
        .ok();
    assert_snapshot!(preset(&env, "tagged"), @r#"
    target = "dev/tag:path=a/b"
    port = 80
    "#);
}

#[test]
fn a_copy_of_a_preset_is_as_careful_as_the_preset() {
    let env = TestEnv::new();
    env.config(
        "[presets.full]\ntarget = [\"name=prod-web\", \"name=prod-bastion\"]\nprofile = \"prod\"\nregion = \"eu-west-2\"\n\
         port = 80\nlocal = 0\nbind = \"127.0.0.1\"\nlazy = false\nidle_timeout = \"5m\"\nmax_age = \"1h\"\nsessions = 2\n\
         document = \"AWS-StartPortForwardingSession\"\ntransport = \"native\"\nconfirm = \"ask\"\nreason = \"required\"\n",
    );
    env.run(&[
        "forward", "full", "--save", "copy", "--yes", "--reason", "a test", "--", "true",
    ])
    .ok();
    assert_snapshot!(preset(&env, "copy"), @r#"
    target = ["name=prod-web", "name=prod-bastion"]
    port = 80
    local = 0
    bind = "127.0.0.1"
    profile = "prod"
    region = "eu-west-2"
    lazy = false
    idle_timeout = "300s"
    max_age = "3600s"
    sessions = 2
    document = "AWS-StartPortForwardingSession"
    transport = "native"
    confirm = "ask"
    reason = "required"
    "#);
    assert_snapshot!(env.run(&["forward", "copy", "--reason", "a test", "--", "true"]), @r"
    [status 252]
    --- stderr
    error: the config asks for a confirmation before ssmx may open `copy` to port 80 through prod-web (i-0a1b2c3d4e5f60001) in 111122223333 eu-west-2, and nobody is at a terminal to give it
    hint: say `--yes` to do it without a question
    ");
    // What is said now goes before what the preset says.
    let words = [
        "forward",
        "full",
        "--save",
        "other",
        "-r",
        "eu-west-1",
        "--transport",
        "plugin",
        "--",
        "true",
    ];
    assert_eq!(env.run(&words).status, 252);
    assert_snapshot!(preset(&env, "other"), @r#"
    target = ["name=prod-web", "name=prod-bastion"]
    port = 80
    local = 0
    bind = "127.0.0.1"
    region = "eu-west-1"
    profile = "prod"
    lazy = false
    idle_timeout = "300s"
    max_age = "3600s"
    sessions = 2
    document = "AWS-StartPortForwardingSession"
    transport = "plugin"
    confirm = "ask"
    reason = "required"
    "#);
}

#[test]
fn a_copy_listens_no_wider_than_what_it_is_made_of() {
    let env = TestEnv::new();
    env.config("[defaults]\nbind = \"127.0.0.2\"\n");
    account(&env, &["prod-web", ":80", "--save", "near"]);
    assert_snapshot!(preset(&env, "near"), @r#"
    target = "name=prod-web"
    port = 80
    local = 0
    bind = "loopback"
    "#);
}

#[test]
fn what_a_preset_cannot_say_is_refused_before_anything_is_written() {
    let env = TestEnv::new();
    env.config("[targets.there]\nname = \"prod-web-dr\"\nregion = \"eu-west-1\"\n");
    assert_snapshot!(env.run(&["forward", "prod-worker", ":80", "--newest", "--save", "x"]), @r"
    [status 252]
    --- stderr
    error: a preset cannot keep `--newest`
    hint: let a named target choose: `ssmx target add TARGET NAME pick=newest`, then forward through that
    ");
    assert_snapshot!(env.run(&["forward", "there", ":80", "-r", "eu-west-2", "--save", "x"]), @r"
    [status 252]
    --- stderr
    error: a preset cannot keep `--region eu-west-2`: the target `there` names eu-west-1, which counts first
    hint: give the node there a name of its own: `ssmx target add NAME … -r eu-west-2`
    ");
    assert_snapshot!(env.run(&["forward", "dev/dev-web", ":80", "-p", "prod", "--save", "x"]), @r"
    [status 252]
    --- stderr
    error: the profile is named twice: `--profile prod` and `dev/dev-web`
    hint: leave one of them out; an instance of that whole Name is `name=dev/dev-web`
    ");
    assert_snapshot!(env.run(&["preset", "add", "x", "target/nothing", "80"]), @r#"
    [status 252]
    --- stderr
    error: `$HOME/.config/ssmx/config.toml` stays as it is: with this change it would be wrong
      `presets.x.target` is "target/nothing", expected the name of a target or alias, an id or a selector
    hint: for the instance of that Name write "name=nothing"
    "#);
    assert_snapshot!(env.run(&["preset", "add", "x", "there,,there", "80"]), @r#"
    [status 252]
    --- stderr
    error: `$HOME/.config/ssmx/config.toml` stays as it is: with this change it would be wrong
      `presets.x.target` is the string "", expected a string that is not empty
    "#);
    assert_snapshot!(env.run(&["preset", "ls"]), @r"
    [status 0]
    --- stderr
    there are no presets
    ");
}

#[test]
fn a_preset_is_replaced_where_that_is_said() {
    let env = TestEnv::new();
    account(&env, &["name=prod-web", ":80", "--save", "web"]);
    let before = env.sandbox.sessions().len();
    assert_snapshot!(env.run(&["forward", "name=prod-web", ":81", "--save", "web"]), @r"
    [status 252]
    --- stderr
    error: `presets.web` is there already, at $HOME/.config/ssmx/config.toml:3:10
    hint: put the new one in its place with `--replace`
    ");
    // Nothing that comes behind `--` is proposed, for it would be run.
    assert_snapshot!(env.run(&["forward", "name=prod-web", ":81", "--overwrite", "--save", "web"]), @r"
    [status 252]
    --- stderr
    error: `--overwrite` is not an option of `ssmx forward`
    hint: `ssmx forward --help` shows what there is
    ");
    assert_snapshot!(env.run(&["exec", "prod-web", "-1"]), @r"
    [status 252]
    --- stderr
    error: `-1` is not an option of `ssmx exec`
    hint: `ssmx exec --help` shows what there is
    ");
    assert_eq!(env.sandbox.sessions().len(), before);
    let words = [
        "forward",
        "name=prod-web",
        ":80",
        "--lazy",
        "--save",
        "web",
        "--replace",
        "--",
        "true",
    ];
    env.run(&words).ok();
    assert_snapshot!(preset(&env, "web"), @r#"
    target = "name=prod-web"
    port = 80
    local = 0
    lazy = true
    "#);
}

#[test]
fn a_bare_name_is_written_as_one() {
    let env = TestEnv::new();
    let told = env.run(&[
        "forward",
        "prod-bastion",
        "0:db.internal:5432",
        "--save",
        "db",
        "--",
        "true",
    ]);
    assert_eq!(told.status, 0, "{told}");
    assert_snapshot!(told.stderr.lines().take(2).collect::<Vec<_>>().join("\n"), @r"
    wrote `presets.db` in `$HOME/.config/ssmx/config.toml`
    `prod-bastion` is no target or alias of the config, so the preset says `name=prod-bastion`
    ");
    assert_snapshot!(preset(&env, "db"), @r#"
    target = "name=prod-bastion"
    host = "db.internal"
    port = 5432
    local = 0
    "#);
    env.run(&["forward", "db", "--", "true"]).ok();
    env.run(&["target", "add", "bastion", "prod-bastion"]).ok();
    assert_snapshot!(env.run(&["preset", "add", "cache", "bastoin,bastion,odd*one", "6379"]), @r"
    [status 0]
    --- stderr
    wrote `presets.cache` in `$HOME/.config/ssmx/config.toml`
    `bastoin` is no target or alias of the config, so the preset says `name=bastoin`; did you mean `bastion`?
    `odd*one` is no target or alias of the config, so the preset says `name=odd\*one`
    ");
    assert_snapshot!(preset(&env, "cache"), @r#"
    target = ["name=bastoin", "bastion", 'name=odd\*one']
    port = 6379
    "#);
}
