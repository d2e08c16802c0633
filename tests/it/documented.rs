//! What the documentation shows works as it is written.

use std::fs;
use std::path::Path;

use ssmx::commands::help::page::Block;
use ssmx::commands::help::topics;

use crate::env::TestEnv;
use crate::generated::words;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The blocks of README.md that are in this language.
fn fenced(readme: &str, language: &str) -> Vec<String> {
    readme
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|after| after.split("```").next().unwrap().to_owned())
        .collect()
}

/// The blocks of all topics, as they are typed, with the topic's name.
fn topics_code() -> Vec<(&'static str, Vec<String>)> {
    let blocks = topics::PAGES.iter().flat_map(|page| {
        let blocks = page.blocks().into_iter();
        blocks.filter_map(|block| match block {
            Block::Code(lines) => Some((page.name, lines)),
            _ => None,
        })
    });
    blocks.collect()
}

#[test]
fn configs_are_right() {
    let env = TestEnv::new();
    let mut configs: Vec<(String, String)> = fenced(&readme(), "toml")
        .into_iter()
        .map(|text| ("README.md".to_owned(), text))
        .collect();
    for (name, lines) in topics_code() {
        if lines.iter().any(|line| line.starts_with('[')) {
            configs.push((format!("ssmx help {name}"), lines.join("\n")));
        }
    }
    // Everything in it is a comment until somebody wants it.
    let template = env.run(&["config", "init", "--print"]).ok();
    let wanted = template.lines().map(|line| match line.strip_prefix('#') {
        Some(said) if !said.starts_with(' ') => said,
        _ => line,
    });
    configs.push((
        "ssmx config init".to_owned(),
        wanted.collect::<Vec<_>>().join("\n"),
    ));
    assert!(configs.len() >= 3, "{configs:?}");
    let file = env.home().join("documented.toml");
    for (place, text) in configs {
        fs::write(&file, text).unwrap();
        let checked = env
            .command(&["config", "check", "--strict"])
            .env("SSMX_CONFIG", &file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{place}: {said}");
    }
}

#[test]
fn commands_can_be_typed() {
    let mut lines: Vec<String> = fenced(&readme(), "console")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.extend(topics_code().into_iter().flat_map(|(_, lines)| lines));
    let typed: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("$ "))
        .filter(|line| line.starts_with("ssmx "))
        .collect();
    assert!(typed.len() > 15, "{typed:?}");
    let mut wrong = Vec::new();
    for line in typed {
        let line = line.split("  #").next().unwrap_or_default().trim_end();
        if let Err(error) = ssmx::cli::definition().try_get_matches_from(words(line)) {
            wrong.push(format!("{line}: {}", error.kind()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
