//! Credentials where a person may be needed: codes asked for, a login offered on the spot.

use std::io;
use std::sync::Arc;

use super::browser;
use crate::aws::credentials::plan::SsoLogin;
use crate::aws::credentials::{Mfa, Person};
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::login::{self, LoggedIn, Step, Way};
use crate::aws::profiles::Profiles;
use crate::aws::{Aws, ProfileChoice, Settings};
use crate::secret::Secret;
use crate::ui::text::escape;
use crate::ui::{Presence, Screen, Ui, prompt};

/// Where one-time codes come from in this run; `command` is the user's own `mfa_command` for the profile.
pub fn mfa(ui: &Ui, code: Option<&str>, command: Vec<String>) -> Mfa {
    let person: Option<Arc<dyn Person>> = Some(Arc::new(AtTerminal(ui.clone())));
    Mfa {
        code: code.map(|code| Secret::new(code.to_owned())),
        command,
        person,
    }
}

struct AtTerminal(Ui);

impl Person for AtTerminal {
    fn is_there(&self) -> bool {
        self.0.presence() == Presence::Person
    }

    fn is_free(&self) -> bool {
        self.0.screen() == Screen::Cooked
    }

    fn ask_code(&self, question: &str) -> io::Result<Option<String>> {
        prompt::line(&escape(question))
    }

    fn tell(&self, line: &str) {
        self.0.warn(&escape(line));
    }
}

/// AWS by these settings. Where a login is wanted first and a person is there, it is offered.
///
/// # Errors
/// As for [`Aws::load`], and what a login gives.
pub async fn load(ui: &Ui, settings: Settings) -> Result<Aws, ServiceError> {
    let error = match Aws::load(settings.clone()).await {
        Err(error) if error.kind == ErrorKind::LoginNeeded && ui.presence() == Presence::Person => error,
        other => return other,
    };
    let profiles = Profiles::load().await?;
    let Some(wanted) = wanted(&settings, &profiles)? else {
        return Err(error);
    };
    let question = format!("{}; log in now?", escape(&error.message));
    match prompt::confirm(&question) {
        Ok(Some(true)) => {}
        Ok(Some(false)) | Err(_) => return Err(error),
        Ok(None) => return Err(ServiceError::local(ErrorKind::Cancelled, error.message)),
    }
    let done = log_in(ui, &settings, &profiles, &wanted, best_way(&wanted)).await?;
    ui.say(&told(&done));
    Aws::load(settings).await
}

/// The SSO login that the chosen profile stands on: its own, or that of the profiles it takes credentials from.
///
/// # Errors
/// When the profile's SSO settings are not whole.
pub fn wanted(settings: &Settings, profiles: &Profiles) -> Result<Option<SsoLogin>, ServiceError> {
    let chosen = settings.profile.as_ref().map_or("default", ProfileChoice::name);
    let mut name = chosen.to_owned();
    // As many steps as there are profiles: a circle was an error before.
    for _ in 0..=profiles.names().len() {
        if let Some(login) = profiles.sso_login(&name)? {
            return Ok(Some(login));
        }
        match profiles.value(&name, "source_profile") {
            Some(source) => source.clone_into(&mut name),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// A browser that comes back by itself where there is one and AWS knows the way (logins of the old kind are
/// by code alone).
pub fn best_way(login: &SsoLogin) -> Way {
    if login.session.is_some() && browser::is_here() {
        Way::Browser
    } else {
        Way::Code
    }
}

/// Logs in, showing the person what to do.
///
/// # Errors
/// As for [`login::login`].
pub async fn log_in(
    ui: &Ui,
    settings: &Settings,
    profiles: &Profiles,
    wanted: &SsoLogin,
    way: Way,
) -> Result<LoggedIn, ServiceError> {
    let guide = |step: &Step<'_>| match step {
        Step::Waiting => ui.say("another ssmx is logging in to the same; waiting for it"),
        Step::Open { url } => {
            ui.say("log in with your browser; if none opens, go on this machine to");
            ui.say(&format!("  {}", escape(url)));
            open(ui, url);
        }
        Step::Code { url, code, complete } => {
            ui.say("log in with any browser: go to");
            ui.say(&format!("  {}", escape(url)));
            ui.say("and, after checking that it shows the same, confirm or type the code");
            ui.say(&format!("  {}", escape(code)));
            if let Some(complete) = complete.filter(|_| browser::is_here()) {
                open(ui, complete);
            }
        }
    };
    login::login(settings, profiles, wanted, way, &guide).await
}

fn open(ui: &Ui, url: &str) {
    if let Err(error) = browser::open(url) {
        ui.warn(&format!(
            "no browser could be opened: {}",
            escape(&error.to_string())
        ));
    }
}

/// What a login did, for people.
pub fn told(done: &LoggedIn) -> String {
    let until = done
        .until
        .map(|until| format!(" until {until:.0}"))
        .unwrap_or_default();
    format!("logged in to {}{until}", escape(&done.title))
}
