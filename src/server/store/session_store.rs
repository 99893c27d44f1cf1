//! What a store of sessions has to do, whatever it is made of. `contract` holds every store to it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::record::{Change, Entry, Notice, Position, Record};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// It cannot be reached, or does not answer in time. What was asked may have been done or not.
    #[error("the session store cannot be reached")]
    Away,
    /// There is no such session any more.
    #[error("the session has ended")]
    Gone,
}

/// An answer that may have to travel.
pub(crate) type Wait<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A use of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// When, since the Unix epoch.
    pub(crate) now: Duration,
    /// Whether something goes on in it, so that it is in use whatever its end says.
    pub(crate) busy: bool,
}

/// What is done with what other nodes tell. It is called in their order and must not wait.
pub(crate) type Heard = Arc<dyn Fn(Notice) + Send + Sync>;

/// Notices of a session are heard as long as this is kept.
pub(crate) struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    /// One that is ended by this.
    pub(crate) fn ended_by(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}

/// Changes that belong together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    /// In their order.
    pub(crate) changes: &'a [Change],
    /// A number that the first of them has in the session for good, and no other; those after it count on.
    pub(crate) serial: u64,
    /// Whether it was tried before, and nobody knows how far that went.
    pub(crate) again: bool,
}

/// Keeps the records and logs of sessions.
pub(crate) trait SessionStore: Debug + Send + Sync {
    /// The store itself, where it answers without any waiting.
    fn at_once(&self) -> Option<&Memory> {
        None
    }

    /// The name of this node, by which others know it.
    fn node(&self) -> &str;

    /// Keeps a new session.
    fn create<'a>(&'a self, record: &'a Record) -> Wait<'a, ()>;

    /// The session as it is now; `None` where there is none, or none any more.
    fn load<'a>(&'a self, id: &'a str, used: Use) -> Wait<'a, Option<Record>>;

    /// Writes changes, all or none, and once only; gives the place of each that went into the log.
    fn write<'a>(&'a self, id: &'a str, batch: Batch<'a>) -> Wait<'a, Vec<Option<Position>>>;

    /// What the log says after a place: of one stream, or of all. `None` where the place is unknown or what follows it
    /// is not kept any more; without a place, all that is kept.
    fn read<'a>(&'a self, id: &'a str, stream: Option<u64>, after: Option<Position>) -> Wait<'a, Option<Vec<Entry>>>;

    /// Ends a session; says whether it lived.
    fn remove<'a>(&'a self, id: &'a str) -> Wait<'a, bool>;

    /// Hears what other nodes tell of a session from now on, and what this one tells them; nothing where there are no
    /// others.
    fn subscribe<'a>(&'a self, _id: &'a str, _heard: Heard) -> Wait<'a, Option<Subscription>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Whether a node is at work.
    fn node_lives<'a>(&'a self, node: &'a str) -> Wait<'a, bool> {
        let lives = node == self.node();
        Box::pin(std::future::ready(Ok(lives)))
    }

    /// This node ends, and says so.
    fn leave(&self) -> Wait<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether nobody else has taken it upon himself to end this stream, whose node is gone.
    fn claim<'a>(&'a self, _id: &'a str, _stream: u64) -> Wait<'a, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }
}
