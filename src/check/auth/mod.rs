//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod ledger;
pub(crate) mod wire;

pub mod introspection;
pub mod refresh;
pub mod revocation;
pub mod rotation;
pub mod token_errors;
pub mod token_response;
