//! One session of a forward, from its route to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{
    Counters, ForwardPlan, Freshness, HOST_DOCUMENT, Notice, Notices, PORT_DOCUMENT, Route, RouteError,
    Routes, Stop,
};
use crate::aws::error::ServiceError;
use crate::aws::session::{Opening, SessionRequest};
use crate::datachannel::ChannelError;
use crate::ids::SessionId;
use crate::ports::Connection;
use crate::transport::native::forward::{CarryEnd, Connections, Learnt, Report};
use crate::transport::plan::Choice;
use crate::transport::plugin::{Call, Plugin};
use crate::transport::{TransportError, native, stream_url};

/// How long ending a session may take, and how long when all is to be over at once.
const FAREWELL: Duration = Duration::from_secs(5);
const SHORT_FAREWELL: Duration = Duration::from_secs(1);

/// What a session tells its supervisor.
#[derive(Debug)]
pub(super) enum Told {
    /// The way to the target is known, and with it over how many sessions connections may be spread.
    Routed { sessions: usize },
    /// StartSession has answered.
    Started { session: SessionId, via: String },
    /// What happens while it is carried.
    Report(Report),
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// No way to its target.
    NotRouted(RouteError),
    /// AWS did not start it.
    NotStarted(ServiceError),
    /// Without failing.
    Carried(CarryEnd),
    /// By a failure.
    Failed(TransportError),
    /// Because all was to stop.
    Stopped,
}

/// What all sessions of a forward share.
pub(super) struct Shared {
    pub(super) plan: ForwardPlan,
    pub(super) routes: Arc<dyn Routes>,
    pub(super) notices: Arc<dyn Notices>,
    pub(super) counters: Arc<Counters>,
    pub(super) learnt: Arc<Learnt>,
}

/// Starts a session, carries connections, and ends it unless the far end has done so. Connections that it was
/// given and did not come to carry are given back.
pub(super) async fn run(
    shared: &Shared,
    freshness: Freshness,
    next: mpsc::UnboundedReceiver<Connection>,
    mut stop: watch::Receiver<Stop>,
    tell: impl Fn(Told) + Send + Sync,
) -> (Ended, Vec<Connection>) {
    let mut connections = Connections {
        next,
        counters: Arc::clone(&shared.counters),
        silence: native::forward::SILENCE,
        payload_limit: shared.plan.payload_limit,
        rate: Arc::clone(&shared.plan.rate),
        learnt: Arc::clone(&shared.learnt),
    };
    let ended = started(shared, freshness, &mut connections, &mut stop, &tell).await;
    connections.next.close();
    let unserved = std::iter::from_fn(|| connections.next.try_recv().ok()).collect();
    (ended, unserved)
}

async fn started(
    shared: &Shared,
    freshness: Freshness,
    connections: &mut Connections,
    stop: &mut watch::Receiver<Stop>,
    tell: &(impl Fn(Told) + Send + Sync),
) -> Ended {
    let route = tokio::select! {
        route = shared.routes.route(freshness) => route,
        () = told_to_stop(stop) => return Ended::Stopped,
    };
    let route = match route {
        Ok(route) => route,
        Err(error) => return Ended::NotRouted(error),
    };
    tell(Told::Routed {
        sessions: route.sessions,
    });
    // A missing plugin is said before a session is started that nobody could carry.
    let plugin = match route.transport {
        Choice::Plugin => match Plugin::find().await {
            Ok(plugin) => Some(plugin),
            Err(error) => return Ended::Failed(error.into()),
        },
        Choice::Auto | Choice::Native => None,
    };
    let mut by = By { route, plugin };
    let (session, ended) = one(shared, &by, connections, stop, tell).await;
    let cause = match &ended {
        // The channel opened and nothing of the session was seen: so the data channel defines this error.
        Ended::Failed(TransportError::Channel(ChannelError::NotUnderstood(cause)))
            if by.route.transport == Choice::Auto =>
        {
            cause.clone()
        }
        _ => return ended,
    };
    let (Ok(plugin), Some(session)) = (Plugin::find().await, session) else {
        return ended;
    };
    by.plugin = Some(plugin);
    shared.notices.notice(Notice::FellBack {
        ended: session,
        cause,
    });
    one(shared, &by, connections, stop, tell).await.1
}

