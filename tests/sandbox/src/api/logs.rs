//! CloudWatch Logs and S3, as far as doctor asks them: whether a place for logs is there, and encrypted.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::xml::Xml;
use super::{ApiError, Request, Service, Wire};
use crate::scenario::{LogKind, LogPlace};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "logs",
    wire: Wire::Json {
        target: "Logs_20140328",
    },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    match request.operation {
        "DescribeLogGroups" => Some(groups(world, request)),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    log_group_name_prefix: String,
}

fn groups(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Wanted = request.input.parse()?;
    let groups = world.logs().iter().filter(|place| place.kind == LogKind::Group);
    let groups = groups.filter(|place| place.name.starts_with(&wanted.log_group_name_prefix));
    let rows: Vec<Value> = groups
        .map(|place| {
            let mut row = json!({ "logGroupName": place.name });
            if place.encrypted {
                row["kmsKeyId"] = "arn:aws:kms:eu-west-2:111122223333:key/logs".into();
            }
            row
        })
        .collect();
    Ok(json!({ "logGroups": rows }).to_string())
}

/// S3's GetBucketEncryption: the answer's status, and its XML.
pub(super) fn encryption(world: &World, bucket: &str) -> Response<String> {
    let mut buckets = world.logs().iter().filter(|place| place.kind == LogKind::Bucket);
    let (status, text) = match buckets.find(|place| place.name == bucket) {
        Some(LogPlace { encrypted: true, .. }) => {
            let mut xml = Xml::document();
            xml.node("ServerSideEncryptionConfiguration", |xml| {
                xml.node("Rule", |xml| {
                    xml.node("ApplyServerSideEncryptionByDefault", |xml| {
                        xml.leaf("SSEAlgorithm", "AES256");
                    });
                });
            });
            (StatusCode::OK, xml.finish())
        }
        Some(_) => refusal(
            StatusCode::NOT_FOUND,
            "ServerSideEncryptionConfigurationNotFoundError",
        ),
        None => refusal(StatusCode::NOT_FOUND, "NoSuchBucket"),
    };
    response(status, text)
}

/// S3's errors have a form of their own.
pub(super) fn denied() -> Response<String> {
    let (status, text) = refusal(StatusCode::FORBIDDEN, "AccessDenied");
    response(status, text)
}

fn refusal(status: StatusCode, code: &str) -> (StatusCode, String) {
    let mut xml = Xml::document();
    xml.node("Error", |xml| {
        xml.leaf("Code", code);
        xml.leaf("Message", "The sandbox's S3 says no.");
        xml.leaf("RequestId", "SANDBOXS3");
    });
    (status, xml.finish())
}

fn response(status: StatusCode, text: String) -> Response<String> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/xml");
    response.body(text).unwrap_or_default()
}
