//! Starting and stopping: the listener, its connections, and the handle that the caller keeps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::config::{ServerConfig, ServerError};
use super::dispatch::{App, origin};
use super::doors::{Channels, Identity, names, serve_socket};
use super::fault::Faults;
use super::oauth::{AuthConfig, Issuer, minted};
use super::session::Store;
use super::socket::Connections;
use crate::model::{HybridClock, Mint, Rng, TokenOrder, Via};

/// How long open connections get to end by themselves.
const GRACE: Duration = Duration::from_millis(200);

/// A server that runs until it is shut down or dropped.
#[derive(Debug)]
pub struct RunningServer {
    app: Arc<App>,
    identity: Option<Identity>,
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
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let app = assemble(config, Some(addr), clock, rng)?;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(accept(Arc::clone(&app), identity.clone(), listener, stopped));
    Ok(RunningServer { app, identity, stop: Some(stop), task })
}

/// What requests share, whichever way they come in; `addr` is where the server listens, if it does.
pub(crate) fn assemble(
    config: ServerConfig,
    addr: Option<SocketAddr>,
    clock: HybridClock,
    rng: Rng,
) -> Result<Arc<App>, ServerError> {
    let faults = Arc::new(Faults::named(&config.faults)?);
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
            let issuer = Issuer::new(auth, origin, resources, clock, rng, faults);
            Some(issuer.ok_or(ServerError::NoRandomness)?)
        }
    };
    let (counted, connections, channels) = (AtomicU64::new(0), Connections::default(), Channels::default());
    let sessions = Store::default();
    Ok(Arc::new(App { config, addr, clock, rng, faults, issuer, sessions, counted, connections, channels }))
}

async fn accept(app: Arc<App>, identity: Option<Identity>, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
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
                connections.spawn(serve_socket(Arc::clone(&app), identity.clone(), socket));
            }
        }
    }
    drop(listener);
    app.channels.stop();
    app.sessions.all().iter().for_each(|session| session.close());
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