/// What a session is started through and carried by.
struct By {
    route: Route,
    plugin: Option<Plugin>,
}

async fn one(
    shared: &Shared,
    by: &By,
    connections: &mut Connections,
    stop: &mut watch::Receiver<Stop>,
    tell: &(impl Fn(Told) + Send + Sync),
) -> (Option<SessionId>, Ended) {
    let route = &by.route;
    let request = request(&shared.plan, route);
    let opening = {
        let mut starting = std::pin::pin!(route.aws.start_session(&request));
        tokio::select! {
            opening = &mut starting => opening,
            () = told_to_stop(stop) => {
                // The request may have reached AWS: what it starts has to be ended.
                if let Ok(Ok(opening)) = timeout(FAREWELL, starting).await {
                    end(shared, route, &opening.session, SHORT_FAREWELL).await;
                }
                return (None, Ended::Stopped);
            }
        }
    };
    let opening = match opening {
        Ok(opening) => opening,
        Err(error) => return (None, Ended::NotStarted(error)),
    };
    let session = opening.session.clone();
    tell(Told::Started {
        session: session.clone(),
        via: route.label.clone(),
    });
    let report = |report| tell(Told::Report(report));
    let carried = async {
        match &by.plugin {
            Some(plugin) => by_plugin(plugin, route, &request, opening, connections, &report).await,
            None => natively(shared, route, opening, connections, &report).await,
        }
    };
    let carried = tokio::select! {
        carried = carried => Some(carried),
        () = told_to_stop(stop) => None,
    };
    let is_over = matches!(carried, Some(Ok(CarryEnd::Closed(_) | CarryEnd::TimedOut)));
    if !is_over {
        let patience = if *stop.borrow() == Stop::Now {
            SHORT_FAREWELL
        } else {
            FAREWELL
        };
        end(shared, route, &session, patience).await;
    }
    let ended = match carried {
        Some(Ok(end)) => Ended::Carried(end),
        Some(Err(error)) => Ended::Failed(error),
        None => Ended::Stopped,
    };
    (Some(session), ended)
}

async fn natively(
    shared: &Shared,
    route: &Route,
    opening: Opening,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    let options = native::forward::options(shared.plan.payload_limit, shared.plan.keepalive);
    let channel = native::forward::open(
        &route.aws,
        opening,
        &route.target,
        &route.stream_endpoints,
        options,
    )
    .await?;
    native::forward::carry(channel, connections, report).await
}

async fn by_plugin(
    plugin: &Plugin,
    route: &Route,
    request: &SessionRequest,
    opening: Opening,
    connections: &mut Connections,
    report: &(dyn Fn(Report) + Send + Sync),
) -> Result<CarryEnd, TransportError> {
    stream_url::check(
        opening.stream_url.expose(),
        route.aws.region(),
        &route.stream_endpoints,
    )?;
    let call = Call::of(&route.aws, request)
        .await
        .map_err(TransportError::Start)?;
    let child = plugin.begin(&call, &opening)?;
    let session = opening.session.clone();
    drop(opening);
    super::by_plugin::carry(child, session, connections, report).await
}

async fn end(shared: &Shared, route: &Route, session: &SessionId, patience: Duration) {
    let trouble = match timeout(patience, route.aws.terminate_session(session)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("AWS did not answer within {} s", patience.as_secs()),
    };
    shared.notices.notice(Notice::NotEnded(session.clone(), trouble));
}

/// Waits until there is to be no session any more.
async fn told_to_stop(stop: &mut watch::Receiver<Stop>) {
    // Whoever could say so may be gone: then it never will.
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What StartSession is asked for.
fn request(plan: &ForwardPlan, route: &Route) -> SessionRequest {
    let mut parameters = BTreeMap::new();
    parameters.insert("portNumber".to_owned(), vec![plan.remote.port.to_string()]);
    let document = match plan.remote.foreign_host() {
        Some(host) => {
            parameters.insert("host".to_owned(), vec![host.as_str().to_owned()]);
            HOST_DOCUMENT
        }
        None => PORT_DOCUMENT,
    };
    SessionRequest {
        target: route.target.clone(),
        document: Some(plan.document.clone().unwrap_or_else(|| document.to_owned())),
        parameters,
        reason: route.reason.clone(),
    }
}
