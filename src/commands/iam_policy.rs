//! `ssmx iam-policy`: the least policy for one task.

use serde_json::{Value, json};

use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose, scope};
use crate::ids::{NodeId, Scope};

/// Print the least IAM policy that lets a person do one thing (JSON)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is to be allowed
    #[arg(value_name = "TASK")]
    pub task: Task,

    /// On which targets or presets; all instances without any
    #[arg(value_name = "TARGET|PRESET")]
    pub targets: Vec<String>,

    /// On instances with this tag, whichever they are (can be repeated: all must hold)
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag, conflicts_with = "targets")]
    pub tags: Vec<(String, String)>,

    /// The session document, where it is not AWS's own
    #[arg(long, value_name = "NAME")]
    pub document_name: Option<String>,

    /// The KMS key that sessions are encrypted with
    #[arg(long, value_name = "ARN")]
    pub kms_key: Option<String>,

    /// The policy of the instance's role instead
    #[arg(long, conflicts_with_all = ["targets", "tags", "document_name"])]
    pub for_instance: bool,
}

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Task {
    /// Interactive shells
    Connect,
    /// Port forwards
    Forward,
    /// Commands
    Exec,
    /// All of these
    All,
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Where a policy counts. `*` stands for any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    partition: String,
    region: String,
    account: String,
}

impl Place {
    fn of(scope: &Scope) -> Self {
        Self {
            partition: scope.partition.to_string(),
            region: scope.region.to_string(),
            account: scope.account.to_string(),
        }
    }

    fn node(&self, node: &NodeId) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        if node.is_hybrid() {
            format!("arn:{partition}:ssm:{region}:{account}:managed-instance/{node}")
        } else {
            format!("arn:{partition}:ec2:{region}:{account}:instance/{node}")
        }
    }

    /// AWS's own documents belong to no account.
    fn document(&self, name: &str) -> String {
        let own = name.starts_with("AWS-");
        let account = if own { "" } else { &self.account };
        format!(
            "arn:{}:ssm:{}:{account}:document/{name}",
            self.partition, self.region
        )
    }
}

/// What the policy is about.
struct Wish {
    task: Task,
    place: Place,
    nodes: Vec<NodeId>,
    tags: Vec<(String, String)>,
    document: Option<String>,
    kms_key: Option<String>,
    /// Whether forwards go to the node itself, to hosts behind it, or both.
    forwards: Forwards,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forwards {
    Node,
    Hosts,
    Both,
}

/// Prints the policy.
///
/// # Errors
/// When a target cannot be resolved, or targets lie in several scopes.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let policy = if args.for_instance {
        instance(args.kms_key.as_deref())
    } else {
        person(&wish(ctx, args).await?)
    };
    ctx.ui().data(&format!("{policy:#}\n"))?;
    Ok(Exit::SUCCESS)
}

async fn wish(ctx: &Context, args: Args) -> Result<Wish, CommandError> {
    let mut scopes: Vec<Scope> = Vec::new();
    let mut nodes = Vec::new();
    let mut kinds = Vec::new();
    for word in &args.targets {
        let preset = preset(ctx, word)?;
        let (targets, kind) = match preset {
            Some((targets, kind)) => (targets, kind),
            None => (vec![word.clone()], Forwards::Both),
        };
        kinds.push(kind);
        for target in targets {
            let resolved = ctx
                .resolve(Some(&target), PickArgs::default(), Purpose::Inspect)
                .await?;
            if !nodes.contains(&resolved.node.id) {
                nodes.push(resolved.node.id);
            }
            if !scopes.contains(&resolved.scope) {
                scopes.push(resolved.scope);
            }
        }
    }
    let place = match scopes.as_slice() {
        [one] => Place::of(one),
        [] => Place::of(&scope::here(ctx).await?.scope),
        _ => {
            return Err(
                CommandError::usage("the targets lie in several accounts or regions")
                    .hint("make one policy for each"),
            );
        }
    };
    let forwards = match kinds.first() {
        Some(first) if kinds.iter().all(|kind| kind == first) => *first,
        _ => Forwards::Both,
    };
    Ok(Wish {
        task: args.task,
        place,
        nodes,
        tags: args.tags,
        document: args.document_name,
        kms_key: args.kms_key,
        forwards,
    })
}

