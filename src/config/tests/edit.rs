//! Changes to the user's file: what stays, and what is refused.

use super::World;
use crate::config::edit::*;
use crate::config::keys::KeyPath;

const BEFORE: &str = "# my config\nschema = 1\n\n[defaults]\nregion = \"eu-west-2\"   # home\n\n\
                      # the web\n[targets.web]\nname = \"web-*\"\n\n[aliases]\nw = \"web\"\n";

fn value(text: &str) -> Value {
    Value::from(text)
}

fn edit(before: &str, change: impl FnOnce(&mut Draft)) -> String {
    let world = World::new().user(before);
    let mut draft = Draft::open(&world.places).unwrap();
    change(&mut draft);
    assert!(draft.save(&world.places).unwrap());
    std::fs::read_to_string(world.places.user_file.as_ref().unwrap().path()).unwrap()
}

#[test]
fn comments_and_order_stay() {
    let after = edit(BEFORE, |draft| {
        draft.set(&"defaults.region".parse().unwrap(), value("eu-west-1"));
        let values = [
            (KeyPath::from(["name"]), value("db")),
            (KeyPath::from(["tags", "aws:x"]), value("y")),
        ];
        draft.put_entry("targets", "db", values, Existing::Keep).unwrap();
        draft
            .put_value(&KeyPath::from(["aliases", "d"]), value("db"), Existing::Keep)
            .unwrap();
    });
    assert_eq!(
        after,
        "# my config\nschema = 1\n\n[defaults]\nregion = \"eu-west-1\"   # home\n\n\
         # the web\n[targets.web]\nname = \"web-*\"\n\n[targets.db]\nname = \"db\"\ntags = { \"aws:x\" = \"y\" }\n\n\
         [aliases]\nw = \"web\"\nd = \"db\"\n"
    );
}

#[test]
fn a_file_is_begun_where_there_is_none() {
    let mut world = World::new();
    let path = world.root.path().join("deep/er/config.toml");
    world.places.user_file = Some(super::super::places::UserFile::Usual(path.clone()));
    let mut draft = Draft::open(&world.places).unwrap();
    let values = [(KeyPath::from(["id"]), value("i-0123456789abcdef0"))];
    draft.put_entry("targets", "a", values, Existing::Keep).unwrap();
    assert!(draft.save(&world.places).unwrap());
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "schema = 1\n\n[targets.a]\nid = \"i-0123456789abcdef0\"\n"
    );
}

#[test]
fn what_is_there_is_kept_or_replaced() {
    let world = World::new().user(BEFORE);
    let mut draft = Draft::open(&world.places).unwrap();
    let refused = draft.put_entry("targets", "web", [], Existing::Keep).unwrap_err();
    assert!(refused.to_string().ends_with("user.toml:8:10"), "{refused}");
    let after = edit(BEFORE, |draft| {
        let values = [(KeyPath::from(["asg"]), value("web"))];
        draft
            .put_entry("targets", "web", values, Existing::Replace)
            .unwrap();
    });
    assert!(
        after.contains("# the web\n[targets.web]\nasg = \"web\"\n"),
        "{after}"
    );
}

#[test]
fn inline_tables_stay_inline() {
    let after = edit("targets = { a = { name = \"x\" } }\n", |draft| {
        let values = [(KeyPath::from(["name"]), value("y"))];
        draft.put_entry("targets", "b", values, Existing::Keep).unwrap();
    });
    assert_eq!(
        after,
        "targets = { a = { name = \"x\" }, b = { name = \"y\" } }\n"
    );
}

#[test]
fn lines_end_as_they_did() {
    let after = edit(&BEFORE.replace('\n', "\r\n"), |draft| {
        draft.set(&"defaults.profile".parse().unwrap(), value("p"));
    });
    assert!(after.contains("# home\r\nprofile = \"p\"\r\n"), "{after:?}");
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
}

#[test]
fn what_would_not_check_is_not_written() {
    let world = World::new().user(BEFORE);
    let mut draft = Draft::open(&world.places).unwrap();
    draft.remove(&KeyPath::from(["targets", "web"])).unwrap();
    let EditError::WouldBeUnsound { error, .. } = draft.save(&world.places).unwrap_err() else {
        panic!("saved");
    };
    assert_eq!(error.problems.len(), 1);
    assert_eq!(
        error.problems[0].message,
        "`aliases.w` is \"web\", expected the name of a target"
    );
    let path = world.places.user_file.as_ref().unwrap().path();
    assert_eq!(std::fs::read_to_string(path).unwrap(), BEFORE);
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_not_lost() {
    let world = World::new().user(BEFORE);
    let mut draft = Draft::open(&world.places).unwrap();
    draft.remove(&KeyPath::from(["aliases", "w"])).unwrap();
    let world = world.user("schema = 1\n");
    assert!(matches!(
        draft.save(&world.places),
        Err(EditError::ChangedMeanwhile { .. })
    ));
}

#[cfg(unix)]
#[test]
fn links_and_modes_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = World::new().file("real.toml", BEFORE);
    let (real, link) = (
        world.root.path().join("real.toml"),
        world.root.path().join("link.toml"),
    );
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    world.places.user_file = Some(super::super::places::UserFile::Usual(link.clone()));
    let mut draft = Draft::open(&world.places).unwrap();
    draft.remove(&KeyPath::from(["aliases", "w"])).unwrap();
    assert!(draft.save(&world.places).unwrap());
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert!(!std::fs::read_to_string(&real).unwrap().contains("w = "));
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let world = World::new().user(BEFORE);
    let mut draft = Draft::open(&world.places).unwrap();
    for path in ["targets.db", "presets.x", "aliases.w.x"] {
        assert!(draft.remove(&path.parse().unwrap()).is_err(), "{path}");
    }
}
