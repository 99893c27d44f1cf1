//! One connection of a client: its two lanes, its relay, and how it ends.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use super::force::{Armed, Force};
use super::lane::Lane;
use super::relay::{Links, relay};
use super::running::Shared;
use super::upstream::Link;
use crate::model::{Direction, Disturbance, Side, Trigger};

/// How much may be under way between a lane and the relay, in bytes.
const BETWEEN: usize = 64 * 1024;

/// How a connection is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    reset: bool,
    /// Who is told.
    told: Side,
}

impl Fate {
    pub(super) const CLOSE: Self = Self { reset: false, told: Side::Both };
    pub(super) const RESET: Self = Self { reset: true, told: Side::Both };
}

/// What is left of a connection for the side that was not told of its end.
#[derive(Debug)]
pub(super) enum Left {
    Nothing,
    Client(Link),
    Servers(Links),
}

impl Left {
    /// Keeps quiet until that side leaves by itself.
    pub(super) async fn linger(self) {
        match self {
            Self::Nothing => {}
            Self::Client(mut client) => {
                // However it ends, it is over.
                let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
            }
            Self::Servers(links) => links.linger().await,
        }
    }
}

/// What a connection was told; nothing of it is ever taken back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    pub(super) fate: Option<Fate>,
    up_ended: bool,
    down_ended: bool,
}

impl Orders {
    /// Whether one direction was ended.
    pub(super) fn has_ended(self, lane: Direction) -> bool {
        (lane.includes(Direction::Up) && self.up_ended) || (lane.includes(Direction::Down) && self.down_ended)
    }
}

/// What the lanes and the relay of a connection share.
#[derive(Debug)]
pub(super) struct Conn {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) orders: watch::Sender<Orders>,
    /// When bytes last passed, in microseconds.
    touched: AtomicU64,
    /// The generations of faults in which each direction came to a halt; 0 is none.
    up_halted: AtomicU64,
    down_halted: AtomicU64,
}

impl Conn {
    pub(super) fn new(number: u64, shared: Arc<Shared>) -> Self {
        let conn = Self {
            number,
            shared,
            orders: watch::Sender::new(Orders::default()),
            touched: AtomicU64::new(0),
            up_halted: AtomicU64::new(0),
            down_halted: AtomicU64::new(0),
        };
        conn.touch();
        conn
    }

