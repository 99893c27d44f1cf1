//! What a network can do to a connection, as a value and as a text; nothing here does it.

mod catalogue;
mod fault;
mod parse;

pub use catalogue::{NETWORK_FAULTS, NetworkFaultKind};
pub use fault::{Direction, Disturbance, NetworkFault, Side, Slash, Trigger, Turns};
pub use parse::BadNetworkFault;
