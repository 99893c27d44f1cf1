//! Where lifecycles are played: a reference server of its own for each, on a clock that stands still.

use std::time::Duration;

use super::ask::{ELSEWHERE, LEGACY, Places};
use super::foreign::Foreign;
use super::link::Link;
use super::terms::Terms;
use crate::model::{HybridClock, Rng};
use crate::server::{AuthConfig, RunningServer, ServerConfig, ServerError, StoreConfig, start};

/// When the clock of a lifecycle begins, in seconds since the Unix epoch: a whole second, as tokens end at whole seconds.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);
/// How long is waited for anything of a server of this process.
const PATIENCE: Duration = Duration::from_secs(5);

/// How requests travel to the embedded server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Travel {
    /// HTTP over loopback.
    #[default]
    Loopback,
    /// Calls of its front door, without a network.
    InProcess,
}

/// How the servers are run.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Names of faults.
    pub faults: Vec<String>,
    /// Where sessions and grants are kept.
    pub store: StoreConfig,
    /// How many nodes answer in turn.
    pub nodes: usize,
    /// How requests get there.
    pub travel: Travel,
}

/// A server under way, and the way to it.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) link: Link,
    pub(crate) places: Places,
    pub(crate) clock: HybridClock,
    /// Runs until it is dropped; none where it is somebody else's.
    server: Option<RunningServer>,
}

impl Standing {
    /// Whether time is the server's own affair.
    pub(crate) fn is_foreign(&self) -> bool {
        self.server.is_none()
    }
}

/// Where lifecycles are played.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Reference servers made anew for each.
    Embedded(Ground),
    /// One server that somebody else runs.
    Foreign(Box<Foreign>),
}

impl Stage {
    pub(crate) fn terms(&self) -> Terms {
        match self {
            Self::Embedded(ground) => ground.terms(),
            Self::Foreign(foreign) => foreign.terms.clone(),
        }
    }

    /// Makes ready what one lifecycle needs.
    pub(crate) async fn stand(&self, seed: u64) -> Result<Standing, ServerError> {
        match self {
            Self::Embedded(ground) => ground.stand(seed).await,
            Self::Foreign(foreign) => Ok(Standing {
                link: Link::anywhere(PATIENCE),
                places: foreign.places.clone(),
                clock: HybridClock::new(),
                server: None,
            }),
        }
    }
}

impl Ground {
    /// What is known of the servers.
    pub(crate) fn terms(&self) -> Terms {
        let terms = Terms::reference();
        // A shared store is not told of every use.
        let idle_early = if self.store == StoreConfig::Memory { Duration::ZERO } else { terms.idle / 64 };
        Terms { idle_early, ..terms }
    }

    /// Starts the server of one lifecycle.
    pub(crate) async fn stand(&self, seed: u64) -> Result<Standing, ServerError> {
        let clock = HybridClock::still(BEGINNING);
        let auth =
            AuthConfig { elsewhere: vec![ELSEWHERE.to_owned()], documents_on_loopback: true, ..AuthConfig::default() };
        let config = ServerConfig {
            faults: self.faults.clone(),
            store: self.store.clone(),
            nodes: self.nodes,
            auth: Some(auth),
            idle_session: self.terms().idle,
            ..ServerConfig::default()
        };
        // In a store that others use too, the same ids must not come twice.
        let rng = if self.store == StoreConfig::Memory { Rng::seeded(seed) } else { Rng::from_system() };
        let server = start(config, clock.clone(), rng).await?;
        let link = match self.travel {
            Travel::Loopback => Link::network(server.addr(), PATIENCE),
            Travel::InProcess => Link::here(server.front_door(), PATIENCE),
        };
        let host = server.addr().to_string();
        let issuer = server.issuer().unwrap_or_default();
        let base = issuer.strip_prefix(&format!("http://{host}")).unwrap_or_default();
        let base = base.split('?').next().unwrap_or_default();
        let places = Places {
            endpoint: "/mcp".to_owned(),
            resource: server.url(),
            register: format!("{base}/register"),
            authorize: format!("{base}/authorize"),
            token: format!("{base}/token"),
            revoke: format!("{base}/revoke"),
            revision: LEGACY.to_owned(),
            scopes: true,
            scope: None,
            host,
        };
        Ok(Standing { link, places, clock, server: Some(server) })
    }
}
