//! GetDocument and DescribeDocument.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, Request, seconds};
use crate::world::World;
use crate::world::documents::Library;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: String,
    document_version: Option<String>,
}

pub(super) fn content(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let (name, content) = find(world, request)?;
    Ok(json!({
        "Name": name,
        "CreatedDate": seconds(created()),
        "DocumentVersion": "1",
        "Status": "Active",
        "DocumentType": "Session",
        "DocumentFormat": "JSON",
        "Content": content.to_string(),
    })
    .to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Setting {
    setting_id: String,
}

/// GetServiceSetting, for the two settings that concern sessions.
pub(super) fn setting(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let Setting { setting_id } = request.input.parse()?;
    let id = setting_id
        .rsplit_once(":servicesetting")
        .map_or(setting_id.as_str(), |(_, id)| id);
    let value = match id {
        "/ssm/managed-instance/default-ec2-instance-management-role" => world.host_management(),
        "/ssm/managed-instance/activation-tier" => world.activation_tier(),
        _ => return Err(ApiError::new("ServiceSettingNotFound", "No such setting.")),
    };
    Ok(
        json!({ "ServiceSetting": { "SettingId": id, "SettingValue": value, "Status": "Default" } })
            .to_string(),
    )
}

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let (name, content) = find(world, request)?;
    let parameters: Vec<Value> = content["parameters"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, rules)| {
            let mut parameter = json!({ "Name": name, "Type": rules["type"] });
            for (key, rule) in [("Description", "description"), ("DefaultValue", "default")] {
                if let Some(value) = rules.get(rule) {
                    parameter[key] = value.clone();
                }
            }
            parameter
        })
        .collect();
    let owner = if Library::is_public(&name) {
        "Amazon"
    } else {
        &request.place.account
    };
    Ok(json!({
        "Document": {
            "Name": name,
            "Owner": owner,
            "CreatedDate": seconds(created()),
            "Status": "Active",
            "DocumentVersion": "1",
            "Description": content["description"],
            "Parameters": parameters,
            "PlatformTypes": ["Windows", "Linux", "MacOS"],
            "DocumentType": "Session",
            "SchemaVersion": "1.0",
            "LatestVersion": "1",
            "DefaultVersion": "1",
            "DocumentFormat": "JSON",
        }
    })
    .to_string())
}

fn find(world: &World, request: &Request<'_>) -> Result<(String, Value), ApiError> {
    let wanted: Named = request.input.parse()?;
    let content = world
        .documents()
        .content(&request.place, &wanted.name)
        .ok_or_else(|| {
            ApiError::new(
                "InvalidDocument",
                format!("Document with name {} does not exist.", wanted.name),
            )
        })?;
    match wanted.document_version.as_deref() {
        None | Some("1" | "$DEFAULT" | "$LATEST") => Ok((wanted.name, content)),
        Some(version) => Err(ApiError::new(
            "InvalidDocumentVersion",
            format!("The document version {version} is not valid."),
        )),
    }
}

fn created() -> jiff::Timestamp {
    jiff::Timestamp::constant(1_577_836_800, 0)
}
