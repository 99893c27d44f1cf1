//! A value together with the reason to believe it. It must not know which values there are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a value comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Read off the wire of that client in a run of this project.
    Captured,
    /// Read in the client's source code.
    Source,
    /// Said by its vendor.
    Vendor,
    /// A log or a claim of somebody else.
    Reported,
    /// Nobody has seen it; taken from the SDK the client ships, or chosen.
    Assumed,
}

/// A value, and why it is believed; the reasons are shared with the profiles that are made of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known<T> {
    /// The value itself.
    #[serde(deserialize_with = "T::deserialize", bound(deserialize = "T: Deserialize<'de>"))]
    pub value: T,
    /// Where it comes from.
    pub evidence: Evidence,
    /// When it was so: a day, or as near as the reference says.
    pub date: Arc<str>,
    /// Public reference, or the capture it was read from.
    #[serde(rename = "ref")]
    pub reference: Arc<str>,
}

impl<T: Clone> Known<T> {
    /// The same value, only assumed to hold for a client that ships `sdk`.
    pub(super) fn assumed_from(&self, sdk: &str) -> Self {
        Self {
            value: self.value.clone(),
            evidence: Evidence::Assumed,
            date: Arc::clone(&self.date),
            reference: format!("as {sdk}: {}", self.reference).into(),
        }
    }
}
