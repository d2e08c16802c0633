//! What the data channel asks of AWS: signatures and resumption, each with the credentials of the moment.

use std::sync::Arc;

use crate::aws::Aws;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::session::Resumed;
use crate::datachannel::{
    BoxFuture, DataKey, Gateway, GatewayError, Headers, KEY_LENGTH, KeyWish, Lasting, Opening, Resumption,
};
use crate::ids::SessionId;
use crate::transport::stream_url;

/// Whether requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// They are; without credentials there is no session.
    Always,
    /// They are, where there are credentials.
    IfPossible,
    /// They are not: there are no credentials.
    Never,
}

pub(super) struct AwsGateway {
    aws: Arc<Aws>,
    signing: Signing,
    session: SessionId,
    /// As StartSession was given it; part of the encryption context.
    target: String,
    allowed: Vec<String>,
}

impl AwsGateway {
    pub(super) fn new(aws: Arc<Aws>, session: SessionId, target: String, allowed: Vec<String>) -> Self {
        Self {
            aws,
            signing: Signing::Always,
            session,
            target,
            allowed,
        }
    }
}

impl AwsGateway {
    pub(super) fn signing(self, signing: Signing) -> Self {
        Self { signing, ..self }
    }

    fn credentials(&self) -> Result<(), GatewayError> {
        match self.signing {
            Signing::Always | Signing::IfPossible => Ok(()),
            Signing::Never => Err(GatewayError {
                message: "there are no credentials to ask AWS with".to_owned(),
                lasting: Lasting::Final,
            }),
        }
    }
}

impl Gateway for AwsGateway {
    fn sign<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Headers, GatewayError>> {
        Box::pin(async move {
            match (self.signing, self.aws.sign_upgrade(url).await) {
                (_, Ok(headers)) if self.signing != Signing::Never => Ok(headers),
                (Signing::Always, Err(error)) => Err(trouble(&error)),
                (_, signed) => {
                    // So does the plugin: the gateway may take it.
                    tracing::warn!(error = ?signed.err(), "the data channel opens unsigned");
                    Ok(Headers::new())
                }
            }
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<Resumption, GatewayError>> {
        Box::pin(async {
            self.credentials()?;
            match self
                .aws
                .resume_session(&self.session)
                .await
                .map_err(|error| trouble(&error))?
            {
                Resumed::TimedOut => Ok(Resumption::TimedOut),
                Resumed::Open(opening) => {
                    // The new address is as untrusted as the first one was.
                    stream_url::check(opening.stream_url.expose(), self.aws.region(), &self.allowed)
                        .map_err(|error| GatewayError {
                            message: error.to_string(),
                            lasting: Lasting::Final,
                        })?;
                    Ok(Resumption::Open(Opening {
                        session: opening.session,
                        url: opening.stream_url,
                        token: opening.token,
                    }))
                }
            }
        })
    }

    fn data_key<'a>(&'a self, wish: &'a KeyWish) -> BoxFuture<'a, Result<DataKey, GatewayError>> {
        Box::pin(async move {
            self.credentials()?;
            let context = wish.context(self.session.as_str(), &self.target);
            let key = self
                .aws
                .generate_data_key(&wish.key_id, KEY_LENGTH, &context)
                .await;
            let key = key.map_err(|error| trouble(&error))?;
            Ok(DataKey {
                plaintext: key.plaintext,
                ciphertext: key.ciphertext,
            })
        })
    }
}

/// A session that is gone stays gone and a denial stays one; expired credentials may be renewed while we try,
/// and a network comes back.
fn trouble(error: &ServiceError) -> GatewayError {
    let lasting = match error.kind {
        ErrorKind::NotFound | ErrorKind::AccessDenied { .. } => Lasting::Final,
        _ => Lasting::Passing,
    };
    GatewayError {
        message: error.to_string(),
        lasting,
    }
}
