//! ECS: commands in containers, as far as a session needs it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, Request, Service, Wire};
use crate::scenario::{self, Container, Task};
use crate::world::documents::Plan;
use crate::world::{Node, World, sessions};

pub(super) const SERVICE: Service = Service {
    name: "ecs",
    wire: Wire::Json {
        target: "AmazonEC2ContainerServiceV20141113",
    },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    Some(match request.operation {
        "ExecuteCommand" => execute(world, request),
        "DescribeTasks" => describe(world, request),
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Execute {
    cluster: Option<String>,
    task: String,
    container: Option<String>,
    command: String,
    interactive: bool,
}

fn execute(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Execute = request.input.parse()?;
    if !wanted.interactive {
        return Err(invalid("Interactive is the only mode supported currently."));
    }
    let cluster = cluster(world, request, wanted.cluster.as_deref())?;
    let task = find(world, request, cluster, &wanted.task)
        .ok_or_else(|| invalid("The specified task was not found."))?;
    let container = match (&wanted.container, &task.containers[..]) {
        (Some(name), containers) => containers.iter().find(|container| container.name == *name),
        (None, [only]) => Some(only),
        (None, _) => {
            return Err(invalid(
                "Container name must be specified when the task has multiple containers.",
            ));
        }
    };
    let container = container.ok_or_else(|| invalid("The specified container was not found in the task."))?;
    if !task.execute_command {
        return Err(invalid(
            "The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again.",
        ));
    }
    if !container.running {
        return Err(ApiError::new(
            "TargetNotConnectedException",
            "The execute command failed due to an internal error. Try again later.",
        ));
    }
    let target = format!("ecs:{cluster}_{}_{}", task.id, runtime_id(task, container));
    let node = node(request, task, container, &target);
    let started = world.sessions.start(
        sessions::Request {
            caller: request.caller,
            prefix: "ecs-execute-command",
            place: &request.place,
            node: &node,
            target,
            document: Some("AmazonECS-ExecuteInteractiveCommand".to_owned()),
            parameters: [("command".to_owned(), vec![wanted.command.clone()])].into(),
            plan: Plan {
                session_type: "InteractiveCommands".to_owned(),
                properties: json!({ "linux": { "commands": wanted.command } }),
            },
            reason: None,
            // ECS has settings of its own, by cluster.
            preferences: None,
        },
        world.now(),
    );
    let started = started.map_err(|message| invalid(&message))?;
    Ok(json!({
        "clusterArn": arn(request, &format!("cluster/{cluster}")),
        "containerArn": container_arn(request, task, container),
        "containerName": container.name,
        "interactive": true,
        "session": {
            "sessionId": started.id,
            "streamUrl": format!("{}{}", request.stream_base, started.path),
            "tokenValue": started.token,
        },
        "taskArn": arn(request, &format!("task/{cluster}/{}", task.id)),
    })
    .to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Describe {
    cluster: Option<String>,
    tasks: Vec<String>,
}

fn describe(world: &World, request: &Request<'_>) -> Result<String, ApiError> {
    let wanted: Describe = request.input.parse()?;
    let cluster = cluster(world, request, wanted.cluster.as_deref())?;
    let mut tasks = Vec::new();
    let mut failures = Vec::new();
    for name in &wanted.tasks {
        match find(world, request, cluster, name) {
            Some(task) => tasks.push(row(request, cluster, task)),
            None => failures.push(json!({
                "arn": arn(request, &format!("task/{cluster}/{}", last_part(name))),
                "reason": "MISSING",
            })),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }).to_string())
}

fn row(request: &Request<'_>, cluster: &str, task: &Task) -> Value {
    let containers = task.containers.iter().map(|container| {
        let status = if container.running { "RUNNING" } else { "STOPPED" };
        json!({
            "containerArn": container_arn(request, task, container),
            "taskArn": arn(request, &format!("task/{cluster}/{}", task.id)),
            "name": container.name,
            "runtimeId": runtime_id(task, container),
            "lastStatus": status,
        })
    });
    json!({
        "taskArn": arn(request, &format!("task/{cluster}/{}", task.id)),
        "clusterArn": arn(request, &format!("cluster/{cluster}")),
        "containers": containers.collect::<Vec<_>>(),
        "enableExecuteCommand": task.execute_command,
        "lastStatus": "RUNNING",
        "launchType": "FARGATE",
    })
}

/// The cluster's name: that of a parameter or an ARN, `default` where there is none.
fn cluster<'a>(world: &'a World, request: &Request<'_>, given: Option<&str>) -> Result<&'a str, ApiError> {
    let name = last_part(given.unwrap_or("default"));
    world
        .tasks(&request.place)
        .find(|task| task.cluster == name)
        .map(|task| task.cluster.as_str())
        .ok_or_else(|| ApiError::new("ClusterNotFoundException", "Cluster not found."))
}

fn find<'a>(world: &'a World, request: &Request<'_>, cluster: &str, task: &str) -> Option<&'a Task> {
    let id = last_part(task);
    world
        .tasks(&request.place)
        .find(|task| task.cluster == cluster && task.id == id)
}

/// A container as what an agent runs on.
fn node(request: &Request<'_>, task: &Task, container: &Container, target: &str) -> Node {
    let facts = scenario::Node {
        id: Some(target.to_owned()),
        name: Some(container.name.clone()),
        region: request.place.region.clone(),
        session: task.session.clone(),
        ..scenario::Node::default()
    };
    Node::standing_alone(&request.place.account, facts)
}

/// Of Fargate: the task's id and a number.
fn runtime_id(task: &Task, container: &Container) -> String {
    let digest = Node::like_any().derived_id(&format!("{}{}", task.id, container.name));
    let number = u64::from_str_radix(&digest[digest.len() - 8..], 16).unwrap_or_default();
    format!("{}-{number:010}", task.id)
}

fn container_arn(request: &Request<'_>, task: &Task, container: &Container) -> String {
    let path = format!("container/{}/{}/{}", task.cluster, task.id, container.name);
    arn(request, &path)
}

fn arn(request: &Request<'_>, path: &str) -> String {
    format!(
        "arn:aws:ecs:{}:{}:{path}",
        request.place.region, request.place.account
    )
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}
