//! What a caller may set, and what may go wrong before the server runs. It must not know how requests are served.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::oauth::AuthConfig;
use super::store::RedisError;
use crate::model::Via;

/// Where the certificate of the server comes from.
#[derive(Debug, Clone)]
pub enum Tls {
    /// Made on the spot, for this machine, by an authority that is made with it.
    SelfMade,
    /// The user's own, in PEM: the chain, the server's certificate first, and its private key.
    Pem {
        /// The certificates.
        chain: String,
        /// The key.
        key: String,
    },
}

/// Where sessions are kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum StoreConfig {
    /// In the memory of the process; they end with it.
    #[default]
    Memory,
    /// In Redis, at this address: `redis://…`, or `redis-cluster://` with the addresses of some nodes between commas.
    Redis(String),
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.write_str(if *self == Self::Memory { "Memory" } else { "Redis(…)" })
    }
}

/// A secret that servers have in common which share nothing else: what one of them seals, the others know.
#[derive(Clone)]
pub struct StateKey(pub Arc<[u8]>);

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(…)")
    }
}

/// The eras of the protocol that a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Eras {
    /// Both, request by request.
    #[default]
    Both,
    /// Only revisions that begin with `initialize`.
    Legacy,
    /// Only revisions in which every request says for itself what it speaks.
    Modern,
}

/// How the server is to be run.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether it listens there at all. One that does not is reached by its inlet alone, under the URL that it would have.
    pub listens: bool,
    /// Path of the endpoint, with its leading slash.
    pub path: String,
    /// Path of the stream of the older transport (HTTP+SSE), with its leading slash.
    pub sse_path: String,
    /// The transports that are offered.
    pub transports: Vec<Via>,
    /// The eras that are spoken; over HTTP+SSE there is only the older one.
    pub eras: Eras,
    /// What seals `requestState` instead of a key of this process or of the store.
    pub state_key: Option<StateKey>,
    /// TLS, where it is wanted.
    pub tls: Option<Tls>,
    /// Serve `/control/...` too; only on loopback.
    pub control: bool,
    /// Ids of the faults to commit; see [`super::faults`].
    pub faults: Vec<String>,
    /// The authorization server, where one is wanted; the endpoint then asks for its tokens.
    pub auth: Option<AuthConfig>,
    /// Serve the authorization server alone, for these resources; empty for any resource.
    pub issuer_for: Option<Vec<String>>,
    /// What clients call this server, such as `https://mcp.example.com`, where it is not its own address.
    pub public_url: Option<String>,
    /// Whether sessions have ids. Without, a client is told none, and each request belongs to whoever was let in last: for a
    /// server that has a single client at a time.
    pub session_ids: bool,
    /// A session that is not used for so long is ended.
    pub idle_session: Duration,
    /// Where sessions are kept.
    pub store: StoreConfig,
    /// A replica of the store in Redis to read sessions from: near, where the store itself is far.
    pub store_read: Option<String>,
    /// The region of this server, which the ids of sessions that begin here name.
    pub region: Option<String>,
    /// The stores of other regions by their names, for sessions that began there.
    pub other_regions: Vec<(String, String)>,
    /// What the server is called among those that share its store.
    pub node: String,
    /// How many nodes answer in turn at this one address, each as if it ran alone; for rehearsals of what goes wrong when
    /// requests of a session come to different nodes.
    pub nodes: usize,
    /// How long the tools that report as they go work between two reports; where it is no time at all, until the
    /// client had its turns to see the last one.
    pub tick: Duration,
    /// How long the head of a request and its body may take to come, each.
    pub body_within: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            listens: true,
            path: "/mcp".to_owned(),
            sse_path: "/sse".to_owned(),
            transports: vec![Via::StreamableHttp, Via::LegacySse, Via::WebSocket],
            eras: Eras::Both,
            state_key: None,
            tls: None,
            control: false,
            faults: Vec::new(),
            auth: None,
            issuer_for: None,
            public_url: None,
            session_ids: true,
            idle_session: Duration::from_secs(30 * 60),
            store: StoreConfig::Memory,
            store_read: None,
            region: None,
            other_regions: Vec::new(),
            node: "node".to_owned(),
            nodes: 1,
            tick: Duration::from_millis(50),
            body_within: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// Whether a transport is offered.
    pub(crate) fn offers(&self, via: Via) -> bool {
        self.transports.contains(&via)
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The catalogue has no fault of that name.
    #[error("no fault is called `{id}`; nearest are {near}; `list faults` names all")]
    UnknownFault {
        /// What was asked for.
        id: String,
        /// The ids that are most like it, separated by commas.
        near: String,
    },
    /// The address cannot be had.
    #[error("cannot listen on {addr}: {source}; choose another port, or port 0 for a free one")]
    Bind {
        /// What was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store of the sessions cannot be used.
    #[error(transparent)]
    Store(#[from] RedisError),
    /// What was said of regions makes no sense.
    #[error("{0}")]
    Regions(String),
    /// The store went away while the server started.
    #[error("the session store went away while the server started; start the server again once it is back")]
    StoreAway,
    /// The control endpoint would be open to the network.
    #[error("the control endpoint is only served on loopback, and {0} is not; listen on 127.0.0.1 or leave it off")]
    ControlNotLoopback(SocketAddr),
    /// The system gives no randomness.
    #[error("the system gives no randomness, so no keys can be made")]
    NoRandomness,
    /// The path does not start with a slash, or belongs to the control endpoint.
    #[error("`{0}` cannot be the endpoint's path; it has to begin with `/` and stay out of `/control`")]
    Path(String),
    /// Both endpoints would be at one path.
    #[error("both endpoints cannot be at `{0}`; give the older transport another path, or leave one transport out")]
    SamePath(String),
    /// There is nothing that would be served.
    #[error("no transport is left that can be served here; name streamable-http, sse or websocket")]
    NoTransport,
    /// Certificate and key cannot be used.
    #[error("the certificate cannot be used: {0}; give a PEM file with the chain and one with its private key")]
    Certificate(String),
}