/// A preset's targets, and where its forward goes; `None` for what is no preset.
fn preset(ctx: &Context, word: &str) -> Result<Option<(Vec<String>, Forwards)>, CommandError> {
    let name = word.strip_prefix("preset/").unwrap_or(word);
    let config = ctx.config()?;
    let Some(preset) = config.presets.get(name) else {
        if word.starts_with("preset/") {
            return Err(CommandError::usage(format!("there is no preset `{name}`")));
        }
        return Ok(None);
    };
    let kind = match preset.host {
        Some(_) => Forwards::Hosts,
        None => Forwards::Node,
    };
    let targets = preset.target.as_ref().map(|targets| targets.as_slice().to_vec());
    Ok(Some((targets.unwrap_or_default(), kind)))
}

fn documents(wish: &Wish) -> Vec<String> {
    if let Some(document) = &wish.document {
        return vec![document.clone()];
    }
    const SHELL: &str = "SSM-SessionManagerRunShell";
    let forwards: &[&str] = match wish.forwards {
        Forwards::Node => &["AWS-StartPortForwardingSession"],
        Forwards::Hosts => &["AWS-StartPortForwardingSessionToRemoteHost"],
        Forwards::Both => &[
            "AWS-StartPortForwardingSession",
            "AWS-StartPortForwardingSessionToRemoteHost",
        ],
    };
    const COMMAND: &str = "AWS-StartNonInteractiveCommand";
    let names = match wish.task {
        Task::Connect => vec![SHELL],
        Task::Forward => forwards.to_vec(),
        Task::Exec => vec![COMMAND],
        Task::All => [&[SHELL], forwards, &[COMMAND]].concat(),
    };
    names.into_iter().map(ToOwned::to_owned).collect()
}

