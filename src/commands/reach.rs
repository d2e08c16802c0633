//! AWS for commands: one way for each profile and region, made on first use.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::context::Context;
use super::error::CommandError;
use super::sign_in;
use crate::aws::error::ServiceError;
use crate::aws::profiles::Profiles;
use crate::aws::{Aws, Effort, ProfileChoice, Settings};
use crate::ids::Region;
use crate::inventory::snapshot::Snapshots;

/// The ways to AWS that were taken before.
#[derive(Default)]
pub struct Ways {
    profiles: OnceCell<Profiles>,
    taken: Mutex<HashMap<Way, Arc<Aws>>>,
}

/// Whether a person may be asked for what credentials want: a code, a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// Where one is there.
    Allowed,
    /// Not now: what needs it fails.
    Never,
}

/// A profile and a region, as they were asked for.
type Way = (Option<ProfileChoice>, Option<Region>);

impl Context {
    /// AWS's profiles, read once.
    ///
    /// # Errors
    /// When AWS's files cannot be read.
    pub async fn profiles(&self) -> Result<&Profiles, CommandError> {
        let profiles = self.ways().profiles.get_or_try_init(Profiles::load).await;
        profiles.map_err(|error| CommandError::aws("cannot read AWS's profiles", &error))
    }

    /// How AWS is reached by a profile in a region.
    ///
    /// # Errors
    /// With everything that is wrong with the config.
    pub fn settings(
        &self,
        profile: Option<ProfileChoice>,
        region: Option<Region>,
    ) -> Result<Settings, CommandError> {
        let name = profile.as_ref().map_or("default", ProfileChoice::name);
        let section = self.config()?.profiles.get(name);
        let command = section.and_then(|section| section.mfa_command.as_ref());
        let command = command
            .map(|command| command.as_slice().to_vec())
            .unwrap_or_default();
        Ok(Settings {
            profile,
            region,
            endpoint_url: self.globals().endpoint_url.clone(),
            ca_bundle: self.globals().ca_bundle.clone(),
            command: self.command().to_owned(),
            cache: self.places().cache.clone(),
            mfa: sign_in::mfa(self.ui(), self.globals().mfa_code.as_deref(), command),
            starts: self.writing_down(),
            ..Settings::default()
        })
    }

    /// AWS by a profile in a region; the same one for the same words.
    ///
    /// # Errors
    /// When the profile or its credentials cannot be used.
    pub async fn aws(
        &self,
        profile: Option<ProfileChoice>,
        region: Option<Region>,
    ) -> Result<Arc<Aws>, CommandError> {
        let way = (profile, region);
        let taken = || self.ways().taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(aws) = taken().get(&way) {
            return Ok(Arc::clone(aws));
        }
        let settings = self.settings(way.0.clone(), way.1.clone())?;
        let loaded = sign_in::load(self.ui(), settings).await.map(Arc::new);
        let aws = loaded.map_err(|error| out_of_reach(way.0.as_ref(), &error))?;
        taken().insert(way, Arc::clone(&aws));
        Ok(aws)
    }

    /// The same where nobody is to be asked: for what goes over many profiles, of which most are of no interest
    /// just now.
    ///
    /// # Errors
    /// As for [`Context::aws`], and where a code or a login would be wanted.
    pub async fn aws_unasked(
        &self,
        profile: Option<ProfileChoice>,
        region: Option<Region>,
        effort: Effort,
    ) -> Result<Arc<Aws>, CommandError> {
        let mut settings = self.settings(profile.clone(), region)?;
        settings.effort = effort;
        settings.mfa.person = None;
        // A code is good once; for which of them it was meant nobody said.
        settings.mfa.code = None;
        let loaded = Aws::load(settings).await.map(Arc::new);
        loaded.map_err(|error| out_of_reach(profile.as_ref(), &error))
    }

    /// The snapshots of this user; where there is no home, at a place that cannot be.
    pub fn snapshots(&self) -> Snapshots {
        // Nobody can make a directory below a device, root included.
        let nowhere = Path::new("/dev/null/ssmx");
        Snapshots::new(self.places().cache.as_deref().unwrap_or(nowhere))
    }
}

fn out_of_reach(profile: Option<&ProfileChoice>, error: &ServiceError) -> CommandError {
    let by = profile.map_or_else(
        || "AWS cannot be reached with the ambient credentials".to_owned(),
        |choice| format!("AWS cannot be reached by profile `{}`", choice.name()),
    );
    CommandError::aws(by, error)
}
