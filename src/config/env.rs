//! The environment as far as it is ssmx's own: one list of every variable, and the only place that reads it.

use std::path::PathBuf;

/// A variable that ssmx reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The config key that it sets, if it sets one.
    pub key: Option<&'static [&'static str]>,
    /// What it is for.
    pub doc: &'static str,
}

/// All of them; any other `SSMX_*` is left alone.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "SSMX_CONFIG",
        key: None,
        doc: "the user's config file, instead of the usual one",
    },
    Variable {
        name: "SSMX_PROFILE",
        key: Some(&["defaults", "profile"]),
        doc: "the AWS profile, where neither a flag nor the target or preset names one; counts before AWS_PROFILE",
    },
    Variable {
        name: "SSMX_REGION",
        key: Some(&["defaults", "region"]),
        doc: "the region, where neither a flag nor the target or preset names one; counts before AWS_REGION",
    },
    Variable {
        name: "SSMX_TRANSPORT",
        key: Some(&["defaults", "transport"]),
        doc: "what carries sessions: auto, native or plugin",
    },
    Variable {
        name: "SSMX_OUTPUT",
        key: Some(&["defaults", "output"]),
        doc: "how data is printed",
    },
    Variable {
        name: "SSMX_REFRESH",
        key: Some(&["defaults", "refresh"]),
        doc: "when the snapshot of a scope is renewed: on-use, background or off",
    },
    Variable {
        name: "SSMX_PAGER",
        key: Some(&["defaults", "pager"]),
        doc: "the command that long output is piped through at a terminal; `none` for none",
    },
    Variable {
        name: "SSMX_DOCUMENT",
        key: Some(&["defaults", "document"]),
        doc: "the session document of shells",
    },
    Variable {
        name: "SSMX_EXEC_DOCUMENT",
        key: Some(&["defaults", "exec_document"]),
        doc: "the session document of `ssmx exec`",
    },
    Variable {
        name: "SSMX_ESCAPE_CHAR",
        key: Some(&["defaults", "escape_char"]),
        doc: "the character that begins ~. in a shell; none for no such character",
    },
    Variable {
        name: "SSMX_REASON",
        key: None,
        doc: "the reason that is sent with a session, where `--reason` is not given",
    },
    Variable {
        name: "SSMX_VIA",
        key: None,
        doc: "set to `aws` by the AWS CLI's alias (`ssmx plugin alias`), so that ssmx gets back the options that the AWS CLI keeps",
    },
    Variable {
        name: "SSMX_LOG",
        key: None,
        doc: "which log lines go to stderr, in the form of tracing's filters (ssmx=debug)",
    },
];

/// The value of one of [`VARIABLES`], where it is set, readable and not empty.
pub fn lookup(name: &str) -> Option<String> {
    debug_assert!(VARIABLES.iter().any(|variable| variable.name == name));
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path named by a variable.
pub(super) fn file(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// An XDG directory: by its specification a relative path counts as none.
pub(super) fn directory(name: &str) -> Option<PathBuf> {
    file(name).filter(|path| path.is_absolute())
}

/// The person's shell, as the system tells.
pub fn login_shell() -> Option<String> {
    std::env::var("SHELL").ok().filter(|shell| !shell.is_empty())
}

/// Where programs keep what belongs to the user, by XDG.
pub fn xdg_data_home() -> Option<PathBuf> {
    directory("XDG_DATA_HOME")
}

/// Where programs' settings lie, by XDG.
pub fn xdg_config_home() -> Option<PathBuf> {
    directory("XDG_CONFIG_HOME")
}

/// The person's editor, as a command line.
pub fn editor() -> Option<String> {
    ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}
