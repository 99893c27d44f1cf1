//! What real clients do on the wire, as data: one YAML file per client, each value with its evidence.
//!
//! Owns the shape of a profile, the fallback for what nobody has seen, and the list of shipped ones. It must not
//! know sockets, scenarios or verdicts.

mod error;
mod folder;
mod habits;
mod known;
mod load;
mod oauth;
mod shipped;
mod values;

pub use error::ProfileError;
pub use folder::load;
pub use habits::{EndBy, EndStep, Extras, Limits, NamesVersion, PreRequest, Progress, ProgressTokens, Token};
pub use known::{Evidence, Known};
pub use load::{About, Profile, parse};
pub use oauth::{
    Begins, CarriesResource, OAuth, OAuthHeaders, OnDeadRefresh, OnStepUp, Place, Registration, ScopeFrom,
};
pub use shipped::{find, ids, shipped};
pub use values::{
    Accepts, Answer, Answers, Authorization, Fallback, GetStream, Header, KeyOrder, ListenHabit, Modern, OnSession404,
    OpensWith, Probe, ProbeSession, Transports,
};
