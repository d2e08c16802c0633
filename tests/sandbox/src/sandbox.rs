//! A running sandbox, and what a test may do with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::api_fault::ApiFaults;
use crate::calls::{Call, Calls};
use crate::fault::Faults;
use crate::files;
use crate::front::{self, Addresses, Behind, Proxy};
use crate::gateway::Gateway;
use crate::scenario::Scenario;
use crate::services::{self, Bound};
use crate::world::World;
use crate::world::sessions::Record;

/// How long the sandbox's tasks may take to end.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// A running sandbox. It lives on threads of its own, so that a test may block; when it is dropped, its doors
/// close, its agents' processes end and its files go.
#[derive(Debug)]
pub struct Sandbox {
    addresses: Addresses,
    behind: Behind,
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How a sandbox is to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port of the plain door; 0 takes a free one.
    pub port: u16,
}

impl Sandbox {
    /// Starts a sandbox.
    ///
    /// # Errors
    /// When a door cannot be opened or a file not be written.
    pub async fn start(scenario: Scenario) -> anyhow::Result<Self> {
        let start = move || Self::start_blocking(scenario, &Options::default());
        tokio::task::spawn_blocking(start)
            .await
            .context("the sandbox's start was interrupted")?
    }

    /// The same from outside of an asynchronous task.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub fn start_blocking(mut scenario: Scenario, options: &Options) -> anyhow::Result<Self> {
        let services = services::bind(&mut scenario)?;
        let dir = tempfile::Builder::new().prefix("ssmx-sandbox-").tempdir()?;
        let behind = Behind {
            world: Arc::new(World::new(&scenario, &dir.path().join("nodes"))),
            calls: Calls::default(),
            proxy: Proxy::default(),
        };
        files::write(dir.path(), &scenario)?;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (inside, port) = (behind.clone(), options.port);
        let ca_bundle = ca_bundle(dir.path());
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || run(inside, services, port, &ca_bundle, &ready, stopped))?;
        let addresses = is_ready.recv().context("the sandbox's thread is gone")??;
        Ok(Self {
            addresses,
            behind,
            dir,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The plain door: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addresses.plain)
    }

    /// The same over TLS: `https://localhost:PORT`.
    pub fn tls_endpoint(&self) -> String {
        format!("https://localhost:{}", self.addresses.tls.port())
    }

    /// The CA that signed for TLS: a PEM file for `AWS_CA_BUNDLE`.
    pub fn ca_bundle(&self) -> PathBuf {
        ca_bundle(self.dir.path())
    }

    /// The CONNECT proxy: `http://127.0.0.1:PORT`. AWS's own hosts lead to the sandbox through it.
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.addresses.proxy)
    }

    /// The sandbox's files: AWS's config, the nodes' homes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What a client needs to find the plain door and the profiles of the scenario.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = self.file_env();
        env.push(("AWS_ENDPOINT_URL".to_owned(), self.endpoint()));
        env
    }

    /// The same for the TLS door.
    pub fn tls_env(&self) -> Vec<(String, String)> {
        let mut env = self.file_env();
        env.push(("AWS_ENDPOINT_URL".to_owned(), self.tls_endpoint()));
        env.push(("AWS_CA_BUNDLE".to_owned(), self.ca_bundle().display().to_string()));
        env
    }

    /// The same without an endpoint: AWS's own hosts, by TLS, through the proxy.
    pub fn proxy_env(&self) -> Vec<(String, String)> {
        let mut env = self.file_env();
        env.push(("HTTPS_PROXY".to_owned(), self.proxy_url()));
        env.push(("AWS_CA_BUNDLE".to_owned(), self.ca_bundle().display().to_string()));
        env
    }

    fn file_env(&self) -> Vec<(String, String)> {
        files::env(self.dir.path())
    }

    /// Every API call and upgrade so far.
    pub fn calls(&self) -> &Calls {
        &self.behind.calls
    }

    /// The calls of one operation, such as `ssm:StartSession`.
    pub fn calls_of(&self, operation: &str) -> Vec<Call> {
        self.behind.calls.of(operation)
    }

    /// Denials, throttling and delays of API calls.
    pub fn faults(&self) -> &ApiFaults {
        self.behind.world.faults()
    }

    /// Faults of every session started from now on, instead of the nodes' own; `None` gives those back.
    pub fn set_session_faults(&self, faults: Option<Faults>) {
        self.behind.world.sessions.set_faults(faults);
    }

    /// Nodes, regions and the clock.
    pub fn world(&self) -> &World {
        &self.behind.world
    }

    /// The data channels.
    pub fn gateway(&self) -> &Gateway {
        self.behind.world.sessions.gateway()
    }

    /// All sessions that were ever started, oldest first.
    pub fn sessions(&self) -> Vec<Arc<Record>> {
        self.behind.world.sessions.records()
    }

    /// The proxy.
    pub fn proxy(&self) -> &Proxy {
        &self.behind.proxy
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Gone already is as good.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ca_bundle(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// The sandbox's main thread.
fn run(
    behind: Behind,
    services: Vec<Bound>,
    port: u16,
    ca_bundle: &Path,
    ready: &mpsc::Sender<anyhow::Result<Addresses>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sandbox")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let gateway = behind.world.sessions.gateway().clone();
    let opened = runtime.block_on(async {
        services::serve(services)?;
        front::open(behind, port, ca_bundle).await
    });
    let failed = opened.is_err();
    if ready.send(opened).is_ok() && !failed {
        runtime.block_on(async {
            // An error means that the sandbox itself is gone, which is a stop too.
            let _ = stopped.await;
            let _ = tokio::time::timeout(LAST_WAIT, gateway.shutdown()).await;
        });
    }
    runtime.shutdown_timeout(LAST_WAIT);
}
