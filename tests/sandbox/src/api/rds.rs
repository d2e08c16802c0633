//! RDS, as far as doctor asks it.

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "rds",
    wire: Wire::Query {
        version: "2014-10-31",
        namespace: "http://rds.amazonaws.com/doc/2014-10-31/",
    },
    call,
};

/// The security group of the database of that number.
pub(super) fn group(number: usize) -> String {
    format!("sg-0a0b0c0d0e0f2{number:04x}")
}

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    match request.operation {
        "DescribeDBInstances" => Some(instances(world, request)),
        _ => None,
    }
}

fn instances(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted = request.input.text("DBInstanceIdentifier").unwrap_or_default();
    let mut databases = world.databases().iter().enumerate();
    let found = databases.find(|(_, database)| database.id == wanted);
    let (number, database) = found.ok_or_else(|| {
        ApiError::new("DBInstanceNotFound", format!("DBInstance {wanted} not found.")).with_status(404)
    })?;
    let mut xml = Xml::fragment();
    xml.node("DBInstances", |xml| {
        xml.node("DBInstance", |xml| {
            xml.leaf("DBInstanceIdentifier", &database.id);
            xml.leaf("DBInstanceStatus", &database.status);
            xml.node("Endpoint", |xml| xml.leaf("Port", &database.port.to_string()));
            xml.node("VpcSecurityGroups", |xml| {
                xml.node("VpcSecurityGroupMembership", |xml| {
                    xml.leaf("Status", "active");
                    xml.leaf("VpcSecurityGroupId", &group(number));
                });
            });
            xml.node("DBSubnetGroup", |xml| xml.leaf("VpcId", &database.vpc));
        });
    });
    Ok(xml.finish())
}
