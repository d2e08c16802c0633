//! How help is laid out, and `ssmx help TOPIC`.

pub mod examples;
pub mod page;
pub mod refused;
pub mod screen;
pub mod topics;
pub mod words;

use std::ffi::OsString;

use anstyle::Style;
use clap::{Arg, ArgAction, Command};

use super::context::Context;
use super::error::{CommandError, Exit};
use examples::Example;

/// Commands by what a person wants to do, each in a few words. What is in no group is in the last one.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "Get in",
        &[
            ("connect", "open a shell"),
            ("exec", "run one command"),
            ("forward", "forward ports, by preset or ad hoc"),
            ("socks", "a SOCKS5 proxy through a node"),
            ("proxy", "for ssh's ProxyCommand"),
        ],
    ),
    (
        "Look",
        &[
            ("ls", "the nodes of a scope"),
            ("describe", "everything about one node"),
            ("sessions", "active sessions; end some"),
            ("console", "the Session Manager page, signed in"),
            ("whoami", "who I am for AWS, until when, from where"),
        ],
    ),
    (
        "Get help",
        &[
            ("doctor", "why a node cannot be reached, and what to do"),
            ("login", "log in with SSO"),
            ("help", "about a command or a topic"),
        ],
    ),
];
const REST: &str = "And";

/// Shown in the help of every command; the others by `ssmx help options`.
const SHOWN_GLOBALS: &[&str] = &["profile", "region", "output"];

/// Before the options, examples: what most people came for.
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const MORE: &str = "Further options of every command: ssmx help options";

/// How much of a command its help shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// `-h`: what people use most, on a screen of 24 lines and 80 columns.
    Screen,
    /// `--help`: all, a line for each; and every word by `ssmx help COMMAND`.
    Whole,
}

impl Extent {
    /// What the words of a command line ask for. Who asks for no help gets the whole, since usage that is shown with a
    /// mistake leaves nothing out.
    pub fn asked(words: &[OsString]) -> Self {
        // `-h`, or behind other letters.
        let is_short = |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.ends_with('h');
        match words.iter().filter_map(|word| word.to_str()).find(is_short) {
            Some(_) if !words.iter().any(|word| word == "--help") => Self::Screen,
            _ => Self::Whole,
        }
    }
}

/// Show help about a command or a topic
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// A command's words, or one of: options, names, output, config, environment, tutorial
    #[arg(value_name = "TOPIC")]
    words: Vec<String>,
}

/// Lays out the help of all commands: examples first, few of the options that all share, an overview that fits a
/// screen.
pub fn arrange(command: Command, extent: Extent) -> Command {
    let overview = overview(&command);
    let mut command = command.mut_args(|arg| {
        let shown = extent == Extent::Whole && SHOWN_GLOBALS.contains(&arg.get_id().as_str());
        if shown || !arg.is_global_set() {
            arg
        } else {
            arg.hide(true)
        }
    });
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(&name, |sub| arrange_one(sub, &name, extent));
    }
    command.override_help(overview)
}

fn arrange_one(command: Command, path: &str, extent: Extent) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let help = Arg::new("help").short('h').long("help");
    let help = help
        .action(ArgAction::HelpShort)
        .help("Print help; --help has every option");
    let mut command = command.disable_help_flag(true).arg(help);
    let examples = examples::of(path);
    command = match extent {
        Extent::Screen => screen::arrange(command, path, examples),
        Extent::Whole => command
            .before_help(example_lines(examples))
            .help_template(TEMPLATE)
            .after_help(format!("All about it: ssmx help {path}\n{MORE}")),
    };
    for name in names {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(&name, |sub| arrange_one(sub, &path, extent));
    }
    command
}

