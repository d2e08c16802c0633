//! Whole configs through all layers: what is wrong with them, and what they come to.

use std::path::{Path, PathBuf};

use super::load::{DEFAULTS, FileState, assemble};
use super::places::{TEAM_FILE, UserFile};
use super::values::{Bind, Confirm, Local, Reason, Transport};
use super::{Config, Flags, Loaded, Places, trust};

mod edit;
mod mistakes;
mod properties;

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
fn a_trusted_team_file_may_pin_but_not_lead_elsewhere() {
    let world = World::new()
        .system("[profiles.prod]\naccount = \"123456789012\"\n")
        .team(
            "[profiles.prod]\naccount = \"999999999999\"\n[profiles.dev]\naccount = \"999999999999\"\n\
             [targets.web]\nid = \"i-0123456789abcdef0\"\naccount = \"999999999999\"\n",
        );
    let config = world.config();
    let pin = |text: &str| Some(text.parse().unwrap());
    assert_eq!(config.profiles["prod"].account, pin("123456789012"));
    assert_eq!(config.profiles["dev"].account, pin("999999999999"));
    assert_eq!(config.targets["web"].account, pin("999999999999"));
    assert_eq!(
        world.warnings(),
        [
            ".ssmx.toml:2:1: `profiles.prod.account` = \"999999999999\" is left out: a team file may not change it; \"123456789012\" stays",
        ]
    );
    // The user's own word counts as it always does.
    let world = world.user("[profiles.prod]\naccount = \"999999999999\"\n");
    assert_eq!(world.config().profiles["prod"].account, pin("999999999999"));
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
    // Nor may the entry's pin be lost with the entry.
    let pin = Some("123456789012".parse().unwrap());
    assert_eq!(config.profiles["prod"].account, pin);
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
fn files_are_absolute_or_found_from_here() {
    let world = World::new();
    assert_eq!(world.places.team_file(), None);
    assert!(Path::new(&world.places.system_file).is_absolute());
}

#[test]
fn the_file_that_init_writes_is_sound_with_and_without_its_comments() {
    let template = include_str!("../../commands/config/init.toml");
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
