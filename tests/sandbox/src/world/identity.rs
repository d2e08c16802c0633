//! Who signs: access keys and the identities behind them.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::node::hex;
use crate::scenario::{Account, Key};

/// An access key and whose it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The access key's id.
    pub key: String,
    /// What signatures are made with.
    pub(crate) secret: String,
    /// Must come along with a temporary key.
    pub(crate) session_token: Option<String>,
    /// The account's id.
    pub account: String,
    /// The principal's ARN.
    pub arn: String,
    /// STS's `UserId`.
    pub user_id: String,
    /// What the ids of sessions begin with: the user's or the role session's name.
    pub name: String,
    /// When the key ceases to work.
    pub(crate) expires: Option<Timestamp>,
}

impl Identity {
    /// Somebody without credentials.
    pub(crate) fn nobody() -> Self {
        Self {
            key: String::new(),
            secret: String::new(),
            session_token: None,
            account: String::new(),
            arn: String::new(),
            user_id: String::new(),
            name: String::new(),
            expires: None,
        }
    }

    pub(super) fn new(account: &Account, key: &Key) -> Self {
        let id = &account.id;
        let unique = |prefix: &str, of: &str| {
            let digest = hex(&Sha256::digest(format!("{id}/{of}"))).to_uppercase();
            format!("{prefix}{}", &digest[..17])
        };
        let words: Vec<&str> = key.identity.split('/').collect();
        let (arn, user_id, name) = match words[..] {
            ["user", user] => (
                format!("arn:aws:iam::{id}:user/{user}"),
                unique("AIDA", user),
                user,
            ),
            ["assumed-role", role, session] => (
                format!("arn:aws:sts::{id}:assumed-role/{role}/{session}"),
                format!("{}:{session}", unique("AROA", role)),
                session,
            ),
            _ => (format!("arn:aws:iam::{id}:root"), id.clone(), "root"),
        };
        Self {
            key: key.id.clone(),
            secret: key.secret.clone(),
            session_token: key.session_token.clone(),
            account: id.clone(),
            arn,
            user_id,
            name: name.to_owned(),
            expires: key.expires,
        }
    }
}
