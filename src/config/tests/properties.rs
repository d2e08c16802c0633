//! Nothing that stands in a file panics.

use proptest::prelude::*;

use super::World;

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
