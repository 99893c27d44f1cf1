//! The way to Redis: one connection that many requests share, reopened by itself, with a bound on every wait.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Pipeline, Value};

use crate::server::store::StoreError;

/// How long an answer may take, and a new connection.
const WITHIN: Duration = Duration::from_secs(2);
/// The pause before a connection that failed is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How the address of a cluster begins.
const CLUSTER: &str = "redis-cluster://";
/// What Redis says where a key holds something else than it should.
const WRONG_TYPE: &str = "WRONGTYPE";
/// The oldest version that has all that is asked of it.
const OLDEST: (u32, u32) = (6, 2);

/// Why Redis cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The address is none.
    #[error("the address of the store is no redis:// or redis-cluster:// URL; write it like redis://127.0.0.1:6379/0")]
    Address,
    /// Nobody answers, or not as Redis does.
    #[error("the store at {place} cannot be used: {why}; start Redis there, or give another address")]
    Unusable {
        /// Host and port; never a password.
        place: String,
        /// What was said.
        why: String,
    },
    /// It is too old.
    #[error("the store at {place} is Redis {version}, and 6.2 is the oldest that will do")]
    Old {
        /// Host and port.
        place: String,
        /// What it says it is.
        version: String,
    },
}

/// A connection to Redis.
#[derive(Clone)]
pub(super) enum Link {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

/// A pipeline whose commands take effect together.
pub(super) fn together() -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    pipeline
}

/// What went wrong with a command.
fn lost(error: redis::RedisError) -> Lost {
    let of_key = error.code() == Some(WRONG_TYPE);
    let inside = error.into_server_errors();
    let in_some = inside.is_some_and(|all| all.iter().any(|(_, error)| error.code() == WRONG_TYPE));
    if of_key || in_some { Lost::Corrupt } else { Lost::Away }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// A key holds something else than it should.
    Corrupt,
    /// No answer in time, or none that helps.
    Away,
}

impl From<Lost> for StoreError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Corrupt => Self::Gone,
            Lost::Away => Self::Away,
        }
    }
}

impl Link {
    /// Connects, and makes sure that Redis is there and new enough; also gives a client for subscriptions.
    pub(super) async fn open(url: &str) -> Result<(Self, Client), RedisError> {
        let (client, place) = client_of(url)?;
        let unusable = |error: redis::RedisError| RedisError::Unusable { place: place.clone(), why: error.to_string() };
        let silent = || RedisError::Unusable { place: place.clone(), why: "no answer in time".to_owned() };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(WITHIN))
            .set_response_timeout(Some(WITHIN))
            .set_number_of_retries(1)
            .set_min_delay(PAUSE);
        let opening = async {
            if let Some(rest) = url.strip_prefix(CLUSTER) {
                let nodes = rest.split(',').map(|node| format!("redis://{node}"));
                let cluster =
                    ClusterClient::builder(nodes).connection_timeout(WITHIN).response_timeout(WITHIN).retries(2);
                cluster.build().map_err(unusable)?.get_async_connection().await.map(Self::Cluster).map_err(unusable)
            } else {
                client.get_connection_manager_with_config(config).await.map(Self::One).map_err(unusable)
            }
        };
        let link = tokio::time::timeout(3 * WITHIN, opening).await.map_err(|_| silent())??;
        let version = version(&client).await.map_err(unusable)?;
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
            return Err(RedisError::Old { place, version });
        }
        Ok((link, client))
    }

    /// Runs commands; an answer for each.
    pub(super) async fn ask(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Lost> {
        let answer = async {
            match self.clone() {
                Self::One(mut connection) => pipeline.query_async(&mut connection).await,
                Self::Cluster(mut connection) => pipeline.query_async(&mut connection).await,
            }
        };
        let answer = tokio::time::timeout(WITHIN + PAUSE, answer).await.map_err(|_| Lost::Away)?;
        answer.map_err(lost)
    }
}

/// A client of the first node, and where that is.
fn client_of(url: &str) -> Result<(Client, String), RedisError> {
    let single = match url.strip_prefix(CLUSTER) {
        Some(rest) => format!("redis://{}", rest.split(',').next().unwrap_or_default()),
        None if url.starts_with("redis://") || url.starts_with("redis+unix://") || url.starts_with("unix://") => {
            url.to_owned()
        }
        None => return Err(RedisError::Address),
    };
    let client = Client::open(single).map_err(|_| RedisError::Address)?;
    let place = client.get_connection_info().addr().to_string();
    Ok((client, place))
}

async fn version(client: &Client) -> redis::RedisResult<String> {
    let config =
        redis::AsyncConnectionConfig::new().set_connection_timeout(Some(WITHIN)).set_response_timeout(Some(WITHIN));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let told = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    Ok(told.unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_and_passwords_not_told() {
        let (_, place) = client_of("redis://user:secret@127.0.0.1:6400/2").expect("an address");
        assert_eq!(place, "127.0.0.1:6400");
        assert_eq!(client_of("redis-cluster://10.0.0.1:7000,10.0.0.2:7000").expect("an address").1, "10.0.0.1:7000");
        for wrong in ["", "memory", "http://127.0.0.1", "redis:", "redis-cluster://"] {
            assert_eq!(client_of(wrong).err(), Some(RedisError::Address), "{wrong}");
        }
    }
}
