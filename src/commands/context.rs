//! What every command stands on, each part made on first use: the words that all share, the config, AWS.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::error::CommandError;
use super::reach::Ways;
use super::targets::scope;
use crate::aws::sections::Sections;
use crate::aws::{ProfileChoice, env};
use crate::config::load::FileState;
use crate::config::{self, Config, Flags, Loaded, Places};
use crate::ledger::Ledger;
use crate::ui::output::{Headings, Output, Pager};
use crate::ui::text::{escape, escape_lines};
use crate::ui::{Color, Format, Ui, log};

/// Options that every command takes. Long names are the AWS CLI's.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GlobalArgs {
    /// Use this AWS profile
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub profile: Option<String>,

    /// Use this region
    #[arg(
        short,
        long,
        global = true,
        value_name = "REGION",
        help_heading = "Global options"
    )]
    pub region: Option<String>,

    /// Print as table, wide, json, yaml, csv, text or name
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub output: Option<Format>,

    /// Pick from the output, by a JMESPath expression
    #[arg(
        short,
        long,
        global = true,
        value_name = "JMESPATH",
        help_heading = "Global options"
    )]
    pub query: Option<String>,

    /// Print no headings
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_headers: bool,

    /// Sort rows by this column; -COLUMN for falling order
    #[arg(
        long,
        global = true,
        value_name = "COLUMN",
        allow_hyphen_values = true,
        help_heading = "Global options"
    )]
    pub sort_by: Option<String>,

    /// Send nothing through a pager
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_cli_pager: bool,

    /// Send all AWS calls to this URL
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub endpoint_url: Option<String>,

    /// Trust the certificates in this file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub ca_bundle: Option<PathBuf>,

    /// The one-time code of your MFA device, where the profile wants one
    #[arg(long, global = true, value_name = "CODE", help_heading = "Global options")]
    pub mfa_code: Option<String>,

    /// Colour what is printed: auto, on, off
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub color: Color,

    /// Set a config key for this run (can be repeated)
    #[arg(
        long = "set",
        global = true,
        value_name = "KEY=VALUE",
        help_heading = "Global options"
    )]
    pub set: Vec<String>,

    /// Tell more on stderr; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,

    /// Tell everything, as -vv does
    #[arg(long, global = true, help_heading = "Global options")]
    pub debug: bool,

    /// Refused: certificates are always checked
    #[arg(long, global = true, hide = true)]
    pub no_verify_ssl: bool,
}

impl GlobalArgs {
    /// How much is to be told: 1 for `-v`, 2 for `-vv` or `--debug`.
    pub fn verbosity(&self) -> u8 {
        if self.debug { 2 } else { self.verbose }
    }
}

/// How this process was started.
#[derive(Debug, Clone)]
pub struct Call {
    /// The words after the program's name, with those that the AWS CLI had kept.
    pub words: Vec<OsString>,
    /// Who has started it.
    pub starter: Starter,
}

/// Who has started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// A person, or a program of theirs.
    Outside,
    /// ssmx itself, for `--detach`.
    Detach,
}

/// What a command needs of the world.
pub struct Context {
    globals: GlobalArgs,
    call: Call,
    ui: Ui,
    command: &'static str,
    places: OnceLock<Places>,
    loaded: OnceLock<Loaded>,
    ways: Ways,
    ledger: OnceLock<Option<Arc<Ledger>>>,
}

impl Context {
    /// Looks at the streams; nothing else is touched. `command` is the command at work, for AWS's logs.
    pub fn new(globals: GlobalArgs, command: &'static str, call: Call) -> Self {
        let ui = Ui::new(globals.color);
        Self {
            globals,
            call,
            ui,
            command,
            places: OnceLock::new(),
            loaded: OnceLock::new(),
            ways: Ways::default(),
            ledger: OnceLock::new(),
        }
    }

    /// Starts the log, if it was asked for: by `-v`, `--debug` or `SSMX_LOG`.
    ///
    /// # Errors
    /// When `SSMX_LOG` cannot be read.
    pub fn start_log(&self) -> Result<(), CommandError> {
        let filter = config::env::lookup("SSMX_LOG");
        let verbosity = self.globals.verbosity();
        if filter.is_none() && verbosity == 0 {
            return Ok(());
        }
        let aside = self.places().state.as_ref().map(|state| state.join("ssmx.log"));
        let settings = log::Settings {
            verbosity,
            filter,
            aside,
        };
        log::start(settings).map_err(|cause| {
            CommandError::usage("`SSMX_LOG` is no filter of log lines")
                .because(cause)
                .hint(
                    "take a level, or one for each part: `debug`, `ssmx=debug`, `ssmx::aws=trace,ssmx=info`",
                )
        })
    }

