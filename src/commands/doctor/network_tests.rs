//! One network for each cause, and healthy ones without a false alarm.

use super::super::report::{Report, Verdict};
use super::*;
use crate::aws::error::ErrorKind;

fn instance() -> InstanceFacts {
    InstanceFacts {
        state: "running".into(),
        vpc: Some("vpc-1".into()),
        subnet: Some("subnet-1".into()),
        groups: vec!["sg-node".into()],
        private_address: Some("10.0.1.5".into()),
        ..InstanceFacts::default()
    }
}

fn route(destination: &str, target: &str) -> RouteFact {
    RouteFact {
        destination: destination.into(),
        target: target.into(),
    }
}

fn rule(range: &str) -> Rule {
    Rule {
        ports: Some((443, 443)),
        protocol: "tcp".into(),
        ranges: vec![range.into()],
        groups: Vec::new(),
        lists: Vec::new(),
    }
}

fn endpoint(name: &str) -> EndpointFact {
    EndpointFact {
        id: format!("vpce-{name}"),
        service: format!("com.amazonaws.eu-west-2.{name}"),
        state: "available".into(),
        has_private_dns: true,
        groups: vec!["sg-endpoint".into()],
        policy: Some(
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}"#.into(),
        ),
    }
}

fn acl_entry(number: i32, is_egress: bool, allows: bool) -> AclEntry {
    AclEntry {
        number,
        is_egress,
        allows,
        protocol: "-1".into(),
        range: "0.0.0.0/0".into(),
        ports: None,
    }
}

/// A private subnet behind a NAT gateway: healthy.
fn behind_nat() -> Network {
    Network {
        routes: Ok(vec![route("10.0.0.0/16", "local"), route("0.0.0.0/0", "nat-1")]),
        endpoints: Ok(Vec::new()),
        groups: Ok(vec![
            GroupFact {
                id: "sg-node".into(),
                ingress: Vec::new(),
                egress: vec![rule("0.0.0.0/0")],
            },
            GroupFact {
                id: "sg-endpoint".into(),
                ingress: vec![rule("10.0.0.0/16")],
                egress: Vec::new(),
            },
        ]),
        acl: Ok(vec![
            acl_entry(100, true, true),
            acl_entry(100, false, true),
            acl_entry(32767, true, false),
        ]),
        dns: Ok(DnsFact {
            support: true,
            hostnames: true,
        }),
        name_servers: Ok(vec!["AmazonProvidedDNS".into()]),
    }
}

/// No way out, but both endpoints: healthy.
fn by_endpoints() -> Network {
    Network {
        routes: Ok(vec![route("10.0.0.0/16", "local")]),
        endpoints: Ok(vec![endpoint("ssm"), endpoint("ssmmessages")]),
        ..behind_nat()
    }
}

fn cause(instance: &InstanceFacts, network: &Network) -> Option<(&'static str, Verdict, String)> {
    let report = Report {
        findings: findings(instance, network, "eu-west-2"),
    };
    let cause = report.cause()?;
    assert!(!cause.fix.is_empty(), "{cause:?}");
    Some((cause.check, cause.verdict, cause.evidence.clone()))
}

#[test]
fn healthy_networks_raise_no_alarm() {
    assert_eq!(cause(&instance(), &behind_nat()), None);
    assert_eq!(cause(&instance(), &by_endpoints()), None);
    let mut public = instance();
    public.has_public_address = true;
    let mut network = behind_nat();
    network.routes = Ok(vec![route("0.0.0.0/0", "igw-1")]);
    assert_eq!(cause(&public, &network), None);
    // What lies beyond a transit gateway cannot be seen: no alarm, and no pass either.
    network.routes = Ok(vec![route("0.0.0.0/0", "tgw-1")]);
    assert_eq!(cause(&instance(), &network), None);
    assert_eq!(
        findings(&instance(), &network, "eu-west-2")[0].verdict,
        Verdict::Unknown
    );
}

