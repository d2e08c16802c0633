//! Credentials that are fetched once and kept until shortly before they expire, for all clients and for the
//! data channel's signature alike.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;

/// Renewed this long before they expire.
const MARGIN: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(super) struct Kept {
    inner: SharedCredentialsProvider,
    held: Mutex<Option<Credentials>>,
}

impl Kept {
    pub(super) fn new(inner: SharedCredentialsProvider) -> Self {
        Self {
            inner,
            held: Mutex::new(None),
        }
    }

    async fn credentials(&self) -> provider::Result {
        let mut held = self.held.lock().await;
        let now = SystemTime::now();
        let fresh =
            |credentials: &Credentials| credentials.expiry().is_none_or(|expiry| expiry > now + MARGIN);
        if let Some(credentials) = held.as_ref().filter(|credentials| fresh(credentials)) {
            return Ok(credentials.clone());
        }
        let credentials = self.inner.provide_credentials().await?;
        if credentials.expiry().is_some_and(|expiry| expiry <= now) {
            return Err(CredentialsError::provider_error("they have expired"));
        }
        Ok(held.insert(credentials).clone())
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
