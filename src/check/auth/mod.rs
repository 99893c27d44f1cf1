//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod admission;
pub(crate) mod agents;
pub(crate) mod asked;
pub(crate) mod authorize;
pub(crate) mod challenge;
pub(crate) mod codes;
pub(crate) mod demands;
pub(crate) mod discovery;
pub(crate) mod documents;
pub(crate) mod forged;
pub(crate) mod frequency;
pub mod introspection;
pub(crate) mod kinds;
pub(crate) mod ledger;
pub(crate) mod pkce;
pub(crate) mod places;
#[cfg(test)]
pub(crate) mod play;
pub(crate) mod redirects;
pub mod refresh;
pub(crate) mod refusal;
pub(crate) mod registration;
pub(crate) mod resource_metadata;
pub mod revocation;
pub mod rotation;
#[cfg(test)]
mod samples;
pub(crate) mod scope;
pub(crate) mod server_metadata;
pub(crate) mod subject;
pub mod token_errors;
pub mod token_requests;
pub mod token_response;
pub(crate) mod tolerance;
pub(crate) mod vault;
pub(crate) mod wire;

pub(crate) use wire::occurs;
