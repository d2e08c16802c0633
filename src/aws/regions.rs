//! Which regions there are.

use super::Aws;
use super::error::ServiceError;
use crate::ids::{Partition, Region};

/// Regions of AWS. One that is missing here can be typed all the same.
pub const ALL: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// Those of a partition that we know of.
pub fn known(partition: &Partition) -> Vec<Region> {
    let all = ALL.iter().filter_map(|name| name.parse::<Region>().ok());
    all.filter(|region| region.partition() == *partition).collect()
}

impl Aws {
    /// The regions that the account may use, those included that it never had to switch on.
    ///
    /// # Errors
    /// What AWS refuses; `ec2:DescribeRegions` is not always allowed.
    pub async fn regions(&self) -> Result<Vec<Region>, ServiceError> {
        self.pace().await;
        let answer = self
            .ec2()
            .describe_regions()
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ec2:DescribeRegions", error))?;
        let names = answer.regions.unwrap_or_default().into_iter();
        let mut regions: Vec<Region> = names
            .filter_map(|region| region.region_name?.parse().ok())
            .collect();
        regions.sort();
        Ok(regions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_partition_and_all_of_them_are_ones() {
        assert!(ALL.iter().all(|name| name.parse::<Region>().is_ok()));
        let china = known(&"aws-cn".parse().unwrap());
        assert_eq!(china.len(), 2);
        assert!(china.iter().all(|region| region.as_str().starts_with("cn-")));
    }
}
