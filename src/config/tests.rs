//! Whole configs through all layers: what is wrong with them, and what they come to.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::load::{DEFAULTS, FileState, assemble};
use super::places::{TEAM_FILE, UserFile};
use super::values::{Bind, Confirm, Local, Reason, Transport};
use super::{Config, Flags, Loaded, Places, trust};

/// Three files in a directory of their own.
pub(super) struct World {
    pub(super) root: tempfile::TempDir,
    pub(super) places: Places,
}

impl World {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let places = Places {
            system_file: path("system.toml"),
            working_directory: Some(path("")),
            user_file: Some(UserFile::Usual(path("user.toml"))),
            state: Some(path("state")),
            cache: None,
            runtime: None,
        };
        Self { root, places }
    }

    pub(super) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.root.path().join(name), text).unwrap();
        self
    }

    fn system(self, text: &str) -> Self {
        self.file("system.toml", text)
    }

    pub(super) fn user(self, text: &str) -> Self {
        self.file("user.toml", text)
    }

    fn team(self, text: &str) -> Self {
        let world = self.file(TEAM_FILE, text);
        trust::accept(
            &world.root.path().join("state"),
            &world.root.path().join(TEAM_FILE),
            text,
        )
        .unwrap();
        world
    }

    pub(super) fn load_with(&self, set: &[&str], variables: &[(&str, &str)]) -> (Loaded, Vec<String>) {
        let flags = Flags {
            set: set.iter().map(|word| (*word).to_owned()).collect(),
            ..Flags::default()
        };
        self.load_with_flags(&flags, variables)
    }

    pub(super) fn load_with_flags(&self, flags: &Flags, variables: &[(&str, &str)]) -> (Loaded, Vec<String>) {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (loaded, problems) = assemble(&self.places, flags, lookup, None);
        let root = format!("{}/", self.root.path().display());
        let told = problems
            .iter()
            .map(|problem| problem.to_string().replace(&root, ""))
            .collect();
        (loaded, told)
    }

    fn problems(&self) -> Vec<String> {
        self.load_with(&[], &[]).1
    }

    fn warnings(&self) -> Vec<String> {
        let root = format!("{}/", self.root.path().display());
        let (loaded, problems) = self.load_with(&[], &[]);
        assert_eq!(problems, Vec::<String>::new());
        loaded
            .warnings
            .iter()
            .map(|problem| problem.to_string().replace(&root, ""))
            .collect()
    }

    fn config(&self) -> Config {
        let (loaded, problems) = self.load_with(&[], &[]);
        assert_eq!(problems, Vec::<String>::new());
        loaded.config
    }
}

/// The example of the manual.
const EXAMPLE: &str = r#"
schema = 1

[defaults]
profile   = "dev"
region    = "eu-west-2"
transport = "auto"

[profiles.prod]
account  = "123456789012"
regions  = ["eu-west-2", "eu-west-1"]
confirm  = "ask"
reason   = "required"

[targets.prod-web]
profile  = "prod"
region   = "eu-west-2"
name     = "prod-web-*"
pick     = "ask"

[targets.prod-bastion]
tags = { Role = "bastion", "aws:autoscaling:groupName" = "b" }

[aliases]
pw = "prod-web"

[presets.prod-db]
target = "prod-bastion"
host   = "db.internal"
port   = 5432
local  = 15432
bind   = "loopback"

[presets.prod-cache]
target = ["prod-bastion", "pw", "i-0123456789abcdef0", "name=x", "prod/y"]
port   = 6379

[groups]
prod = ["prod-db", "prod-cache"]

[x-notes]
anything = 2024-01-01
"#;

#[test]
fn the_example_says_what_it_seems_to() {
    let config = World::new().user(EXAMPLE).config();
    assert_eq!(config.defaults.profile.as_deref(), Some("dev"));
    assert_eq!(config.profiles["prod"].confirm, Some(Confirm::Ask));
    assert_eq!(config.profiles["prod"].reason, Some(Reason::Required));
    assert_eq!(config.targets["prod-web"].name.as_deref(), Some("prod-web-*"));
    assert_eq!(
        config.targets["prod-bastion"].tags["aws:autoscaling:groupName"],
        "b"
    );
    assert_eq!(config.presets["prod-db"].local, Some(Local::Port(15432)));
    assert_eq!(
        config.presets["prod-db"].port.map(|port| port.number()),
        Some(5432)
    );
    assert_eq!(
        config.presets["prod-cache"]
            .target
            .as_ref()
            .unwrap()
            .as_slice()
            .len(),
        5
    );
    assert_eq!(config.groups["prod"], ["prod-db", "prod-cache"]);
}

