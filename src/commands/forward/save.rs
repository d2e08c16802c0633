//! `--save`: the forward that was asked for becomes a preset of the user's config.

use std::time::Duration;

use super::Args;
use super::wish::{Leads, Wish};
use crate::commands::consent;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::preset;
use crate::config::edit::{Existing, Value};
use crate::config::keys::KeyPath;
use crate::ids::{Bind, ForwardSpec, Local};

/// Writes the one forward down that was asked for, with all that was said of it: by the words, by the flags and by
/// the preset that it comes from.
///
/// # Errors
/// When there are several, when a preset cannot say what was said, and those of the user's file.
pub fn save<P>(ctx: &Context, name: &str, wishes: &[(Wish, P)], args: &Args) -> Result<(), CommandError> {
    let [(wish, _)] = wishes else {
        return Err(CommandError::usage(format!(
            "`--save {name}` wants one forward, and these are {}",
            wishes.len()
        )));
    };
    let Leads::To(remote) = &wish.leads else {
        return Err(CommandError::usage(format!(
            "`{}` is no forward to one port",
            wish.name
        )));
    };
    if let Some(choice) = args.carriage.pick.name() {
        return Err(
            CommandError::usage(format!("a preset cannot keep `--{choice}`")).hint(format!(
                "let a named target choose: `ssmx target add TARGET NAME pick={choice}`, then forward through that"
            )),
        );
    }
    let config = ctx.config()?;
    let own = wish.preset.as_ref().and_then(|name| config.presets.get(name));
    let globals = ctx.globals();
    let spec = ForwardSpec {
        local: wish.local.clone(),
        remote: remote.clone(),
    };
    // What the preset says beside its target, unless a flag says otherwise.
    let profile = own
        .and_then(|own| own.profile.as_deref())
        .filter(|_| globals.profile.is_none());
    let region = own
        .and_then(|own| own.region.as_ref())
        .filter(|_| globals.region.is_none());
    let targets: Vec<&str> = match own.and_then(|own| own.target.as_ref()) {
        Some(own) if globals.profile.is_none() => own.as_slice().iter().map(String::as_str).collect(),
        // The preset's profile is in them.
        _ => wish.targets.iter().map(String::as_str).collect(),
    };
    let transport = match wish.transport {
        Some(flag) => Some(consent::name(flag).to_owned()),
        None => own.and_then(|own| Some(own.transport?.to_string())),
    };
    let is_open_by_default = config.defaults.bind != Bind::Loopback;
    let bind = matches!(
        &wish.local,
        Local::Port {
            bind: Bind::Loopback,
            ..
        }
    )
    .then_some("loopback");
    let settings = &wish.settings;
    let seconds = |time: Duration| Value::from(format!("{}s", time.as_secs()));
    let said = [
        ("profile", profile.map(Value::from)),
        ("region", region.map(|region| Value::from(region.as_str()))),
        ("bind", bind.filter(|_| is_open_by_default).map(Value::from)),
        ("lazy", settings.lazy.map(Value::from)),
        ("idle_timeout", settings.idle_timeout.map(seconds)),
        ("max_age", settings.max_age.map(seconds)),
        (
            "sessions",
            settings.sessions.map(|count| Value::from(i64::from(count))),
        ),
        ("document", settings.document.as_deref().map(Value::from)),
        ("transport", transport.map(Value::from)),
        (
            "confirm",
            own.and_then(|own| Some(Value::from(own.confirm?.to_string()))),
        ),
        (
            "reason",
            own.and_then(|own| Some(Value::from(own.reason?.to_string()))),
        ),
    ];
    let more = said
        .into_iter()
        .filter_map(|(key, value)| Some((KeyPath::from([key]), value?)))
        .collect();
    let existing = if args.replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    preset::save(ctx, name, &targets, &spec, more, existing)?;
    Ok(())
}
