//! Words that every other module shares: revisions, JSON-RPC envelope, clock, randomness, secrets, spans.
//!
//! Knows nothing of how transports work, of clients, servers or verdicts.

mod challenge;
mod clock;
mod glob;
mod inlet;
mod jsonrpc;
mod measure;
mod members;
mod mint;
pub(crate) mod moment;
mod network;
mod reading;
mod requirement;
mod resource;
mod revision;
mod rng;
mod secret;
mod shell;
mod span;
mod suggest;
mod text;
mod via;

pub use challenge::{Challenge, challenges};
pub use clock::{Clock, HybridClock, WallClock};
pub use glob::glob;
pub use inlet::{Inlet, Intake, Pipe};
pub use jsonrpc::{Kind, Message, id_text};
pub use measure::{bytes, duration};
pub use members::{Members, written};
pub use mint::{Audience, Mint, TokenKind, TokenOrder};
pub use network::{
    BadNetworkFault, Direction, Disturbance, NETWORK_FAULTS, NetworkFault, NetworkFaultKind, Side, Slash, Trigger,
    Turns,
};
pub use reading::{comes_again, is_known, read_json};
pub use requirement::{Basis, Catalogue, Level, Party, Requirement, Testable, Transition, requirements};
pub use resource::covers;
pub use revision::{Era, Facts, Revision};
pub use rng::Rng;
pub use secret::Labels;
pub use shell::quoted;
pub use span::Span;
pub use suggest::{closest, nearest};
pub use text::Text;
pub use via::Via;
