//! SSM: the fleet's agents, session documents, sessions.

mod documents;
mod information;
mod sessions;

use super::{ApiError, Request, Service, Wire, page};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "ssm",
    wire: Wire::Json { target: "AmazonSSM" },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    let operation: fn(&World, &Request<'_>) -> Result<String, ApiError> = match request.operation {
        "DescribeInstanceInformation" => information::describe,
        "GetConnectionStatus" => information::connection_status,
        "StartSession" => sessions::start,
        "ResumeSession" => sessions::resume,
        "TerminateSession" => sessions::terminate,
        "DescribeSessions" => sessions::describe,
        "GetDocument" => documents::content,
        "DescribeDocument" => documents::describe,
        "GetServiceSetting" => documents::setting,
        _ => return None,
    };
    Some(operation(world, request))
}

/// A number of rows a page, within bounds.
fn page_size(given: Option<usize>, default: usize, low: usize, high: usize) -> Result<usize, ApiError> {
    let size = given.unwrap_or(default);
    let bound = match size {
        _ if size < low => format!("greater than or equal to {low}"),
        _ if size > high => format!("less than or equal to {high}"),
        _ => return Ok(size),
    };
    Err(invalid(
        &size.to_string(),
        "maxResults",
        &format!("Member must have value {bound}"),
    ))
}

/// A ValidationException as the service words it.
fn invalid(value: &str, member: &str, constraint: &str) -> ApiError {
    ApiError::new(
        "ValidationException",
        format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        ),
    )
}

/// Cuts a page off a list and gives the next one's token.
fn cut<T>(
    mut rows: Vec<T>,
    question: &str,
    token: Option<&str>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let start = match token.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => page::offset(question, token)
            .ok_or_else(|| ApiError::new("InvalidNextToken", "The specified token is not valid."))?,
    };
    let rest = rows.split_off(start.min(rows.len()));
    let next = (rest.len() > size).then(|| page::token(question, start + size));
    Ok((rest.into_iter().take(size).collect(), next))
}

/// A time as JSON 1.1 has it: seconds, with a fraction.
fn seconds(at: jiff::Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
