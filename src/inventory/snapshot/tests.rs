use std::time::Duration;

use super::*;
use crate::inventory::node::{AgentState, InstanceState};
use crate::inventory::query::Pattern;

fn scope() -> Scope {
    Scope {
        partition: "aws".parse().unwrap(),
        account: "123456789012".parse().unwrap(),
        region: "eu-west-2".parse().unwrap(),
    }
}

fn node(number: u32, name: &str) -> Node {
    let mut node = Node::new(format!("i-{number:017x}").parse().unwrap());
    node.name = (!name.is_empty()).then(|| name.to_owned());
    node.state = InstanceState::Running;
    node.agent = AgentState::Online;
    node
}

fn exact(name: &str) -> Query {
    Query::name(Pattern::Exact(name.into()))
}

fn names_of(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(|node| node.name.as_deref()).collect()
}

struct Place {
    _directory: tempfile::TempDir,
    snapshots: Snapshots,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(directory.path());
        Self {
            _directory: directory,
            snapshots,
        }
    }

    fn list(&self, nodes: &[Node]) {
        let mut writer = self.snapshots.begin(&scope(), Breadth::Full).unwrap();
        for page in nodes.chunks(1000) {
            writer.push(page).unwrap();
        }
        writer.finish().unwrap();
    }

    fn open(&self) -> Snapshot {
        self.snapshots.open(&scope()).unwrap()
    }

    fn listing(&self) -> PathBuf {
        self.snapshots.directory(&scope()).join(LISTING)
    }
}

/// Names that meet at block borders, share beginnings, and need quoting.
fn many(count: u32) -> Vec<Node> {
    let name = |n: u32| match n % 7 {
        0 => format!("web-{}", n / 3),
        1 => format!("web-{n}-{}", "x".repeat((n % 300) as usize)),
        2 => format!("tab\t{n}\n\\"),
        3 => String::new(),
        4 => format!("名前-{n}"),
        _ => format!("db-{n:05}"),
    };
    (0..count)
        .map(|n| node(n.wrapping_mul(2_654_435_761), &name(n)))
        .collect()
}

#[test]
fn every_node_is_found_by_name_and_by_id() {
    let place = Place::new();
    let nodes = many(3000);
    place.list(&nodes);
    let snapshot = place.open();
    for node in nodes.iter().step_by(7).chain(nodes.iter().skip(1).step_by(11)) {
        assert_eq!(
            snapshot.find(&Query::id(node.id.clone())).unwrap(),
            std::slice::from_ref(node)
        );
        if let Some(name) = &node.name {
            let found = snapshot.find(&exact(name)).unwrap();
            let mut expected: Vec<&Node> = nodes.iter().filter(|other| other.name == node.name).collect();
            expected.sort_by(|a, b| a.id.cmp(&b.id));
            assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }
    assert!(snapshot.find(&exact("web")).unwrap().is_empty());
    assert_eq!(snapshot.search(&Query::default()).len(), nodes.len());
}

#[test]
fn beginnings_give_sorted_rows_up_to_the_limit() {
    let place = Place::new();
    let nodes = many(3000);
    place.list(&nodes);
    let snapshot = place.open();
    for prefix in [
        "",
        "w",
        "web-1",
        "web-1-",
        "tab\t1",
        "名",
        "db-0",
        "zz",
        "\u{0}",
        "\u{10ffff}",
    ] {
        let mut expected: Vec<(&str, &str)> = nodes
            .iter()
            .filter_map(|node| Some((node.name.as_deref()?, node.id.as_str())))
            .filter(|(name, _)| name.starts_with(prefix))
            .collect();
        expected.sort_unstable();
        let rows = snapshot.names(prefix, 5000);
        let found: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (row.name.as_deref().unwrap(), row.id.as_str()))
            .collect();
        // Lines are sorted as quoted, rows as they are.
        assert_eq!(found, expected, "{prefix:?}");
        assert_eq!(snapshot.names(prefix, 3).len(), expected.len().min(3));
    }
    let ids = snapshot.ids("i-0000000000", 10);
    assert_eq!(ids.len(), 10);
    assert!(ids.is_sorted_by(|a, b| a.id < b.id));
}

