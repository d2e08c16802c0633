//! The host behind the instance that a preset leads to, as far as the API tells of it.

use super::network::admits;
use super::report::Finding;
use crate::aws::diagnosis::databases::{Database, DatabaseFacts};
use crate::aws::diagnosis::instance::InstanceFacts;
use crate::aws::diagnosis::network::GroupFact;
use crate::aws::error::{ErrorKind, ServiceError};
use crate::ids::NodeId;

const HOST: &str = "remote host";
const GROUPS: &str = "remote host's groups";

/// Where a preset leads, beyond the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Far {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What RDS and EC2 tell of the host.
pub struct Facts {
    /// The database that the name is of, and what RDS says of it; `None` for other names.
    pub database: Option<(Database, Result<DatabaseFacts, ServiceError>)>,
    /// Its security groups.
    pub groups: Result<Vec<GroupFact>, ServiceError>,
}

/// What comes of it.
pub fn findings(id: &NodeId, instance: Option<&InstanceFacts>, far: &Far, facts: &Facts) -> Vec<Finding> {
    let Far { host, port } = far;
    let Some((database, told)) = &facts.database else {
        return vec![
            Finding::unseen(
                HOST,
                format!("{host}:{port} is looked up and reached by the instance; AWS's API tells nothing of it"),
            )
            .fix(format!(
                "ssmx exec {id} --shell 'getent hosts {host}; timeout 5 bash -c \"</dev/tcp/{host}/{port}\" && echo open'"
            )),
        ];
    };
    let (kind, name) = match database {
        Database::Instance(name) => ("instance", name),
        Database::Cluster(name) => ("cluster", name),
    };
    let database = match told {
        Ok(database) => database,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return vec![
                Finding::likely(
                    HOST,
                    format!("RDS knows no {kind} `{name}` in this account and region; unless it is another account's, {host} means nothing"),
                )
                .fix("aws rds describe-db-instances --query 'DBInstances[].Endpoint.Address'"),
            ];
        }
        Err(error) => return vec![Finding::unknown(HOST, error)],
    };
    let mut found = vec![state(kind, name, *port, database)];
    found.push(groups(instance, *port, database, &facts.groups));
    found
}

fn state(kind: &str, name: &str, port: u16, database: &DatabaseFacts) -> Finding {
    let down = [
        "stopped",
        "stopping",
        "starting",
        "creating",
        "deleting",
        "failed",
        "rebooting",
        "restore-error",
    ];
    let status = database.status.as_str();
    if down.contains(&status) || status.starts_with("incompatible-") || status.starts_with("inaccessible-") {
        let finding = Finding::fail(HOST, format!("the {kind} `{name}` of RDS is {status}"));
        return match (status, kind) {
            ("stopped", "cluster") => {
                finding.fix(format!("aws rds start-db-cluster --db-cluster-identifier {name}"))
            }
            ("stopped", _) => finding.fix(format!(
                "aws rds start-db-instance --db-instance-identifier {name}"
            )),
            _ => finding.fix(format!(
                "aws rds describe-events --source-identifier {name} --source-type db-{kind}"
            )),
        };
    }
    match database.port {
        Some(own) if own != port => Finding::fail(
            HOST,
            format!("the {kind} `{name}` of RDS listens on port {own}, and the forward leads to {port}"),
        )
        .fix(format!("ssmx config set presets.NAME.port {own}")),
        _ => Finding::pass(HOST, format!("the {kind} `{name}` of RDS is {status}")),
    }
}

