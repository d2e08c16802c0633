//! Which account the credentials in use belong to: known before a session starts, asked for at most once per
//! access key.

use std::fs;
use std::path::Path;

use super::Aws;
use super::env;
use super::error::ServiceError;
use super::memory;
use crate::ids::AccountId;
use crate::private;

pub(super) async fn find(aws: &Aws) -> Result<AccountId, ServiceError> {
    if let Some(account) = &aws.told_account {
        return Ok(account.clone());
    }
    let credentials = aws.credentials.credentials().await?;
    let told = credentials
        .account_id()
        .map(|account| account.as_str().to_owned());
    let from_environment = || {
        if aws.profile.is_none() {
            env::lookup("AWS_ACCOUNT_ID")
        } else {
            None
        }
    };
    if let Some(account) = told
        .or_else(from_environment)
        .and_then(|account| account.parse().ok())
    {
        return Ok(account);
    }
    // An access key's account never changes. The endpoint is part of the question, because another AWS may know the
    // same key.
    let endpoint = aws.endpoint_url().unwrap_or_default();
    let question = [credentials.access_key_id(), &endpoint];
    let cache = aws.settings.cache.as_deref();
    let file = cache.map(|cache| memory::file(cache, "accounts", &question));
    if let Some(account) = file.as_deref().and_then(remembered) {
        return Ok(account);
    }
    let account = aws.identity().await?.account;
    if let Some(file) = file
        && let Err(error) = private::replace(&file, format!("{account}\n").as_bytes())
    {
        tracing::debug!(%error, file = %file.display(), "the account is not remembered");
    }
    Ok(account)
}

fn remembered(file: &Path) -> Option<AccountId> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
