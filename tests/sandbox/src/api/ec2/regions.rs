//! DescribeRegions.

use super::filter::Filter;
use super::{ApiError, Request};
use crate::api::xml::Xml;
use crate::scenario::OptIn;
use crate::world::World;

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let filters = Filter::all(request.input)?;
    let known = ["endpoint", "opt-in-status", "region-name"];
    if let Some(filter) = filters
        .iter()
        .find(|filter| !known.contains(&filter.name.as_str()))
    {
        return Err(filter.unknown());
    }
    let names = request.input.list("RegionName");
    if let Some(name) = names.iter().find(|name| !world.regions().contains_key(**name)) {
        return Err(ApiError::new(
            "InvalidParameterValue",
            format!("Invalid region name: {name}"),
        ));
    }
    let every = request.input.flag("AllRegions");
    let mut xml = Xml::fragment();
    xml.node("regionInfo", |xml| {
        for (name, status) in world.regions() {
            let endpoint = format!("ec2.{name}.amazonaws.com");
            let asked = match names[..] {
                [] => every || *status != OptIn::NotOptedIn,
                _ => names.contains(&name.as_str()),
            };
            let holds = |filter: &Filter| match filter.name.as_str() {
                "endpoint" => filter.accepts(&endpoint),
                "opt-in-status" => filter.accepts(status.as_str()),
                _ => filter.accepts(name),
            };
            if asked && filters.iter().all(holds) {
                xml.node("item", |xml| {
                    xml.leaf("regionName", name);
                    xml.leaf("regionEndpoint", &endpoint);
                    xml.leaf("optInStatus", status.as_str());
                });
            }
        }
    });
    Ok(xml.finish())
}