fn example_lines(examples: &[Example]) -> String {
    let heading = Style::new().bold().underline();
    let mut text = String::new();
    for (line, what) in examples {
        text.push_str(if text.is_empty() { "" } else { "\n" });
        // Side by side where that fits a usual terminal.
        if line.len() <= 36 && what.len() <= 38 {
            text.push_str(&format!("  {line:<38} {what}"));
        } else {
            text.push_str(&format!("  {line}\n      {what}"));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("{heading}Examples:{heading:#}\n{text}")
}

/// The help of `ssmx` itself: what there is, by what a person wants to do, on one screen of 24 lines.
pub fn overview(command: &Command) -> String {
    let bold = Style::new().bold();
    let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let visible: Vec<&str> = visible.map(Command::get_name).collect();
    let known = |name: &str| visible.contains(&name);
    let mut text = String::new();
    if let Some(about) = command.get_about() {
        text.push_str(&format!("{about}\n\n"));
    }
    text.push_str(&format!("{bold}Usage:{bold:#} ssmx [OPTIONS] COMMAND …\n\n"));
    for (group, names) in GROUPS {
        let mut heading = *group;
        for (name, what) in names.iter().filter(|(name, _)| known(name)) {
            text.push_str(&format!("  {bold}{heading:<9}{bold:#} {name:<10} {what}\n"));
            heading = "";
        }
    }
    let grouped = |name: &str| {
        GROUPS
            .iter()
            .any(|(_, names)| names.iter().any(|(known, _)| *known == name))
    };
    let rest: Vec<&str> = visible.iter().copied().filter(|name| !grouped(name)).collect();
    let mut heading = REST;
    for line in lines_of(&rest, 66) {
        text.push_str(&format!("  {bold}{heading:<9}{bold:#} {line}\n"));
        heading = "";
    }
    text.push_str(
        "\nEverywhere: -p PROFILE, -r REGION, -o FORMAT, -q JMESPATH, -v: ssmx help options\n\
         More: ssmx help COMMAND, ssmx help names|output|config|environment|tutorial\n",
    );
    text
}

fn lines_of(names: &[&str], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + name.len() <= columns => {
                line.push_str(", ");
                line.push_str(name);
            }
            _ => lines.push((*name).to_owned()),
        }
    }
    lines
}

/// Shows help.
///
/// # Errors
/// When there is no such command or topic, or stdout cannot be written.
pub fn run(ctx: &Context, args: &Args, mut command: Command) -> Result<Exit, CommandError> {
    command.build();
    let ui = ctx.ui();
    let show = |help: clap::builder::StyledStr| {
        if ui.styles_data() {
            help.ansi().to_string()
        } else {
            help.to_string()
        }
    };
    let text = match args.words.as_slice() {
        [] => show(command.render_help()),
        [topic] if topic == "options" => topics::options(&command),
        [topic] if topics::page(topic).is_some() && command.find_subcommand(topic).is_none() => {
            topic_text(ctx, topic)
        }
        // `config` is both: the page has every key, and names the command's own help.
        [topic] if topic == "config" => topic_text(ctx, topic),
        words => show(find(&mut command, words)?.render_long_help()),
    };
    ui.through(&ctx.pager(), &text)?;
    Ok(Exit::SUCCESS)
}

fn topic_text(ctx: &Context, topic: &str) -> String {
    let columns = ctx
        .ui()
        .data_size()
        .map_or(80, |(_, columns)| columns.clamp(40, 100));
    let blocks = topics::page(topic).map(|page| page.blocks()).unwrap_or_default();
    page::text(&blocks, columns, ctx.ui().styles_data())
}

fn find<'a>(command: &'a mut Command, words: &[String]) -> Result<&'a mut Command, CommandError> {
    let mut found = command;
    for word in words {
        if found.find_subcommand(word).is_none() {
            return Err(words::no_such_topic(found, word));
        }
        // Just looked up.
        found = found
            .find_subcommand_mut(word)
            .ok_or_else(CommandError::interrupted)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_lines() {
        assert_eq!(lines_of(&["aa", "bb", "cc"], 6), ["aa, bb", "cc"]);
    }

    #[test]
    fn the_overview_has_groups_and_the_rest() {
        let command = Command::new("ssmx")
            .about("About")
            .subcommand(Command::new("connect").about("Open a shell on a node"))
            .subcommand(Command::new("secret").hide(true))
            .subcommand(Command::new("odd").about("Something else"));
        let text = anstream::adapter::strip_str(&overview(&command)).to_string();
        assert!(text.contains("  Get in    connect    open a shell\n"), "{text}");
        assert!(text.contains("  And       odd\n"), "{text}");
        assert!(!text.contains("secret"));
    }
}