fn groups(
    instance: Option<&InstanceFacts>,
    port: u16,
    database: &DatabaseFacts,
    told: &Result<Vec<GroupFact>, ServiceError>,
) -> Finding {
    let Some(instance) = instance else {
        return Finding::unseen(GROUPS, "the instance's own groups are not known");
    };
    let groups = match told {
        Ok(groups) => groups,
        Err(error) => return Finding::unknown(GROUPS, error),
    };
    if let (Some(theirs), Some(ours)) = (&database.vpc, &instance.vpc)
        && theirs != ours
    {
        return Finding::unseen(
            GROUPS,
            format!("it lies in {theirs}, the instance in {ours}: whether a way leads there cannot be told"),
        );
    }
    let theirs = groups.iter().filter(|group| database.groups.contains(&group.id));
    let lets_in = theirs
        .flat_map(|group| &group.ingress)
        .any(|rule| admits(rule, instance, i32::from(port)));
    if lets_in || database.groups.is_empty() {
        return Finding::pass(GROUPS, format!("port {port} is open to the instance"));
    }
    let group = database.groups.first().map_or("GROUP", String::as_str);
    let from = instance.groups.first().map_or("GROUP", String::as_str);
    Finding::fail(
        GROUPS,
        format!("{} lets nobody in from the instance on port {port}", database.groups.join(", ")),
    )
    .fix(format!(
        "aws ec2 authorize-security-group-ingress --group-id {group} --protocol tcp --port {port} --source-group {from}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::aws::diagnosis::network::Rule;

    fn database() -> DatabaseFacts {
        DatabaseFacts {
            id: "shop".into(),
            status: "available".into(),
            port: Some(5432),
            vpc: Some("vpc-1".into()),
            groups: vec!["sg-db".into()],
        }
    }

    fn group(range: &str, port: i32) -> GroupFact {
        GroupFact {
            id: "sg-db".into(),
            ingress: vec![Rule {
                ports: Some((port, port)),
                protocol: "tcp".into(),
                ranges: vec![range.to_owned()],
                groups: Vec::new(),
                lists: Vec::new(),
            }],
            egress: Vec::new(),
        }
    }

    fn look(told: Result<DatabaseFacts, ServiceError>, group: GroupFact) -> Vec<(Verdict, String)> {
        let instance = InstanceFacts {
            vpc: Some("vpc-1".into()),
            private_address: Some("10.0.0.5".into()),
            groups: vec!["sg-web".into()],
            ..InstanceFacts::default()
        };
        let far = Far {
            host: "shop.x.eu-west-2.rds.amazonaws.com".into(),
            port: 5432,
        };
        let facts = Facts {
            database: Some((Database::Instance("shop".into()), told)),
            groups: Ok(vec![group]),
        };
        let id = "i-0123456789abcdef0".parse().unwrap();
        let found = findings(&id, Some(&instance), &far, &facts);
        let told = |finding: Finding| {
            let needs_fix = matches!(finding.verdict, Verdict::Fail | Verdict::Likely);
            assert!(!needs_fix || !finding.fix.is_empty(), "{finding:?}");
            (finding.verdict, finding.evidence)
        };
        found.into_iter().map(told).collect()
    }

    #[test]
    fn a_database_is_up_on_its_port_and_lets_the_instance_in() {
        let open = || group("10.0.0.0/16", 5432);
        let fine = look(Ok(database()), open());
        assert!(
            fine.iter().all(|(verdict, _)| *verdict == Verdict::Pass),
            "{fine:?}"
        );
        for (change, at, words) in [
            (
                (|database: &mut DatabaseFacts| database.status = "stopped".into()) as fn(&mut _),
                0,
                "is stopped",
            ),
            (|database| database.port = Some(3306), 0, "listens on port 3306"),
        ] {
            let mut changed = database();
            change(&mut changed);
            let found = look(Ok(changed), open());
            assert_eq!(found[at].0, Verdict::Fail);
            assert!(found[at].1.contains(words), "{found:?}");
        }
        assert_eq!(
            look(Ok(database()), group("10.9.0.0/16", 5432))[1].0,
            Verdict::Fail
        );
        assert_eq!(
            look(Ok(database()), group("10.0.0.0/16", 443))[1].0,
            Verdict::Fail
        );
        let mut elsewhere = database();
        elsewhere.vpc = Some("vpc-2".into());
        assert_eq!(
            look(Ok(elsewhere), group("10.9.0.0/16", 5432))[1].0,
            Verdict::Unknown
        );
        let missing = ServiceError::local(ErrorKind::NotFound, "none");
        assert_eq!(look(Err(missing), open())[0].0, Verdict::Likely);
        let kind = ErrorKind::AccessDenied {
            action: "rds:DescribeDBInstances".into(),
        };
        assert_eq!(
            look(Err(ServiceError::local(kind, "no")), open())[0].0,
            Verdict::Unknown
        );
    }
}
