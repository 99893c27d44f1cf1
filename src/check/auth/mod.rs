//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod asked;
pub(crate) mod authorize;
pub(crate) mod codes;
pub(crate) mod pkce;
pub(crate) mod redirects;
pub(crate) mod registration;
pub(crate) mod server_metadata;
pub(crate) mod wire;
