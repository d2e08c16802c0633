//! AWS's own variables, as far as ssmx decides by them itself; the rest is `aws-config`'s to read.

use std::env;
use std::path::PathBuf;

/// A variable's value, where it is set and not blank.
pub fn lookup(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// A variable's value, which no child of ours is to inherit.
#[expect(unsafe_code, reason = "the environment is changed while there is one thread")]
pub fn take(name: &str) -> Option<String> {
    let value = env::var(name).ok()?;
    // SAFETY: called before anything else, so nothing else reads or writes the environment meanwhile.
    unsafe { env::remove_var(name) };
    Some(value)
}

/// The profile that the environment chooses. `AWS_PROFILE` counts before `AWS_DEFAULT_PROFILE`, as in version
/// 2 of the AWS CLI.
pub fn profile() -> Option<String> {
    lookup("AWS_PROFILE").or_else(|| lookup("AWS_DEFAULT_PROFILE"))
}

/// The region that the environment chooses.
pub fn region() -> Option<String> {
    lookup("AWS_REGION").or_else(|| lookup("AWS_DEFAULT_REGION"))
}

/// Whether keys stand in the environment itself.
pub fn has_keys() -> bool {
    lookup("AWS_ACCESS_KEY_ID").is_some() && lookup("AWS_SECRET_ACCESS_KEY").is_some()
}

/// The home directory, below which AWS's tools keep their caches.
pub(crate) fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| home.is_absolute())
}

/// The name of who is logged in to this machine.
pub fn user() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(lookup)
}

/// The bundle of certificates that AWS's tools are told to trust.
pub(super) fn ca_bundle() -> Option<PathBuf> {
    lookup("AWS_CA_BUNDLE").map(PathBuf::from)
}

/// The bundle that other tools are told to trust.
pub(super) fn ssl_cert_file() -> Option<PathBuf> {
    lookup("SSL_CERT_FILE").map(PathBuf::from)
}

/// How often a call is tried, by `AWS_MAX_ATTEMPTS`; values that the SDK would panic on are passed over.
pub(super) fn max_attempts() -> Option<u32> {
    lookup("AWS_MAX_ATTEMPTS")?
        .trim()
        .parse()
        .ok()
        .filter(|attempts| *attempts > 0)
}

/// AWS's config file.
pub(super) fn config_file() -> Option<PathBuf> {
    aws_file("AWS_CONFIG_FILE", "config")
}

/// AWS's credentials file.
pub(super) fn credentials_file() -> Option<PathBuf> {
    aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn aws_file(variable: &str, name: &str) -> Option<PathBuf> {
    let named = lookup(variable).map(PathBuf::from);
    named.or_else(|| Some(env::home_dir()?.join(".aws").join(name)))
}

/// What `AWS_PAGER` says of the pager. Set and empty, it asks for none.
pub fn aws_pager() -> Option<String> {
    env::var("AWS_PAGER").ok()
}

/// The pager of all programs, which the AWS CLI takes where nothing of its own is said; as there, an empty one
/// asks for none.
pub fn general_pager() -> Option<String> {
    env::var("PAGER").ok()
}
