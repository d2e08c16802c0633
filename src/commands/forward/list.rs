//! `ssmx forward` alone: which presets there are.

use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::config::schema::Preset;
use crate::config::values::Local;
use crate::ui::Presence;
use crate::ui::output::{Cell, Column, Listing, Row};
use crate::ui::picker::{self, Entry};
use serde_json::{Value, json};

/// Lets a person choose a preset; lists them where nobody is there. `None`: there is nothing to run.
///
/// # Errors
/// When there is no preset, and when the person leaves.
pub fn choose(ctx: &Context) -> Result<Option<String>, CommandError> {
    let config = ctx.config()?;
    if config.presets.is_empty() {
        return Err(CommandError::usage("the config has no presets to forward").hint(
            "name a target and its port: `ssmx forward TARGET LOCAL:REMOTE`; `--save NAME` makes it a preset",
        ));
    }
    let lines: Vec<Line> = config
        .presets
        .iter()
        .map(|(name, preset)| Line::of(name, preset))
        .collect();
    if ctx.ui().presence() == Presence::Script {
        let listing = Listing {
            key: "presets",
            columns: vec![
                Column::new("NAME", "name").whole(),
                Column::new("LOCAL", "local"),
                Column::new("REMOTE", "remote"),
                Column::new("VIA", "via"),
            ],
        };
        let mut printer = ctx.ui().listing(&ctx.output()?, listing)?;
        for line in &lines {
            printer.push(line)?;
        }
        printer.finish()?;
        return Ok(None);
    }
    let lines: Vec<Entry> = lines
        .iter()
        .map(|line| format!("{}  {} → {} via {}", line.name, line.local, line.remote, line.via).into())
        .collect();
    match picker::pick("Forward which preset?", &lines, &|_| Vec::new())? {
        Some(index) => Ok(config.presets.keys().nth(index).cloned()),
        None => Err(CommandError::interrupted()),
    }
}

/// What a preset forwards, in columns.
struct Line {
    name: String,
    local: String,
    remote: String,
    via: String,
}

impl Line {
    fn of(name: &str, preset: &Preset) -> Self {
        let port = preset
            .port
            .map(|port| port.number().to_string())
            .unwrap_or_default();
        let local = match &preset.local {
            Some(Local::Port(0)) => "any".to_owned(),
            Some(Local::Port(port)) => port.to_string(),
            Some(Local::Socket(path)) => path.0.display().to_string(),
            None => port.clone(),
        };
        let remote = match &preset.host {
            Some(host) => format!("{}:{port}", host.as_str()),
            None => port,
        };
        let via = match &preset.target {
            Some(targets) => targets.as_slice().join(", "),
            None => String::new(),
        };
        Self {
            name: name.to_owned(),
            local,
            remote,
            via,
        }
    }
}

impl Row for Line {
    fn cells(&self) -> Vec<Cell> {
        [&self.name, &self.local, &self.remote, &self.via]
            .map(|text| text.as_str().into())
            .to_vec()
    }

    fn name(&self) -> String {
        format!("preset/{}", self.name)
    }

    fn document(&self) -> Value {
        json!({ "name": self.name, "local": self.local, "remote": self.remote, "via": self.via })
    }
}
