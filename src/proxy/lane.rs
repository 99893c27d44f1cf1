//! One direction of a connection between the client and the relay: where bytes are late, few, lost, or the last.
//!
//! Keeps the order of bytes, and takes no more than a bound ahead of what it may pass on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::connection::{Conn, Fate, Orders};
use super::force::{Armed, Force};
use crate::model::{Direction, Disturbance, Trigger};

/// How much is read at once, in bytes.
const PIECE: usize = 16 * 1024;
/// The most that is under way, in bytes.
const MAX_QUEUED: usize = 1024 * 1024;
/// Into how many pieces the bytes of a second are divided where they trickle.
const SLICES: u64 = 50;

/// What is due sooner than this is due: timers go by milliseconds, and to sleep for less would take longer. The time that this
/// spares is kept in mind, so that bytes go no faster in the end.
const FINEST: Duration = Duration::from_micros(500);

/// How fast bytes go.
#[derive(Debug, Default)]
struct Pace {
    delay: Duration,
    jitter: Duration,
    /// Bytes in a second.
    rate: Option<u64>,
}

/// What is under way: when it is due, and the bytes; no bytes are the end.
type Due = (Duration, Bytes);

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    conn: Arc<Conn>,
    direction: Direction,
    force: watch::Receiver<Arc<Force>>,
    orders: watch::Receiver<Orders>,
    /// The faults under which bytes are counted.
    generation: u64,
    /// Bytes that passed since.
    passed: u64,
    queue: VecDeque<Due>,
    queued: usize,
    /// Before then nothing is written.
    next_write: Duration,
}

impl Lane {
    pub(super) fn new(conn: &Arc<Conn>, direction: Direction) -> Self {
        Self {
            conn: Arc::clone(conn),
            direction,
            force: conn.shared.force.subscribe(),
            orders: conn.orders.subscribe(),
            generation: 0,
            passed: 0,
            queue: VecDeque::new(),
            queued: 0,
            next_write: Duration::ZERO,
        }
    }

    /// Carries bytes until one of the ends is closed.
    pub(super) async fn carry(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut buffer = BytesMut::new();
        let mut open = true;
        loop {
            let force = Arc::clone(&self.force.borrow_and_update());
            if force.generation != self.generation {
                (self.generation, self.passed) = (force.generation, 0);
            }
            let orders = *self.orders.borrow_and_update();
            if orders.fate.is_some() {
                // The connection ends as a whole; one lane alone would look like the end of its direction.
                return std::future::pending().await;
            }
            if orders.has_ended(self.direction) {
                return discard(from, to).await;
            }
            if self.conn.is_halted(self.direction, &force) {
                tokio::select! {
                    changed = self.force.changed() => if changed.is_err() { return },
                    changed = self.orders.changed() => if changed.is_err() { return },
                }
                continue;
            }
            let pace = self.pace(&force);
            let now = self.conn.shared.clock.elapsed();
            let left = self.queue.front().map(|(due, _)| (*due).max(self.next_write).saturating_sub(now));
            if left.is_some_and(|left| left < FINEST) {
                match self.pass(&force, &pace, now, &mut to).await {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(_) => return self.conn.end(Fate::RESET),
                }
            }
            let due = async {
                match left {
                    Some(left) => self.conn.shared.let_pass(left).await,
                    None => std::future::pending().await,
                }
            };
            buffer.reserve(PIECE);
            tokio::select! {
                biased;
                changed = self.force.changed() => if changed.is_err() { return },
                changed = self.orders.changed() => if changed.is_err() { return },
                () = due => {}
                read = from.read_buf(&mut buffer), if open && self.queued < MAX_QUEUED => match read {
                    Ok(count) => {
                        open = count > 0;
                        let bytes = buffer.split().freeze();
                        self.take(&pace, bytes);
                    }
                    Err(_) => return self.conn.end(Fate::RESET),
                },
            }
        }
    }

    fn pace(&self, force: &Force) -> Pace {
        let mut pace = Pace::default();
        let armed = force.on(self.conn.number).filter(|armed| armed.fault.direction.includes(self.direction));
        for armed in armed {
            match armed.fault.what {
                Disturbance::Latency(by) => pace.delay += by,
                Disturbance::Jitter(by) => pace.jitter += by,
                Disturbance::Trickle(rate) => pace.rate = Some(pace.rate.map_or(rate, |other| other.min(rate))),
                _ => {}
            }
        }
        pace
    }

    /// Puts what came behind what is under way.
    fn take(&mut self, pace: &Pace, bytes: Bytes) {
        self.conn.touch();
        let jitter = u64::try_from(pace.jitter.as_micros()).unwrap_or(u64::MAX);
        let jitter = if jitter == 0 { 0 } else { self.conn.shared.rng.next_u64() % jitter.saturating_add(1) };
        let due = self.conn.shared.clock.elapsed() + pace.delay + Duration::from_micros(jitter);
        // One piece never overtakes another.
        let due = self.queue.back().map_or(due, |(last, _)| due.max(*last));
        self.queued += bytes.len();
        self.queue.push_back((due, bytes));
    }

    /// Passes on what is due, as far as it may; gives false at the end.
    async fn pass(
        &mut self,
        force: &Force,
        pace: &Pace,
        now: Duration,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> std::io::Result<bool> {
        let Some((_, bytes)) = self.queue.front_mut() else { return Ok(true) };
        if bytes.is_empty() {
            // An error means that the other end is closed already.
            let _ = to.shutdown().await;
            return Ok(false);
        }
        let slice = pace.rate.map_or(u64::MAX, |rate| (rate / SLICES).max(1));
        let Some(most) = self.check(force, true).map(|most| most.min(slice)) else { return Ok(true) };
        let Some((_, bytes)) = self.queue.front_mut() else { return Ok(true) };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
        let written = to.write(&bytes[..most]).await?;
        bytes.advance(written);
        if bytes.is_empty() {
            self.queue.pop_front();
        }
        self.queued -= written;
        self.passed += written as u64;
        self.conn.touch();
        self.conn.shared.count(self.direction, written as u64);
        if let Some(rate) = pace.rate {
            let takes = Duration::from_secs(written as u64) / u32::try_from(rate).unwrap_or(u32::MAX);
            self.next_write = self.next_write.max(now) + takes;
        }
        self.check(force, false);
        Ok(true)
    }

    /// Makes happen what has come due by the bytes that passed, or by bytes that `wait`; gives how many may pass, or
    /// `None` where something happened.
    fn check(&self, force: &Force, wait: bool) -> Option<u64> {
        let mut most = u64::MAX;
        let open = |armed: &&Armed| armed.may_happen() && !self.conn.has_met(armed, force.generation);
        for armed in force.on(self.conn.number).filter(open) {
            let counts = armed.fault.direction.includes(self.direction);
            match armed.fault.trigger() {
                Some(Trigger::After(count)) if counts && self.passed >= count => {
                    self.conn.strike(armed, force.generation);
                    return None;
                }
                Some(Trigger::After(count)) if counts => most = most.min(count - self.passed),
                Some(Trigger::Answer) if wait && self.direction == Direction::Down => {
                    self.conn.strike(armed, force.generation);
                    return None;
                }
                _ => {}
            }
        }
        Some(most)
    }
}

/// Ends a direction, and takes what still comes, so that its sender sees nothing amiss.
async fn discard(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // An error means that the other end is closed already.
    let _ = to.shutdown().await;
    // However it ends, it is over.
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}
