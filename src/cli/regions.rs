//! `regions`: two regions with a node and a Redis in each and a slow link between them; clients move from one to the other
//! in mid-session. Hidden; for `scripts/regions`.
//!
//! Whatever crosses between the regions is late by the lag, each way: commands to a far store as well as replication. How
//! nodes get at sessions is one of several ways, which are measured one after the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;

use super::output::{ExitCode, out, say};
use super::peer::http;
use super::region_client::{Tally, move_once, move_stateless};
use crate::model::{Clock, HybridClock, NetworkFault, Rng, WallClock};
use crate::proxy::{Proxy, Upstream};
use crate::server::{RunningServer, ServerConfig, StateKey, StoreConfig, start};

/// How long replication may take to begin, and to catch up.
const SYNCED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Arguments of `regions`.
#[derive(Debug, Args)]
pub(super) struct RegionsArgs {
    /// Host and port of the Redis of the first region.
    first: String,
    /// Host and port of the Redis of the second region; what is in it is lost.
    second: String,
    /// The lags to measure, in milliseconds, each way.
    #[arg(long, value_delimiter = ',', default_value = "0,50,200,1000,5000")]
    lags: Vec<u64>,
    /// How many clients move, all at once.
    #[arg(long, default_value_t = 40)]
    clients: usize,
    /// The ways to measure; all of them if none is named.
    #[arg(long, value_delimiter = ',', value_enum)]
    ways: Vec<Way>,
}

/// How the nodes of two regions get at the sessions of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// One store, in the first region, that both use.
    Central,
    /// The same, but the second region reads sessions from a replica of its own.
    Replica,
    /// A store in each region; a session is kept where it began, and asked for there.
    Home,
    /// A memory in each node, and nothing shared.
    Apart,
    /// The same without sessions (2026-07-28); both know the key that seals `requestState`.
    Stateless,
}

impl Way {
    const ALL: [Self; 5] = [Self::Central, Self::Replica, Self::Home, Self::Apart, Self::Stateless];

    fn name(self) -> &'static str {
        match self {
            Self::Central => "central",
            Self::Replica => "replica",
            Self::Home => "home",
            Self::Apart => "apart",
            Self::Stateless => "stateless",
        }
    }
}

/// A link between the regions that makes everything late, once it is told to.
struct Link(Proxy);

impl Link {
    async fn to(address: &str) -> Result<Self, String> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let clock: Arc<dyn Clock> = Arc::new(WallClock::new());
        let proxy = Proxy::start(listen, vec![Upstream::plain(address.to_owned())], clock, Rng::from_system()).await;
        proxy.map(Self).map_err(|error| error.to_string())
    }

    async fn lag(&self, ms: u64) -> Result<(), String> {
        let fault = format!("latency={ms}ms").parse::<NetworkFault>().map_err(|error| format!("{error:?}"))?;
        self.0.set(if ms == 0 { Vec::new() } else { vec![fault] }).await;
        Ok(())
    }

    fn url(&self) -> String {
        format!("redis://{}/0", self.0.addr())
    }
}

pub(super) async fn regions(args: RegionsArgs) -> ExitCode {
    match run(&args).await {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Failures
        }
    }
}

async fn run(args: &RegionsArgs) -> Result<(), String> {
    let ways = if args.ways.is_empty() { Way::ALL.to_vec() } else { args.ways.clone() };
    out(&format!("{} clients open a session in the first region and move to the second; lag is one way", args.clients));
    out("");
    out(Tally::HEAD);
    out(Tally::RULE);
    for way in ways {
        for &lag in &args.lags {
            let tally =
                measure(args, way, lag).await.map_err(|error| format!("{} at {lag} ms: {error}", way.name()))?;
            out(&tally.row(way.name(), lag));
        }
    }
    Ok(())
}

/// Runs commands at a Redis one after the other.
async fn ask(address: &str, commands: &[&[&str]]) -> Result<String, String> {
    let told = |error: redis::RedisError| format!("Redis at {address}: {error}");
    let client = redis::Client::open(format!("redis://{address}/0")).map_err(told)?;
    let mut connection = client.get_multiplexed_async_connection().await.map_err(told)?;
    let mut answer = redis::Value::Nil;
    for words in commands {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        answer = command.query_async(&mut connection).await.map_err(told)?;
    }
    Ok(redis::from_redis_value(answer).unwrap_or_default())
}

