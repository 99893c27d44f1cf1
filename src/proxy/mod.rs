//! A network that does what it is told, between any client and any server: late, cut, reset, held back, rewritten.
//!
//! Two layers on each connection. The lanes carry bytes between the client and the relay, and are where the network is
//! bad; the relay carries them on to a server, and understands just enough of HTTP/1.1 to change heads and to give each
//! request to another server. Without faults every byte arrives as it was sent. What a fault is stands in `model`; who
//! is between the two ends, and why, is nothing that this module may know.

mod body;
mod connection;
mod door;
mod exchange;
mod force;
mod head;
mod lane;
mod relay;
mod running;
mod upstream;
mod witness;
mod wording;

pub use running::{Counters, Proxy, ProxyError};
pub use upstream::{BadUpstream, Upstream};
pub use witness::{Passed, Witness};
pub use wording::Wording;
