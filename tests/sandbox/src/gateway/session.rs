//! One session: its token, its client's connection, its agent, and how they are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use ssmx::protocol::message::{Message, MessageType, PayloadType};

use super::client::{Client, Outgoing};
use super::connection::Strike;
use super::observed::{Observed, Opened};
use super::{Admission, Opening, Resumed, SessionSpec, SessionState, Status};
use crate::agent;
use crate::fault::{Chance, Faults, Trigger};

/// How many messages may wait between gateway and agent, either way.
const BETWEEN: usize = 1024;

/// A session.
pub(super) struct Session {
    spec: Arc<SessionSpec>,
    faults: watch::Sender<Faults>,
    to_agent: mpsc::Sender<Bytes>,
    state: Mutex<State>,
    observed: Arc<Mutex<Observed>>,
    /// Told when the agent's task is over.
    gone: Notify,
    me: Weak<Self>,
}

struct State {
    status: Status,
    started: SystemTime,
    ended: Option<SystemTime>,
    output: String,
    timed_out: bool,
    token: Option<String>,
    cell: u32,
    client_id: Option<String>,
    client: Option<Client>,
    connections: u64,
    /// Waits for the agent, which starts with the first connection.
    inbox: Option<mpsc::Receiver<Bytes>>,
    agent: Option<AbortHandle>,
    /// Ends the session when it is idle or old; lives on when the agent is killed.
    keeper: Option<AbortHandle>,
    last_input: Instant,
    /// How often each trigger struck in this session.
    struck: HashMap<Strike, u32>,
    settings: u32,
    refused_upgrades: u32,
}

impl Session {
    pub(super) fn open(spec: SessionSpec) -> (Arc<Self>, Opening) {
        let (to_agent, inbox) = mpsc::channel(BETWEEN);
        let token = new_token();
        let opening = Opening {
            token: token.clone(),
            cell: 1,
        };
        let faults = watch::Sender::new(spec.faults.clone());
        let session = Arc::new_cyclic(|me| Self {
            spec: Arc::new(spec),
            faults,
            to_agent,
            state: Mutex::new(State {
                status: Status::Connecting,
                started: SystemTime::now(),
                ended: None,
                output: String::new(),
                timed_out: false,
                token: Some(token),
                cell: 1,
                client_id: None,
                client: None,
                connections: 0,
                inbox: Some(inbox),
                agent: None,
                keeper: None,
                last_input: Instant::now(),
                struck: HashMap::new(),
                settings: 0,
                refused_upgrades: 0,
            }),
            observed: Arc::default(),
            gone: Notify::new(),
            me: Weak::clone(me),
        });
        (session, opening)
    }

    pub(super) fn resume(&self) -> Resumed {
        let mut state = self.lock();
        if state.timed_out {
            return Resumed::TimedOut;
        }
        if state.ended.is_some() {
            return Resumed::Unknown;
        }
        state.last_input = Instant::now();
        state.cell += 1;
        let token = new_token();
        state.token = Some(token.clone());
        Resumed::Open(Opening {
            token,
            cell: state.cell,
        })
    }

    pub(super) fn state(&self) -> SessionState {
        let state = self.lock();
        SessionState {
            status: state.status,
            started: state.started,
            ended: state.ended,
            output: state.output.clone(),
        }
    }

    pub(super) fn observed(&self) -> Observed {
        let observed = self.observed.lock();
        observed.unwrap_or_else(|broken| broken.into_inner()).clone()
    }

    pub(super) fn observe(&self, note: impl FnOnce(&mut Observed)) {
        let observed = self.observed.lock();
        note(&mut observed.unwrap_or_else(|broken| broken.into_inner()));
    }

    pub(super) fn faults(&self) -> Faults {
        self.faults.borrow().clone()
    }

    pub(super) fn watch_faults(&self) -> watch::Receiver<Faults> {
        self.faults.subscribe()
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        let mut state = self.lock();
        state.struck.clear();
        state.settings += 1;
        drop(state);
        self.faults.send_replace(faults);
    }

    /// How often the faults were set anew.
    pub(super) fn settings(&self) -> u32 {
        self.lock().settings
    }

    /// Whether this trigger may still strike in this session; if so, it is counted as struck.
    pub(super) fn strikes(&self, strike: Strike, trigger: &Trigger) -> bool {
        let mut state = self.lock();
        let count = state.struck.entry(strike).or_default();
        let may = *count < trigger.times();
        *count += u32::from(may);
        may
    }

    pub(super) fn admit(&self) -> Admission {
        let faults = self.faults();
        let mut state = self.lock();
        if let Some(upgrade) = faults.upgrade
            && upgrade.times.is_none_or(|times| state.refused_upgrades < times)
        {
            state.refused_upgrades += 1;
            return upgrade.status.map_or(Admission::Silence, Admission::Refuse);
        }
        Admission::Upgrade
    }