#[test]
fn the_defaults_are_what_the_types_have_anyway() {
    let world = World::new();
    let mut config = world.config();
    assert_eq!(config.defaults.escape_char, super::values::EscapeChar::Char(b'~'));
    config.schema = Default::default();
    assert_eq!(config, Config::default());
    assert!(DEFAULTS.contains("transport"));
}

/// Every kind of mistake in the user's file, with what is said of it.
#[test]
fn every_mistake_has_its_place_and_its_words() {
    let cases: &[(&str, &[&str])] = &[
        (
            "schema = 1\n[defaults\n",
            &["user.toml:2:10: this is not TOML: unclosed table, expected `]`"],
        ),
        (
            "schema = 1\nschema = 1\n",
            &["user.toml:2:1: this is not TOML: duplicate key"],
        ),
        (
            "schema = 2\nnew = 1\n",
            &["user.toml:1:10: `schema` is 2, expected 1 (the file is for a newer ssmx; this is 0.1.0)"],
        ),
        ("schema = 0\n", &["user.toml:1:10: `schema` is 0, expected 1"]),
        (
            "schema = \"1\"\n",
            &["user.toml:1:10: `schema` is the string \"1\", expected 1 (write it without quotes: 1)"],
        ),
        (
            "[default]\n",
            &[
                "user.toml:1:2: `default` is not a key that is known at the top of the file (did you mean `defaults`?)",
            ],
        ),
        (
            "[defaults]\nregoin = \"eu-west-2\"\n",
            &["user.toml:2:1: `regoin` is not a key that is known in `[defaults]` (did you mean `region`?)"],
        ),
        (
            "[groups]\nx-y = 1\n[policy]\npools = false\n",
            &["user.toml:3:2: `policy` counts in the system file alone"],
        ),
        (
            "[defaults]\nregion = 7\nprofile = true\ntransport = \"nativ\"\n",
            &[
                "user.toml:2:10: `defaults.region` is the number 7, expected a region, such as \"eu-west-2\"",
                "user.toml:3:11: `defaults.profile` is true, expected a string that is not empty (write it in quotes: \"true\")",
                "user.toml:4:13: `defaults.transport` is the string \"nativ\", expected \"auto\", \"native\" or \"plugin\" (did you mean \"native\"?)",
            ],
        ),
        (
            "defaults = 3\ntargets = []\n[[presets]]\n",
            &[
                "user.toml:1:12: `defaults` is the number 3, expected a table",
                "user.toml:2:11: `targets` is a list, expected a table",
                "user.toml:3:1: `presets` is a list of tables, expected a table",
            ],
        ),
        (
            "[profiles.prod]\naccount = 123456789012\nregions = [\"eu-west-2\", \"x\", 1]\n",
            &[
                "user.toml:2:11: `profiles.prod.account` is the number 123456789012, expected an account id: a string of twelve digits (write it in quotes: \"123456789012\")",
                "user.toml:3:25: `profiles.prod.regions` is the string \"x\", expected a region, such as \"eu-west-2\"",
                "user.toml:3:30: `profiles.prod.regions` is the number 1, expected a region, such as \"eu-west-2\"",
            ],
        ),
        (
            "[profiles.prod]\naccount = \"1234\"\n",
            &[
                "user.toml:2:11: `profiles.prod.account` is the string \"1234\", expected an account id: a string of twelve digits",
            ],
        ),
        (
            "[targets.a]\nid = \"i-xyz\"\n",
            &[
                "user.toml:2:6: `targets.a.id` is the string \"i-xyz\", expected a node id: i-… or mi-… and hexadecimal digits",
            ],
        ),
        (
            "[targets.a]\nprofile = \"p\"\n",
            &[
                "user.toml:1:10: `targets.a` does not say which node it is, expected `id`, or any of `name`, `tags`, `address`, `asg`",
            ],
        ),
        (
            "[targets.a]\nid = \"i-0123456789abcdef0\"\nname = \"b\"\nasg = \"c\"\n",
            &[
                "user.toml:2:1: `targets.a` has both `id` and `name`, `asg`: an id alone says which node it is",
            ],
        ),
        (
            "[profiles.p]\naccount = \"111111111111\"\n[targets.a]\nname = \"b\"\nprofile = \"p\"\naccount = \"222222222222\"\n",
            &[
                "user.toml:6:1: `targets.a.account` is 222222222222, but `[profiles.p]` is pinned to 111111111111",
            ],
        ),
        (
            "[targets.a]\nname = \"\"\naddress = \"10.0.0\"\n[targets.b.tags]\nRole = 7\n",
            &[
                "user.toml:2:8: `targets.a.name` is the string \"\", expected a string that is not empty",
                "user.toml:3:11: `targets.a.address` is the string \"10.0.0\", expected an IP address",
                "user.toml:5:8: `targets.b.tags.Role` is the number 7, expected a string that is not empty (write it in quotes: \"7\")",
            ],
        ),
        (
            "[targets.\"a b\"]\nname = \"x\"\n",
            &[
                "user.toml:1:10: `a b` in `[targets]` cannot be a name: expected letters, digits, `-`, `_` and `.`, at least one letter, no `-` or `.` at the start, 64 characters at most",
            ],
        ),
        (
            "[targets.i-0123456789abcdef0]\nname = \"x\"\n",
            &[
                "user.toml:1:10: `i-0123456789abcdef0` in `[targets]` cannot be a name: it reads as a node's id, which would always win",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[presets.ps]\ntarget = \"a\"\nport = 1\n[groups]\nstop = [\"x\"]\n",
            &[
                "user.toml:3:10: `ps` in `[presets]` cannot be a name: it is a command of `ssmx forward` (ps, stop, logs)",
                "user.toml:7:1: `stop` in `[groups]` cannot be a name: it is a command of `ssmx forward` (ps, stop, logs)",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[aliases]\na = \"a\"\n",
            &[
                "user.toml:4:1: `aliases.a`: the name `a` is used twice, here and by `targets.a` at user.toml:1:10; targets and aliases share one set of names",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[presets.p]\ntarget = \"a\"\nport = 1\n[groups]\np = [\"p\"]\n",
            &[
                "user.toml:7:1: `groups.p`: the name `p` is used twice, here and by `presets.p` at user.toml:3:10; presets and groups share one set of names",
            ],
        ),
        (
            "[aliases]\na = \"b\"\nb = \"c\"\nc = \"a\"\nd = \"a\"\n",
            &["user.toml:2:1: `aliases.a` is a loop: a → b → c → a (an alias leads to a named target)"],
        ),
        (
            "[targets.prod-web]\nname = \"x\"\n[aliases]\na = \"prod-wbe\"\nb = \"a\"\n",
            &[
                "user.toml:4:1: `aliases.a` is \"prod-wbe\", expected the name of a target (did you mean `prod-web`?)",
            ],
        ),
        (
            "[targets.bastion]\nname = \"x\"\n[presets.db]\ntarget = [\"bastion\", \"basion\"]\nport = 1\n[presets.dc]\ntarget = \"zz\"\nport = 1\n",
            &[
                "user.toml:4:1: `presets.db.target` is \"basion\", expected the name of a target or alias, an id or a selector (did you mean `bastion`?)",
                "user.toml:7:1: `presets.dc.target` is \"zz\", expected the name of a target or alias, an id or a selector (for the instance of that Name write \"name=zz\")",
            ],
        ),
        (
            "[presets.db]\nhost = \"h\"\n",
            &[
                "user.toml:1:10: `presets.db` has no `port`: the port of the far end is expected",
                "user.toml:1:10: `presets.db` has no `target`: a target's name, an id or a selector is expected",
            ],
        ),
        (
            "[presets.db]\ntarget = []\nhost = \"h:1\"\nport = 65536\nlocal = -1\nbind = \"lo\"\nlazy = \"yes\"\nidle_timeout = \"5\"\nmax_age = \"0s\"\nsessions = 0\n",
            &[
                "user.toml:2:10: `presets.db.target` is a list, expected a string that is not empty, or a list of such that is not empty",
                "user.toml:3:8: `presets.db.host` is the string \"h:1\", expected a host name or an IP address, without a port",
                "user.toml:4:8: `presets.db.port` is the number 65536, expected a port: a number from 1 to 65535",
                "user.toml:5:9: `presets.db.local` is the number -1, expected a port from 0 to 65535 (0: a free one), or the absolute path of a Unix socket",
                "user.toml:6:8: `presets.db.bind` is the string \"lo\", expected \"loopback\" or an IP address",
                "user.toml:7:8: `presets.db.lazy` is the string \"yes\", expected true or false",
                "user.toml:8:16: `presets.db.idle_timeout` is the string \"5\", expected a length of time above zero, such as \"30m\" or \"1h30m\"",
                "user.toml:9:11: `presets.db.max_age` is the string \"0s\", expected a length of time above zero, such as \"30m\" or \"1h30m\"",
                "user.toml:10:12: `presets.db.sessions` is the number 0, expected a number from 1 to 32",
            ],
        ),
        (
            "[presets.db]\ntarget = \"name=x\"\nport = \"5432\"\n",
            &[
                "user.toml:3:8: `presets.db.port` is the string \"5432\", expected a port: a number from 1 to 65535 (write it without quotes: 5432)",
            ],
        ),
        (
            "[presets.prod-db]\ntarget = \"name=x\"\nport = 1\n[groups]\na = [\"prod-bd\"]\nb = []\nc = [\"prod-db\", \"prod-db\"]\n",
            &[
                "user.toml:5:1: `groups.a` has \"prod-bd\", expected the name of a preset (did you mean `prod-db`?)",
                "user.toml:6:1: `groups.b` is empty, expected names of presets",
                "user.toml:7:1: `groups.c` has \"prod-db\" twice",
            ],
        ),
        (
            "[targets.a]\nextends = \"b\"\n[targets.b]\nextends = \"a\"\nname = \"x\"\n",
            &["user.toml:2:1: `targets.a.extends` is a loop: a → b → a"],
        ),
        (
            "[targets.base]\nname = \"x\"\n[targets.a]\nextends = \"bsae\"\nid = \"i-01234567\"\n[targets.s]\nextends = \"s\"\nname = \"y\"\n",
            &[
                "user.toml:4:1: `targets.a.extends` is \"bsae\", expected the name of an entry of `[targets]` (did you mean `base`?)",
                "user.toml:7:1: `targets.s.extends` is \"s\", expected the name of an entry of `[targets]`",
            ],
        ),
        (
            "[profiles.p]\nstream_endpoint = \"https://x/y\"\nfederation_endpoint = \"http://evil\"\nmfa_command = []\n",
            &[
                "user.toml:2:19: `profiles.p.stream_endpoint` is the string \"https://x/y\", expected a host name, with a port or without, or every host of a domain by \"*.domain\"",
                "user.toml:3:23: `profiles.p.federation_endpoint` is the string \"http://evil\", expected a URL that begins with https:// (or http:// on loopback)",
                "user.toml:4:15: `profiles.p.mfa_command` is a list, expected a string that is not empty, or a list of such that is not empty",
            ],
        ),
        (
            "[defaults]\nescape_char = \"ab\"\npayload_limit = \"3 apples\"\nkeepalive = \"on\"\ndocument = \"a b\"\n",
            &[
                "user.toml:2:15: `defaults.escape_char` is the string \"ab\", expected one printable ASCII character, or \"none\"",
                "user.toml:3:17: `defaults.payload_limit` is the string \"3 apples\", expected a number of bytes, such as \"1024\", \"32KiB\" or \"2MiB\"",
                "user.toml:4:13: `defaults.keepalive` is the string \"on\", expected \"off\" or a length of time, such as \"5m\"",
                "user.toml:5:12: `defaults.document` is the string \"a b\", expected the name of a session document (letters, digits and _ - . : /) or its ARN",
            ],
        ),
    ];
    for (text, expected) in cases {
        let mut told = World::new().user(text).problems();
        told.sort_by_key(|line| line.split(':').nth(1).and_then(|n| n.parse::<u32>().ok()));
        assert_eq!(told, *expected, "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let world = World::new();
    std::fs::create_dir(world.root.path().join("user.toml")).unwrap();
    assert_eq!(
        world.problems(),
        ["user.toml: this is a directory, expected a file of TOML"]
    );
    let world = World::new();
    std::fs::write(world.root.path().join("user.toml"), b"x = '\xff'").unwrap();
    assert_eq!(
        world.problems(),
        ["user.toml: line 1 is not UTF-8 (save the file in the encoding UTF-8)"]
    );
    let mut world = World::new();
    world.places.user_file = Some(UserFile::Named(PathBuf::from("/nonexistent/ssmx.toml")));
    assert_eq!(
        world.problems(),
        [
            "SSMX_CONFIG: the file `/nonexistent/ssmx.toml` does not exist (make it with `ssmx config init`, or unset the variable)"
        ]
    );
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let config = World::new()
        .user("\u{feff}[defaults]\nprofile = \"x\"\n")
        .config();
    assert_eq!(config.defaults.profile.as_deref(), Some("x"));
}

#[test]
fn shared_files_may_be_newer_than_the_program() {
    let text = "schema = 1\nflavour = 1\n[defaults]\nregoin = \"eu-west-2\"\n";
    let expected = |file: &str| {
        vec![
            format!(
                "{file}:2:1: `flavour` is not a key that is known at the top of the file (known there are schema, defaults, profiles, targets, aliases, presets, groups, policy; keys that begin with x- are free)"
            ),
            format!(
                "{file}:4:1: `regoin` is not a key that is known in `[defaults]` (did you mean `region`?)"
            ),
        ]
    };
    assert_eq!(World::new().system(text).warnings(), expected("system.toml"));
    assert_eq!(World::new().team(text).warnings(), expected(TEAM_FILE));
    assert_eq!(World::new().user(text).problems(), expected("user.toml"));
}

#[test]
fn a_policy_is_the_system_files_and_exact() {
    let world = World::new().system("[policy]\nrequired_verison = \"1\"\n");
    assert_eq!(
        world.problems(),
        [
            "system.toml:2:1: `required_verison` is not a key that is known in `[policy]` (did you mean `required_version`?)"
        ]
    );
    let world = World::new().system("[policy]\nrequired_version = \">=99.1\"\n");
    assert_eq!(
        world.problems(),
        [
            "system.toml:2:1: `policy.required_version` demands ssmx 99.1.0.0 or newer, this is 0.1.0 (install a newer ssmx)"
        ]
    );
    let world = World::new()
        .system("[policy]\ntransports = [\"native\"]\nrequired_version = \"0.1\"\n")
        .team("[policy]\ntransports = [\"plugin\"]\n")
        .user("[profiles.p]\ntransport = \"plugin\"\n");
    assert_eq!(world.config().policy.transports, Some(vec![Transport::Native]));
    assert_eq!(
        world.warnings(),
        [
            ".ssmx.toml:1:2: `policy` counts in the system file alone",
            "user.toml:2:1: `profiles.p.transport`: the policy of this machine does not permit the transport `plugin`, only native",
        ]
    );
}

#[test]
fn layers_replace_entries_whole_and_defaults_key_by_key() {
    let world = World::new()
        .system("[defaults]\nprofile = \"sys\"\nregion = \"eu-west-1\"\n[targets.a]\nname = \"sys\"\nregion = \"eu-west-1\"\n")
        .team("[defaults]\nregion = \"eu-west-2\"\n[targets.a]\nname = \"team\"\n[targets.b]\nname = \"team\"\n[targets.c]\nname = \"c\"\n")
        .user("[targets.b]\nasg = \"user\"\n[aliases]\nc = \"b\"\n");
    let (loaded, problems) = world.load_with(&[], &[("SSMX_TRANSPORT", "native"), ("SSMX_OTHER", "x")]);
    assert_eq!(problems, Vec::<String>::new());
    let config = &loaded.config;
    assert_eq!(config.defaults.profile.as_deref(), Some("sys"));
    assert_eq!(
        config.defaults.region.as_ref().map(|r| r.as_str()),
        Some("eu-west-2")
    );
    assert_eq!(config.defaults.transport, Transport::Native);
    assert_eq!(config.targets["a"].name.as_deref(), Some("team"));
    assert_eq!(config.targets["a"].region, None);
    assert_eq!(config.targets["b"].name, None);
    assert_eq!(config.targets["b"].asg.as_deref(), Some("user"));
    assert!(!config.targets.contains_key("c"));
    assert_eq!(config.aliases["c"], "b");
    let hidden: Vec<String> = loaded.shadowed.iter().map(|s| s.hidden.to_string()).collect();
    assert_eq!(hidden, ["targets.a", "targets.b", "targets.c"]);
    let origin = |path: &str| {
        let origin = loaded.origin(&path.parse().unwrap()).map(ToString::to_string);
        origin.map(|text| text.replace(&format!("{}/", world.root.path().display()), ""))
    };
    assert_eq!(origin("defaults.profile").as_deref(), Some("system.toml:2:1"));
    assert_eq!(origin("defaults.region").as_deref(), Some(".ssmx.toml:2:1"));
    assert_eq!(origin("defaults.transport").as_deref(), Some("SSMX_TRANSPORT"));
    assert_eq!(origin("defaults.output").as_deref(), Some("default"));
    assert_eq!(origin("targets.a.name").as_deref(), Some(".ssmx.toml:4:1"));
    assert_eq!(origin("targets.a.region"), None);
    assert_eq!(origin("targets.b.asg").as_deref(), Some("user.toml:2:1"));
}

#[test]
fn the_command_line_changes_single_fields() {
    let world = World::new()
        .user("[targets.a]\nname = \"n\"\nregion = \"eu-west-1\"\n[targets.b]\nextends = \"a\"\n");
    let set = [
        "targets.a.region=eu-west-2",
        "targets.new.name=x",
        "defaults.sessions=3",
    ];
    let (loaded, problems) = world.load_with(&set, &[]);
    assert_eq!(problems, Vec::<String>::new());
    let config = &loaded.config;
    assert_eq!(config.targets["a"].name.as_deref(), Some("n"));
    assert_eq!(config.targets["a"].region.as_ref().unwrap().as_str(), "eu-west-2");
    assert_eq!(config.targets["b"].region.as_ref().unwrap().as_str(), "eu-west-2");
    assert_eq!(config.targets["new"].name.as_deref(), Some("x"));
    assert_eq!(config.defaults.sessions.number(), 3);
    assert_eq!(
        loaded
            .origin(&"targets.a.region".parse().unwrap())
            .unwrap()
            .to_string(),
        "--set"
    );
}

#[test]
fn extends_copies_what_is_left_out_and_a_selector_as_one() {
    let world = World::new()
        .system("[targets.base]\nname = \"sys\"\nprofile = \"p\"\nregion = \"eu-west-1\"\n")
        .user(
            "[targets.base]\nextends = \"base\"\nregion = \"eu-west-2\"\n\
             [targets.web]\nextends = \"base\"\ntags = { Role = \"web\" }\n\
             [presets.db]\nextends = \"any\"\nhost = \"db\"\nport = 1\n\
             [presets.any]\ntarget = \"web\"\nlazy = true\nmax_age = \"8h\"\n",
        );
    let (loaded, problems) = world.load_with(&[], &[]);
    assert_eq!(problems, Vec::<String>::new());
    let config = &loaded.config;
    assert_eq!(config.targets["base"].name.as_deref(), Some("sys"));
    assert_eq!(
        config.targets["base"].region.as_ref().unwrap().as_str(),
        "eu-west-2"
    );
    assert_eq!(config.targets["web"].name, None);
    assert_eq!(config.targets["web"].profile.as_deref(), Some("p"));
    assert_eq!(config.presets["db"].lazy, Some(true));
    assert_eq!(config.presets["db"].target.as_ref().unwrap().as_slice(), ["web"]);
    let origin = loaded.origin(&"targets.web.profile".parse().unwrap()).unwrap();
    assert!(origin.to_string().ends_with("system.toml:3:1"), "{origin}");
}

#[test]
fn a_team_file_counts_once_it_is_accepted_as_it_is() {
    let world = World::new().file(TEAM_FILE, "[defaults]\nprofile = \"evil\"\n");
    let (loaded, problems) = world.load_with(&[], &[]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(loaded.config.defaults.profile, None);
    assert_eq!(
        loaded.left_out().map(|file| file.state),
        Some(FileState::NotAccepted)
    );

    let world = World::new().team("[defaults]\nprofile = \"team\"\n");
    let (loaded, _) = world.load_with(&[], &[]);
    assert_eq!(loaded.config.defaults.profile.as_deref(), Some("team"));
    assert_eq!(loaded.left_out(), None);

    let world = world.file(TEAM_FILE, "not even TOML [");
    let (loaded, problems) = world.load_with(&[], &[]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(loaded.config.defaults.profile, None);
    assert_eq!(loaded.left_out().map(|file| file.state), Some(FileState::Changed));
}

#[test]
fn a_hostile_team_file_does_no_harm_before_it_is_accepted() {
    let world = World::new();
    let path = world.root.path().join(TEAM_FILE);
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let (loaded, problems) = world.load_with(&[], &[]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        loaded.left_out().map(|file| file.state),
        Some(FileState::NotAccepted)
    );
}

#[test]
fn a_trusted_team_file_may_not_loosen() {
    let world = World::new()
        .system(
            "[defaults]\nconfirm = \"ask\"\n[profiles.prod]\naccount = \"123456789012\"\nconfirm = \"type-name\"\nreason = \"required\"\n\
             [presets.db]\ntarget = \"name=x\"\nport = 1\nbind = \"10.0.0.1\"\n",
        )
        .team(
            "[defaults]\nconfirm = \"never\"\nbind = \"0.0.0.0\"\n[profiles.prod]\nconfirm = \"ask\"\n[profiles.dev]\nconfirm = \"never\"\n\
             [profiles.free]\nconfirm = \"type-name\"\n\
             [presets.db]\ntarget = \"name=x\"\nport = 2\nbind = \"10.0.0.1\"\n[presets.open]\ntarget = \"name=x\"\nport = 2\nbind = \"::\"\n\
             [presets.near]\ntarget = \"name=x\"\nport = 2\nbind = \"127.0.0.1\"\n",
        );
    let config = world.config();
    assert_eq!(config.defaults.confirm, Confirm::Ask);
    assert_eq!(config.defaults.bind, Bind::Loopback);
    assert_eq!(config.profiles["prod"].confirm, Some(Confirm::TypeName));
    assert_eq!(config.profiles["prod"].reason, Some(Reason::Required));
    assert_eq!(config.profiles["prod"].account, None);
    assert_eq!(config.profiles["dev"].confirm, None);
    assert_eq!(config.profiles["free"].confirm, Some(Confirm::TypeName));
    assert_eq!(config.presets["db"].bind, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(config.presets["open"].bind, None);
    assert_eq!(config.presets["near"].bind, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(
        world.warnings(),
        [
            ".ssmx.toml:2:1: `defaults.confirm` = \"never\" is left out: a team file may not loosen it; \"ask\" stays",
            ".ssmx.toml:3:1: `defaults.bind` = \"0.0.0.0\" is left out: a team file may not loosen it; \"loopback\" stays",
            ".ssmx.toml:17:1: `presets.open.bind` = \"::\" is left out: a team file may not loosen it; \"loopback\" stays",
            ".ssmx.toml:7:1: `profiles.dev.confirm` = \"never\" is left out: a team file may not loosen it; \"ask\" stays",
            ".ssmx.toml:5:1: `profiles.prod.confirm` = \"ask\" is left out: a team file may not loosen it; \"type-name\" stays",
        ]
    );
}

#[test]
fn a_team_file_does_not_loosen_what_the_user_says() {
    let world = World::new()
        .team("[profiles.prod]\nconfirm = \"never\"\n[targets.t]\nname = \"x\"\n")
        .user("[defaults]\nconfirm = \"ask\"\n");
    assert_eq!(world.config().profiles["prod"].confirm, None);
    let world = world.user("[profiles.prod]\nconfirm = \"never\"\n");
    assert_eq!(world.config().profiles["prod"].confirm, Some(Confirm::Never));
}

#[test]
fn commands_and_foreign_hosts_are_not_a_teams_to_name() {
    let world = World::new().team(
        "[defaults]\npager = \"sh -c evil\"\n[profiles.p]\nmfa_command = \"evil\"\nstream_endpoint = \"evil\"\nfederation_endpoint = \"https://evil\"\n",
    );
    let config = world.config();
    assert_eq!(config.defaults.pager, None);
    assert_eq!(config.profiles["p"], super::schema::Profile::default());
    assert_eq!(
        world.warnings(),
        [
            ".ssmx.toml:2:1: `defaults.pager` does not count in a team file",
            ".ssmx.toml:4:1: `profiles.p.mfa_command` counts in the user file alone",
            ".ssmx.toml:5:1: `profiles.p.stream_endpoint` does not count in a team file",
            ".ssmx.toml:6:1: `profiles.p.federation_endpoint` does not count in a team file",
        ]
    );
    let world =
        World::new().system("[profiles.p]\nmfa_command = \"x\"\nstream_endpoint = \"*.vpce.example.com\"\n");
    let profile = &world.config().profiles["p"];
    assert_eq!(profile.mfa_command, None);
    assert!(profile.stream_endpoint.is_some());
}

#[test]
fn completion_gets_what_fits() {
    let world =
        World::new().user("[targets.good]\nname = \"x\"\n[targets.bad]\nname = 7\n[defaults]\nregion = 7\n");
    let (loaded, problems) = world.load_with(&[], &[]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(loaded.config.targets.contains_key("good"));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let deep = format!("x = {}1{}\n", "[".repeat(20_000), "]".repeat(20_000));
    let problems = World::new().user(&deep).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("this is not TOML"), "{problems:?}");
}

fn assemble_text(text: &str) -> Vec<String> {
    World::new().user(text).problems()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        assemble_text(&text);
    }

    #[test]
    fn no_toml_panics(lines in proptest::collection::vec(line(), 0..12)) {
        assemble_text(&lines.join("\n"));
    }

    #[test]
    fn no_assignment_panics(word in "[a-z.\"= \\[\\]{}0-9-]{0,24}") {
        World::new().load_with(&[&word], &[]);
    }
}

/// Lines that are close to a config.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "prod", "\"a b\"", "x-y", "ps"]);
    let section = prop::sample::select(vec![
        "defaults", "targets", "aliases", "presets", "groups", "profiles", "policy",
    ]);
    let key = prop::sample::select(vec![
        "id", "name", "tags", "extends", "profile", "account", "region", "target", "host", "port", "local",
        "bind", "confirm", "regions", "a", "b", "prod",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1.5",
        "true",
        "\"a\"",
        "\"b\"",
        "\"prod\"",
        "\"eu-west-2\"",
        "\"ask\"",
        "[]",
        "[\"a\", 1]",
        "{ a = \"b\" }",
        "1979-05-27",
        "\"\"",
        "[[1]]",
    ]);
    (section, name, key, value, 0..3).prop_map(|(section, name, key, value, form)| match form {
        0 => format!("[{section}.{name}]\n{key} = {value}"),
        1 => format!("[{section}]\n{key} = {value}"),
        _ => format!("{section}.{name}.{key} = {value}"),
    })
}

#[test]
fn files_are_absolute_or_found_from_here() {
    let world = World::new();
    assert_eq!(world.places.team_file(), None);
    assert!(Path::new(&world.places.system_file).is_absolute());
}

#[test]
fn the_file_that_init_writes_is_sound_with_and_without_its_comments() {
    let template = include_str!("../commands/config/init.toml");
    assert_eq!(World::new().user(template).config().targets.len(), 0);
    let open: String = template
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = World::new().user(&open).config();
    assert_eq!(config.targets.len(), 2);
    assert_eq!(config.groups["prod"].len(), 2);
}
