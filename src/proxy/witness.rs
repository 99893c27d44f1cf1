//! Somebody who is shown what passes, as the client sends and gets it.
//!
//! Shows; what becomes of it is the witness's affair, and nothing that a witness does holds up what passes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The answer passed whole.
    Whole,
    /// The server closed the connection before the answer was whole.
    CutShort,
    /// The client left.
    ClientLeft,
    /// No server could be reached.
    Unreachable,
    /// What follows on the connection is no HTTP/1.1, and is not shown.
    NotShown,
}

/// Is shown every exchange. Bodies come without the framing of chunks, but in whatever coding they have.
pub trait Witness: fmt::Debug + Send + Sync {
    /// The head of a request came on a connection; gives the number by which the exchange is known from now on.
    fn request(&self, connection: u64, head: &[u8]) -> u32;
    /// A piece of the request's body.
    fn request_data(&self, exchange: u32, data: &[u8]);
    /// The request is whole.
    fn request_over(&self, exchange: u32);
    /// The head of the answer; those before it (100 to 199) too.
    fn answer(&self, exchange: u32, head: &[u8]);
    /// A piece of the answer's body.
    fn answer_data(&self, exchange: u32, data: &[u8]);
    /// The exchange is over; nothing of it comes after this.
    fn end(&self, exchange: u32, how: Passed);
}

/// One exchange as it is shown; where nobody looks, nothing happens.
#[derive(Debug)]
pub(super) struct Seen {
    by: Option<(Arc<dyn Witness>, u32)>,
    ended: AtomicBool,
}

impl Seen {
    /// A request of which the head came.
    pub(super) fn new(witness: Option<&Arc<dyn Witness>>, connection: u64, head: &[u8]) -> Self {
        let by = witness.map(|witness| (Arc::clone(witness), witness.request(connection, head)));
        Self { by, ended: AtomicBool::new(false) }
    }

    /// A request for which no server can be reached.
    pub(super) fn unreachable(witness: Option<&Arc<dyn Witness>>, connection: u64, head: &[u8]) {
        let seen = Self::new(witness, connection, head);
        seen.request_over();
        seen.end(Passed::Unreachable);
    }

    fn show(&self, what: impl FnOnce(&dyn Witness, u32)) {
        if let Some((witness, number)) = self.by.as_ref().filter(|_| !self.ended.load(Ordering::Acquire)) {
            what(witness.as_ref(), *number);
        }
    }

    pub(super) fn request_data(&self, data: &[u8]) {
        self.show(|witness, number| witness.request_data(number, data));
    }

    pub(super) fn request_over(&self) {
        self.show(|witness, number| witness.request_over(number));
    }

    pub(super) fn answer(&self, head: &[u8]) {
        self.show(|witness, number| witness.answer(number, head));
    }

    pub(super) fn answer_data(&self, data: &[u8]) {
        self.show(|witness, number| witness.answer_data(number, data));
    }

    /// The first end counts.
    pub(super) fn end(&self, how: Passed) {
        self.show(|witness, number| witness.end(number, how));
        self.ended.store(true, Ordering::Release);
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        // Who is dropped in the middle was left by the client, or is ended with the whole proxy.
        self.end(Passed::ClientLeft);
    }
}
