//! Facts about one instance.

use aws_sdk_ec2::types::{HttpTokensState, Instance, InstanceMetadataEndpointState};

use super::super::Aws;
use super::super::error::{ErrorKind, ServiceError};
use crate::ids::NodeId;

/// What EC2 says of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceFacts {
    /// Such as `running`.
    pub state: String,
    /// Why it is in that state, where EC2 says.
    pub state_reason: Option<String>,
    /// The instance profile's ARN.
    pub profile_arn: Option<String>,
    /// Its VPC.
    pub vpc: Option<String>,
    /// Its subnet.
    pub subnet: Option<String>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its private IPv4 address.
    pub private_address: Option<String>,
    /// Whether it has a public IPv4 address.
    pub has_public_address: bool,
    /// Whether it has an IPv6 address.
    pub has_ipv6: bool,
    /// The metadata service.
    pub metadata: Metadata,
}

/// How the instance metadata service is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Switched off: the agent finds no credentials.
    pub is_off: bool,
    /// Whether tokens (IMDSv2) are required.
    pub needs_token: bool,
    /// How far a token's answer travels; 1 does not reach a container.
    pub hop_limit: Option<i32>,
}

/// EC2's status checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChecks {
    /// The machine below: `ok`, `impaired`, …
    pub system: String,
    /// The instance itself.
    pub instance: String,
}

impl Aws {
    /// What EC2 says of the instance; [`ErrorKind::NotFound`] where there is none in this scope.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn instance_facts(&self, id: &NodeId) -> Result<InstanceFacts, ServiceError> {
        const OPERATION: &str = "ec2:DescribeInstances";
        self.pace().await;
        let call = self.ec2().describe_instances().instance_ids(id.as_str());
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk(OPERATION, error))?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        let instance = reservations
            .flat_map(|one| one.instances.unwrap_or_default())
            .next();
        instance.map(facts).ok_or_else(|| {
            let mut error = ServiceError::local(ErrorKind::NotFound, format!("there is no instance {id}"));
            error.operation = OPERATION.to_owned();
            error
        })
    }

    /// EC2's status checks of a running instance; `None` where it has none.
    ///
    /// # Errors
    /// What AWS refuses.
    pub async fn status_checks(&self, id: &NodeId) -> Result<Option<StatusChecks>, ServiceError> {
        self.pace().await;
        let call = self.ec2().describe_instance_status().instance_ids(id.as_str());
        let answer = call
            .send()
            .await
            .map_err(|error| ServiceError::from_sdk("ec2:DescribeInstanceStatus", error))?;
        let status = answer.instance_statuses.unwrap_or_default().into_iter().next();
        Ok(status.map(|status| StatusChecks {
            system: word(status.system_status),
            instance: word(status.instance_status),
        }))
    }
}

fn word(summary: Option<aws_sdk_ec2::types::InstanceStatusSummary>) -> String {
    let status = summary.and_then(|summary| summary.status);
    status
        .map(|status| status.as_str().to_owned())
        .unwrap_or_default()
}

fn facts(instance: Instance) -> InstanceFacts {
    let state = instance.state.and_then(|state| state.name);
    let reason = instance.state_reason.and_then(|reason| reason.message);
    let options = instance.metadata_options;
    let metadata = options.map(|options| Metadata {
        is_off: options.http_endpoint == Some(InstanceMetadataEndpointState::Disabled),
        needs_token: options.http_tokens == Some(HttpTokensState::Required),
        hop_limit: options.http_put_response_hop_limit,
    });
    let interfaces = instance.network_interfaces.unwrap_or_default();
    let has_ipv6 = instance.ipv6_address.is_some()
        || interfaces
            .iter()
            .any(|interface| !interface.ipv6_addresses().is_empty());
    InstanceFacts {
        state: state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
        state_reason: reason
            .or(instance.state_transition_reason)
            .filter(|reason| !reason.is_empty()),
        profile_arn: instance.iam_instance_profile.and_then(|profile| profile.arn),
        vpc: instance.vpc_id,
        subnet: instance.subnet_id,
        groups: instance
            .security_groups
            .unwrap_or_default()
            .into_iter()
            .filter_map(|group| group.group_id)
            .collect(),
        private_address: instance.private_ip_address,
        has_public_address: instance.public_ip_address.is_some(),
        has_ipv6,
        metadata: metadata.unwrap_or_default(),
    }
}
