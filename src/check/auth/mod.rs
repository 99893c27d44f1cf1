//! Authorization: the protected resource and its authorization server.
//!
//! Re-exports only.

pub(crate) mod wire;