    /// Takes the connection with this open message, instead of one that may still be there. The first one
    /// starts the agent.
    ///
    /// # Errors
    /// When the open message is not acceptable; the connection is closed with this reason.
    pub(super) fn attach(&self, opened: &str, client: Client) -> Result<u64, String> {
        let result = self.try_attach(opened, client);
        if let Err(reason) = &result {
            self.observe(|observed| observed.refused.push(reason.clone()));
        }
        result
    }

    fn try_attach(&self, opened: &str, client: Client) -> Result<u64, String> {
        let opened: Opened =
            serde_json::from_str(opened).map_err(|error| format!("Invalid open message: {error}"))?;
        if opened.message_schema_version != "1.0" {
            return Err("Unsupported MessageSchemaVersion".to_owned());
        }
        Uuid::parse_str(&opened.request_id).map_err(|_| "Invalid RequestId".to_owned())?;
        if !opened.client_id.is_empty() {
            Uuid::parse_str(&opened.client_id).map_err(|_| "Invalid ClientId".to_owned())?;
        }
        let mut state = self.lock();
        if state.ended.is_some() {
            return Err("Session is already terminated".to_owned());
        }
        if state.token.as_deref() != Some(opened.token_value.as_str()) {
            return Err("Invalid token".to_owned());
        }
        if state
            .client_id
            .as_ref()
            .is_some_and(|known| *known != opened.client_id)
        {
            return Err("ClientId has changed".to_owned());
        }
        state.token = None;
        state.client_id = Some(opened.client_id.clone());
        state.status = Status::Connected;
        state.last_input = Instant::now();
        state.connections += 1;
        let number = state.connections;
        if let Some(before) = state.client.replace(client) {
            before.cut();
        }
        let inbox = state.inbox.take();
        if let (Some(inbox), Some(me)) = (inbox, self.me.upgrade()) {
            state.keeper = Some(tokio::spawn(Arc::clone(&me).keep()).abort_handle());
            state.agent = Some(tokio::spawn(me.run_agent(inbox)).abort_handle());
        }
        let agent_is_there = state.agent.as_ref().is_some_and(|agent| !agent.is_finished());
        drop(state);
        self.observe(|observed| observed.opened.push(opened));
        self.pause_agent(false);
        if agent_is_there && !self.faults.borrow().withhold_start {
            self.tell_client(self.publication(MessageType::StartPublication));
        }
        Ok(number)
    }

    /// The connection of this number is gone.
    pub(super) fn detach(&self, number: u64) {
        let mut state = self.lock();
        if state.connections == number && state.client.take().is_some() && state.ended.is_none() {
            state.status = Status::Disconnected;
            drop(state);
            self.pause_agent(true);
        }
    }

    /// A message from the client. Waits while the agent is behind.
    pub(super) async fn to_agent(&self, bytes: Bytes) {
        // Without an agent (killed) it is lost, as on the way to a node that is gone.
        let _ = self.to_agent.send(bytes).await;
    }

    /// Stream data came from the client: the idle time begins anew.
    pub(super) fn touch(&self) {
        self.lock().last_input = Instant::now();
    }

    pub(super) fn cut(&self) {
        if let Some(client) = &self.lock().client {
            client.cut();
        }
    }

    pub(super) fn bye(&self) {
        if let Some(client) = &self.lock().client {
            client.bye();
        }
    }

    pub(super) fn kill_agent(&self) {
        let agent = self.lock().agent.clone();
        if let Some(agent) = agent {
            agent.abort();
            self.tell_client(self.publication(MessageType::PausePublication));
        }
    }

    pub(super) fn pause_agent(&self, paused: bool) {
        let message = self.publication(if paused {
            MessageType::PausePublication
        } else {
            MessageType::StartPublication
        });
        // Full means that the agent reads nothing: it would not heed this either.
        let _ = self.to_agent.try_send(message.encode().into());
    }

