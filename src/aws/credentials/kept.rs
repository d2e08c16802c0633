//! Credentials that are fetched once and kept until shortly before they expire, for all clients and for the
//! data channel's signature alike.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use tokio::sync::Mutex;

use super::super::error::{ErrorKind, ServiceError};
use super::Source;

/// Renewed this long before they expire.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// A source of credentials and what it gave last.
#[derive(Debug, Clone)]
pub(in super::super) struct Kept {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    held: Mutex<Option<Credentials>>,
}

impl Kept {
    pub(in super::super) fn new(source: Source) -> Self {
        let held = Mutex::new(None);
        Self {
            shared: Arc::new(Shared { source, held }),
        }
    }

    /// Where they come from.
    pub(in super::super) fn source(&self) -> &Source {
        &self.shared.source
    }

    /// Good credentials. When renewing fails, those in hand are used as long as they last.
    ///
    /// # Errors
    /// The source's, and when what it gave has expired already.
    pub(in super::super) async fn credentials(&self) -> Result<Credentials, ServiceError> {
        let mut held = self.shared.held.lock().await;
        let outlives = |credentials: &Credentials, margin: Duration| {
            let until = SystemTime::now() + margin;
            credentials.expiry().is_none_or(|expiry| expiry > until)
        };
        let refused = |credentials: &Credentials| self.shared.source.is_refused(credentials);
        let good = |credentials: &&Credentials| outlives(credentials, MARGIN) && !refused(credentials);
        if let Some(credentials) = held.as_ref().filter(good) {
            return Ok(credentials.clone());
        }
        match self.shared.source.fetch().await {
            Ok(credentials) if outlives(&credentials, Duration::ZERO) => Ok(held.insert(credentials).clone()),
            Ok(_) => Err(ServiceError::local(
                ErrorKind::Expired,
                format!(
                    "the credentials have expired ({})",
                    self.shared.source.plan().story()
                ),
            )),
            Err(error) => {
                let still = held
                    .as_ref()
                    .filter(|credentials| outlives(credentials, Duration::ZERO));
                match still {
                    Some(credentials) => {
                        tracing::warn!(%error, "the credentials are not renewed yet");
                        Ok(credentials.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    /// AWS says that these have expired: they are not used again.
    pub(super) fn refuse(&self, access_key: &str) {
        tracing::info!(access_key, "AWS says that these credentials have expired");
        self.shared.source.refuse(access_key);
    }

    async fn provide(&self) -> provider::Result {
        self.credentials().await.map_err(CredentialsError::provider_error)
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}
