//! STS.

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "sts",
    wire: Wire::Query {
        version: "2011-06-15",
        namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    },
    call,
};

fn call(_world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    Some(match request.operation {
        "GetCallerIdentity" => Ok(caller_identity(request)),
        _ => return None,
    })
}

fn caller_identity(request: &Request<'_>) -> String {
    let mut xml = Xml::fragment();
    xml.leaf("Arn", &request.caller.arn);
    xml.leaf("UserId", &request.caller.user_id);
    xml.leaf("Account", &request.caller.account);
    xml.finish()
}