/// Makes the second Redis a replica of the first over a link, and waits until it has all.
async fn replicate(args: &RegionsArgs, link: &Link) -> Result<(), String> {
    let (host, port) = (link.0.addr().ip().to_string(), link.0.addr().port().to_string());
    ask(&args.second, &[&["REPLICAOF", &host, &port]]).await?;
    let up = async {
        while !ask(&args.second, &[&["INFO", "replication"]]).await?.contains("master_link_status:up") {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::time::timeout(SYNCED_WITHIN, up).await.map_err(|_| "replication does not begin".to_owned())?
}

/// How long a write takes to be at the replica.
async fn replication_lag(args: &RegionsArgs) -> Result<Duration, String> {
    let (clock, mark) = (WallClock::new(), Rng::from_system().hex(8));
    ask(&args.first, &[&["SET", "regions:mark", &mark, "EX", "60"]]).await?;
    let seen = async {
        while ask(&args.second, &[&["GET", "regions:mark"]]).await? != mark {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(clock.elapsed())
    };
    tokio::time::timeout(SYNCED_WITHIN, seen).await.map_err(|_| "replication does not catch up".to_owned())?
}

async fn measure(args: &RegionsArgs, way: Way, lag: u64) -> Result<Tally, String> {
    ask(&args.second, &[&["REPLICAOF", "NO", "ONE"], &["FLUSHALL"]]).await?;
    ask(&args.first, &[&["FLUSHALL"]]).await?;
    // One link for each thing that crosses, so that none waits behind another.
    let (to_first, to_second, replication) =
        (Link::to(&args.first).await?, Link::to(&args.second).await?, Link::to(&args.first).await?);
    if way == Way::Replica {
        replicate(args, &replication).await?;
    }
    let nodes = nodes(args, way, &to_first.url(), &to_second.url()).await?;
    // Connections stand before the lag begins, as they do where regions run for long.
    for link in [&to_first, &to_second, &replication] {
        link.lag(lag).await?;
    }
    let mut tally = Tally::default();
    if way == Way::Replica {
        tally.replicated = Some(replication_lag(args).await?);
    }
    let (http, mut clients) = (http()?, JoinSet::new());
    for _ in 0..args.clients {
        let (http, first, second) = (http.clone(), nodes[0].url(), nodes[1].url());
        let after = Duration::from_millis(lag);
        clients.spawn(async move {
            match way {
                Way::Stateless => move_stateless(&http, &first, &second, after).await,
                _ => move_once(&http, &first, &second, after).await,
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        tally.add(done.map_err(|error| error.to_string())??);
    }
    for link in [&to_first, &to_second, &replication] {
        link.lag(0).await?;
    }
    for node in nodes {
        node.shutdown().await;
    }
    ask(&args.second, &[&["REPLICAOF", "NO", "ONE"]]).await?;
    Ok(tally)
}

/// A node in each region; `to_first` and `to_second` are the stores as seen from the other one.
async fn nodes(args: &RegionsArgs, way: Way, to_first: &str, to_second: &str) -> Result<Vec<RunningServer>, String> {
    let near = |address: &str| format!("redis://{address}/0");
    let (first, second) = (near(&args.first), near(&args.second));
    let plain = |name: &str| ServerConfig { node: name.to_owned(), ..ServerConfig::default() };
    let (one, other) = (plain("first"), plain("second"));
    let on = |url: &str| StoreConfig::Redis(url.to_owned());
    let (one, other) = match way {
        Way::Apart => (one, other),
        Way::Stateless => {
            let key = StateKey(Rng::from_system().bytes::<32>().into());
            let shared = |config| ServerConfig { state_key: Some(key.clone()), ..config };
            (shared(one), shared(other))
        }
        Way::Central => (ServerConfig { store: on(&first), ..one }, ServerConfig { store: on(to_first), ..other }),
        Way::Replica => (
            ServerConfig { store: on(&first), ..one },
            ServerConfig { store: on(to_first), store_read: Some(second), ..other },
        ),
        Way::Home => {
            let region = |name: &str, store: &str, far: (&str, &str), config| ServerConfig {
                store: on(store),
                region: Some(name.to_owned()),
                other_regions: vec![(far.0.to_owned(), far.1.to_owned())],
                ..config
            };
            (region("one", &first, ("two", to_second), one), region("two", &second, ("one", to_first), other))
        }
    };
    let mut nodes = Vec::new();
    for config in [one, other] {
        let node = start(config, HybridClock::new(), Rng::from_system()).await;
        nodes.push(node.map_err(|error| error.to_string())?);
    }
    Ok(nodes)
}
