//! Where cases are played: a server of somebody else's, or reference servers made anew for each case.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::deployment::Deployment;
use super::needs::carries_session;
use super::run::{Rehearsal, RehearsalError};
use super::survey::Survey;
use crate::client::{SafeCall, Target, TimeControl};
use crate::model::{HybridClock, Rng, Via};
use crate::profile::{OAuth, Profile};
use crate::scenario::Scenario;
use crate::server::{AuthConfig, Eras, RunningServer, ServerConfig, StoreConfig, start};
use crate::wire::{Command, Place};

/// The first of the ports that nobody owns (RFC 6335 section 6).
const EPHEMERAL: u16 = 49_152;

/// Where the cases are played.
#[derive(Debug, Clone)]
pub enum Stage {
    /// A reference server of its own for each case, with these faults.
    Embedded {
        /// Names of faults.
        faults: Vec<String>,
        /// What is called where a scenario names nothing.
        safe_call: SafeCall,
        /// Where the servers keep their sessions.
        store: StoreConfig,
        /// How many nodes each of them has, which answer in turn.
        nodes: usize,
        /// The transport that clients speak with them.
        via: Via,
        /// The program to start as a server for stdio: this one.
        program: Option<PathBuf>,
    },
    /// One server that somebody else runs.
    Foreign(Arc<Target>),
}

impl Stage {
    /// An embedded server with these faults.
    pub fn embedded(faults: Vec<String>) -> Self {
        Self::Embedded {
            faults,
            safe_call: SafeCall::default(),
            store: StoreConfig::Memory,
            nodes: 1,
            via: Via::StreamableHttp,
            program: None,
        }
    }

    /// The same, where servers are embedded, with their sessions in a store and so many nodes each.
    #[must_use]
    pub fn on(self, store: StoreConfig, nodes: usize) -> Self {
        match self {
            Self::Embedded { faults, safe_call, via, program, .. } => {
                Self::Embedded { faults, safe_call, store, nodes, via, program }
            }
            Self::Foreign(target) => Self::Foreign(target),
        }
    }

    /// The same, where servers are embedded, over another transport; `program` is what is started for stdio.
    #[must_use]
    pub fn over(self, via: Via, program: PathBuf) -> Self {
        match self {
            Self::Embedded { faults, safe_call, store, nodes, .. } => {
                Self::Embedded { faults, safe_call, store, nodes, via, program: Some(program) }
            }
            Self::Foreign(target) => Self::Foreign(target),
        }
    }

    /// How the servers of an embedded stage are run.
    fn server(&self, faults: Vec<String>) -> ServerConfig {
        let (store, nodes) = match self {
            Self::Embedded { store, nodes, .. } => (store.clone(), *nodes),
            Self::Foreign(_) => (StoreConfig::Memory, 1),
        };
        // What the tools pretend to work on is nothing to wait for.
        ServerConfig { faults, store, nodes, tick: Duration::ZERO, ..ServerConfig::default() }
    }

    /// What an embedded server offers beyond what the survey of one can see.
    pub(super) fn offering(&self, known: Survey) -> Survey {
        let Self::Embedded { store, nodes, .. } = self else { return known };
        // It asks for tokens wherever a scenario needs that, and there is somebody to ask.
        let asks = known.via != Via::Stdio;
        let durable = *store != StoreConfig::Memory;
        let http = known.via == Via::StreamableHttp;
        Survey {
            auth: asks,
            mint: asks,
            documents: asks,
            nodes: if http && durable { *nodes } else { 0 },
            // In memory a restart leaves nothing to look at.
            restart: http && durable,
            durable,
            embedded: true,
            ..known
        }
    }

    /// The same stage, with what the survey found out.
    pub(super) fn knowing(self, known: &Survey) -> Self {
        match self {
            Self::Embedded { faults, store, nodes, via, program, .. } => {
                Self::Embedded { faults, safe_call: known.safe_call.clone(), store, nodes, via, program }
            }
            Self::Foreign(target) => Self::Foreign(Arc::new(Target {
                safe_call: known.safe_call.clone(),
                asks_for_tokens: known.auth,
                speaks_modern: known.modern.is_some(),
                // The way that the survey had to take, clients take as their profiles do.
                falls_back: target.via.is_none() && known.via == Via::LegacySse,
                ..Target::clone(&target)
            })),
        }
    }
}

/// What a scenario asks of a server that is made for it.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question of its own")]
pub(super) struct Asked {
    auth: bool,
    /// The metadata document of the client, which is on the public network.
    document: Option<Value>,
    nodes: bool,
    restart: bool,
    /// Whether the client never sends a session id.
    forgets_session: bool,
    /// Whether the server may be asked to fetch a document that it has itself.
    fetches_itself: bool,
    /// Whether only the transport of 2024-11-05 is to be had at the address.
    older_transport: bool,
    eras: Eras,
}

impl Asked {
    pub(super) fn by(scenario: &Scenario, profile: &Profile) -> Self {
        let needs = |need: &str| scenario.needs.iter().any(|named| named == need);
        // The older transport knows the older era alone.
        let eras = match (needs("legacy-only") || needs("older-transport"), needs("modern-only")) {
            (true, _) => Eras::Legacy,
            (_, true) => Eras::Modern,
            _ => Eras::Both,
        };
        Self {
            auth: needs("auth"),
            document: document_of(&profile.oauth.value),
            nodes: needs("nodes"),
            restart: needs("restart"),
            forgets_session: !carries_session(profile),
            fetches_itself: needs("auth") && needs("reference"),
            older_transport: needs("older-transport"),
            eras,
        }
    }
}

