//! How often the authorization server did what: for those who watch a client from outside, by the control endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// It happened once more.
    pub(crate) fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was done since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Clients that registered themselves.
    pub(crate) registrations: Count,
    /// Codes that were given out.
    pub(crate) codes: Count,
    /// Codes that were turned into tokens.
    pub(crate) logins: Count,
    /// Refreshes that worked.
    pub(crate) refreshes: Count,
    /// Requests that the guarded endpoint refused for want of a valid token.
    pub(crate) challenges: Count,
}

impl Counts {
    /// All of them by name.
    pub(crate) fn told(&self) -> Value {
        json!({
            "registrations": self.registrations.get(),
            "codes": self.codes.get(),
            "logins": self.logins.get(),
            "refreshes": self.refreshes.get(),
            "challenges": self.challenges.get(),
        })
    }
}