#[test]
fn each_cause_is_named() {
    let instance = instance();
    let with = |change: fn(&mut Network)| {
        let mut network = by_endpoints();
        change(&mut network);
        cause(&instance, &network).unwrap()
    };
    for (change, check, words) in [
        (
            (|network| network.endpoints = Ok(Vec::new())) as fn(&mut Network),
            WAY_OUT,
            "no route leads to the internet, and the VPC lacks endpoints of SSM",
        ),
        (
            |network| {
                network.endpoints = Ok(Vec::new());
                network.routes = Ok(vec![route("0.0.0.0/0", "igw-1")]);
            },
            WAY_OUT,
            "the instance has no public address",
        ),
        (
            |network| network.endpoints = Ok(vec![endpoint("ssm")]),
            WAY_OUT,
            "the VPC lacks endpoints of SSM",
        ),
        (
            |network| {
                let mut pending = endpoint("ssm");
                pending.state = "pending".into();
                network.endpoints = Ok(vec![pending, endpoint("ssmmessages")]);
            },
            ENDPOINTS,
            "is pending",
        ),
        (
            |network| {
                let mut nameless = endpoint("ssmmessages");
                nameless.has_private_dns = false;
                network.endpoints = Ok(vec![endpoint("ssm"), nameless]);
            },
            ENDPOINTS,
            "vpce-ssmmessages (com.amazonaws.eu-west-2.ssmmessages) has no private DNS",
        ),
        (
            |network| {
                let mut narrow = endpoint("ssm");
                narrow.policy = Some(
                    r#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"}]}"#.into(),
                );
                network.endpoints = Ok(vec![narrow, endpoint("ssmmessages")]);
            },
            ENDPOINTS,
            "is narrowed",
        ),
        (
            |network| {
                network.dns = Ok(DnsFact {
                    support: true,
                    hostnames: false,
                });
            },
            ENDPOINTS,
            "both switches of names",
        ),
        (
            |network| network.name_servers = Ok(vec!["10.0.0.53".into()]),
            NAME_SERVERS,
            "10.0.0.53 instead of AWS's own",
        ),
        (
            |network| network.groups.as_mut().unwrap()[1].ingress = vec![rule("192.168.0.0/16")],
            ENDPOINT_GROUPS,
            "lets nobody in from the instance on port 443",
        ),
        (
            |network| network.groups.as_mut().unwrap()[0].egress = Vec::new(),
            EGRESS,
            "sg-node lets nothing out on port 443",
        ),
        (
            |network| network.acl.as_mut().unwrap().insert(0, acl_entry(1, true, false)),
            ACL,
            "lets nothing out to port 443",
        ),
        (
            |network| {
                network
                    .acl
                    .as_mut()
                    .unwrap()
                    .insert(0, acl_entry(1, false, false))
            },
            ACL,
            "lets no answers in",
        ),
    ] {
        let (found, _, evidence) = with(change);
        assert_eq!(found, check, "{evidence}");
        assert!(evidence.contains(words), "{evidence}");
    }
}

#[test]
fn a_group_may_be_let_in_by_name_or_list() {
    let mut network = by_endpoints();
    let groups = network.groups.as_mut().unwrap();
    groups[1].ingress = vec![Rule {
        ranges: Vec::new(),
        groups: vec!["sg-node".into()],
        ..rule("")
    }];
    assert_eq!(cause(&instance(), &network), None);
    network.groups.as_mut().unwrap()[1].ingress = vec![Rule {
        ports: None,
        protocol: "-1".into(),
        ..rule("0.0.0.0/0")
    }];
    assert_eq!(cause(&instance(), &network), None);
}

#[test]
fn denied_looks_are_unknown() {
    let denied = |action: &str| {
        ServiceError::local(
            ErrorKind::AccessDenied {
                action: action.into(),
            },
            "no",
        )
    };
    let network = Network {
        routes: Err(denied("ec2:DescribeRouteTables")),
        endpoints: Err(denied("ec2:DescribeVpcEndpoints")),
        groups: Err(denied("ec2:DescribeSecurityGroups")),
        acl: Err(denied("ec2:DescribeNetworkAcls")),
        dns: Err(denied("ec2:DescribeVpcAttribute")),
        name_servers: Err(denied("ec2:DescribeDhcpOptions")),
    };
    for finding in findings(&instance(), &network, "eu-west-2") {
        assert_eq!(finding.verdict, Verdict::Unknown, "{finding:?}");
        assert!(finding.lacks.is_some(), "{finding:?}");
    }
    // A subnet without a way out is no certain fault while endpoints cannot be seen.
    let half = Network {
        routes: Ok(vec![route("10.0.0.0/16", "local")]),
        ..network
    };
    assert_eq!(
        findings(&instance(), &half, "eu-west-2")[0].verdict,
        Verdict::Unknown
    );
}
