//! Starting and stopping: the listener, its connections, and the handle that the caller keeps.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::config::{ServerConfig, ServerError, StoreConfig};
use super::dispatch::{App, client_document, origin};
use super::doors::{Channels, FrontDoor, Identity, names, serve_socket, serve_stream};
use super::fault::{Faults, Rule};
use super::modern::{Modern, Seal};
use super::oauth::{AuthConfig, Issuer, minted};
use super::session::Sessions;
use super::socket::Connections;
use super::store::{Memory, Redis, Regions, SessionStore, Shared, is_region};
use crate::model::{HybridClock, Inlet, Intake, Mint, Rng, TokenOrder, Via};

/// How long open connections get to end by themselves.
const GRACE: Duration = Duration::from_millis(200);

/// The nodes behind one address; they take turns, request by request.
#[derive(Debug)]
pub(crate) struct Nodes {
    apps: Vec<Arc<App>>,
    turn: AtomicUsize,
}

impl Nodes {
    /// The one that was there first, and knows the connections of all.
    pub(crate) fn first(&self) -> &Arc<App> {
        &self.apps[0]
    }

    /// The one whose turn it is.
    pub(crate) fn next(&self) -> Arc<App> {
        Arc::clone(&self.apps[self.turn.fetch_add(1, Ordering::Relaxed) % self.apps.len()])
    }
}

/// A server that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningServer {
    app: Arc<App>,
    nodes: Arc<Nodes>,
    identity: Option<Identity>,
    inlet: Inlet,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Starts the reference server.
pub async fn start(config: ServerConfig, clock: HybridClock, rng: Rng) -> Result<RunningServer, ServerError> {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if config.control && !config.listen.ip().is_loopback() {
        return Err(ServerError::ControlNotLoopback(config.listen));
    }
    for path in [&config.path, &config.sse_path] {
        if !path.starts_with('/') || path.starts_with("/control") {
            return Err(ServerError::Path(path.clone()));
        }
    }
    if config.offers(Via::LegacySse) && config.path == config.sse_path {
        return Err(ServerError::SamePath(config.path));
    }
    if !config.transports.iter().any(|via| *via != Via::Stdio) {
        return Err(ServerError::NoTransport);
    }
    let called = names(config.listen.ip(), config.public_url.as_deref());
    let identity = config.tls.as_ref().map(|tls| Identity::new(tls, &called)).transpose();
    let identity = identity.map_err(ServerError::Certificate)?;
    let bind = |source| ServerError::Bind { addr: config.listen, source };
    let listener = if config.listens { Some(TcpListener::bind(config.listen).await.map_err(bind)?) } else { None };
    let addr = listener.as_ref().map_or(Ok(config.listen), TcpListener::local_addr).map_err(bind)?;
    let channels = Arc::new(Channels::default());
    let shared = Together { channels, modern: Arc::new(Modern::new(&rng)) };
    let mut apps = Vec::new();
    for number in 1..=config.nodes.max(1) {
        apps.push(node(&config, number, Some(addr), &shared, clock.clone(), rng.clone()).await?);
    }
    let app = Arc::clone(&apps[0]);
    let nodes = Arc::new(Nodes { apps, turn: AtomicUsize::new(0) });
    let (stop, stopped) = oneshot::channel();
    let (inlet, intake) = Inlet::new();
    let task = tokio::spawn(accept(Arc::clone(&nodes), identity.clone(), (listener, intake), stopped));
    Ok(RunningServer { app, nodes, identity, inlet, stop: Some(stop), task })
}

/// A server that listens nowhere.
pub(crate) async fn assemble(config: &ServerConfig, clock: HybridClock, rng: Rng) -> Result<Arc<App>, ServerError> {
    let shared = Together { channels: Arc::default(), modern: Arc::new(Modern::new(&rng)) };
    node(config, 1, None, &shared, clock, rng).await
}

/// What the nodes of one process share without a store.
#[derive(Debug)]
struct Together {
    channels: Arc<Channels>,
    modern: Arc<Modern>,
}

/// One node: what requests share, whichever way they come in; `addr` is where the server listens, if it does.
async fn node(
    config: &ServerConfig,
    number: usize,
    addr: Option<SocketAddr>,
    together: &Together,
    clock: HybridClock,
    rng: Rng,
) -> Result<Arc<App>, ServerError> {
    let config = config.clone();
    let faults = Arc::new(Faults::named(&config.faults)?);
    let name = if config.nodes > 1 { format!("{}-{number}", config.node) } else { config.node.clone() };
    let (store, shared) = opened(&config, &name, &rng).await?;
    let seal = match &shared {
        Some(shared) => Arc::new(Seal::shared(shared, &rng).await.map_err(|_| ServerError::StoreAway)?),
        None => match &config.state_key {
            Some(key) => Arc::new(Seal::new(&key.0)),
            None => Arc::clone(&together.modern.seal),
        },
    };
    let sessions = Sessions::new(store, config.idle_session, rng.clone());
    let sessions = sessions.counting_use(faults.holds(Rule::SessionUseCounts));
    let addr = addr.unwrap_or(config.listen);
    let origin = origin(&config, addr);
    let resources = config.issuer_for.clone().unwrap_or_else(|| vec![format!("{origin}{}", config.path)]);
    let issuer = match &config.auth {
        None => None,
        Some(auth) => {
            let (clock, rng, faults) = (clock.clone(), rng.clone(), Arc::clone(&faults));
            let mut auth: AuthConfig = auth.clone();
            if config.offers(Via::LegacySse) && config.issuer_for.is_none() {
                // The stream of the older transport is a resource of its own, by its URL.
                auth.elsewhere.push(format!("{origin}{}", config.sse_path));
            }
            if !config.listens && auth.documents_on_loopback {
                // Nobody can fetch it here.
                auth.documents.push(client_document(&config, &origin));
            }
            let issuer = Issuer::new(auth, origin, resources, clock, rng, faults);
            let issuer = issuer.ok_or(ServerError::NoRandomness)?;
            Some(match shared {
                Some(shared) => issuer.shared(shared).await.map_err(|_| ServerError::StoreAway)?,
                None => issuer,
            })
        }
    };
    let (counted, connections) = (AtomicU64::new(0), Connections::default());
    let (channels, modern) = (Arc::clone(&together.channels), Arc::clone(&together.modern));
    Ok(Arc::new(App {
        config,
        addr,
        clock,
        rng,
        faults,
        issuer,
        sessions,
        counted,
        connections,
        channels,
        modern,
        seal,
    }))
}

