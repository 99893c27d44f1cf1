//! Recordings of real clients: how one is made, read, compared, played again, and turned into a profile.
//!
//! A recording is a transcript like any other, so that the same checks judge it.

pub mod fidelity;
