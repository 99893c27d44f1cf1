//! The stores of several regions as one: a session is kept in the region where it began, which its id names.
//!
//! Whoever is asked for a session of another region asks that region's store; nothing is copied, so nothing is stale.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::{Entry, Position, Record};
use super::session_store::{Batch, Heard, SessionStore, StoreError, Subscription, Use, Wait};

/// What stands between the name of the region and the rest of an id.
const AFTER_REGION: char = '.';

/// An id of this region, from one that is unique.
pub(crate) fn id_in(region: &str, id: &str) -> String {
    format!("{region}{AFTER_REGION}{id}")
}

/// Whether a text can name a region.
pub(crate) fn is_region(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=32).contains(&name.len()) && name.chars().all(legal)
}

/// The stores by the names of their regions.
#[derive(Debug)]
pub(crate) struct Regions {
    here: Arc<dyn SessionStore>,
    all: HashMap<String, Arc<dyn SessionStore>>,
}

impl Regions {
    /// The store of the own region, and those of others. All of them know this node by one name.
    pub(crate) fn new(region: &str, here: Arc<dyn SessionStore>, others: Vec<(String, Arc<dyn SessionStore>)>) -> Self {
        let own = (region.to_owned(), Arc::clone(&here));
        Self { here, all: others.into_iter().chain([own]).collect() }
    }

    /// The store that has the session, if its id is one of a known region.
    fn of(&self, id: &str) -> Option<&dyn SessionStore> {
        let (region, _) = id.split_once(AFTER_REGION)?;
        self.all.get(region).map(|store| &**store)
    }

    fn known(&self, id: &str) -> Result<&dyn SessionStore, StoreError> {
        self.of(id).ok_or(StoreError::Gone)
    }
}

/// An answer that is there already.
fn at_once<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Wait<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl SessionStore for Regions {
    fn node(&self) -> &str {
        self.here.node()
    }

    fn create<'a>(&'a self, record: &'a Record) -> Wait<'a, ()> {
        self.known(&record.id).map_or_else(|lost| at_once(Err(lost)), |store| store.create(record))
    }

    fn load<'a>(&'a self, id: &'a str, used: Use) -> Wait<'a, Option<Record>> {
        self.of(id).map_or_else(|| at_once(Ok(None)), |store| store.load(id, used))
    }

    fn write<'a>(&'a self, id: &'a str, batch: Batch<'a>) -> Wait<'a, Vec<Option<Position>>> {
        self.known(id).map_or_else(|lost| at_once(Err(lost)), |store| store.write(id, batch))
    }

    fn read<'a>(&'a self, id: &'a str, stream: Option<u64>, after: Option<Position>) -> Wait<'a, Option<Vec<Entry>>> {
        self.of(id).map_or_else(|| at_once(Ok(None)), |store| store.read(id, stream, after))
    }

    fn remove<'a>(&'a self, id: &'a str) -> Wait<'a, bool> {
        self.of(id).map_or_else(|| at_once(Ok(false)), |store| store.remove(id))
    }

    fn subscribe<'a>(&'a self, id: &'a str, heard: Heard) -> Wait<'a, Option<Subscription>> {
        self.known(id).map_or_else(|lost| at_once(Err(lost)), |store| store.subscribe(id, heard))
    }

    fn node_lives<'a>(&'a self, node: &'a str) -> Wait<'a, bool> {
        Box::pin(async move {
            if self.here.node_lives(node).await? {
                return Ok(true);
            }
            // One of another region may not speak of itself here.
            for store in self.all.values().filter(|store| !Arc::ptr_eq(store, &self.here)) {
                if store.node_lives(node).await? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn leave(&self) -> Wait<'_, ()> {
        Box::pin(async move {
            let mut left = Ok(());
            for store in self.all.values() {
                left = left.and(store.leave().await);
            }
            left
        })
    }

    fn claim<'a>(&'a self, id: &'a str, stream: u64) -> Wait<'a, bool> {
        self.known(id).map_or_else(|lost| at_once(Err(lost)), |store| store.claim(id, stream))
    }
}