    /// Ends the session and tells the client. Whether it was not over yet.
    pub(super) fn end(&self, output: &str, status: Status) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            return false;
        }
        state.ended = Some(SystemTime::now());
        state.status = status;
        output.clone_into(&mut state.output);
        state.token = None;
        state.inbox = None;
        for task in state.agent.iter().chain(&state.keeper) {
            task.abort();
        }
        drop(state);
        let id = Uuid::new_v4();
        let payload = json!({
            "MessageId": id.to_string(),
            "CreatedDate": Timestamp::now().to_string(),
            "DestinationId": self.spec.id,
            "SessionId": self.spec.id,
            "MessageType": "channel_closed",
            "SchemaVersion": 1,
            "Output": output,
        });
        self.tell_client(Message {
            message_type: MessageType::ChannelClosed,
            id,
            payload: payload.to_string().into(),
            ..plain()
        });
        if let Some(client) = &self.lock().client {
            client.tell(Outgoing::End);
        }
        true
    }

    /// Waits until the agent's task is over; at once if it never began.
    pub(super) async fn agent_gone(&self) {
        let gone = self.gone.notified();
        tokio::pin!(gone);
        gone.as_mut().enable();
        let running = |state: &State| state.agent.as_ref().is_some_and(|agent| !agent.is_finished());
        if running(&self.lock()) {
            gone.await;
        }
    }

    async fn run_agent(self: Arc<Self>, inbox: mpsc::Receiver<Bytes>) {
        let _gone = OnDrop(|| self.gone.notify_waiters());
        let (outbox, from_agent) = mpsc::channel(BETWEEN);
        let ending = async {
            let (ending, ()) = tokio::join!(
                agent::run(
                    Arc::clone(&self.spec),
                    inbox,
                    outbox,
                    self.watch_faults(),
                    Arc::clone(&self.observed)
                ),
                self.relay(from_agent)
            );
            let status = if ending.failed {
                Status::Failed
            } else {
                Status::Terminated
            };
            (ending.output, status)
        };
        let (output, status) = tokio::select! {
            ending = ending => ending,
            never = self.pauses() => match never {},
        };
        self.end(&output, status);
    }

    /// What the agent sends goes to the client, if one is there; its own state goes no further.
    async fn relay(&self, mut from_agent: mpsc::Receiver<Bytes>) {
        while let Some(bytes) = from_agent.recv().await {
            if bytes.get(4..23) == Some(b"agent_session_state") {
                if bytes.ends_with(b"}") && contains(&bytes, b"\"Terminating\"") {
                    let mut state = self.lock();
                    if state.ended.is_none() {
                        state.status = Status::Terminating;
                    }
                }
                continue;
            }
            let client = self.lock().client.clone();
            if let Some(client) = client {
                client.send(bytes).await;
            }
        }
    }

    async fn keep(self: Arc<Self>) {
        let output = self.limits().await;
        self.end(&output, Status::Terminated);
    }

    /// Waits until the session has been idle or has lasted for too long.
    async fn limits(&self) -> String {
        let began = Instant::now();
        loop {
            let last_input = self.lock().last_input;
            let idle = self.spec.idle_timeout.map(|limit| last_input + limit);
            let oldest = self.spec.max_duration.map(|limit| began + limit);
            let now = Instant::now();
            if idle.is_some_and(|at| at <= now) {
                self.lock().timed_out = true;
                return "Your session timed out due to inactivity.".to_owned();
            }
            if oldest.is_some_and(|at| at <= now) {
                self.lock().timed_out = true;
                return "Your session has reached its maximum duration.".to_owned();
            }
            match idle.into_iter().chain(oldest).min() {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Pauses the agent now and then, while the faults say so.
    async fn pauses(&self) -> Infallible {
        let mut faults = self.watch_faults();
        let mut chance = Chance::new(faults.borrow().seed, u64::MAX);
        loop {
            let pauses = faults.borrow_and_update().pauses;
            let Some(pauses) = pauses else {
                // The sender is ours: it does not go away meanwhile.
                let _ = faults.changed().await;
                continue;
            };
            let part =
                |chance: &mut Chance, ms: u64| Duration::from_secs_f64(ms as f64 / 1000.0 * chance.unit());
            sleep(part(&mut chance, pauses.every_ms.max(1) * 2)).await;
            self.pause_agent(true);
            sleep(part(&mut chance, pauses.for_ms)).await;
            self.pause_agent(false);
        }
    }

    fn tell_client(&self, message: Message) {
        if let Some(client) = &self.lock().client {
            client.tell(Outgoing::Own(message.encode().into()));
        }
    }

    fn publication(&self, message_type: MessageType) -> Message {
        let created = if self.faults.borrow().zero_dates {
            0
        } else {
            agent::now()
        };
        Message {
            message_type,
            created,
            ..plain()
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

/// A message of the gateway's own, to be filled in.
pub(super) fn plain() -> Message {
    Message {
        message_type: MessageType::StartPublication,
        schema_version: 1,
        created: agent::now(),
        sequence: 0,
        flags: 0,
        id: Uuid::new_v4(),
        payload_type: PayloadType::NONE,
        payload: Bytes::new(),
    }
}

fn new_token() -> String {
    format!("AAEAA{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Runs something when it is dropped, an aborted task's end included.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
