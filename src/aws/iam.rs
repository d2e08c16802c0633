//! The few calls of IAM that ssmx makes: the account's alias, and what a role may do.

use super::Aws;
use super::endpoint;
use super::error::ServiceError;
use super::query::{Service, texts};

impl Aws {
    fn iam(&self) -> Service {
        let region = self.region();
        let (home, host) = match region.partition().as_str() {
            "aws-cn" => ("cn-north-1", "iam.cn-north-1.amazonaws.com.cn"),
            "aws-us-gov" => ("us-gov-west-1", "iam.us-gov.amazonaws.com"),
            "aws-iso" => ("us-iso-east-1", "iam.us-iso-east-1.c2s.ic.gov"),
            "aws-iso-b" => ("us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov"),
            "aws-eusc" => ("eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu"),
            _ => ("us-east-1", "iam.amazonaws.com"),
        };
        Service {
            name: "iam",
            endpoint: endpoint::chosen(&self.settings, &self.sdk, "iam")
                .unwrap_or_else(|| format!("https://{host}")),
            region: home.to_owned(),
            version: "2010-05-08",
        }
    }

    /// The account's alias, where it has one.
    ///
    /// # Errors
    /// What AWS refuses; `iam:ListAccountAliases` is often not allowed.
    pub async fn account_alias(&self) -> Result<Option<String>, ServiceError> {
        let answer = self.query(&self.iam(), "ListAccountAliases", &[]).await?;
        Ok(texts(&answer, "member")
            .into_iter()
            .find(|alias| !alias.is_empty()))
    }
}
