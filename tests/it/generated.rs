//! What is written down is what the program says: manual pages, completion scripts, and parts of the README.
//! `SSMX_BLESS=1 cargo test --test it generated` writes them again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use clap::Command;
use ssmx::commands::completions::Shell;
use ssmx::commands::help::page::{self, Block};
use ssmx::commands::help::{Extent, examples, overview, screen, topics};
use ssmx::config::env::VARIABLES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_blessing() -> bool {
    std::env::var_os("SSMX_BLESS").is_some_and(|value| !value.is_empty())
}

/// Compares files with what they should be, or writes them.
fn compare(directory: &Path, wanted: &BTreeMap<String, String>, owned: fn(&str) -> bool) {
    let mut there: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if owned(&name) {
            let text = fs::read_to_string(directory.join(&name)).unwrap();
            there.insert(name, text);
        }
    }
    if is_blessing() {
        fs::create_dir_all(directory).unwrap();
        for name in there.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::remove_file(directory.join(name)).unwrap();
        }
        for (name, text) in wanted
            .iter()
            .filter(|(name, text)| there.get(*name) != Some(text))
        {
            fs::write(directory.join(name), text).unwrap();
        }
        return;
    }
    let mut stale: Vec<&String> = wanted
        .keys()
        .filter(|name| there.get(*name) != wanted.get(*name))
        .collect();
    stale.extend(there.keys().filter(|name| !wanted.contains_key(*name)));
    assert!(
        stale.is_empty(),
        "{stale:?} in {} are not what the program says; `just bless` writes them again",
        directory.display()
    );
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut command = ssmx::cli::command(Extent::Whole);
    command.build();
    // All options stand on the page of ssmx itself; elsewhere the three that are wanted most.
    let mut whole = ssmx::cli::definition();
    whole.build();
    pages.insert("ssmx.1".to_owned(), command_page(&whole, &[]));
    collect(&command, &mut Vec::new(), &mut pages);
    for topic in topics::PAGES {
        let name = format!("ssmx-{}", topic.name);
        let text = page::roff(&name, topic.section, topic.about, &topic.blocks());
        pages.insert(format!("{name}.{}", topic.section), text);
    }
    pages
}

fn collect(command: &Command, path: &mut Vec<String>, pages: &mut BTreeMap<String, String>) {
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        path.push(sub.get_name().to_owned());
        pages.insert(format!("ssmx-{}.1", path.join("-")), command_page(sub, path));
        collect(sub, path, pages);
        path.pop();
    }
}

fn command_page(command: &Command, path: &[String]) -> String {
    let name = ["ssmx".to_owned()]
        .iter()
        .chain(path)
        .cloned()
        .collect::<Vec<_>>()
        .join("-");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = page::roff(&name, "1", &about, &[]);
    let usage = command.clone().render_usage().to_string();
    let usage = usage
        .trim_start_matches("Usage: ")
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    let mut blocks = vec![Block::Heading("Synopsis".into()), Block::Code(usage)];
    blocks.push(Block::Heading("Description".into()));
    let long = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    blocks.extend(
        long.split("\n\n")
            .map(|text| Block::Paragraph(text.replace('\n', " "))),
    );
    let shown = examples::of(&path.join(" "));
    if !shown.is_empty() {
        blocks.push(Block::Heading("Examples".into()));
        blocks.extend(
            shown
                .iter()
                .map(|(line, what)| Block::Term(format!("`{}`", line.replace('`', "'")), (*what).to_owned())),
        );
    }
    page::body(&blocks, &mut page);
    let mut blocks = Vec::new();
    options(command, &mut blocks);
    let subs: Vec<&Command> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .collect();
    if !subs.is_empty() {
        blocks.push(Block::Heading("Commands".into()));
        for sub in subs {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            blocks.push(Block::Term(format!("`{name}-{}`(1)", sub.get_name()), about));
        }
    }
    if path.is_empty() {
        let exit = page::read(include_str!("../../src/commands/help/output.md"));
        let from = exit
            .iter()
            .position(|block| *block == Block::Heading("Exit status".into()))
            .unwrap();
        blocks.extend(exit[from..].iter().cloned());
        blocks.push(Block::Heading("See also".into()));
        let topics: Vec<String> = topics::PAGES
            .iter()
            .map(|page| format!("`ssmx-{}`({})", page.name, page.section))
            .collect();
        blocks.push(Block::Paragraph(topics.join(", ")));
    } else {
        blocks.push(Block::Heading("See also".into()));
        blocks.push(Block::Paragraph(
            "`ssmx`(1), `ssmx-config`(5), `ssmx-names`(7)".into(),
        ));
    }
    page::body(&blocks, &mut page);
    page
}

