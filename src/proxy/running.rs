//! Starting and stopping: the listener, its connections, and the handle that the caller keeps.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::connection::{Conn, Fate, serve};
use super::door::Door;
use super::force::Force;
use super::upstream::{Link, Upstream};
use super::witness::Witness;
use super::wording::Wording;
use crate::model::{Clock, Direction, Disturbance, HybridClock, Inlet, NetworkFault, Rng, Turns};

/// The most connections at once; more have to wait until one ends.
const MAX_CONNECTIONS: usize = 4096;
/// How long connections that are ended get for it, in milliseconds.
const ENDS_WITHIN_MS: u32 = 1000;

/// What passed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections that clients opened.
    pub connections: u64,
    /// Of them, those that are open now.
    pub open: usize,
    /// Connections for which no server could be reached.
    pub unreachable: u64,
    /// HTTP requests that were made out.
    pub requests: u64,
    /// Bytes that servers were sent.
    pub up: u64,
    /// Bytes that clients were sent.
    pub down: u64,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) upstreams: Vec<Upstream>,
    pub(super) clock: Arc<dyn Clock>,
    /// The same, where nobody minds that it is moved.
    moves: Option<HybridClock>,
    pub(super) rng: Rng,
    pub(super) force: watch::Sender<Arc<Force>>,
    pub(super) witness: Option<Arc<dyn Witness>>,
    pub(super) wording: Option<Wording>,
    open: Mutex<Open>,
    turns: AtomicUsize,
    unreachable: AtomicU64,
    requests: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// The connections that are open, and how many ever were.
#[derive(Debug, Default)]
struct Open {
    all: BTreeMap<u64, Arc<Conn>>,
    opened: u64,
}

impl Shared {
    fn new(
        upstreams: Vec<Upstream>,
        clock: Arc<dyn Clock>,
        rng: Rng,
        witness: Option<Arc<dyn Witness>>,
        wording: Option<Wording>,
    ) -> Self {
        Self {
            upstreams,
            clock,
            moves: None,
            rng,
            force: watch::Sender::new(Arc::new(Force::new(1, Vec::new(), 0))),
            witness,
            wording,
            open: Mutex::default(),
            turns: AtomicUsize::new(0),
            unreachable: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
        }
    }

