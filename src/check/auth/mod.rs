//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod ledger;
#[cfg(test)]
pub(crate) mod play;
pub(crate) mod wire;

pub mod introspection;
pub mod refresh;
pub mod revocation;
pub mod rotation;
pub mod token_errors;
pub mod token_requests;
pub mod token_response;
pub(crate) mod asked;
pub(crate) mod authorize;
pub(crate) mod codes;
pub(crate) mod pkce;
pub(crate) mod redirects;
pub(crate) mod registration;
pub(crate) mod server_metadata;
