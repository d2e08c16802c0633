//! Who we are for AWS.

use jiff::Timestamp;

use super::Aws;
use super::error::{ErrorKind, ServiceError};
use crate::ids::AccountId;
use crate::secret::Secret;

/// GetCallerIdentity's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Of the user, or of the session of a role.
    pub arn: String,
    /// AWS's unique id, such as `AROA…:alice`.
    pub user_id: String,
}

impl Identity {
    /// The name of the role, for the session of one.
    pub fn role(&self) -> Option<&str> {
        let rest = self.arn.split_once(":assumed-role/")?.1;
        rest.rsplit_once('/').map(|(role, _)| role)
    }

    /// The name of the session, for the session of a role.
    pub fn session(&self) -> Option<&str> {
        let rest = self.arn.split_once(":assumed-role/")?.1;
        rest.rsplit_once('/').map(|(_, session)| session)
    }
}

impl Aws {
    /// Asks AWS who we are.
    ///
    /// # Errors
    /// When there are no credentials, or AWS does not know them.
    pub async fn identity(&self) -> Result<Identity, ServiceError> {
        const OPERATION: &str = "sts:GetCallerIdentity";
        let config = aws_sdk_sts::config::Builder::from(&self.sdk).interceptor(self.user_agent());
        let sts = aws_sdk_sts::Client::from_conf(config.build());
        let call = sts.get_caller_identity();
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        let account = answer.account.unwrap_or_default().parse();
        let account = account.map_err(|error: crate::ids::InvalidId| {
            let mut trouble = ServiceError::local(ErrorKind::Other, format!("the answer's account: {error}"));
            trouble.operation = OPERATION.to_owned();
            trouble
        })?;
        Ok(Identity {
            account,
            arn: answer.arn.unwrap_or_default(),
            user_id: answer.user_id.unwrap_or_default(),
        })
    }

    /// Until when the credentials in use are good, where they end.
    ///
    /// # Errors
    /// When there are none.
    pub async fn credentials_end(&self) -> Result<Option<Timestamp>, ServiceError> {
        let credentials = self.credentials.credentials().await?;
        Ok(credentials.expiry().and_then(|at| Timestamp::try_from(at).ok()))
    }

    /// The credentials as variables for the official plugin, where it cannot have them by the profile; else none.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn lent_to_the_plugin(&self) -> Result<Vec<(&'static str, Secret<String>)>, ServiceError> {
        if self.credentials.source().plan().suits_the_plugin() {
            return Ok(Vec::new());
        }
        let credentials = self.credentials.credentials().await?;
        let mut lent = vec![
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id().to_owned().into()),
            (
                "AWS_SECRET_ACCESS_KEY",
                credentials.secret_access_key().to_owned().into(),
            ),
        ];
        if let Some(token) = credentials.session_token() {
            lent.push(("AWS_SESSION_TOKEN", token.to_owned().into()));
        }
        Ok(lent)
    }

    /// Where the credentials come from, for people.
    pub fn credentials_story(&self) -> String {
        self.credentials.source().plan().story()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_a_session_and_users_have_none() {
        let of = |arn: &str| Identity {
            account: "123456789012".parse().unwrap(),
            arn: arn.to_owned(),
            user_id: String::new(),
        };
        let role = of("arn:aws:sts::123456789012:assumed-role/deploy/alice@example.com");
        assert_eq!(
            (role.role(), role.session()),
            (Some("deploy"), Some("alice@example.com"))
        );
        let user = of("arn:aws:iam::123456789012:user/alice");
        assert_eq!((user.role(), user.session()), (None, None));
    }
}
