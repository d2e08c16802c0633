//! Sessions: started, resumed, terminated, listed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, Request, cut, invalid, page_size, seconds};
use crate::gateway::Status;
use crate::world::World;
use crate::world::documents::{self, PREFERENCES, Plan};
use crate::world::sessions::{self, Record, Started};

/// How long a session that has ended is listed.
const HISTORY: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    target: String,
    document_name: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Vec<String>>,
}

pub(super) fn start(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Start = request.input.parse()?;
    length(&wanted.target, "target", 1, 400)?;
    if let Some(reason) = &wanted.reason {
        length(reason, "reason", 1, 256)?;
    }
    let plan = plan(world, request, &wanted)?;
    let node = world
        .node(&request.place, &wanted.target)
        .filter(|node| node.is_connected())
        .ok_or_else(|| {
            ApiError::new(
                "TargetNotConnected",
                format!("{} is not connected.", wanted.target),
            )
        })?;
    let start = sessions::Request {
        caller: request.caller,
        prefix: &request.caller.name,
        place: &request.place,
        node: &node,
        target: wanted.target,
        document: wanted.document_name,
        parameters: wanted.parameters,
        plan,
        reason: wanted.reason,
        preferences: world.documents().preferences(&request.place),
    };
    let started = world
        .sessions
        .start(start, world.now())
        .map_err(|message| ApiError::new("InvalidDocumentContent", message))?;
    Ok(opening(request, started))
}

