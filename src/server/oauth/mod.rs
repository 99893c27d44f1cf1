//! The reference authorization server: one file for each endpoint, and the grants and tokens behind them.
//!
//! Re-exports only.

mod authorize;
mod client_auth;
mod clients;
mod config;
mod consent;
mod counts;
mod documents;
mod error;
mod front;
mod grant;
mod grants;
mod grants_local;
mod grants_shared;
mod issuer;
mod jws;
mod keys_shared;
mod metadata;
mod mint;
mod page;
mod params;
mod races;
mod register;
mod revoke;
mod stated;
mod token;
mod tokens;
mod uris;

pub use config::{AuthConfig, Consent, KnownClient, RefreshPolicy, TokenFormat};
pub(crate) use error::OAuthError;
pub(crate) use front::{Endpoint, MAX_BODY, serve};
pub(crate) use issuer::{Bearer, Issuer, SCOPES};
pub(crate) use metadata::protected_resource;
pub(crate) use mint::{mint, minted};
pub(crate) use stated::{Stated, is_signed_text};