#[test]
fn the_end_of_what_begins_so_is_found_too() {
    let place = Place::new();
    let nodes = many(5000);
    place.list(&nodes);
    let snapshot = place.open();
    for prefix in ["", "d", "db-0", "web-", "web-1", "名", "zz", "i-"] {
        let wanted = nodes.iter().filter_map(|node| node.name.as_deref());
        let wanted = wanted.filter(|name| name.starts_with(prefix)).max();
        let found = snapshot.last_names(prefix);
        let found = found.last().and_then(|row| row.name.as_deref());
        assert_eq!(found, wanted, "{prefix:?}");
        let wanted = nodes.iter().map(|node| &node.id);
        let wanted = wanted.filter(|id| id.as_str().starts_with(prefix)).max();
        let found = snapshot.last_ids(prefix);
        assert_eq!(found.last().map(|row| &row.id), wanted, "{prefix:?}");
    }
    // One that was looked up since counts as well.
    let mut later = node(1, "zulu");
    later.state = InstanceState::Stopped;
    place
        .snapshots
        .update(&scope(), &exact("zulu"), &[later])
        .unwrap();
    let found = place.open().last_names("z");
    assert_eq!(found.last().unwrap().name.as_deref(), Some("zulu"));
}

#[test]
fn a_look_up_refreshes_its_row_and_removes_what_is_no_more() {
    let place = Place::new();
    place.list(&[node(1, "web"), node(2, "web"), node(3, "db")]);
    let mut moved = node(2, "web");
    moved.state = InstanceState::Stopped;
    let new = node(9, "web");
    place
        .snapshots
        .update(&scope(), &exact("web"), &[moved.clone(), new.clone()])
        .unwrap();
    let snapshot = place.open();
    assert_eq!(
        snapshot.find(&exact("web")).unwrap(),
        [moved.clone(), new.clone()]
    );
    assert!(snapshot.find(&Query::id(node(1, "").id)).unwrap().is_empty());
    assert_eq!(
        names_of(&snapshot.search(&Query::default())),
        ["db", "web", "web"]
    );
    assert_eq!(snapshot.names("w", 10).len(), 2);
    assert!(snapshot.learnt(&moved) > snapshot.taken());

    // A renamed node is no longer found by its old name.
    let mut renamed = node(3, "database");
    renamed.agent = AgentState::Lost;
    place
        .snapshots
        .update(&scope(), &Query::id(renamed.id.clone()), &[renamed.clone()])
        .unwrap();
    assert!(place.open().find(&exact("db")).unwrap().is_empty());
    assert_eq!(place.open().find(&exact("database")).unwrap(), [renamed]);

    // The next listing knows better.
    std::thread::sleep(Duration::from_millis(1));
    place.list(&[node(3, "db")]);
    assert_eq!(names_of(&place.open().search(&Query::default())), ["db"]);
    assert!(!place.snapshots.directory(&scope()).join(RECENT).exists());
}

#[test]
fn single_look_ups_are_remembered_without_a_listing() {
    let place = Place::new();
    assert!(place.snapshots.open(&scope()).is_none());
    place
        .snapshots
        .update(&scope(), &exact("web"), &[node(1, "web")])
        .unwrap();
    let snapshot = place.open();
    assert_eq!(snapshot.taken(), None);
    assert_eq!(snapshot.find(&exact("web")).unwrap(), [node(1, "web")]);
    for first in (0..700).step_by(20) {
        let name = format!("n{first}");
        let found: Vec<Node> = (first..first + 20).map(|n| node(n, &name)).collect();
        place.snapshots.update(&scope(), &exact(&name), &found).unwrap();
    }
    let kept = place.open().search(&Query::default()).len();
    assert!((400..=500).contains(&kept), "{kept}");
    assert_eq!(place.open().find(&exact("n680")).unwrap().len(), 20);
}

#[test]
fn the_deleted_are_not_kept() {
    let place = Place::new();
    let mut gone = node(1, "web");
    gone.state = InstanceState::Terminated;
    place.list(&[gone.clone(), node(2, "web")]);
    assert_eq!(place.open().find(&exact("web")).unwrap(), [node(2, "web")]);
    place.snapshots.update(&scope(), &exact("web"), &[gone]).unwrap();
    assert!(place.open().find(&exact("web")).unwrap().is_empty());
}

