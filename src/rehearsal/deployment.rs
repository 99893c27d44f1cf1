//! Reference servers as nodes with addresses of their own, each of which can be ended and started again.
//!
//! Each runs in a runtime of its own: ended with that, it leaves as a killed process would, with all that it was doing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::client::{Restarted, Restarts, Target};
use crate::model::{HybridClock, Mint, Rng};
use crate::scenario::RestartHow;
use crate::server::{RunningServer, ServerConfig, ServerError, StoreConfig, start};

/// How long an address may stay taken after the node that had it was killed.
const FREE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Some nodes that share one store and are one resource.
#[derive(Debug)]
pub(super) struct Deployment {
    nodes: Vec<Slot>,
    clock: HybridClock,
    rng: Rng,
}

/// A node's place: how it is started, and the one that runs there now.
#[derive(Debug)]
struct Slot {
    config: ServerConfig,
    running: Mutex<Option<Running>>,
}

struct Running {
    server: RunningServer,
    runtime: Runtime,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.server.addr())
    }
}

impl Running {
    async fn start(config: ServerConfig, clock: HybridClock, rng: Rng) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Bind { addr: config.listen, source };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
        let started = runtime.spawn(start(config.clone(), clock, rng)).await;
        match started.unwrap_or_else(|_| Err(failed(std::io::ErrorKind::Interrupted.into()))) {
            Ok(server) => Ok(Self { server, runtime }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    async fn end(self, how: RestartHow) {
        if how == RestartHow::Stop {
            self.server.shutdown().await;
        }
        self.runtime.shutdown_background();
    }
}

impl Slot {
    fn take(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, running: Running) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }
}

impl Deployment {
    /// Starts so many nodes; the URL of the first is what the resource is called at all of them.
    pub(super) async fn start(
        config: ServerConfig,
        nodes: usize,
        clock: &HybridClock,
        rng: &Rng,
    ) -> Result<Self, ServerError> {
        let mut deployment = Self { nodes: Vec::new(), clock: clock.clone(), rng: rng.clone() };
        let mut config = ServerConfig { nodes: 1, ..config };
        for number in 1..=nodes.max(1) {
            let mut one = ServerConfig { node: format!("node-{number}"), ..config.clone() };
            let running = Running::start(one.clone(), clock.clone(), rng.clone()).await?;
            one.listen = running.server.addr();
            let base = format!("http://{}", one.listen);
            config.public_url = Some(config.public_url.unwrap_or(base));
            one.public_url.clone_from(&config.public_url);
            deployment.nodes.push(Slot { config: one, running: Mutex::new(Some(running)) });
        }
        Ok(deployment)
    }

    /// The nodes as a target; `restarts` says whether clients may have them restarted.
    pub(super) fn target(
        self: &Arc<Self>,
        patience: Duration,
        restarts: bool,
    ) -> Result<Target, crate::client::TargetError> {
        let url = |slot: &Slot| format!("http://{}{}", slot.config.listen, slot.config.path);
        let urls: Vec<String> = self.nodes.iter().map(url).collect();
        let mut target = Target::parse(&urls[0], patience)?;
        if urls.len() > 1 {
            target = target.with_nodes(&urls, false)?;
        }
        if restarts {
            target.restarts = Some(Arc::clone(self) as Arc<dyn Restarts>);
        }
        target.durable = self.nodes.iter().any(|slot| slot.config.store != StoreConfig::Memory);
        Ok(target)
    }

    /// Who signs tokens of the authorization server to order.
    pub(super) fn minter(&self) -> Option<Arc<dyn Mint>> {
        let first = self.nodes.first()?;
        first.running.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.server.minter()
    }

    /// Ends all nodes.
    pub(super) async fn shutdown(&self) {
        for running in self.nodes.iter().filter_map(Slot::take) {
            running.end(RestartHow::Stop).await;
        }
    }
}

impl Restarts for Deployment {
    fn restart(&self, node: usize, how: RestartHow) -> Restarted<'_> {
        Box::pin(async move {
            let slot = self.nodes.get(node).ok_or_else(|| format!("there is no node {}", node + 1))?;
            let running = slot.take().ok_or_else(|| format!("node {} does not run", node + 1))?;
            running.end(how).await;
            let again = async {
                loop {
                    match Running::start(slot.config.clone(), self.clock.clone(), self.rng.clone()).await {
                        Err(ServerError::Bind { .. }) => tokio::time::sleep(LOOK_EVERY).await,
                        other => return other,
                    }
                }
            };
            let started = tokio::time::timeout(FREE_WITHIN, again).await;
            let started = started.map_err(|_| format!("{} stays taken", slot.config.listen))?;
            slot.put(started.map_err(|error| error.to_string())?);
            Ok(())
        })
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // A case that was interrupted leaves nodes; a runtime must not be dropped where tasks run.
        for running in self.nodes.iter().filter_map(Slot::take) {
            running.runtime.shutdown_background();
        }
    }
}
