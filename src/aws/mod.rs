//! AWS: credentials, clients and calls for one scope, and its errors in words that rooms can act on.

pub mod error;
pub mod session;

use crate::ids::{Region, Scope};
use error::ServiceError;

/// How AWS is to be reached: the choices that flags, config and environment have already been merged into.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The AWS profile, where one was chosen. It beats keys in the environment, as the AWS CLI's
    /// `--profile` does; `None` leaves the default chain alone.
    pub profile: Option<String>,
    /// The region, where one was chosen; else the profile's.
    pub region: Option<Region>,
    /// One endpoint for every service (`--endpoint-url`).
    pub endpoint_url: Option<String>,
    /// A bundle of certificates to trust instead of the system's (`--ca-bundle`).
    pub ca_bundle: Option<std::path::PathBuf>,
    /// The ssmx command at work, for the user agent.
    pub command: String,
}

/// One profile (or ambient credentials) in one region. Clients are built on first use.
pub struct Aws {}

#[expect(
    clippy::todo,
    reason = "the shape that other rooms build on; the body follows"
)]
impl Aws {
    /// Reads AWS's own files and prepares credentials; no call is made.
    pub async fn load(_settings: Settings) -> Result<Self, ServiceError> {
        todo!()
    }

    /// The profile in use, `None` for ambient credentials.
    pub fn profile(&self) -> Option<&str> {
        todo!()
    }

    /// The region in use.
    pub fn region(&self) -> &Region {
        todo!()
    }

    /// Partition, account and region. The account comes from `sso_account_id`, `role_arn` or the
    /// credentials where they tell it, else from GetCallerIdentity, once per access key.
    pub async fn scope(&self) -> Result<Scope, ServiceError> {
        todo!()
    }

    /// The EC2 client; for `inventory`.
    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        todo!()
    }

    /// The SSM client; for `inventory`.
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        todo!()
    }
}
