//! Failures that people reported of remote servers and clients: what the names under `field` stand for.
//!
//! Must not know how a scenario shows them.

use std::sync::LazyLock;

use serde::Deserialize;

const LIST: &str = include_str!("../../fixtures/field-failures.yaml");

/// A reported failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldFailure {
    /// Its name, as scenarios give it.
    pub id: String,
    /// Which part of the road it is on, such as `oauth`.
    pub area: String,
    /// What goes wrong, in one line.
    pub title: String,
    /// Faults of the reference server by which it shows.
    #[serde(default)]
    pub faults: Vec<String>,
    /// What of it no scenario can show.
    #[serde(default)]
    pub limits: Option<String>,
    /// Why no scenario plays it at all.
    #[serde(default)]
    pub unplayed: Option<String>,
}

#[expect(clippy::expect_used, reason = "a shipped file, read by a test")]
static ALL: LazyLock<Vec<FieldFailure>> =
    LazyLock::new(|| serde_saphyr::from_str(LIST).expect("the shipped list of failures"));

/// Every failure that is known, in the order of the list.
pub fn field_failures() -> &'static [FieldFailure] {
    &ALL
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_failure_has_a_name_of_its_own() {
        let ids: BTreeSet<&str> = field_failures().iter().map(|failure| failure.id.as_str()).collect();
        assert_eq!((ids.len(), field_failures().len()), (74, 74));
        for failure in field_failures() {
            assert!(!failure.title.is_empty() && !failure.title.ends_with('.'), "{}", failure.id);
            assert!(failure.unplayed.is_none() || failure.faults.is_empty(), "{}", failure.id);
        }
    }
}
