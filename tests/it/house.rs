//! The shape of the house: who may import whom, as `docs/architecture.md` says, and nothing left lying about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The room that a source file belongs to: the first part of its path below `src`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The table of rooms and their imports.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = read(&root().join("docs/architecture.md"));
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names = |cell: &str| {
            cell.split(',')
                .map(|name| name.trim().trim_matches('`').to_owned())
                .filter(|name| !name.is_empty())
                .collect::<BTreeSet<_>>()
        };
        (cells[1].trim_matches('`').to_owned(), names(cells[2]))
    })
    .collect()
}

/// The rooms that a source names by `crate::`, `use crate::{…}` included.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("crate::") {
        // `$crate::` in a macro and names such as `this_crate::` are other things.
        let whole = rest[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_');
        rest = &rest[at + "crate::".len()..];
        if !whole {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(std::mem::take(&mut item));
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            found.insert(item);
        } else {
            found.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    found
        .into_iter()
        .map(|name| name.trim().split("::").next().unwrap_or_default().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_run_one_way() {
    let table = table();
    let mut wrong = Vec::new();
    let mut rooms = BTreeSet::new();
    for path in sources(&root().join("src")) {
        let room = room(&path);
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        rooms.insert(room.clone());
        let Some(allowed) = table.get(&room) else {
            wrong.push(format!(
                "{}: the room `{room}` is not in the table",
                path.display()
            ));
            continue;
        };
        for import in imports(&without_comments(&read(&path))) {
            if import != room && !allowed.contains(&import) {
                wrong.push(format!("{}: `{room}` may not import `{import}`", path.display()));
            }
        }
    }
    for known in table.keys() {
        if !rooms.contains(known) {
            wrong.push(format!("docs/architecture.md: there is no room `{known}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_room_imports_in_a_circle() {
    let table = table();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < table.len() {
        let next: Vec<&str> = table
            .iter()
            .filter(|(room, imports)| {
                !done.contains(room.as_str()) && imports.iter().all(|import| done.contains(import.as_str()))
            })
            .map(|(room, _)| room.as_str())
            .collect();
        assert!(!next.is_empty(), "a circle among those that are not in {done:?}");
        done.extend(next);
    }
}

#[test]
fn logic_does_no_io() {
    for room in ["protocol", "resolve"] {
        for path in sources(&root().join("src").join(room)) {
            let text = without_comments(&read(&path));
            for world in ["tokio", "std::fs", "std::net", "std::env", "std::process"] {
                assert!(!text.contains(world), "{} names {world}", path.display());
            }
        }
        let door = read(&root().join("src").join(room).join("mod.rs"));
        assert!(
            door.contains("#![deny(clippy::disallowed_methods"),
            "{room}/mod.rs has no guard"
        );
    }
}

#[test]
fn the_environment_is_read_where_it_is_documented() {
    for path in sources(&root().join("src")) {
        let below = path.strip_prefix(root()).unwrap().display().to_string();
        let reads = without_comments(&read(&path)).contains("env::var");
        // The plugin is looked for on PATH, as the AWS CLI does.
        let may = [
            "src/config/env.rs",
            "src/aws/env.rs",
            "src/transport/plugin/find.rs",
        ]
        .contains(&below.as_str());
        assert!(
            !reads || may || below.contains("tests"),
            "{below} reads the environment"
        );
    }
}

#[test]
fn no_file_is_left_unmounted() {
    let mounted = read(&root().join("tests/it/main.rs"));
    for path in sources(&root().join("tests/it")) {
        let below = path.strip_prefix(root().join("tests/it")).unwrap();
        let first = below.components().next().unwrap().as_os_str().to_string_lossy();
        let name = first.trim_end_matches(".rs");
        assert!(
            name == "main" || mounted.contains(&format!("mod {name};")),
            "{name} is not mounted"
        );
    }
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let text =
        "use crate::{aws::Aws, ids::{A, B}, ui};\nuse crate::net::Dialer;\nlet x = crate::secret::y();";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["aws", "ids", "net", "secret", "ui"]);
}
