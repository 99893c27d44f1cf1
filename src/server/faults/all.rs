//! All areas together, and the form of a row.

use super::{
    asking, authorization_resource, authorization_server, authorization_tokens, capabilities, envelope, http,
    lifecycle, modern_headers, modern_listen, modern_results, modern_rounds, modern_tasks, modern_version, prompts,
    resources, sessions, streams, tools, transports, utilities,
};
use crate::server::fault::Fault;

/// Rows of the catalogue: `"id" breaks ["requirement", …] How(what) "summary";`, with `over Transport` behind the id
/// where the fault only shows there, and `before "client"` where only such a client notices it.
macro_rules! catalogue {
    (@over) => { None };
    (@over $via:ident) => { Some(crate::model::Via::$via) };
    (@before) => { None };
    (@before $client:literal) => { Some($client) };
    ($($id:literal $(over $via:ident)? $(before $client:literal)? breaks [$($caught:literal),+ $(,)?] $how:ident($what:expr) $summary:literal;)+) => {
        &[$(Fault {
            id: $id,
            summary: $summary,
            caught_by: &[$($caught),+],
            over: catalogue!(@over $($via)?),
            before: catalogue!(@before $($client)?),
            how: How::$how($what),
        }),+]
    };
}
pub(super) use catalogue;

static AREAS: &[&[Fault]] = &[
    http::FAULTS,
    streams::FAULTS,
    transports::FAULTS,
    sessions::FAULTS,
    envelope::FAULTS,
    lifecycle::FAULTS,
    capabilities::FAULTS,
    utilities::FAULTS,
    tools::FAULTS,
    resources::FAULTS,
    prompts::FAULTS,
    asking::FAULTS,
    modern_version::FAULTS,
    modern_headers::FAULTS,
    modern_results::FAULTS,
    modern_rounds::FAULTS,
    modern_listen::FAULTS,
    modern_tasks::FAULTS,
    authorization_server::FAULTS,
    authorization_tokens::FAULTS,
    authorization_resource::FAULTS,
];

/// Every fault, by area.
pub fn faults() -> impl Iterator<Item = &'static Fault> {
    AREAS.iter().flat_map(|area| area.iter())
}