/// What the document and its parameters come to. The preferences need not exist.
fn plan(world: &World, request: &Request<'_>, wanted: &Start) -> Result<Plan, ApiError> {
    let name = wanted.document_name.as_deref().unwrap_or(PREFERENCES);
    let content = match world.documents().content(&request.place, name) {
        Some(content) => content,
        None if name == PREFERENCES => json!({ "sessionType": "Standard_Stream" }),
        None => {
            return Err(ApiError::new(
                "InvalidDocument",
                format!("Document with name {name} does not exist."),
            ));
        }
    };
    documents::plan(&content, &wanted.parameters)
        .map_err(|message| ApiError::new("InvalidParameters", message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    session_id: String,
}

pub(super) fn resume(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let Named { session_id } = request.input.parse()?;
    let gone = || {
        ApiError::new(
            "DoesNotExistException",
            format!("Session {session_id} does not exist or has expired."),
        )
    };
    mine(world, request, &session_id).ok_or_else(gone)?;
    let started = world.sessions.resume(&session_id).ok_or_else(gone)?;
    Ok(opening(request, started))
}

/// Ending a session that has ended already, or never was, is no error.
pub(super) fn terminate(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let Named { session_id } = request.input.parse()?;
    length(&session_id, "sessionId", 1, 96)?;
    if mine(world, request, &session_id).is_some() {
        world.sessions.gateway().terminate(&session_id, "");
    }
    Ok(json!({ "SessionId": session_id }).to_string())
}

/// A session of the place that the call is for.
fn mine(world: &World, request: &Request<'_>, id: &str) -> Option<Arc<Record>> {
    world
        .sessions
        .record(id)
        .filter(|record| record.place == request.place)
}

fn opening(request: &Request<'_>, started: Started) -> String {
    let mut answer = json!({
        "SessionId": started.id,
        "StreamUrl": format!("{}{}", request.stream_base, started.path),
    });
    if let Some(token) = started.token {
        answer["TokenValue"] = token.into();
    }
    answer.to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Describe {
    state: String,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    key: String,
    value: String,
}

pub(super) fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Describe = request.input.parse()?;
    let history = match wanted.state.as_str() {
        "Active" => false,
        "History" => true,
        other => {
            let constraint = "Member must satisfy enum value set: [History, Active]";
            return Err(invalid(other, "state", constraint));
        }
    };
    let size = page_size(wanted.max_results, 200, 1, 200)?;
    for filter in &wanted.filters {
        filter.check()?;
    }
    let now = world.now();
    let mut rows: Vec<Row> = world
        .sessions
        .records()
        .into_iter()
        .filter(|record| record.place == request.place)
        .filter_map(|record| Row::of(world, record))
        .filter(|row| row.status.is_over() == history)
        .filter(|row| row.ended.is_none_or(|ended| now.duration_since(ended) < HISTORY))
        .filter(|row| wanted.filters.iter().all(|filter| filter.holds(row)))
        .collect();
    rows.reverse();
    let question: Vec<String> = wanted
        .filters
        .iter()
        .map(|filter| format!("{}={}", filter.key, filter.value))
        .collect();
    let question = format!("{} {}", wanted.state, question.join("&"));
    let (page, next) = cut(rows, &question, wanted.next_token.as_deref(), size)?;
    let mut answer = json!({ "Sessions": page.iter().map(Row::to_json).collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer.to_string())
}

/// A session and how it is.
struct Row {
    record: Arc<Record>,
    status: Status,
    ended: Option<Timestamp>,
    details: String,
}

impl Row {
    fn of(world: &World, record: Arc<Record>) -> Option<Self> {
        let state = world.sessions.state(&record.id)?;
        Some(Self {
            record,
            status: state.status,
            ended: state.ended.and_then(|at| Timestamp::try_from(at).ok()),
            details: state.output,
        })
    }

    fn to_json(&self) -> Value {
        let record = &self.record;
        let mut row = json!({
            "SessionId": record.id,
            "Target": record.target,
            "Status": self.status.name(),
            "StartDate": seconds(record.started),
            "DocumentName": record.document.as_deref().unwrap_or(PREFERENCES),
            "Owner": record.owner,
            "OutputUrl": {},
            "AccessType": "Standard",
        });
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                row[key] = value;
            }
        };
        set("EndDate", self.ended.map(|at| seconds(at).into()));
        set("Reason", record.reason.clone().map(Into::into));
        set(
            "Details",
            Some(self.details.clone().into()).filter(|_| !self.details.is_empty()),
        );
        let minutes = record.max_duration.map(|minutes| minutes.to_string().into());
        set("MaxSessionDuration", minutes);
        row
    }
}

impl Filter {
    fn check(&self) -> Result<(), ApiError> {
        match self.key.as_str() {
            "InvokedAfter" | "InvokedBefore" if self.time().is_none() => Err(ApiError::new(
                "ValidationException",
                format!("Invalid datetime value: {}", self.value),
            )),
            "InvokedAfter" | "InvokedBefore" | "Target" | "Owner" | "Status" | "SessionId" | "AccessType" => {
                Ok(())
            }
            key => {
                let keys = "Member must satisfy enum value set: [InvokedAfter, InvokedBefore, Target, Owner, Status, SessionId, AccessType]";
                Err(invalid(key, "filters.key", keys))
            }
        }
    }

    fn time(&self) -> Option<Timestamp> {
        self.value.parse().ok()
    }

    fn holds(&self, row: &Row) -> bool {
        let record = &row.record;
        match self.key.as_str() {
            "InvokedAfter" => self.time().is_some_and(|at| record.started > at),
            "InvokedBefore" => self.time().is_some_and(|at| record.started < at),
            "Target" => record.target == self.value,
            "Owner" => record.owner == self.value,
            "Status" => row.status.name() == self.value,
            "SessionId" => record.id == self.value,
            "AccessType" => self.value == "Standard",
            _ => false,
        }
    }
}

fn length(value: &str, member: &str, low: usize, high: usize) -> Result<(), ApiError> {
    let count = value.chars().count();
    if count < low {
        let constraint = format!("Member must have length greater than or equal to {low}");
        return Err(invalid(value, member, &constraint));
    }
    if count > high {
        let constraint = format!("Member must have length less than or equal to {high}");
        return Err(invalid(value, member, &constraint));
    }
    Ok(())
}
