//! Small things that nodes share besides sessions: texts and hashes, each with an end. What they mean is for others.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Pipeline, Value, from_redis_value};

use super::codec::millis;
use super::link::{Link, together};
use crate::server::store::StoreError;

/// How many keys are looked through in one go.
const SCANNED: usize = 1000;

/// Texts and hashes by key.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    link: Link,
}

impl Shared {
    pub(super) fn over(link: Link) -> Self {
        Self { link }
    }

    async fn ask(&self, pipeline: &Pipeline) -> Result<Vec<Value>, StoreError> {
        Ok(self.link.ask(pipeline).await?)
    }

    async fn first(&self, pipeline: &Pipeline) -> Result<Value, StoreError> {
        Ok(self.ask(pipeline).await?.into_iter().next().unwrap_or(Value::Nil))
    }

    /// A text.
    pub(crate) async fn text(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(key);
        Ok(from_redis_value(self.first(&pipeline).await?).unwrap_or(None))
    }

    /// A text, which is kept for so long from now on.
    pub(crate) async fn text_kept(&self, key: &str, keep: Duration) -> Result<Option<String>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GETEX").arg(key).arg("PX").arg(millis(keep).max(1));
        Ok(from_redis_value(self.first(&pipeline).await?).unwrap_or(None))
    }

    /// Keeps a text for so long.
    pub(crate) async fn put(&self, key: &str, text: &str, keep: Duration) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(key).arg(text).arg("PX").arg(millis(keep).max(1));
        self.ask(&pipeline).await.map(drop)
    }

    /// Keeps a text for so long, unless there is one; says whether it was the first.
    pub(crate) async fn put_first(&self, key: &str, text: &str, keep: Duration) -> Result<bool, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(key).arg(text).arg("NX").arg("PX").arg(millis(keep).max(1));
        Ok(self.first(&pipeline).await? != Value::Nil)
    }

    /// A text, which is gone then: one of several who ask at once gets it.
    pub(crate) async fn take(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GETDEL").arg(key);
        Ok(from_redis_value(self.first(&pipeline).await?).unwrap_or(None))
    }

    /// The fields of a hash; none where there is none.
    pub(crate) async fn fields(&self, key: &str) -> Result<HashMap<String, String>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("HGETALL").arg(key);
        Ok(from_redis_value(self.first(&pipeline).await?).unwrap_or_default())
    }

    /// Sets fields of a hash and removes others, and keeps it for so long.
    pub(crate) async fn set(
        &self,
        key: &str,
        fields: &[(String, String)],
        without: &[String],
        keep: Duration,
    ) -> Result<(), StoreError> {
        let mut pipeline = together();
        if !fields.is_empty() {
            pipeline.cmd("HSET").arg(key).arg(fields);
        }
        if !without.is_empty() {
            pipeline.cmd("HDEL").arg(key).arg(without);
        }
        pipeline.cmd("PEXPIRE").arg(key).arg(millis(keep).max(1));
        self.ask(&pipeline).await.map(drop)
    }

    /// Sets a field unless it is there; says whether it was the first.
    pub(crate) async fn set_first(
        &self,
        key: &str,
        field: &str,
        value: &str,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let mut pipeline = together();
        pipeline.cmd("HSETNX").arg(key).arg(field).arg(value).cmd("PEXPIRE").arg(key).arg(millis(keep).max(1));
        Ok(self.first(&pipeline).await? == Value::Int(1))
    }

    /// Forgets a key.
    pub(crate) async fn forget(&self, key: &str) -> Result<(), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(key);
        self.ask(&pipeline).await.map(drop)
    }

    /// The keys that begin so; for the control endpoint, as it looks through all there are. In a cluster, none.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let mut pipeline = redis::pipe();
            pipeline.cmd("SCAN").arg(&cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCANNED);
            let answer = self.first(&pipeline).await?;
            let Ok((next, keys)) = from_redis_value::<(String, Vec<String>)>(answer) else { return Ok(found) };
            found.extend(keys);
            if next == "0" {
                return Ok(found);
            }
            cursor = next;
        }
    }
}
