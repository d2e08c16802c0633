//! The config from outside: files, variables and flags, and the commands that show and change them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A home of its own, with a working directory in it.
struct Home {
    root: tempfile::TempDir,
}

struct Told {
    status: i32,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("project")).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path(".config/ssmx/config.toml")
    }

    fn write(&self, text: &str) {
        fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        fs::write(self.file(), text).unwrap();
    }

    fn read(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn run(&self, words: &[&str]) -> Told {
        self.run_with(words, &[])
    }

    fn command(&self, words: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssmx"));
        command
            .args(words)
            .env_clear()
            .env("HOME", self.root.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path("project"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs ssmx; this home's path reads `~` in what it says.
    fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Told {
        let output = self
            .command(words)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let real = self.root.path().canonicalize().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(&real.display().to_string(), "~");
            text.replace(&self.root.path().display().to_string(), "~")
        };
        Told {
            status: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// As `run`, and it went well.
    fn ok(&self, words: &[&str]) -> Told {
        let told = self.run(words);
        assert_eq!(told.status, 0, "{words:?}: {}{}", told.out, told.err);
        told
    }

    /// As `run`, and the config or the words were wrong.
    fn refused(&self, words: &[&str]) -> String {
        let told = self.run(words);
        assert_eq!(
            (told.status, told.out.as_str()),
            (252, ""),
            "{words:?}: {}",
            told.err
        );
        told.err
    }
}

#[test]
fn a_first_file_is_made_once_and_is_sound() {
    let home = Home::new();
    assert_eq!(home.ok(&["config", "path"]).out, "~/.config/ssmx/config.toml\n");
    assert!(!home.file().exists());
    assert_eq!(
        home.ok(&["config", "init"]).err,
        "wrote `~/.config/ssmx/config.toml`\n"
    );
    let text = home.read();
    assert_eq!(home.ok(&["config", "init", "--print"]).out, text);
    let told = home.refused(&["config", "init"]);
    assert!(
        told.starts_with("error: `~/.config/ssmx/config.toml` is there already"),
        "{told}"
    );
    assert_eq!(home.read(), text);
    let told = home.ok(&["config", "check", "--strict"]);
    assert!(
        told.err
            .contains("user file `~/.config/ssmx/config.toml` is sound"),
        "{}",
        told.err
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let home = Home::new();
    home.write("[defaults]\nregoin = \"eu-west-2\"\n[targets.a]\nname = 7\n");
    let expected = "error: the config cannot be used\n  \
        ~/.config/ssmx/config.toml:2:1: `regoin` is not a key that is known in `[defaults]` (did you mean `region`?)\n  \
        ~/.config/ssmx/config.toml:4:8: `targets.a.name` is the number 7, expected a string that is not empty (write it in quotes: \"7\")\n";
    for words in [&["config", "check"][..], &["config", "view"], &["target", "ls"]] {
        assert_eq!(home.refused(words), expected);
    }
    home.write("[defaults]\nregion = \"\\u001b[31m\"\n");
    assert_eq!(
        home.refused(&["config", "view"]),
        "error: ~/.config/ssmx/config.toml:2:10: `defaults.region` is the string \"\\e[31m\", expected a region, such as \"eu-west-2\"\n"
    );
    assert_eq!(
        home.run_with(&["config", "view"], &[("SSMX_CONFIG", "/nonexistent")])
            .err,
        "error: SSMX_CONFIG: the file `/nonexistent` does not exist\nhint: make it with `ssmx config init`, or unset the variable\n"
    );
}

#[test]
fn every_value_has_its_origin() {
    let home = Home::new();
    home.write(
        "schema = 1\n[defaults]\nregion = \"eu-west-2\"\n[presets.db]\ntarget = \"name=x\"\nport = 5432\n",
    );
    let words = [
        "config",
        "view",
        "--origin",
        "--set",
        "presets.db.port=5433",
        "-p",
        "me",
    ];
    let told = home.run_with(&words, &[("SSMX_TRANSPORT", "plugin"), ("SSMX_UNKNOWN", "x")]);
    let line = |key: &str| {
        let line = told.out.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("defaults.region"),
        "defaults.region = \"eu-west-2\" # ~/.config/ssmx/config.toml:3"
    );
    assert_eq!(
        line("defaults.transport"),
        "defaults.transport = \"plugin\" # SSMX_TRANSPORT"
    );
    assert_eq!(line("defaults.profile"), "defaults.profile = \"me\" # --profile");
    assert_eq!(line("defaults.output"), "defaults.output = \"table\" # default");
    assert_eq!(line("presets.db.port"), "presets.db.port = 5433 # --set");
    let told = home.ok(&[
        "config",
        "view",
        "defaults.region",
        "--origin",
        "-o",
        "json",
        "--query",
        "values[0].line",
    ]);
    assert_eq!(told.out, "3\n");
    assert_eq!(
        home.ok(&["config", "view", "presets.db"]).out,
        "[presets.db]\nport = 5432\ntarget = \"name=x\"\n"
    );
    assert_eq!(home.ok(&["config", "view", "presets.db.port"]).out, "5432\n");
    let json: serde_json::Value =
        serde_json::from_str(&home.ok(&["config", "view", "-o", "json"]).out).unwrap();
    assert_eq!(json["presets"]["db"]["port"], 5432);
    assert_eq!(json["defaults"]["output"], "table");
    // What is printed is a config again.
    let text = home.ok(&["config", "view"]).out;
    home.write(&text);
    assert_eq!(home.ok(&["config", "view"]).out, text);
    assert!(
        home.refused(&["config", "view", "presets.dc"])
            .contains("nothing is said about `presets.dc`")
    );
    assert!(
        home.refused(&["config", "view", "-o", "csv"])
            .contains("printed as TOML")
    );
}

#[test]
fn a_team_file_counts_once_it_was_accepted() {
    let home = Home::new();
    let team = home.path("project/.ssmx.toml");
    fs::write(&team, "[targets.web]\nname = \"team\"\n").unwrap();
    let told = home.ok(&["target", "ls", "-o", "name"]);
    assert_eq!(told.out, "");
    assert_eq!(
        told.err,
        "warning: `~/project/.ssmx.toml` has not been accepted and is left out; `ssmx config trust` shows it\nthere are no targets\n"
    );
    let told = home.refused(&["config", "trust"]);
    assert!(told.contains("  [targets.web]\n  name = \"team\"\n"), "{told}");
    assert!(told.contains("nobody is here to be asked"), "{told}");
    home.ok(&["config", "trust", "--yes"]);
    assert_eq!(home.ok(&["target", "ls", "-o", "name"]).out, "target/web\n");
    fs::write(&team, "[targets.web]\nname = \"evil\"\n").unwrap();
    let told = home.ok(&["target", "ls", "-o", "name"]);
    assert_eq!(told.out, "");
    assert!(
        told.err.contains("has changed since it was accepted"),
        "{}",
        told.err
    );
    let told = home.refused(&["config", "trust"]);
    assert!(told.contains("- name = \"team\"\n+ name = \"evil\"\n"), "{told}");
    fs::write(&team, "[targets.web]\nname = 7\n").unwrap();
    assert!(
        home.refused(&["config", "trust", "--yes"])
            .contains("`targets.web.name` is the number 7")
    );
}

#[test]
fn entries_are_added_listed_and_removed() {
    let home = Home::new();
    home.ok(&[
        "target",
        "add",
        "prod-web",
        "prod-web-*",
        "-p",
        "prod",
        "-r",
        "eu-west-2",
        "pick=newest",
    ]);
    home.ok(&["target", "add", "bastion", "tag:Role=bastion"]);
    home.ok(&["alias", "add", "pw", "prod-web"]);
    home.ok(&[
        "preset",
        "add",
        "db",
        "bastion,pw",
        "15432:db.internal:5432",
        "lazy=true",
    ]);
    assert_eq!(
        home.read(),
        "schema = 1\n\n[targets.prod-web]\nname = \"prod-web-*\"\npick = \"newest\"\nprofile = \"prod\"\nregion = \"eu-west-2\"\n\n\
         [targets.bastion]\ntags = { Role = \"bastion\" }\n\n[aliases]\npw = \"prod-web\"\n\n\
         [presets.db]\ntarget = [\"bastion\", \"pw\"]\nhost = \"db.internal\"\nport = 5432\nlocal = 15432\nlazy = true\n"
    );
    let told = home.ok(&["target", "ls", "--no-headers", "-o", "csv"]).out;
    assert_eq!(
        told,
        "bastion,tag:Role=bastion,,,,~/.config/ssmx/config.toml:9\n\
         prod-web,name=prod-web-*,prod,eu-west-2,pw,~/.config/ssmx/config.toml:3\n"
    );
    assert_eq!(home.ok(&["preset", "ls", "-o", "name"]).out, "preset/db\n");
    assert_eq!(
        home.ok(&["alias", "ls", "--query", "aliases[].config", "-o", "text"])
            .out,
        "prod-web\n"
    );
    let before = home.read();
    let cases: &[(&[&str], &str)] = &[
        (
            &["target", "add", "prod-web", "x"],
            "`targets.prod-web` is there already, at ~/.config/ssmx/config.toml:3:10",
        ),
        (&["target", "add", "a b", "x"], "`a b` cannot be a name"),
        (
            &["target", "add", "x", "y", "colour=red"],
            "`colour` is not a key that is known in `[targets.x]`",
        ),
        (
            &["target", "add", "x", "y", "region=nowhere"],
            "expected a region",
        ),
        (
            &["target", "add", "x", "i-0123456789abcdef0", "asg=y"],
            "has both `id` and `asg`",
        ),
        (&["target", "add", "x", "y", "z"], "`name` is said twice"),
        (&["alias", "add", "y", "prod-wbe"], "did you mean `prod-web`?"),
        (
            &["alias", "add", "bastion", "prod-web"],
            "the name `bastion` is used twice",
        ),
        (&["preset", "add", "ps", "bastion", "80"], "`ps` cannot be a name"),
        (
            &["preset", "add", "x", "bastion", "80", "bind"],
            "`bind` is not KEY=VALUE",
        ),
        (
            &["target", "rm", "prod-web"],
            "`aliases.pw` is \"prod-web\", expected the name of a target",
        ),
        (&["target", "rm", "prod-wbe"], "did you mean `prod-web`?"),
        (
            &["config", "set", "defaults.sessions", "99"],
            "expected a number from 1 to 32",
        ),
        (
            &["config", "set", "policy.pools", "false"],
            "counts in the system file alone",
        ),
        (
            &["config", "unset", "defaults.region"],
            "`defaults.region` is not in",
        ),
    ];
    for (words, message) in cases {
        let told = home.refused(words);
        assert!(told.contains(message), "{words:?}: {told}");
        assert_eq!(home.read(), before, "{words:?}");
    }
    home.ok(&["config", "set", "profiles.prod.account", "123456789012"]);
    home.ok(&["config", "set", "presets.db.port", "5433"]);
    assert!(
        home.read()
            .contains("[profiles.prod]\naccount = \"123456789012\"\n")
    );
    assert!(home.read().contains("port = 5433\n"));
    home.ok(&["config", "unset", "presets.db.local"]);
    home.ok(&["preset", "rm", "db"]);
    home.ok(&["alias", "rm", "pw"]);
    home.ok(&["target", "rm", "prod-web", "bastion"]);
    assert_eq!(home.ok(&["target", "ls"]).err, "there are no targets\n");
}

#[test]
fn what_several_write_at_once_is_all_there() {
    let home = Home::new();
    let entry = |number: usize| match number % 3 {
        0 => ["preset", "add", "NAME", "name=web", "80"]
            .map(str::to_owned)
            .to_vec(),
        1 => ["target", "add", "NAME", "web"].map(str::to_owned).to_vec(),
        _ => ["config", "set", "profiles.NAME.confirm", "ask"]
            .map(str::to_owned)
            .to_vec(),
    };
    let running: Vec<_> = (0..12)
        .map(|number| {
            let words = entry(number).into_iter();
            let words = words.map(|word| word.replace("NAME", &format!("n{number}")));
            home.command(&words.collect::<Vec<_>>()).spawn().unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = home.read();
    for number in 0..12 {
        assert!(text.contains(&format!(".n{number}]\n")), "{number}: {text}");
    }
}

#[test]
fn an_editors_work_is_kept_only_where_it_checks() {
    let home = Home::new();
    let editor = |name: &str, script: &str| {
        let path = home.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let edit = |editor: &str| home.run_with(&["config", "edit"], &[("VISUAL", ""), ("EDITOR", editor)]);
    // The first time there is the commented file to begin with.
    let told = edit(
        &editor(
            "good",
            r##"grep -q "^# The config of ssmx" "$2" && printf '[defaults]\nprofile = "x"\n' > "$2""##,
        )
        .replace("good", "good -w"),
    );
    assert_eq!(told.status, 0, "{}", told.err);
    assert_eq!(home.read(), "[defaults]\nprofile = \"x\"\n");
    let told = edit(&editor("bad", "echo 'profil = 1' >> \"$1\""));
    assert_eq!(told.status, 252);
    assert!(
        told.err
            .contains("`profil` is not a key that is known in `[defaults]`"),
        "{}",
        told.err
    );
    assert_eq!(home.read(), "[defaults]\nprofile = \"x\"\n");
    assert_eq!(
        edit(&editor("same", "true")).err,
        "`~/.config/ssmx/config.toml` stays as it is\n"
    );
    let told = edit(&editor("fails", "exit 3"));
    assert_eq!(told.status, 255);
    assert!(told.err.contains("nothing was changed"), "{}", told.err);
    assert_eq!(edit("/nonexistent/editor").status, 252);
    // A file that is broken can be put right.
    home.write("broken [\n");
    let told = edit(&editor("repair", "echo 'schema = 1' > \"$1\""));
    assert_eq!(told.status, 0, "{}", told.err);
    assert_eq!(home.read(), "schema = 1\n");
}

#[test]
fn other_tools_names_are_imported() {
    let home = Home::new();
    fs::create_dir_all(home.path(".ssh")).unwrap();
    fs::write(
        home.path(".ssh/config"),
        "Host web\n  HostName i-0123456789abcdef0\n  ProxyCommand aws ssm start-session --target %h --region eu-west-2\n",
    )
    .unwrap();
    fs::create_dir_all(home.path(".aws-gate/config.d")).unwrap();
    fs::write(
        home.path(".aws-gate/config"),
        "hosts:\n  - alias: web\n    name: other\n  - alias: db\n    name: db-1\n",
    )
    .unwrap();
    fs::write(
        home.path(".aws-gate/config.d/a.yaml"),
        "hosts:\n  - alias: cache\n    name: Role:cache\n",
    )
    .unwrap();
    let told = home.ok(&["config", "import", "--dry-run"]);
    assert!(told.err.contains("3 to be added"), "{}", told.err);
    assert!(!home.file().exists());
    let told = home.ok(&["config", "import"]);
    assert!(told.err.contains("`web` is left as it is"), "{}", told.err);
    assert_eq!(
        home.ok(&["target", "ls", "-o", "name"]).out,
        "target/cache\ntarget/db\ntarget/web\n"
    );
    assert_eq!(
        home.ok(&["config", "view", "targets.web"]).out,
        "[targets.web]\nid = \"i-0123456789abcdef0\"\nregion = \"eu-west-2\"\n"
    );
    fs::write(home.path("broken.yaml"), "hosts: [\n").unwrap();
    let file = home.path("broken.yaml").display().to_string();
    assert!(
        home.refused(&["config", "import", &file])
            .contains("this is not YAML")
    );
}

#[test]
fn generated_schema_is_what_the_program_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
    let text = serde_json::to_string_pretty(&ssmx::config::json_schema::json_schema()).unwrap() + "\n";
    if std::env::var_os("SSMX_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "`just bless` writes docs/config.schema.json again"
    );
}