    /// Completes once so much of the clock's time is over: at once where the clock may be moved.
    pub(super) async fn let_pass(&self, time: Duration) {
        let Some(clock) = &self.moves else { return self.clock.sleep(time).await };
        clock.advance(time);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, lane: Direction, bytes: u64) {
        let counter = if lane == Direction::Up { &self.up } else { &self.down };
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unreachable(&self) {
        self.unreachable.fetch_add(1, Ordering::Relaxed);
    }

    fn turns(&self, connection: u64) -> Option<Turns> {
        let force = self.force.borrow();
        force.each(connection).find_map(|what| match what {
            Disturbance::RoundRobin(turns) => Some(*turns),
            _ => None,
        })
    }

    pub(super) fn takes_turns_by_request(&self, connection: u64) -> bool {
        self.turns(connection) == Some(Turns::Request)
    }

    /// Whose turn it is: for a request, or for a connection that begins.
    pub(super) fn turn(&self, connection: u64, for_request: bool) -> usize {
        let takes = match self.turns(connection) {
            Some(Turns::Request) => for_request,
            Some(Turns::Connection) => !for_request,
            None => false,
        };
        if takes { self.turns.fetch_add(1, Ordering::Relaxed) % self.upstreams.len().max(1) } else { 0 }
    }
}

/// The proxy could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is not to be had.
    #[error("cannot listen on {addr}: {source}; is another program there? port 0 takes any free one")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Nobody to send to.
    #[error("a proxy needs at least one server to send to")]
    NoUpstream,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens, and carries what comes to the first of the servers, or to each in turn where a fault says so.
    pub async fn start(
        listen: SocketAddr,
        upstreams: Vec<Upstream>,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<Self, ProxyError> {
        Self::start_before(listen, upstreams, clock, rng, None, None).await
    }

    /// The same before the eyes of a witness, and with names for the servers.
    pub async fn start_before(
        listen: SocketAddr,
        upstreams: Vec<Upstream>,
        clock: Arc<dyn Clock>,
        rng: Rng,
        witness: Option<Arc<dyn Witness>>,
        wording: Option<Wording>,
    ) -> Result<Self, ProxyError> {
        if upstreams.is_empty() {
            return Err(ProxyError::NoUpstream);
        }
        let bind = |source| ProxyError::Bind { addr: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let shared = Arc::new(Shared::new(upstreams, clock, rng, witness, wording));
        let task = tokio::spawn(accept(Arc::clone(&shared), Door::Socket(listener)));
        Ok(Self { addr, shared, task })
    }

    /// A proxy without a network, in front of a server of this process; gives the way to it. What is late by a fault moves
    /// the clock, so that nobody has to wait for it.
    pub fn within(server: Inlet, clock: HybridClock, rng: Rng) -> (Self, Inlet) {
        let (inlet, intake) = Inlet::new();
        let shared = Shared::new(vec![Upstream::within(server)], Arc::new(clock.clone()), rng, None, None);
        let shared = Arc::new(Shared { moves: Some(clock), ..shared });
        let task = tokio::spawn(accept(Arc::clone(&shared), Door::Pipe(intake)));
        (Self { addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), shared, task }, inlet)
    }

    /// Where it listens; one without a network does nowhere, and has port 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Puts these faults in force in place of those that were. What happens at once has happened when this returns, and
    /// so has what came due under the old ones.
    pub async fn set(&self, faults: Vec<NetworkFault>) {
        {
            let mut open = self.shared.open();
            let old = Arc::clone(&self.shared.force.borrow());
            let new = Arc::new(Force::new(old.generation + 1, faults, open.opened));
            for conn in open.all.values_mut() {
                conn.settle(&old);
                conn.meet(&new);
            }
            self.shared.force.send_replace(new);
        }
        self.see_ended().await;
    }

    /// Takes all faults away.
    pub async fn clear(&self) {
        self.set(Vec::new()).await;
    }

    /// Closes every connection there is.
    pub async fn cut_all(&self) {
        self.shared.open().all.values().for_each(|conn| conn.end(Fate::CLOSE));
        self.see_ended().await;
    }

    /// What passed so far.
    pub fn counters(&self) -> Counters {
        let open = self.shared.open();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connections: open.opened,
            open: open.all.len(),
            unreachable: count(&self.shared.unreachable),
            requests: count(&self.shared.requests),
            up: count(&self.shared.up),
            down: count(&self.shared.down),
        }
    }

    /// Waits, a moment at most, until connections that were ended are gone.
    async fn see_ended(&self) {
        let ended = |conn: &Arc<Conn>| conn.orders.borrow().fate.is_some();
        for _ in 0..ENDS_WITHIN_MS {
            if !self.shared.open().all.values().any(ended) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are the task's own, and end with it.
        self.task.abort();
    }
}

async fn accept(shared: Arc<Shared>, mut door: Door) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Nobody closes the semaphore.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let client = loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = door.accept() => match accepted {
                    Ok(client) => break client,
                    // Out of descriptors, as a rule: let some connections end first.
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
            }
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            attend(&shared, client).await;
            drop(place);
        });
    }
}

/// Has a connection known from its beginning to its end.
async fn attend(shared: &Arc<Shared>, client: Link) {
    let (conn, refused) = {
        let mut open = shared.open();
        open.opened += 1;
        let conn = Arc::new(Conn::new(open.opened, Arc::clone(shared)));
        let force = Arc::clone(&shared.force.borrow());
        let refused = conn.is_refused(&force);
        conn.meet(&force);
        open.all.insert(conn.number, Arc::clone(&conn));
        (conn, refused)
    };
    let known = Known { shared, number: conn.number };
    if refused {
        conn.end(Fate::RESET);
    }
    // Both lanes and the relay in one place are too much for whoever holds this.
    let left = Box::pin(serve(&conn, client)).await;
    drop(known);
    left.linger().await;
}

/// Takes a connection off the list when its task ends, however it does.
struct Known<'s> {
    shared: &'s Shared,
    number: u64,
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.shared.open().all.remove(&self.number);
    }
}
