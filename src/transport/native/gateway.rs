//! What the data channel asks of AWS: signatures and resumption, each with the credentials of the moment.

use std::sync::Arc;

use crate::aws::Aws;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::aws::session::Resumed;
use crate::datachannel::{
    BoxFuture, DataKey, Gateway, GatewayError, Headers, KEY_LENGTH, KeyWish, Lasting, Opening, Resumption,
};
use crate::ids::{Region, SessionId};
use crate::transport::adopt::Adopter;
use crate::transport::stream_url;

/// Whether the data channel may open unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// It may not: without credentials there is no session.
    Refused,
    /// It may, where credentials cannot be had: so does the plugin, and the gateway may take it.
    Accepted,
}

pub(super) struct AwsGateway {
    aws: Option<Arc<Aws>>,
    unsigned: Unsigned,
    region: Region,
    session: SessionId,
    /// As StartSession was given it; part of the encryption context.
    target: String,
    allowed: Vec<String>,
}

impl AwsGateway {
    pub(super) fn new(aws: Arc<Aws>, session: SessionId, target: String, allowed: Vec<String>) -> Self {
        Self {
            region: aws.region().clone(),
            aws: Some(aws),
            unsigned: Unsigned::Refused,
            session,
            target,
            allowed,
        }
    }

    /// For a session that somebody else has started, perhaps without credentials here.
    pub(super) fn adopted(adopter: &Adopter, session: SessionId) -> Self {
        Self {
            aws: adopter.aws.clone(),
            unsigned: Unsigned::Accepted,
            region: adopter.region.clone(),
            session,
            target: adopter.target.clone(),
            allowed: adopter.stream_endpoints.clone(),
        }
    }

    fn aws(&self) -> Result<&Aws, GatewayError> {
        self.aws.as_deref().ok_or_else(|| GatewayError {
            message: "there are no credentials to ask AWS with".to_owned(),
            lasting: Lasting::Final,
        })
    }
}

impl Gateway for AwsGateway {
    fn sign<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Headers, GatewayError>> {
        Box::pin(async move {
            let signed = match self.aws() {
                Ok(aws) => aws.sign_upgrade(url).await.map_err(|error| trouble(&error)),
                Err(error) => Err(error),
            };
            match (signed, self.unsigned) {
                (Err(error), Unsigned::Accepted) => {
                    tracing::warn!(%error, "the data channel opens unsigned");
                    Ok(Headers::new())
                }
                (signed, _) => signed,
            }
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<Resumption, GatewayError>> {
        Box::pin(async {
            let aws = self.aws()?;
            let mut resumed = aws.resume_session(&self.session).await;
            if resumed
                .as_ref()
                .is_err_and(|error| error.kind == ErrorKind::Expired)
            {
                // These are not used again: the next ones are new, if there are any.
                resumed = aws.resume_session(&self.session).await;
            }
            match resumed.map_err(|error| trouble(&error))? {
                Resumed::TimedOut => Ok(Resumption::TimedOut),
                Resumed::Open(opening) => {
                    // The new address is as untrusted as the first one was.
                    stream_url::check(opening.stream_url.expose(), &self.region, &self.allowed).map_err(
                        |error| GatewayError {
                            message: error.to_string(),
                            lasting: Lasting::Final,
                        },
                    )?;
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
            if self.target.is_empty() {
                return Err(GatewayError {
                    message: "the caller did not say the session's target; a newer AWS CLI does".to_owned(),
                    lasting: Lasting::Final,
                });
            }
            let context = wish.context(self.session.as_str(), &self.target);
            let key = self.aws()?.generate_data_key(&wish.key_id, KEY_LENGTH, &context);
            let key = key.await.map_err(|error| trouble(&error))?;
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