/// The store, and where nodes share what else they share.
async fn opened(
    config: &ServerConfig,
    name: &str,
    rng: &Rng,
) -> Result<(Arc<dyn SessionStore>, Option<Shared>), ServerError> {
    let regions = &config.other_regions;
    let StoreConfig::Redis(url) = &config.store else {
        let odd = config.store_read.is_some() || config.region.is_some() || !regions.is_empty();
        let why = "a replica or regions need a store in Redis; add `--store redis://…`";
        return if odd { Err(ServerError::Regions(why.to_owned())) } else { Ok((Arc::new(Memory::default()), None)) };
    };
    let (node, idle) = (Redis::identity(name, rng), config.idle_session);
    let here = Redis::open_as(url, config.store_read.as_deref(), node.clone(), idle).await?;
    let shared = Some(here.shared());
    let Some(region) = &config.region else {
        let why = "stores of other regions are known by the region in the ids of sessions; say which this one is (`--region`)";
        return if regions.is_empty() {
            Ok((Arc::new(here), shared))
        } else {
            Err(ServerError::Regions(why.to_owned()))
        };
    };
    let mut others: Vec<(String, Arc<dyn SessionStore>)> = Vec::new();
    for name in regions.iter().map(|(name, _)| name).chain([region]) {
        let twice = regions.iter().filter(|(other, _)| other == name).count() > 1;
        if !is_region(name) || twice || (regions.iter().any(|(other, _)| other == region)) {
            let why =
                format!("`{name}` cannot be a region here: names are of small letters, digits and `-`, each once");
            return Err(ServerError::Regions(why));
        }
    }
    for (name, url) in regions {
        others.push((name.clone(), Arc::new(Redis::open_as(url, None, node.clone(), idle).await?)));
    }
    Ok((Arc::new(Regions::new(region, Arc::new(here), others)), shared))
}

async fn accept(
    nodes: Arc<Nodes>,
    identity: Option<Identity>,
    (listener, mut intake): (Option<TcpListener>, Intake),
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let mut keepers = JoinSet::new();
    for app in nodes.apps.iter().cloned() {
        keepers.spawn(async move { app.sessions.keep_used(&app.clock).await });
    }
    loop {
        tokio::select! {
            // Completes also when the handle is dropped.
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = next(listener.as_ref()) => {
                let Ok((socket, _)) = accepted else {
                    // Out of descriptors, as a rule: let some connections end first.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                connections.spawn(Box::pin(serve_socket(Arc::clone(&nodes), identity.clone(), socket)));
            }
            stream = intake.accept() => {
                connections.spawn(Box::pin(serve_stream(Arc::clone(&nodes), stream)));
            }
        }
    }
    drop((listener, intake));
    nodes.first().modern.close(nodes.first());
    nodes.first().channels.stop();
    keepers.abort_all();
    for app in &nodes.apps {
        app.sessions.leave().await;
    }
    let ends = async { while connections.join_next().await.is_some() {} };
    // Keep-alive connections never end by themselves; what is left after the grace is dropped with the set.
    let _ = tokio::time::timeout(GRACE, ends).await;
}

/// The next connection; never where nothing listens.
async fn next(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
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
    /// The URL of the endpoint, whether or not something is offered there.
    pub fn url(&self) -> String {
        format!("{}{}", self.base("http"), self.app.config.path)
    }

    /// Where a transport is to be had; nowhere if it is not offered, or if it has no URL.
    pub fn url_of(&self, via: Via) -> Option<String> {
        if !self.app.config.offers(via) {
            return None;
        }
        match via {
            Via::StreamableHttp => Some(self.url()),
            Via::LegacySse => Some(format!("{}{}", self.base("http"), self.app.config.sse_path)),
            Via::WebSocket => Some(format!("{}{}", self.base("ws"), self.app.config.path)),
            Via::Stdio => None,
        }
    }

    fn base(&self, scheme: &str) -> String {
        let secure = if self.identity.is_some() { "s" } else { "" };
        format!("{scheme}{secure}://{}", self.app.addr)
    }

    /// Where the control endpoint is, if it is served.
    pub fn control_url(&self) -> Option<String> {
        self.app.config.control.then(|| format!("{}/control", self.base("http")))
    }

    /// The certificate, in PEM, of the authority that was made on the spot, where one was: clients that trust it trust
    /// the server.
    pub fn authority(&self) -> Option<&str> {
        self.identity.as_ref().and_then(|identity| identity.authority.as_deref())
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

    /// A way in for byte streams of this process, without a network and without TLS.
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// A way in for requests of this process, without a network.
    pub fn front_door(&self) -> FrontDoor {
        FrontDoor::of(Arc::clone(&self.nodes))
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
