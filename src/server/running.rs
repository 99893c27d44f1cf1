//! Starting and stopping: the listener, its connections, and the handle that the caller keeps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::config::{ServerConfig, ServerError, StoreConfig};
use super::dispatch::{App, origin};
use super::fault::{Faults, Rule};
use super::http::serve;
use super::oauth::{Issuer, minted};
use super::session::Sessions;
use super::socket::{Connections, Spelling};
use super::store::{Memory, Redis, SessionStore};
use crate::model::{HybridClock, Mint, Rng, TokenOrder};

/// How long open connections get to end by themselves.
const GRACE: Duration = Duration::from_millis(200);

/// A server that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningServer {
    app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Starts the reference server.
pub async fn start(config: ServerConfig, clock: HybridClock, rng: Rng) -> Result<RunningServer, ServerError> {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let faults = Arc::new(Faults::named(&config.faults)?);
    if config.control && !config.listen.ip().is_loopback() {
        return Err(ServerError::ControlNotLoopback(config.listen));
    }
    if !config.path.starts_with('/') || config.path.starts_with("/control") {
        return Err(ServerError::Path(config.path));
    }
    let bind = |source| ServerError::Bind { addr: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let mut apps = Vec::new();
    for number in 1..=config.nodes.max(1) {
        apps.push(Arc::new(node(&config, number, addr, clock.clone(), rng.clone(), &faults).await?));
    }
    let apps: Arc<[Arc<App>]> = apps.into();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(accept(Arc::clone(&apps), listener, stopped));
    Ok(RunningServer { app: Arc::clone(&apps[0]), stop: Some(stop), task })
}

/// One node: sessions, and where it is wanted an authorization server.
async fn node(
    config: &ServerConfig,
    number: usize,
    addr: SocketAddr,
    clock: HybridClock,
    rng: Rng,
    faults: &Arc<Faults>,
) -> Result<App, ServerError> {
    let config = config.clone();
    let name = if config.nodes > 1 { format!("{}-{number}", config.node) } else { config.node.clone() };
    let (store, shared): (Arc<dyn SessionStore>, _) = match &config.store {
        StoreConfig::Memory => (Arc::new(Memory::default()), None),
        StoreConfig::Redis(url) => {
            let redis = Redis::open(url, &name, config.idle_session, &rng).await?;
            let shared = redis.shared();
            (Arc::new(redis), Some(shared))
        }
    };
    let sessions = Sessions::new(store, config.idle_session, rng.clone());
    let origin = origin(&config, addr);
    let resources = config.issuer_for.clone().unwrap_or_else(|| vec![format!("{origin}{}", config.path)]);
    let issuer = match &config.auth {
        None => None,
        Some(auth) => {
            let (clock, rng, faults) = (clock.clone(), rng.clone(), Arc::clone(faults));
            let issuer = Issuer::new(auth.clone(), origin, resources, clock, rng, faults);
            let issuer = issuer.ok_or(ServerError::NoRandomness)?;
            Some(match shared {
                Some(shared) => issuer.shared(shared).await.map_err(|_| ServerError::StoreAway)?,
                None => issuer,
            })
        }
    };
    let (counted, connections, faults) = (AtomicU64::new(0), Connections::default(), Arc::clone(faults));
    Ok(App { config, addr, clock, rng, faults, issuer, sessions, counted, connections })
}

/// Serves connections; the nodes take turns, request by request.
async fn accept(apps: Arc<[Arc<App>]>, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let mut keepers = JoinSet::new();
    for app in apps.iter().cloned() {
        keepers.spawn(async move { app.sessions.keep_used(&app.clock).await });
    }
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        tokio::select! {
            // Completes also when the handle is dropped.
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // Out of descriptors, as a rule: let some connections end first.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                // Events are small, and a late one would look like a slow server.
                let _ = socket.set_nodelay(true);
                let (app, apps, turn) = (Arc::clone(&apps[0]), Arc::clone(&apps), Arc::clone(&turn));
                let number = app.connections.opened();
                let socket = Spelling::new(socket, app.faults.holds(Rule::HeaderNamesCaseless));
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let next = turn.fetch_add(1, Ordering::Relaxed) % apps.len();
                        serve(Arc::clone(&apps[next]), request, number)
                    });
                    // A connection that breaks is the client's affair.
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(app.config.body_within);
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                    app.connections.closed(number);
                });
            }
        }
    }
    drop(listener);
    keepers.abort_all();
    for app in apps.iter() {
        app.sessions.leave().await;
    }
    let ends = async { while connections.join_next().await.is_some() {} };
    // Keep-alive connections never end by themselves; what is left after the grace is dropped with the set.
    let _ = tokio::time::timeout(GRACE, ends).await;
}

/// The signing half of a server.
#[derive(Debug)]
struct Minter(Arc<App>);

impl Mint for Minter {
    fn mint(&self, order: &TokenOrder) -> Result<String, String> {
        let issuer = self.0.issuer.as_ref().ok_or_else(|| "the server has no authorization server".to_owned())?;
        minted(issuer, order)
    }
}

impl RunningServer {
    /// The endpoint's URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.app.addr, self.app.config.path)
    }

    /// The issuer identifier of its authorization server, where it has one.
    pub fn issuer(&self) -> Option<String> {
        self.app.issuer.as_ref().map(Issuer::identifier)
    }

    /// Who signs tokens of its authorization server to order, where it has one; works while the server runs.
    pub fn minter(&self) -> Option<Arc<dyn Mint>> {
        self.app.issuer.as_ref()?;
        Some(Arc::new(Minter(Arc::clone(&self.app))))
    }

    /// The address the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.app.addr
    }

    /// The clock the server goes by.
    pub fn clock(&self) -> &HybridClock {
        &self.app.clock
    }

    /// Ends all sessions and streams and waits, a moment at most, for the connections to close.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        // The task ends by itself within the grace; should it have panicked, there is nothing left to stop.
        let _ = self.task.await;
    }
}
