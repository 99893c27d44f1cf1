//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod admission;
pub(crate) mod challenge;
pub(crate) mod discovery;
pub(crate) mod refusal;
pub(crate) mod resource_metadata;
#[cfg(test)]
mod samples;
pub(crate) mod scope;
pub(crate) mod subject;
pub(crate) mod vault;
pub(crate) mod wire;
