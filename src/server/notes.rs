//! What faults remember although the server should not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What a fault remembers although the server should not.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<BTreeMap<String, Value>>);

impl Notes {
    /// What was noted under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Notes something, and gives what was noted there before.
    pub(crate) fn put(&self, key: &str, value: Value) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value)
    }

    /// Counts up from 1.
    pub(crate) fn count(&self, key: &str) -> u64 {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = notes.get(key).and_then(Value::as_u64).unwrap_or(0) + 1;
        notes.insert(key.to_owned(), Value::from(next));
        next
    }
}
