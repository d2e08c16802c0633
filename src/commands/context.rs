//! What every command stands on, each part made on first use: the words that all share, the config, AWS.

use std::path::PathBuf;

use crate::ui::{Color, Format, Ui};

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

    /// Print in this format
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub output: Option<Format>,

    /// Send all AWS calls to this URL
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub endpoint_url: Option<String>,

    /// Trust the certificates in this file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub ca_bundle: Option<PathBuf>,

    /// Colour the talk on stderr
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
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

/// What a command needs of the world.
pub struct Context {
    globals: GlobalArgs,
    ui: Ui,
}

impl Context {
    /// Looks at the streams; nothing else is touched.
    pub fn new(globals: GlobalArgs) -> Self {
        let ui = Ui::new(globals.color);
        Self { globals, ui }
    }

    /// The options that all commands share.
    pub fn globals(&self) -> &GlobalArgs {
        &self.globals
    }

    /// The way out.
    pub fn ui(&self) -> &Ui {
        &self.ui
    }
}