/// What the metadata document of a client says, as far as its profile tells: nobody asks the public network in a
/// rehearsal, so the embedded server is given it.
fn document_of(does: &OAuth) -> Option<Value> {
    let url = does.document.as_ref()?;
    let own = || std::iter::once(&does.redirect_uri).chain(&does.other_redirect_uris).cloned().collect();
    let published = &does.document_redirect_uris;
    let redirects: Vec<String> = if published.is_empty() { own() } else { published.clone() };
    Some(json!({
        "client_id": url,
        "client_name": does.client_name,
        "redirect_uris": redirects,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }))
}

/// The reference server of one case, as one or as nodes that can be told apart.
pub(super) enum Server {
    One(RunningServer),
    Nodes(Arc<Deployment>),
}

impl Server {
    /// Ends it.
    pub(super) async fn shutdown(self) {
        match self {
            Self::One(server) => server.shutdown().await,
            Self::Nodes(nodes) => nodes.shutdown().await,
        }
    }
}

/// A reference server as a target, under a clock of its own.
pub(super) struct Embedded {
    pub(super) server: Server,
    pub(super) target: Arc<Target>,
    pub(super) clock: HybridClock,
}

/// Starts the server of one case.
pub(super) async fn embedded(
    faults: Vec<String>,
    safe_call: &SafeCall,
    asked: Asked,
    rehearsal: &Rehearsal,
    index: usize,
) -> Result<Embedded, RehearsalError> {
    let clock = HybridClock::new();
    let rng = Rng::seeded(rehearsal.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut config = rehearsal.stage.server(faults);
    config.eras = asked.eras;
    config.session_ids = !asked.forgets_session;
    if asked.auth {
        // Tokens for another server are to be had too, so that it shows whether they are refused here.
        let elsewhere = vec!["https://elsewhere.example.com/mcp".to_owned()];
        let documents = asked.document.into_iter().collect();
        config.auth = Some(AuthConfig { elsewhere, documents, documents_on_loopback: true, ..AuthConfig::default() });
        // Sessions are to outlive tokens there.
        config.idle_session = Duration::from_secs(24 * 3600);
    }
    let (via, program) = match &rehearsal.stage {
        Stage::Embedded { via, program, .. } => (*via, program.clone()),
        Stage::Foreign(_) => (Via::StreamableHttp, None),
    };
    let patience = rehearsal.patience;
    let (server, mut target) = if asked.nodes || asked.restart {
        let count = if asked.nodes { config.nodes } else { 1 };
        let nodes = Arc::new(Deployment::start(config, count, &clock, &rng).await?);
        let target = nodes.target(patience, asked.restart)?;
        (Server::Nodes(Arc::clone(&nodes)), Target { minter: nodes.minter(), ..target })
    } else {
        let asked_for = config.faults.clone();
        // Clients have another way in; but a fault may have a server name itself as only a socket is found.
        config.listens = asked.fetches_itself || !asked_for.is_empty();
        if !config.listens {
            config.listen.set_port(port_of(index));
        }
        let server = start(config, clock.clone(), rng).await?;
        let target = match (via, program) {
            (Via::Stdio, Some(program)) => Target::of_command(piped(&program, &asked_for, asked.eras), patience),
            (Via::StreamableHttp, _) if asked.older_transport => {
                let stream = server.url_of(Via::LegacySse).unwrap_or_else(|| server.url());
                Target { falls_back: true, ..Target::parse(&stream, patience)? }
            }
            (Via::StreamableHttp, _) => Target::parse(&server.url(), patience)?,
            (via, _) => {
                let url = server.url_of(via).unwrap_or_else(|| server.url());
                Target::parse(&url, patience)?.over(via)?
            }
        };
        let (minter, inlet) = (server.minter(), Some(server.inlet()));
        let place = Place { inlet, ..target.place.clone() };
        (Server::One(server), Target { place, minter, ..target })
    };
    if via != Via::Stdio {
        target.time = TimeControl::Shared(clock.clone());
    }
    target.safe_call = safe_call.clone();
    target.asks_for_tokens = asked.auth;
    target.reads_documents = asked.auth;
    target.speaks_modern = asked.eras != Eras::Legacy;
    Ok(Embedded { server, target: Arc::new(target), clock })
}

/// The port in the URL of a server that listens nowhere: another one for each case, as the system would give it.
fn port_of(case: usize) -> u16 {
    EPHEMERAL + u16::try_from(case % usize::from(u16::MAX - EPHEMERAL)).unwrap_or_default()
}

/// The program as a server with these faults on its pipes.
fn piped(program: &Path, faults: &[String], eras: Eras) -> Command {
    let mut arguments = vec!["serve".to_owned(), "--transport".to_owned(), "stdio".to_owned()];
    let era = match eras {
        Eras::Both => "both",
        Eras::Legacy => "legacy",
        Eras::Modern => "modern",
    };
    arguments.extend(["--era".to_owned(), era.to_owned()]);
    for fault in faults {
        arguments.extend(["--fault".to_owned(), fault.clone()]);
    }
    Command { program: program.to_string_lossy().into_owned(), arguments, ..Command::default() }
}
