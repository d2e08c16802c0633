//! `ssmx console`: the console's page, signed in with the credentials at hand.

use std::time::Duration;

use super::browser;
use super::context::Context;
use super::error::{CommandError, Exit};
use super::targets::{PickArgs, Purpose, scope};
use crate::aws::Aws;
use crate::aws::error::ServiceError;
use crate::aws::federation::SignIn;
use crate::ids::NodeId;
use crate::net::loopback::{Loopback, Reply};
use crate::secret::Secret;
use crate::ui::text::escape;

/// How long a browser may take to come.
const PATIENCE: Duration = Duration::from_secs(120);

/// Open the AWS console on the Session Manager page, signed in with your credentials
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance whose page to open
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,

    /// Print the address instead; whoever has it is signed in as you, for a quarter of an hour
    #[arg(long)]
    pub print: bool,

    /// Which console
    #[arg(long, value_name = "SERVICE", default_value = "ssm")]
    pub service: Service,

    /// Open it with this program
    #[arg(long, value_name = "CMD", conflicts_with = "print")]
    pub browser: Option<String>,
}

/// A console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// Session Manager.
    Ssm,
    /// The instance in EC2.
    Ec2,
    /// Its metrics in CloudWatch.
    Cloudwatch,
}

/// Opens or prints the page.
///
/// # Errors
/// When there are no credentials, the federation endpoint does not answer, or no browser opens.
pub async fn run(ctx: &Context, args: Args) -> Result<Exit, CommandError> {
    let (aws, node) = match &args.target {
        Some(words) => {
            let resolved = ctx
                .resolve(Some(words), PickArgs::default(), Purpose::Inspect)
                .await?;
            (resolved.aws, Some(resolved.node.id))
        }
        None => (scope::way_here(ctx).await?, None),
    };
    let section = aws
        .profile()
        .and_then(|name| ctx.config().ok()?.profiles.get(name));
    let federation = section.and_then(|section| section.federation_endpoint.as_ref());
    let federation = federation.map(|url| url.as_str());
    open(ctx, &args, &aws, node.as_ref(), federation).await
}

async fn open(
    ctx: &Context,
    args: &Args,
    aws: &Aws,
    node: Option<&NodeId>,
    federation: Option<&str>,
) -> Result<Exit, CommandError> {
    let failed = |error: ServiceError| CommandError::aws("could not sign in to the console", &error);
    let page = aws.console_url(&path(args.service, aws.region().as_str(), node));
    let signing = aws.sign_in(&page, federation);
    let address = match ctx.ui().progress("signing in", signing).await.map_err(failed)? {
        SignIn::Signed(address) => address,
        SignIn::Plain { why } => {
            ctx.ui()
                .warn(&format!("the page will ask you to sign in: {}", escape(&why)));
            Secret::new(page)
        }
    };
    if args.print {
        ctx.ui().data(&format!("{}\n", escape(address.expose())))?;
        return Ok(Exit::SUCCESS);
    }
    show(ctx, args, address).await
}

/// The address with its token goes to the browser by a redirect from this machine, once: in an argument list
/// everybody on the machine could read it.
async fn show(ctx: &Context, args: &Args, address: Secret<String>) -> Result<Exit, CommandError> {
    let failed = |cause: std::io::Error| CommandError::failed("could not open the console").because(cause);
    let door = Loopback::bind().await.map_err(failed)?;
    let path = format!("/{}", uuid::Uuid::new_v4().simple());
    let local = format!("http://127.0.0.1:{}{path}", door.port());
    let opened = match &args.browser {
        Some(command) => browser::open_with(command, &local),
        None => browser::open(&local),
    };
    if let Err(error) = opened {
        ctx.ui().warn(&format!(
            "no browser could be opened: {}",
            escape(&error.to_string())
        ));
        ctx.ui().say("open this on this machine, or use --print:");
        ctx.ui().say(&format!("  {local}"));
    }
    let served = door.serve(|asked| {
        if asked != path {
            return Reply::not_found();
        }
        Reply {
            status: "302 Found",
            location: Some(address.clone()),
            page: "On the way to the console.".to_owned(),
            done: Some(()),
        }
    });
    match tokio::time::timeout(PATIENCE, served).await {
        Ok(served) => served.map(|()| Exit::SUCCESS).map_err(failed),
        Err(_) => Err(CommandError::failed(format!(
            "no browser came for the page within {} s",
            PATIENCE.as_secs()
        ))
        .hint("print the address with `--print`")),
    }
}

/// Path and fragment of a page. A node's id is letters, digits and dashes.
fn path(service: Service, region: &str, node: Option<&NodeId>) -> String {
    match (service, node) {
        (Service::Ssm, Some(node)) => format!("/systems-manager/session-manager/{node}?region={region}"),
        (Service::Ssm, None) => format!("/systems-manager/session-manager/sessions?region={region}"),
        (Service::Ec2, Some(node)) if node.is_hybrid() => {
            format!("/systems-manager/fleet-manager/managed-nodes/{node}/general?region={region}")
        }
        (Service::Ec2, Some(node)) => {
            format!("/ec2/home?region={region}#InstanceDetails:instanceId={node}")
        }
        (Service::Ec2, None) => format!("/ec2/home?region={region}#Instances:"),
        (Service::Cloudwatch, Some(node)) => {
            format!("/cloudwatch/home?region={region}#metricsV2?graph=~()&query=~'{node}")
        }
        (Service::Cloudwatch, None) => format!("/cloudwatch/home?region={region}#home:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_console_has_its_page() {
        let node: NodeId = "i-0123456789abcdef0".parse().unwrap();
        let hybrid: NodeId = "mi-0123456789abcdef0".parse().unwrap();
        assert_eq!(
            path(Service::Ssm, "eu-west-2", Some(&node)),
            "/systems-manager/session-manager/i-0123456789abcdef0?region=eu-west-2"
        );
        assert_eq!(
            path(Service::Ec2, "eu-west-2", Some(&node)),
            "/ec2/home?region=eu-west-2#InstanceDetails:instanceId=i-0123456789abcdef0"
        );
        assert!(path(Service::Ec2, "eu-west-2", Some(&hybrid)).contains("fleet-manager"));
        for service in [Service::Ssm, Service::Ec2, Service::Cloudwatch] {
            assert!(path(service, "eu-west-2", None).contains("region=eu-west-2"));
        }
    }
}
