//! All areas together, and the form of a row.

use super::{
    asking, authorization_resource, authorization_server, authorization_tokens, capabilities, envelope, http,
    lifecycle, prompts, resources, sessions, streams, tools, utilities,
};
use crate::server::fault::Fault;

/// Rows of the catalogue: `"id" breaks ["requirement", …] How(what) "summary";`
macro_rules! catalogue {
    ($($id:literal breaks [$($caught:literal),+ $(,)?] $how:ident($what:expr) $summary:literal;)+) => {
        &[$(Fault { id: $id, summary: $summary, caught_by: &[$($caught),+], how: How::$how($what) }),+]
    };
}
pub(super) use catalogue;

static AREAS: &[&[Fault]] = &[
    http::FAULTS,
    streams::FAULTS,
    sessions::FAULTS,
    envelope::FAULTS,
    lifecycle::FAULTS,
    capabilities::FAULTS,
    utilities::FAULTS,
    tools::FAULTS,
    resources::FAULTS,
    prompts::FAULTS,
    asking::FAULTS,
    authorization_server::FAULTS,
    authorization_tokens::FAULTS,
    authorization_resource::FAULTS,
];

/// Every fault, by area.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    AREAS.iter().flat_map(|area| area.iter())
}
