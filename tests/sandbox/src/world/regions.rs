//! Which regions there are.

use std::collections::BTreeMap;

use crate::scenario::{OptIn, Region};

/// AWS's regions that are on for every account.
const DEFAULT: &[&str] = &[
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// AWS's regions that an account must switch on.
const OPTIONAL: &[&str] = &["af-south-1", "ap-east-1", "eu-south-1", "me-south-1"];

/// Every region with its state: AWS's, then what the scenario says.
pub(super) fn all(scenario: &[Region]) -> BTreeMap<String, OptIn> {
    let default = DEFAULT.iter().map(|name| (*name, OptIn::OptInNotRequired));
    let optional = OPTIONAL.iter().map(|name| (*name, OptIn::NotOptedIn));
    let mut all: BTreeMap<String, OptIn> = default
        .chain(optional)
        .map(|(name, status)| (name.to_owned(), status))
        .collect();
    all.extend(scenario.iter().map(|region| (region.name.clone(), region.status)));
    all
}