fn person(wish: &Wish) -> Value {
    let place = &wish.place;
    let nodes: Vec<String> = if wish.nodes.is_empty() {
        let Place {
            partition,
            region,
            account,
        } = place;
        let mut all = vec![format!("arn:{partition}:ec2:{region}:{account}:instance/*")];
        if !wish.tags.is_empty() {
            // Tags reach hybrid machines as well.
            all.push(format!(
                "arn:{partition}:ssm:{region}:{account}:managed-instance/*"
            ));
        }
        all
    } else {
        wish.nodes.iter().map(|node| place.node(node)).collect()
    };
    // With the check, StartSession looks at the document's statement too; without it, whoever may start a
    // session on the node may start one with any document.
    let mut condition = json!({ "BoolIfExists": { "ssm:SessionDocumentAccessCheck": "true" } });
    if !wish.tags.is_empty() {
        let tags: serde_json::Map<String, Value> = wish
            .tags
            .iter()
            .map(|(key, value)| (format!("ssm:resourceTag/{key}"), json!(value)))
            .collect();
        if let Some(condition) = condition.as_object_mut() {
            condition.insert("StringEquals".to_owned(), Value::Object(tags));
        }
    }
    let names = documents(wish);
    let arns: Vec<String> = names.iter().map(|name| place.document(name)).collect();
    let own = format!(
        "arn:{}:ssm:{}:{}:session/${{aws:userid}}-*",
        place.partition, place.region, place.account
    );
    let by_name = own.replace("aws:userid", "aws:username");
    let mut statements = vec![
        json!({
            "Sid": "StartSessionsOnNodes",
            "Effect": "Allow",
            "Action": "ssm:StartSession",
            "Resource": nodes,
            "Condition": condition,
        }),
        // A statement of its own: documents bear none of the nodes' tags.
        json!({
            "Sid": "StartSessionsWithDocuments",
            "Effect": "Allow",
            "Action": "ssm:StartSession",
            "Resource": arns,
        }),
        json!({
            "Sid": "OwnSessions",
            "Effect": "Allow",
            "Action": ["ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel"],
            // Sessions bear the name of who started them.
            "Resource": [own, by_name],
        }),
        // A role's `aws:userid` begins with the role's id, its sessions' ids do not: these go by AWS's own tag.
        json!({
            "Sid": "OwnSessionsOfRoles",
            "Effect": "Allow",
            "Action": ["ssm:ResumeSession", "ssm:TerminateSession"],
            "Resource": "*",
            "Condition": { "StringLike": { "ssm:resourceTag/aws:ssmmessages:session-id": "${aws:userid}*" } },
        }),
        json!({
            "Sid": "FindNodes",
            "Effect": "Allow",
            "Action": [
                "ec2:DescribeInstances",
                "ssm:DescribeInstanceInformation",
                "ssm:DescribeSessions",
                "ssm:GetConnectionStatus",
            ],
            // None of these can be narrowed down.
            "Resource": "*",
        }),
    ];
    if matches!(wish.task, Task::Exec | Task::All) {
        let read: Vec<&String> = arns.iter().filter(|arn| !arn.ends_with("RunShell")).collect();
        statements.push(json!({
            "Sid": "ReadDocuments",
            "Effect": "Allow",
            "Action": "ssm:GetDocument",
            "Resource": read,
        }));
    }
    if let Some(key) = &wish.kms_key {
        statements.push(json!({
            "Sid": "EncryptSessions",
            "Effect": "Allow",
            "Action": "kms:GenerateDataKey",
            "Resource": key,
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What the agent needs: to report, and to open its channels. `AmazonSSMManagedInstanceCore` is this and more.
fn instance(kms_key: Option<&str>) -> Value {
    let mut statements = vec![json!({
        "Sid": "BeManagedAndServeSessions",
        "Effect": "Allow",
        "Action": [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ],
        "Resource": "*",
    })];
    if let Some(key) = kms_key {
        statements.push(json!({
            "Sid": "DecryptSessions",
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": key,
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(task: Task) -> Wish {
        Wish {
            task,
            place: Place {
                partition: "aws-cn".into(),
                region: "cn-north-1".into(),
                account: "123456789012".into(),
            },
            nodes: Vec::new(),
            tags: Vec::new(),
            document: None,
            kms_key: None,
            forwards: Forwards::Both,
        }
    }

    fn statement<'a>(policy: &'a Value, sid: &str) -> &'a Value {
        let statements = policy["Statement"].as_array().unwrap();
        statements
            .iter()
            .find(|statement| statement["Sid"] == sid)
            .unwrap()
    }

    #[test]
    fn a_shell_on_one_node_and_nothing_else() {
        let mut wish = wish(Task::Connect);
        wish.nodes = vec![
            "i-0123456789abcdef0".parse().unwrap(),
            "mi-0123456789abcdef0".parse().unwrap(),
        ];
        let policy = person(&wish);
        let nodes = statement(&policy, "StartSessionsOnNodes");
        assert_eq!(
            nodes["Resource"],
            json!([
                "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123456789abcdef0",
                "arn:aws-cn:ssm:cn-north-1:123456789012:managed-instance/mi-0123456789abcdef0",
            ])
        );
        assert_eq!(
            nodes["Condition"]["BoolIfExists"]["ssm:SessionDocumentAccessCheck"],
            "true"
        );
        // Preferences are the account's own document.
        assert_eq!(
            statement(&policy, "StartSessionsWithDocuments")["Resource"],
            json!(["arn:aws-cn:ssm:cn-north-1:123456789012:document/SSM-SessionManagerRunShell"])
        );
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn tags_are_asked_of_nodes_and_never_of_documents() {
        let mut wish = wish(Task::Forward);
        wish.tags = vec![("team".into(), "blue".into())];
        wish.forwards = Forwards::Hosts;
        wish.kms_key = Some("arn:aws-cn:kms:cn-north-1:123456789012:key/k".into());
        let policy = person(&wish);
        let nodes = statement(&policy, "StartSessionsOnNodes");
        assert_eq!(nodes["Condition"]["StringEquals"]["ssm:resourceTag/team"], "blue");
        let documents = statement(&policy, "StartSessionsWithDocuments");
        assert_eq!(
            documents["Resource"],
            json!(["arn:aws-cn:ssm:cn-north-1::document/AWS-StartPortForwardingSessionToRemoteHost"])
        );
        assert_eq!(documents.get("Condition"), None);
        assert_eq!(
            statement(&policy, "EncryptSessions")["Action"],
            "kms:GenerateDataKey"
        );
    }

    #[test]
    fn commands_need_to_read_their_document() {
        let policy = person(&wish(Task::All));
        let read = statement(&policy, "ReadDocuments")["Resource"]
            .as_array()
            .unwrap();
        assert!(read.iter().all(|arn| !arn.as_str().unwrap().contains("RunShell")));
        assert!(read.contains(&json!(
            "arn:aws-cn:ssm:cn-north-1::document/AWS-StartNonInteractiveCommand"
        )));
    }

    #[test]
    fn the_agents_policy_has_its_five_actions() {
        let policy = instance(Some("arn:aws:kms:eu-west-2:123456789012:key/k"));
        let actions = &statement(&policy, "BeManagedAndServeSessions")["Action"];
        assert_eq!(actions.as_array().unwrap().len(), 5);
        assert_eq!(statement(&policy, "DecryptSessions")["Action"], "kms:Decrypt");
    }

    #[test]
    fn a_tag_has_a_key() {
        assert_eq!(tag("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(tag("=x").is_err() && tag("x").is_err());
    }
}