/// What the command takes, under the headings that its help has.
fn options(command: &Command, blocks: &mut Vec<Block>) {
    let mut headings: Vec<&str> = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let heading = arg.get_help_heading().unwrap_or("Options");
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        blocks.push(Block::Heading(heading.to_owned()));
        let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for arg in args.filter(|arg| arg.get_help_heading().unwrap_or("Options") == heading) {
            let mut spellings: Vec<String> = Vec::new();
            spellings.extend(arg.get_short().map(|short| format!("`-{short}`")));
            spellings.extend(
                arg.get_long_and_visible_aliases()
                    .into_iter()
                    .flatten()
                    .map(|long| format!("`--{long}`")),
            );
            let mut term = spellings.join(", ");
            if arg.get_action().takes_values() {
                let names = arg.get_value_names().unwrap_or_default().join(" ");
                term = format!("{term} {names}").trim().to_owned();
            }
            let mut text = arg
                .get_long_help()
                .or(arg.get_help())
                .map(ToString::to_string)
                .unwrap_or_default();
            let choices: Vec<String> = arg
                .get_possible_values()
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| format!("`{}`", value.get_name()))
                .collect();
            if !choices.is_empty() && arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
                text = format!("{text}: {}", choices.join(", "));
            }
            blocks.push(Block::Term(term, text.replace('\n', " ")));
        }
    }
}

#[test]
fn manual_pages_are_what_the_program_says() {
    compare(&root().join("man"), &pages(), |name| name.starts_with("ssmx"));
}

#[test]
fn manual_pages_are_well_formed() {
    if Program::new("mandoc").arg("-h").output().is_err() {
        assert!(
            std::env::var_os("SSMX_TESTS_NEED_TOOLS").is_none(),
            "mandoc is not installed"
        );
        eprintln!("left out: mandoc is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = pages()
        .into_iter()
        .map(|(name, text)| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let checked = Program::new("mandoc")
        .args(["-T", "lint", "-W", "warning"])
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[test]
fn completion_scripts_are_what_the_program_says() {
    let shells = [
        ("ssmx.bash", Shell::Bash),
        ("_ssmx", Shell::Zsh),
        ("ssmx.fish", Shell::Fish),
        ("ssmx.ps1", Shell::PowerShell),
        ("ssmx.elv", Shell::Elvish),
    ];
    let wanted = shells.map(|(name, shell)| (name.to_owned(), shell.script().to_owned()));
    compare(&root().join("completions"), &BTreeMap::from(wanted), |_| true);
}

#[test]
fn the_readme_has_the_programs_words() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let help = anstream::adapter::strip_str(&overview(&ssmx::cli::definition())).to_string();
    let mut table = String::from("| variable | what it does |\n| --- | --- |\n");
    for variable in VARIABLES {
        table.push_str(&format!(
            "| `{}` | {} |\n",
            variable.name,
            variable.doc.replace('|', "\\|")
        ));
    }
    let blocks = [
        ("help", format!("```text\n$ ssmx --help\n{help}```\n")),
        ("environment", table),
    ];
    let mut wanted = readme.clone();
    for (name, text) in blocks {
        let (open, close) = (
            format!("<!-- {name}: `just bless` writes this -->\n"),
            format!("<!-- /{name} -->"),
        );
        let (before, rest) = wanted
            .split_once(&open)
            .unwrap_or_else(|| panic!("README.md has no {open}"));
        let (_, after) = rest
            .split_once(&close)
            .unwrap_or_else(|| panic!("README.md has no {close}"));
        wanted = format!("{before}{open}{text}{close}{after}");
    }
    if is_blessing() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert_eq!(
        readme, wanted,
        "README.md is not what the program says; `just bless` writes it again"
    );
}

#[test]
fn the_overview_fits_a_screen() {
    let help = anstream::adapter::strip_str(&overview(&ssmx::cli::definition())).to_string();
    // The prompt takes a line of the 24.
    assert!(help.lines().count() <= 23, "{help}");
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_short_help_of_every_command_fits_a_screen() {
    let whole = ssmx::cli::definition();
    for (path, shown) in screen::SHOWN {
        let command = path
            .split(' ')
            .fold(&whole, |command, word| command.find_subcommand(word).unwrap());
        let there: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        for (id, _) in *shown {
            assert!(there.contains(id), "`{path}` has no {id}, only {there:?}");
        }
    }
    let mut long = Vec::new();
    let mut open = vec![ssmx::cli::command(Extent::Screen)];
    while let Some(mut command) = open.pop() {
        command.build();
        open.extend(command.get_subcommands().cloned());
        if command.get_name() == "ssmx" || command.is_hide_set() {
            continue;
        }
        let help = command.clone().term_width(80).render_help().to_string();
        if help.lines().count() > 23 || help.lines().any(|line| line.chars().count() > 80) {
            long.push(help);
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n––––\n"));
}

#[test]
fn examples_can_be_typed() {
    let command = ssmx::cli::definition();
    let mut wrong = Vec::new();
    let mut open = vec![(String::new(), &command)];
    while let Some((path, command)) = open.pop() {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            open.push((format!("{path} {}", sub.get_name()).trim().to_owned(), sub));
        }
        let shown = examples::of(&path);
        if shown.is_empty() && !path.is_empty() && !command.has_subcommands() {
            wrong.push(format!("{path}: no examples"));
        }
        for (line, _) in shown.iter().filter(|(line, _)| line.starts_with("ssmx ")) {
            let line = line.split(" > ").next().unwrap_or_default();
            if let Err(error) = ssmx::cli::definition().try_get_matches_from(words(line)) {
                wrong.push(format!("{line}: {}", error.kind()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A line's words; examples have no escapes.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
