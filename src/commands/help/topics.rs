//! The pages of `ssmx help TOPIC` that are about no single command.

use clap::Command;

use super::page::{Block, read};
use crate::config::env::VARIABLES;
use crate::config::schema::Config;
use crate::config::shape::{Json, Key, Leaf, Shape, Shaped as _};

/// All topics.
pub const NAMES: &[&str] = &[
    "options",
    "names",
    "output",
    "config",
    "credentials",
    "environment",
    "tutorial",
];

/// A page of the manual.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// What it is called by `man` and `ssmx help`, without `ssmx-`.
    pub name: &'static str,
    /// The manual's section.
    pub section: &'static str,
    /// One line.
    pub about: &'static str,
    body: fn() -> Vec<Block>,
}

impl Page {
    /// What it says.
    pub fn blocks(&self) -> Vec<Block> {
        (self.body)()
    }
}

/// Every page.
pub const PAGES: &[Page] = &[
    Page {
        name: "config",
        section: "5",
        about: "what the files of ssmx can say",
        body: config,
    },
    Page {
        name: "credentials",
        section: "7",
        about: "how AWS profiles, codes and logins become credentials",
        body: || read(include_str!("credentials.md")),
    },
    Page {
        name: "environment",
        section: "7",
        about: "the variables that ssmx reads, and those that it sets",
        body: environment,
    },
    Page {
        name: "names",
        section: "7",
        about: "how ssmx finds a node by what was typed",
        body: || read(include_str!("names.md")),
    },
    Page {
        name: "output",
        section: "7",
        about: "the formats and documents that ssmx prints",
        body: || read(include_str!("output.md")),
    },
    Page {
        name: "tutorial",
        section: "7",
        about: "from nothing to a shell and a port forward",
        body: || read(include_str!("tutorial.md")),
    },
];

/// The page of a topic.
pub fn page(topic: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == topic)
}

/// The options that all commands take.
pub fn options(command: &Command) -> String {
    let mut text = String::from("Options of every command; the long names are the AWS CLI's\n\n");
    for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
        let Some(long) = arg.get_long() else { continue };
        let short = arg
            .get_short()
            .map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = match arg.get_value_names() {
            Some(names) if arg.get_action().takes_values() => format!(" <{}>", names.join(" ")),
            _ => String::new(),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<28} {help}\n", format!("{short}--{long}{value}")));
    }
    text
}

/// The table of variables, as the manual and the README have it.
fn environment() -> Vec<Block> {
    let mut blocks = read(
        "# ssmx's own\n\nThese count before the files and after the flags. Any other `SSMX_` variable is left alone.\n",
    );
    for variable in VARIABLES {
        let key = variable
            .key
            .map(|key| format!(" (sets `{}`)", key.join(".")))
            .unwrap_or_default();
        blocks.push(Block::Term(
            format!("`{}`", variable.name),
            format!("{}{key}", variable.doc),
        ));
    }
    blocks.extend(read(include_str!("environment.md")));
    blocks
}

/// Every key, from the schema itself.
fn config() -> Vec<Block> {
    let mut blocks = read(include_str!("config.md"));
    if let Shape::Table(keys) = Config::SHAPE {
        for key in keys {
            section(key, &mut blocks);
        }
    }
    blocks
}

fn section(key: &Key, blocks: &mut Vec<Block>) {
    let (heading, shape) = match key.shape {
        Shape::Named(Shape::Table(keys)) => (format!("[{}.NAME]", key.name), Some(*keys)),
        Shape::Named(_) => (format!("[{}]", key.name), None),
        Shape::Table(keys) => (format!("[{}]", key.name), Some(keys)),
        _ => (key.name.to_owned(), None),
    };
    blocks.push(Block::Heading(heading));
    blocks.push(Block::Paragraph(prose(key.doc)));
    match (shape, key.shape) {
        (Some(keys), _) => {
            for key in keys {
                let takes = takes(&key.shape);
                blocks.push(Block::Term(format!("`{}`: {takes}", key.name), prose(key.doc)));
            }
        }
        (None, Shape::Named(value)) => {
            blocks.push(Block::Term("`NAME`: ".to_owned() + &takes(value), String::new()));
        }
        (None, shape) => blocks.push(Block::Paragraph(format!("Takes {}.", takes(&shape)))),
    }
}

fn prose(doc: &str) -> String {
    let lines: Vec<&str> = doc
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

/// What a key takes, in words.
fn takes(shape: &Shape) -> String {
    match shape {
        Shape::Leaf(Leaf { expected, json, .. }) => match json {
            Json::Boolean => "true or false".to_owned(),
            _ => (*expected).to_owned(),
        },
        Shape::List(item) => format!("a list of: {}", takes(item)),
        Shape::OneOrList(item) => format!("{}, or a list of them", takes(item)),
        Shape::Table(_) => "a table".to_owned(),
        Shape::Named(item) => format!("a table of names, each with {}", takes(item)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_is_on_the_page() {
        let blocks = config();
        let Shape::Table(sections) = Config::SHAPE else {
            panic!()
        };
        for section in sections {
            let keys: &[Key] = match section.shape {
                Shape::Table(keys) => keys,
                Shape::Named(Shape::Table(keys)) => keys,
                _ => &[],
            };
            for key in keys {
                let term = format!("`{}`: ", key.name);
                assert!(
                    blocks.iter().any(|block| matches!(block, Block::Term(known, text) if known.starts_with(&term) && !text.is_empty())),
                    "{}.{}", section.name, key.name
                );
            }
        }
    }

    #[test]
    fn every_topic_has_its_page() {
        for name in NAMES.iter().filter(|name| **name != "options") {
            assert!(page(name).is_some_and(|page| page.blocks().len() > 5), "{name}");
        }
    }
}
