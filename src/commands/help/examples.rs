//! What each command is typed like: its help begins with these, and so does its manual page.

/// A line as it is typed, and what it does.
pub type Example = (&'static str, &'static str);

/// The examples of a command, named by its words after `ssmx`.
pub fn of(path: &str) -> &'static [Example] {
    EXAMPLES
        .iter()
        .find(|(known, _)| *known == path)
        .map_or(&[], |(_, examples)| examples)
}

const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "connect",
        &[
            ("ssmx connect prod-web", "a shell on the node of that name"),
            ("ssmx connect tag:Role=web --newest", "the newest of several"),
            (
                "ssmx connect -p prod -r eu-west-1 i-0123456789abcdef0",
                "by id, in another scope",
            ),
            (
                "ssmx connect prod/prod-web --record shell.cast",
                "by profile and name, recorded",
            ),
            (
                "ssmx connect prod-web --document Team-Shell --parameter team=web",
                "by a document of your own",
            ),
        ],
    ),
    (
        "exec",
        &[
            (
                "ssmx exec prod-web -- uptime",
                "one command; its exit status is ours",
            ),
            (
                "ssmx exec prod-web --shell 'ps aux | grep nginx'",
                "one line for the remote shell",
            ),
            ("ssmx exec -it prod-web -- top", "a command that wants a terminal"),
        ],
    ),
    (
        "forward",
        &[
            ("ssmx forward prod-db", "a preset of the config"),
            (
                "ssmx forward prod-web 8080:80",
                "port 80 of the node on 127.0.0.1:8080",
            ),
            (
                "ssmx forward prod-bastion 15432:db.internal:5432",
                "a port behind the node",
            ),
            (
                "ssmx forward prod-db -- psql -h 127.0.0.1 -p {port}",
                "for as long as a command runs",
            ),
            (
                "ssmx forward prod-db --detach",
                "in the background; see `ssmx forward ps`",
            ),
        ],
    ),
    ("forward ps", &[("ssmx forward ps", "forwards in the background")]),
    ("forward stop", &[("ssmx forward stop prod-db", "end one")]),
    (
        "forward logs",
        &[("ssmx forward logs prod-db -f", "what one has to say, as it comes")],
    ),
    (
        "socks",
        &[("ssmx socks prod-bastion", "a SOCKS5 proxy through the node")],
    ),
    (
        "proxy",
        &[(
            "ssh -o ProxyCommand='ssmx proxy %h %p' ec2-user@prod-web",
            "ssh and scp through a session",
        )],
    ),
    (
        "ls",
        &[
            ("ssmx ls", "the nodes of this scope"),
            (
                "ssmx ls --name 'prod-*' --online -o wide",
                "those that can be connected to, with more columns",
            ),
            (
                "ssmx ls --tag Role=web --query 'nodes[].id' -o text",
                "just the ids, for a script",
            ),
            (
                "ssmx ls --all-profiles --all-regions",
                "every account and region that can be reached",
            ),
            ("ssmx ls --watch", "go on, and show what changes"),
        ],
    ),
    (
        "get",
        &[("ssmx get instances", "as kubectl has it: the same as `ssmx ls`")],
    ),
    (
        "get instances",
        &[(
            "ssmx get instances -l Role=web -o name",
            "those with a tag, by name and id",
        )],
    ),
    ("get sessions", &[("ssmx get sessions", "active sessions")]),
    ("get targets", &[("ssmx get targets", "all named targets")]),
    ("get aliases", &[("ssmx get aliases", "all aliases")]),
    ("get presets", &[("ssmx get presets", "all presets")]),
    (
        "snapshot",
        &[("ssmx snapshot ls", "what is remembered for completions")],
    ),
    ("snapshot ls", &[("ssmx snapshot ls", "the scopes, and how old")]),
    (
        "snapshot refresh",
        &[("ssmx snapshot refresh -p prod", "list it anew")],
    ),
    (
        "snapshot rm",
        &[("ssmx snapshot rm --all", "forget everything that was listed")],
    ),
    (
        "describe",
        &[
            ("ssmx describe prod-web", "all that helps to connect"),
            ("ssmx describe prod-web -o json", "the same for a program"),
        ],
    ),
    (
        "resolve",
        &[
            ("ssmx resolve prod-web", "which node a name means"),
            ("ssmx resolve prod-web --query id -o text", "its id alone"),
        ],
    ),
    (
        "sessions",
        &[
            ("ssmx sessions", "active sessions, mine first"),
            (
                "ssmx sessions --history --target prod-web",
                "what was open on it in the last thirty days",
            ),
            (
                "ssmx sessions --local",
                "what was started from this machine, with reasons",
            ),
        ],
    ),
    (
        "sessions ls",
        &[
            (
                "ssmx sessions ls --mine -o name",
                "mine, over all permission sets, for scripts",
            ),
            (
                "ssmx sessions ls --all-profiles",
                "in every scope that can be reached without a question",
            ),
        ],
    ),
    (
        "sessions end",
        &[
            (
                "ssmx sessions end ada-0123456789abcdef0",
                "end one; the beginning of its id is enough",
            ),
            (
                "ssmx sessions end prod-web",
                "end what is open on a target; asks where it is not yours",
            ),
            (
                "ssmx sessions end --stale",
                "end what a killed ssmx left behind on this machine",
            ),
        ],
    ),
    (
        "console",
        &[
            (
                "ssmx console prod-web",
                "its Session Manager page in the browser, signed in",
            ),
            ("ssmx console --print", "the URL alone"),
        ],
    ),
    (
        "doctor",
        &[
            (
                "ssmx doctor",
                "check this machine: credentials, clock, proxy, plugin",
            ),
            (
                "ssmx doctor prod-web",
                "why a node cannot be reached, and what to do",
            ),
        ],
    ),
    ("login", &[("ssmx login prod", "SSO login for a profile")]),
    (
        "whoami",
        &[("ssmx whoami -p prod", "who I am there, until when, from where")],
    ),
    (
        "iam-policy",
        &[(
            "ssmx iam-policy connect prod-web",
            "the least policy that lets somebody connect",
        )],
    ),
    (
        "config",
        &[
            ("ssmx config init", "a commented file to begin with"),
            ("ssmx config check", "is it right?"),
            ("ssmx config view --origin", "each value, and where it comes from"),
        ],
    ),
    (
        "config init",
        &[("ssmx config init", "a commented file to begin with")],
    ),
    (
        "config check",
        &[("ssmx config check --strict", "unknown keys are errors too")],
    ),
    (
        "config view",
        &[("ssmx config view --origin", "each value, and where it comes from")],
    ),
    ("config path", &[("ssmx config path", "which files are read")]),
    (
        "config trust",
        &[(
            "ssmx config trust",
            "show this directory's team file and accept it",
        )],
    ),
    (
        "config edit",
        &[(
            "ssmx config edit",
            "the user file in $EDITOR, checked before it is kept",
        )],
    ),
    (
        "config set",
        &[(
            "ssmx config set defaults.region eu-west-2",
            "one value of the user file",
        )],
    ),
    (
        "config import",
        &[("ssmx config import", "targets from ~/.ssh/config")],
    ),
    (
        "target",
        &[(
            "ssmx target add prod-web 'prod-web-*' -p prod -r eu-west-2",
            "a friendly name for a node",
        )],
    ),
    (
        "target add",
        &[
            (
                "ssmx target add prod-web 'prod-web-*' -p prod -r eu-west-2",
                "the node of that Name",
            ),
            ("ssmx target add bastion tag:Role=bastion pick=newest", "by a tag"),
            ("ssmx target add db i-0123456789abcdef0 confirm=ask", "by its id"),
        ],
    ),
    (
        "alias",
        &[("ssmx alias add pw prod-web", "a shorter name for it")],
    ),
    (
        "preset",
        &[(
            "ssmx preset add prod-db prod-bastion 15432:db.internal:5432",
            "a saved forward",
        )],
    ),
    (
        "preset add",
        &[
            (
                "ssmx preset add prod-db prod-bastion 15432:db.internal:5432",
                "a database behind it",
            ),
            (
                "ssmx preset add cache bastion-a,bastion-b cache.internal:6379 lazy=true",
                "through the first of two that is online",
            ),
        ],
    ),
    ("target ls", &[("ssmx target ls", "all named targets")]),
    ("target rm", &[("ssmx target rm prod-web", "forget one")]),
    (
        "alias add",
        &[("ssmx alias add pw prod-web", "`pw` means `prod-web`")],
    ),
    ("alias ls", &[("ssmx alias ls", "all aliases")]),
    ("alias rm", &[("ssmx alias rm pw", "forget one")]),
    ("preset ls", &[("ssmx preset ls", "all presets")]),
    ("preset rm", &[("ssmx preset rm prod-db", "forget one")]),
    (
        "config unset",
        &[("ssmx config unset defaults.region", "leave it to what lies below")],
    ),
    (
        "completions",
        &[
            (
                "ssmx completions bash > ~/.local/share/bash-completion/completions/ssmx",
                "for bash",
            ),
            (
                "ssmx completions --install",
                "for the shell at hand; says what it will do, and asks",
            ),
        ],
    ),
    (
        "snapshot",
        &[("ssmx snapshot ls", "which inventories are remembered")],
    ),
    (
        "plugin",
        &[
            (
                "ssmx plugin status",
                "which session-manager-plugin the AWS CLI would start",
            ),
            ("ssmx plugin link", "be that plugin"),
            ("ssmx plugin alias", "make `aws ssmx …` work"),
        ],
    ),
    (
        "plugin status",
        &[(
            "ssmx plugin status",
            "which session-manager-plugin the AWS CLI would start",
        )],
    ),
    (
        "plugin link",
        &[("ssmx plugin link --dir ~/bin", "be that plugin")],
    ),
    ("plugin unlink", &[("ssmx plugin unlink", "be it no longer")]),
    ("plugin alias", &[("ssmx plugin alias", "make `aws ssmx …` work")]),
    (
        "help",
        &[
            ("ssmx help connect", "about a command"),
            ("ssmx help config", "every key of the config"),
            ("ssmx help tutorial", "from nothing to a port forward"),
        ],
    ),
    ("version", &[("ssmx version", "the version")]),
];