    /// How this process was started.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The command at work.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// The ways to AWS that were taken before.
    pub(super) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// The log of sessions, once it was asked for.
    pub(super) fn ledger_cell(&self) -> &OnceLock<Option<Arc<Ledger>>> {
        &self.ledger
    }

    /// The options that all commands share.
    pub fn globals(&self) -> &GlobalArgs {
        &self.globals
    }

    /// How data is to be printed. Asked for before any work, so that a query that cannot be read costs nothing.
    ///
    /// # Errors
    /// When `--query` is no JMESPath, or `-o name` is asked for a part of the document; and those of the config.
    pub fn output(&self) -> Result<Output, CommandError> {
        let format = match self.globals.output {
            Some(format) => format,
            None => self.config()?.defaults.output.into(),
        };
        self.output_by(format)
    }

    /// The same where the format is known, whatever the config says: for what has to work with a broken one.
    ///
    /// # Errors
    /// As for [`Context::output`], but for those of the config.
    pub fn output_by(&self, format: Format) -> Result<Output, CommandError> {
        let globals = &self.globals;
        let query = globals.query.as_deref().map(|text| {
            text.parse().map_err(|cause| {
                CommandError::usage(format!("the query `{text}` is not JMESPath"))
                    .because(cause)
                    .hint("quote it for the shell, as in `--query 'nodes[].id'`; the language: https://jmespath.org")
            })
        });
        let query = query.transpose()?;
        if query.is_some() && format == Format::Name {
            return Err(CommandError::usage(
                "`-o name` prints names of whole rows, `--query` picks something else",
            )
            .hint("take one of the two, or `-o text` for the query"));
        }
        Ok(Output {
            format,
            query,
            headings: if globals.no_headers {
                Headings::Left
            } else {
                Headings::Shown
            },
            sort_by: globals.sort_by.clone(),
            pager: self.pager(),
        })
    }

    /// The pager: ours, then in the AWS CLI's order. Only a terminal ever meets it.
    pub fn pager(&self) -> Pager {
        if self.globals.no_cli_pager || self.ui.data_size().is_none() {
            return Pager::Off;
        }
        let ours = self
            .config()
            .ok()
            .and_then(|config| config.defaults.pager.clone());
        // Of the profile's own section, as the AWS CLI reads it; at a terminal alone, so no script pays for it.
        let of_the_profile = || {
            let choice = scope::profile_here(self).ok()?;
            let name = choice.as_ref().map_or("default", ProfileChoice::name);
            Sections::load().value(name, "cli_pager").map(ToOwned::to_owned)
        };
        let asked = ours
            .or_else(env::aws_pager)
            .or_else(of_the_profile)
            .or_else(env::general_pager);
        match asked.as_deref() {
            Some("none") => Pager::Off,
            Some(asked) => Pager::by(asked),
            None => Pager::by(if cfg!(windows) { "more" } else { "less" }),
        }
    }

    /// The way out.
    pub fn ui(&self) -> &Ui {
        &self.ui
    }

    /// Where things lie on this machine.
    pub fn places(&self) -> &Places {
        self.places.get_or_init(Places::of_this_user)
    }

    /// The layer of the command line.
    pub fn flags(&self) -> Flags {
        Flags {
            profile: self.globals.profile.clone(),
            region: self.globals.region.clone(),
            set: self.globals.set.clone(),
        }
    }

    /// The typed config of all layers.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn config(&self) -> Result<&Config, CommandError> {
        Ok(&self.loaded()?.config)
    }

    /// The config and where it comes from, merged on first use. What somebody should know about it is said then,
    /// once.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn loaded(&self) -> Result<&Loaded, CommandError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let loaded = config::load(self.places(), &self.flags())?;
        for warning in &loaded.warnings {
            self.ui.warn(&escape_lines(&warning.to_string()));
        }
        if let Some(file) = loaded.left_out() {
            let reason = match file.state {
                FileState::Changed => "has changed since it was accepted",
                _ => "has not been accepted",
            };
            self.ui.warn(&format!(
                "`{}` {reason} and is left out; `ssmx config trust` shows it",
                escape(&file.path.display().to_string())
            ));
        }
        for file in &loaded.files {
            tracing::debug!(layer = ?file.rank, file = %file.path.display(), state = ?file.state, "config");
        }
        Ok(self.loaded.get_or_init(|| loaded))
    }
}

impl From<config::values::Output> for Format {
    fn from(output: config::values::Output) -> Self {
        use config::values::Output;
        match output {
            Output::Table => Self::Table,
            Output::Wide => Self::Wide,
            Output::Json => Self::Json,
            Output::Yaml => Self::Yaml,
            Output::Csv => Self::Csv,
            Output::Text => Self::Text,
            Output::Name => Self::Name,
        }
    }
}