#[test]
fn a_damaged_listing_counts_as_absent_and_is_replaced() {
    let place = Place::new();
    place.list(&many(300));
    let whole = fs::read(place.listing()).unwrap();
    type Harm = fn(&mut Vec<u8>);
    let broken: [Harm; 7] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(700),
        |bytes| bytes.truncate(5000),
        |bytes| bytes.push(b'x'),
        |bytes| bytes[3] = 0xff,
        |bytes| bytes.fill(0),
        |bytes| {
            let text = String::from_utf8_lossy(bytes).replacen("123456789012", "999999999999", 1);
            *bytes = text.into_bytes();
        },
    ];
    for (case, break_it) in broken.iter().enumerate() {
        let mut bytes = whole.clone();
        break_it(&mut bytes);
        fs::write(place.listing(), &bytes).unwrap();
        assert!(place.snapshots.open(&scope()).is_none(), "case {case}");
    }
    // Damage that the header cannot show: whatever comes out, it does not panic.
    for at in (1024..whole.len()).step_by(1013) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(place.listing(), &bytes).unwrap();
        if let Some(snapshot) = place.snapshots.open(&scope()) {
            drop(snapshot.names("web-1", 10));
            drop(snapshot.search(&exact("web-1")));
            drop(snapshot.search(&Query::default()));
        }
    }
    fs::write(
        place.snapshots.directory(&scope()).join(RECENT),
        b"\xff\x00nonsense",
    )
    .unwrap();
    place.list(&[node(1, "web")]);
    assert_eq!(names_of(&place.open().search(&Query::default())), ["web"]);
}

#[test]
fn a_listing_that_saw_less_does_not_replace_one_that_saw_more() {
    let place = Place::new();
    place.list(&[node(1, "web")]);
    let mut writer = place.snapshots.begin(&scope(), Breadth::Managed).unwrap();
    writer.push(&[node(1, "ip-10-0-0-1")]).unwrap();
    writer.finish().unwrap();
    assert_eq!(names_of(&place.open().search(&Query::default())), ["web"]);
    assert_eq!(place.open().breadth(), Some(Breadth::Full));
}

#[test]
fn a_listing_that_is_given_up_leaves_nothing() {
    let place = Place::new();
    place.list(&[node(1, "web")]);
    let mut writer = place.snapshots.begin(&scope(), Breadth::Full).unwrap();
    writer.push(&[node(2, "db")]).unwrap();
    drop(writer);
    assert_eq!(names_of(&place.open().search(&Query::default())), ["web"]);
    let left = fs::read_dir(place.snapshots.directory(&scope())).unwrap().count();
    assert_eq!(left, 2, "the listing and the lock");
}

#[test]
#[cfg(unix)]
fn all_of_it_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.list(&[node(1, "web")]);
    place
        .snapshots
        .update(&scope(), &exact("web"), &[node(1, "web")])
        .unwrap();
    place.snapshots.reach().remember(Some("prod"), &scope()).unwrap();
    let mut pending = vec![place.snapshots.root.clone()];
    while let Some(path) = pending.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn profiles_lead_to_the_scope_they_reached_last() {
    let place = Place::new();
    let reach = place.snapshots.reach();
    assert!(reach.of(Some("prod"), None).is_empty());
    let mut other = scope();
    other.region = "us-east-1".parse().unwrap();
    reach.remember(Some("prod"), &scope()).unwrap();
    reach.remember(Some("prod"), &other).unwrap();
    reach.remember(None, &scope()).unwrap();
    assert_eq!(reach.of(Some("prod"), None), [other.clone(), scope()]);
    assert_eq!(reach.of(Some("prod"), Some(&scope().region)), [scope()]);
    assert_eq!(reach.of(None, None), [scope()]);
    // The profile comes to mean another account.
    let mut moved = scope();
    moved.account = "210987654321".parse().unwrap();
    reach.remember(Some("prod"), &moved).unwrap();
    assert_eq!(reach.of(Some("prod"), None), [moved, other]);
    assert_eq!(reach.profiles(), ["prod"]);
    fs::write(reach_path(&place), "{").unwrap();
    assert!(reach.of(Some("prod"), None).is_empty());
}

fn reach_path(place: &Place) -> PathBuf {
    place.snapshots.root.join("reach.json")
}

#[test]
fn scopes_are_listed_and_forgotten() {
    let place = Place::new();
    place.list(&[node(1, "web")]);
    fs::create_dir_all(place.snapshots.root.join("not a partition/x/y")).unwrap();
    assert_eq!(place.snapshots.scopes(), [scope()]);
    place.snapshots.forget(&scope()).unwrap();
    place.snapshots.forget(&scope()).unwrap();
    assert!(place.snapshots.scopes().is_empty());
}

#[test]
fn writers_and_readers_at_once_see_whole_states() {
    let place = Place::new();
    place.list(&many(2000));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..5 {
                    place.list(&many(2000));
                }
            });
        }
        threads.spawn(|| {
            for n in 0..50 {
                let found = [node(1_000_000 + n, "one")];
                place.snapshots.update(&scope(), &exact("one"), &found).unwrap();
            }
        });
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..60 {
                    let snapshot = place.open();
                    assert_eq!(snapshot.names("db-", 5000).len(), 570);
                    assert_eq!(snapshot.find(&exact("web-0")).unwrap().len(), 1);
                }
            });
        }
    });
}
