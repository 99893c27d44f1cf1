//! The client half of OAuth: how a simulated client gets a token, keeps it, and loses it.
//!
//! Every change of the credential is an event in the transcript. Order and shape of the requests are the profile's.

mod assertion;
mod claims;
mod credential;
mod custom;
mod discover;
mod enterprise;
mod entry;
mod fetch;
mod forge;
mod login;
mod pages;
mod person;
mod publish;
mod refresh;
mod steps;

pub(super) use credential::{Credential, Stage};
pub use forge::token_to_order;
pub(super) use publish::Site;
