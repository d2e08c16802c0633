//! A database of RDS that a forward leads to.

use super::super::Aws;
use super::super::error::{ErrorKind, ServiceError};
use super::super::query::Service;

/// What RDS says of an instance or a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseFacts {
    /// Its identifier.
    pub id: String,
    /// Such as `available`.
    pub status: String,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// Its VPC; RDS does not tell it of clusters.
    pub vpc: Option<String>,
    /// Its security groups.
    pub groups: Vec<String>,
}

/// What a host's name says of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An instance.
    Instance(String),
    /// A cluster, by its writer's or reader's name.
    Cluster(String),
}

impl Database {
    /// Reads a host's name as RDS makes them: `ID.HASH.REGION.rds.amazonaws.com`, with `cluster-` or `cluster-ro-`
    /// before the hash for clusters. `None` for any other name, those of proxies and custom endpoints included.
    pub fn named(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut labels = host.split('.');
        let (id, second, _region, rds) = (labels.next()?, labels.next()?, labels.next()?, labels.next()?);
        let suffix: Vec<&str> = labels.collect();
        if rds != "rds" || !matches!(suffix.first(), Some(&"amazonaws")) || id.is_empty() {
            return None;
        }
        let hash = second
            .strip_prefix("cluster-ro-")
            .or_else(|| second.strip_prefix("cluster-"));
        match hash {
            Some(hash) => (!hash.contains('-')).then(|| Self::Cluster(id.to_owned())),
            None => (!second.contains('-')).then(|| Self::Instance(id.to_owned())),
        }
    }
}

impl Aws {
    /// What RDS says of a database; [`ErrorKind::NotFound`] where there is none in this scope.
    ///
    /// # Errors
    /// What AWS refuses; an answer that is none.
    pub async fn database(&self, database: &Database) -> Result<DatabaseFacts, ServiceError> {
        let (action, parameter, element, id) = match database {
            Database::Instance(id) => ("DescribeDBInstances", "DBInstanceIdentifier", "DBInstance", id),
            Database::Cluster(id) => ("DescribeDBClusters", "DBClusterIdentifier", "DBCluster", id),
        };
        let service = Service {
            name: "rds",
            endpoint: self.endpoint_of("rds"),
            region: self.region().to_string(),
            version: "2014-10-31",
        };
        let answer = self.query(&service, action, &[(parameter, id)]).await;
        let answer = answer.map_err(|mut error| {
            if matches!(
                error.code.as_deref(),
                Some("DBInstanceNotFound" | "DBClusterNotFoundFault")
            ) {
                error.kind = ErrorKind::NotFound;
            }
            error
        })?;
        read(&answer, element).ok_or_else(|| ServiceError {
            operation: format!("rds:{action}"),
            ..ServiceError::local(ErrorKind::Other, "the answer tells of no database")
        })
    }
}

fn read(xml: &str, element: &str) -> Option<DatabaseFacts> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let database = document
        .descendants()
        .find(|node| node.tag_name().name() == element)?;
    let text = |name: &str| {
        let mut nodes = database
            .descendants()
            .filter(|node| node.tag_name().name() == name);
        nodes.find_map(|node| node.text().map(|text| text.trim().to_owned()))
    };
    let child = |name: &str| {
        let child = database.children().find(|node| node.tag_name().name() == name)?;
        child.text().map(|text| text.trim().to_owned())
    };
    let groups = database
        .descendants()
        .filter(|node| node.tag_name().name() == "VpcSecurityGroupId");
    Some(DatabaseFacts {
        id: child(&format!("{element}Identifier")).unwrap_or_default(),
        status: child("DBInstanceStatus")
            .or_else(|| child("Status"))
            .unwrap_or_default(),
        port: text("Port").and_then(|port| port.parse().ok()),
        vpc: text("VpcId"),
        groups: groups.filter_map(|node| node.text().map(str::to_owned)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rds_are_told_from_others() {
        let instance = |id: &str| Some(Database::Instance(id.to_owned()));
        let cluster = |id: &str| Some(Database::Cluster(id.to_owned()));
        for (host, expected) in [
            ("shop.c9akciq32.eu-west-2.rds.amazonaws.com", instance("shop")),
            (
                "Shop.c9akciq32.cn-north-1.rds.amazonaws.com.cn.",
                instance("shop"),
            ),
            (
                "shop.cluster-c9akciq32.eu-west-2.rds.amazonaws.com",
                cluster("shop"),
            ),
            (
                "shop.cluster-ro-c9akciq32.eu-west-2.rds.amazonaws.com",
                cluster("shop"),
            ),
            ("shop.proxy-c9akciq32.eu-west-2.rds.amazonaws.com", None),
            ("mine.cluster-custom-c9akciq32.eu-west-2.rds.amazonaws.com", None),
            ("db.internal", None),
            ("a.b.c.rds.evil.com", None),
            ("", None),
        ] {
            assert_eq!(Database::named(host), expected, "{host}");
        }
    }

    #[test]
    fn an_instance_is_read() {
        let xml = r#"<R xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DBInstances><DBInstance>
            <DBInstanceIdentifier>shop</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus>
            <Endpoint><Address>x</Address><Port>5432</Port></Endpoint>
            <VpcSecurityGroups><VpcSecurityGroupMembership><Status>active</Status><VpcSecurityGroupId>sg-1</VpcSecurityGroupId>
            </VpcSecurityGroupMembership></VpcSecurityGroups><DBSubnetGroup><VpcId>vpc-1</VpcId></DBSubnetGroup>
            </DBInstance></DBInstances></R>"#;
        assert_eq!(
            read(xml, "DBInstance"),
            Some(DatabaseFacts {
                id: "shop".into(),
                status: "available".into(),
                port: Some(5432),
                vpc: Some("vpc-1".into()),
                groups: vec!["sg-1".into()],
            })
        );
        assert_eq!(read("<html>", "DBInstance"), None);
    }
}
