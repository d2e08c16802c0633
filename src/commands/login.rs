//! `ssmx login`: SSO without the AWS CLI.

use super::context::Context;
use super::error::{CommandError, Exit};
use super::sign_in;
use super::targets::scope;
use crate::aws::credentials::plan::SsoLogin;
use crate::aws::error::ServiceError;
use crate::aws::login::Way;
use crate::aws::profiles::Profiles;
use crate::aws::{ProfileChoice, Settings};
use crate::ui::text::escape;

/// Log in to AWS with SSO (IAM Identity Center); the AWS CLI is logged in as well
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The AWS profile to log in for; else the chosen one, or the only SSO login there is
    #[arg(value_name = "PROFILE", conflicts_with = "sso_session")]
    pub profile: Option<String>,

    /// Log in to this `[sso-session]` of AWS's config file
    #[arg(long, value_name = "NAME")]
    pub sso_session: Option<String>,

    /// Show a code to type in any browser, on any machine
    #[arg(long, visible_alias = "use-device-code", visible_alias = "no-browser")]
    pub device_code: bool,
}

/// Logs in and says until when.
///
/// # Errors
/// When the profile is not one of SSO, and when the login does not work out.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let profile = match &args.profile {
        Some(profile) => Some(ProfileChoice::Explicit(profile.clone())),
        None => scope::profile_here(ctx)?,
    };
    let settings = ctx.settings(profile, None)?;
    let profiles = ctx.profiles().await?;
    let login = wanted(&settings, &args, profiles)?;
    let way = if args.device_code {
        Way::Code
    } else {
        sign_in::best_way(&login)
    };
    let done = sign_in::log_in(ctx.ui(), &settings, profiles, &login, way)
        .await
        .map_err(|error| CommandError::aws(format!("could not log in to {}", login.title()), &error))?;
    ctx.ui().say(&sign_in::told(&done));
    let same: Vec<String> = profiles
        .by_sso()
        .into_iter()
        .filter(|name| profiles.sso_login(name).ok().flatten().as_ref() == Some(&login))
        .map(|name| escape(name).into_owned())
        .collect();
    if !same.is_empty() {
        ctx.ui().say(&format!("profiles: {}", same.join(", ")));
    }
    Ok(Exit::SUCCESS)
}

fn wanted(settings: &Settings, args: &Args, profiles: &Profiles) -> Result<SsoLogin, CommandError> {
    let failed = |error: ServiceError| CommandError::aws("could not log in", &error);
    if let Some(session) = &args.sso_session {
        return profiles.sso_session(session).map_err(failed);
    }
    if let Some(choice) = &settings.profile {
        let name = choice.name();
        profiles.check(name).map_err(failed)?;
        if let Some(login) = sign_in::wanted(settings, profiles).map_err(failed)? {
            return Ok(login);
        }
        // A profile that was not named for this says nothing against the only login there is.
        if matches!(choice, ProfileChoice::Explicit(_)) {
            return Err(no_login(name, profiles));
        }
    }
    only(profiles)
}

fn no_login(name: &str, profiles: &Profiles) -> CommandError {
    let failure = CommandError::usage(format!("the AWS profile `{name}` does not log in by SSO"));
    if profiles.value(name, "login_session").is_some() {
        return failure.hint(format!(
            "log in with `aws login --profile {name}`; ssmx uses what it leaves"
        ));
    }
    match profiles.by_sso().as_slice() {
        [] => failure.hint("set one up with `aws configure sso`, or by hand: `sso_session`, `sso_account_id`, `sso_role_name`"),
        known => failure.hint(format!("profiles that do: {}", known.join(", "))),
    }
}

/// The one login of AWS's files, whatever profiles share it.
fn only(profiles: &Profiles) -> Result<SsoLogin, CommandError> {
    let mut logins: Vec<SsoLogin> = Vec::new();
    for name in profiles.by_sso() {
        if let Ok(Some(login)) = profiles.sso_login(name)
            && !logins.contains(&login)
        {
            logins.push(login);
        }
    }
    match <[SsoLogin; 1]>::try_from(logins) {
        Ok([login]) => Ok(login),
        Err(logins) if logins.is_empty() => {
            Err(CommandError::usage("no AWS profile logs in by SSO")
                .hint("set one up with `aws configure sso`"))
        }
        Err(_) => Err(CommandError::usage(
            "several SSO logins are configured; say which with `ssmx login PROFILE`",
        )
        .hint(format!("profiles of SSO: {}", profiles.by_sso().join(", ")))),
    }
}
