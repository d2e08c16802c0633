//! What `-h` shows of a command: what people use most, on a screen of 24 lines and 80 columns.

use clap::Command;

use super::example_lines;
use super::examples::Example;

/// An argument by its id, with words that take one line where its own take more.
pub type Shown = (&'static str, &'static str);

const EVERYWHERE: &str = "Everywhere: -p PROFILE, -r REGION, -o FORMAT, -v: ssmx help options";

/// In place of the same long text of many commands.
const TARGET: &str = "A name, alias, id, selector or PROFILE/NAME: ssmx help names";
const REASON: &str = "Why, for the audit";
const YES: &str = "Answer what `confirm` asks: -y, or --yes=NAME";
const NEWEST: &str = "Of several, the one launched last; also --oldest, --any";
const DOCUMENT: &str = "Another session document than usual";

/// Commands that take more than a screen has room for: the arguments that are shown, the others by `--help`.
pub const SHOWN: &[(&str, &[Shown])] = &[
    (
        "connect",
        &[
            ("target", TARGET),
            ("document", DOCUMENT),
            ("record", "Record the screen to this file (asciicast)"),
            ("dry_run", "Print the AWS CLI's words for it, start nothing"),
            ("reason", REASON),
            ("yes", YES),
            ("newest", NEWEST),
        ],
    ),
    (
        "exec",
        &[
            ("target", TARGET),
            ("command", ""),
            ("shell", "A line for the remote shell, instead of a command"),
            ("stdin", "Read stdin; only together with -t"),
            ("tty", "In a terminal of its own"),
            ("timeout", "Give up after this time, such as 30s or 5m"),
            ("reason", REASON),
            ("yes", YES),
            ("newest", NEWEST),
        ],
    ),
    (
        "forward",
        &[
            ("words", "What to forward"),
            ("command", "Run this with the forwards up; {port} is filled in"),
            ("detach", "Go on in the background: forward ps, stop, logs"),
            ("save", "Write it down as a preset of this name"),
            ("open", "Open a browser at the first forward"),
            ("reason", REASON),
            ("yes", YES),
        ],
    ),
    (
        "socks",
        &[
            ("target", TARGET),
            ("command", "Run this with the proxy up; {port} is filled in"),
            ("local", "The local port; 0: a free one"),
            ("sessions", "At most so many hosts and ports at a time"),
            ("idle_timeout", "End what is unused for so long, such as 30m"),
            ("detach", "Go on in the background: forward ps, stop, logs"),
            ("reason", REASON),
            ("yes", YES),
        ],
    ),
    (
        "proxy",
        &[
            ("target", TARGET),
            ("port", ""),
            ("linger", "How long the node may be silent after stdin's end"),
            ("reason", REASON),
            ("yes", YES),
            ("newest", NEWEST),
        ],
    ),
    ("ls", LS),
    ("get instances", LS),
    ("describe", &[("target", TARGET), ("newest", NEWEST)]),
    ("resolve", &[("target", TARGET), ("newest", NEWEST)]),
    ("sessions", SESSIONS),
    ("sessions ls", SESSIONS),
    (
        "sessions end",
        &[
            ("sessions", "Ids, beginnings of ids, or targets"),
            ("mine", ""),
            ("stale", "What a killed ssmx left behind on this machine"),
            ("yes", "Do not ask before several or somebody else's end"),
        ],
    ),
    (
        "console",
        &[
            ("target", ""),
            ("print", "Print the address; whoever has it is signed in as you"),
            ("service", "ssm, ec2 or cloudwatch"),
            ("browser", ""),
        ],
    ),
    (
        "iam-policy",
        &[
            ("task", "connect, forward, exec or all"),
            ("targets", "On which; all instances without any"),
            ("tags", "On instances with this tag"),
            ("document_name", "The session document, where not AWS's own"),
            ("kms_key", "The key that sessions are encrypted with"),
            ("for_instance", "The policy of the instance's role instead"),
        ],
    ),
    (
        "completions",
        &[
            ("shell", "bash, zsh, fish, powershell or elvish"),
            ("install", "Put it where the shell looks; says what, and asks"),
            ("yes", ""),
        ],
    ),
];

const LS: &[Shown] = &[
    ("words", "Names with * and ?, ids, or selectors: ssmx help names"),
    ("tags", "Nodes with this tag"),
    ("state", "pending, running, stopping or stopped"),
    ("online", ""),
    ("profiles", "By each of these profiles: a,b"),
    ("all_profiles", "In every account that can be reached unasked"),
    ("all_regions", ""),
    ("watch", "Go on, and show what changes"),
];

const SESSIONS: &[Shown] = &[
    ("history", "Those that ended in the last thirty days"),
    ("all", "Active ones and those that have ended"),
    ("mine", "Mine alone, of all permission sets"),
    ("target", "On this target alone"),
    ("all_profiles", "By every profile that asks nobody"),
    ("local", "What was started here, by ssmx's own log"),
];

/// So many lines of examples leave room for the rest.
const EXAMPLES: usize = 4;

/// Their commands are named by an option's words.
const FOLDED: &[&str] = &["forward"];

/// Lays out a command: the arguments that a screen has no room for are left to `--help`, the others may have fewer
/// words.
pub(super) fn arrange(command: Command, path: &str, examples: &[Example]) -> Command {
    let shown = SHOWN.iter().find(|(known, _)| *known == path);
    let command = command.mut_args(|arg| {
        let Some((_, shown)) = shown.filter(|_| !arg.is_global_set()) else {
            return arg;
        };
        match shown.iter().find(|(id, _)| arg.get_id() == id) {
            None => arg.hide(true),
            Some((_, "")) => arg,
            // The words name what is possible.
            Some((_, words)) if arg.get_action().takes_values() => {
                arg.help(*words).hide_possible_values(true)
            }
            Some((_, words)) => arg.help(*words),
        }
    });
    let is_folded = FOLDED.contains(&path);
    let mut command = command.mut_subcommands(|sub| if is_folded { sub.hide(true) } else { sub });
    if is_folded {
        // The first line is the command's own. Of a copy, for to render adds a command of clap's.
        let usage = command.clone().render_usage().to_string();
        let own = usage.lines().next().unwrap_or_default();
        let own = own.trim_start_matches("Usage: ").to_owned();
        command = command.override_usage(own);
    }
    let fitting = (0..=examples.len())
        .rev()
        .find(|count| example_lines(&examples[..*count]).lines().count() <= EXAMPLES + 1);
    let examples = example_lines(&examples[..fitting.unwrap_or(0)]);
    let mut template = String::from("{about-with-newline}\n{before-help}{usage-heading} {usage}\n");
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        template.push_str("\n{subcommands}\n");
    }
    if command.get_positionals().any(|arg| !arg.is_hide_set()) {
        template.push_str("\n{positionals}\n");
    }
    template.push_str("\n{options}{after-help}");
    command
        .before_help(examples)
        .help_template(template)
        .after_help(format!("{EVERYWHERE}\nAll of it:  ssmx {path} --help"))
}