    /// Bytes passed.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.shared.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.touched.store(now, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        let touched = Duration::from_micros(self.touched.load(Ordering::Relaxed));
        self.shared.clock.elapsed().saturating_sub(touched)
    }

    /// Ends the connection; the first fate counts.
    pub(super) fn end(&self, fate: Fate) {
        self.orders.send_if_modified(|orders| {
            let first = orders.fate.is_none();
            orders.fate.get_or_insert(fate);
            first
        });
    }

    /// Whether what a fault with a trigger does has been done here.
    pub(super) fn has_met(&self, armed: &Armed, generation: u64) -> bool {
        let direction = armed.fault.direction;
        let halted = |halted: &AtomicU64| halted.load(Ordering::Relaxed) == generation;
        match armed.fault.what {
            Disturbance::HalfClose(_) => self.orders.borrow().has_ended(direction),
            Disturbance::Stall(_) => {
                let (up, down) = (direction.includes(Direction::Up), direction.includes(Direction::Down));
                (!up || halted(&self.up_halted)) && (!down || halted(&self.down_halted))
            }
            _ => self.orders.borrow().fate.is_some(),
        }
    }

    /// Makes a fault with a trigger happen, if it may.
    pub(super) fn strike(&self, armed: &Armed, generation: u64) {
        if self.has_met(armed, generation) || !armed.happens() {
            return;
        }
        let direction = armed.fault.direction;
        match armed.fault.what {
            Disturbance::Cut(_, told) => self.end(Fate { reset: false, told }),
            Disturbance::Reset(_, told) => self.end(Fate { reset: true, told }),
            Disturbance::HalfClose(_) => self.orders.send_modify(|orders| {
                orders.up_ended |= direction.includes(Direction::Up);
                orders.down_ended |= direction.includes(Direction::Down);
            }),
            Disturbance::Stall(_) => {
                if direction.includes(Direction::Up) {
                    self.up_halted.store(generation, Ordering::Relaxed);
                }
                if direction.includes(Direction::Down) {
                    self.down_halted.store(generation, Ordering::Relaxed);
                }
                // Wakes the other lane.
                self.orders.send_modify(|_| ());
            }
            _ => {}
        }
    }

    /// Makes everything happen that happens at once, and what has come due without anybody seeing it.
    pub(super) fn meet(&self, force: &Force) {
        for armed in force.on(self.number).filter(|armed| armed.fault.trigger() == Some(Trigger::Now)) {
            self.strike(armed, force.generation);
        }
        self.settle(force);
    }

    /// Closes the connection if it has been idle for too long.
    pub(super) fn settle(&self, force: &Force) {
        if self.idle_limit(force).is_some_and(|limit| self.idle() >= limit) {
            self.end(Fate::CLOSE);
        }
    }

    /// Whether a new connection is refused.
    pub(super) fn is_refused(&self, force: &Force) -> bool {
        let refuses = |armed: &Armed| armed.fault.what == Disturbance::Refuse && armed.happens();
        force.on(self.number).any(refuses)
    }

    /// Whether a direction stands still.
    pub(super) fn is_halted(&self, lane: Direction, force: &Force) -> bool {
        let halted = if lane == Direction::Up { &self.up_halted } else { &self.down_halted };
        halted.load(Ordering::Relaxed) == force.generation
    }

    fn idle_limit(&self, force: &Force) -> Option<Duration> {
        let limits = force.each(self.number).filter_map(|what| match what {
            Disturbance::IdleCut(limit) => Some(*limit),
            _ => None,
        });
        limits.min()
    }
}

/// Carries a connection to its end; gives what is left of it.
pub(super) async fn serve(conn: &Arc<Conn>, mut client: Link) -> Left {
    let mut links = Links::default();
    let mut orders = conn.orders.subscribe();
    {
        let (from_client, to_client) = tokio::io::split(&mut client);
        let (outer, inner) = tokio::io::duplex(BETWEEN);
        let (from_relay, to_relay) = tokio::io::split(outer);
        let up = Lane::new(conn, Direction::Up).carry(from_client, to_relay);
        let down = Lane::new(conn, Direction::Down).carry(from_relay, to_client);
        // The client may leave its end open for ever; once nothing can come any more, it is over.
        let all = async { tokio::join!(relay(conn, inner, &mut links), down) };
        let up = async {
            up.await;
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = orders.wait_for(|orders| orders.fate.is_some()) => {}
            _ = all => {}
            () = up => {}
            () = watch_idle(conn) => {}
        }
    }
    let fate = conn.orders.borrow().fate.unwrap_or(Fate::CLOSE);
    if fate.told != Side::Server {
        if fate.reset {
            client.close_by_reset();
        } else {
            let _ = client.shutdown().await;
        }
    }
    if fate.reset && fate.told != Side::Client {
        links.close_by_reset();
    }
    match fate.told {
        Side::Both => Left::Nothing,
        Side::Client => Left::Servers(links),
        Side::Server => Left::Client(client),
    }
}

/// Ends the connection once nothing has passed for too long.
async fn watch_idle(conn: &Conn) {
    let mut force = conn.shared.force.subscribe();
    loop {
        let limit = conn.idle_limit(&force.borrow_and_update());
        let left = limit.map(|limit| limit.saturating_sub(conn.idle()));
        let changed = match left {
            Some(Duration::ZERO) => {
                conn.end(Fate::CLOSE);
                pending().await
            }
            Some(left) => tokio::select! {
                changed = force.changed() => changed,
                () = conn.shared.clock.sleep(left) => Ok(()),
            },
            None => force.changed().await,
        };
        if changed.is_err() {
            pending::<()>().await;
        }
    }
}
