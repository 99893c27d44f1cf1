//! Time as a parameter. This is the only file that reads the machine's clock or sleeps.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

/// A source of time: monotonic, wall, and a way to wait.
pub trait Clock: Debug + Send + Sync {
    /// Time since the clock was made; never goes back.
    fn elapsed(&self) -> Duration;

    /// Seconds and nanoseconds since the Unix epoch.
    fn unix(&self) -> Duration;

    /// Completes once `elapsed` has grown by `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's own time.
#[derive(Debug, Clone)]
pub struct WallClock {
    start: Instant,
}

impl WallClock {
    /// A clock that starts now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for WallClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn unix(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The machine's time plus an offset that can be moved forward.
///
/// A sleeper wakes when real time or the offset has carried the clock past its edge, so nothing can hang on a
/// clock that nobody moves, and an hour passes in no time when somebody does. A clock that stands still is the exception:
/// it has no time but the offset.
#[derive(Debug, Clone)]
pub struct HybridClock {
    wall: WallClock,
    offset: Arc<watch::Sender<Duration>>,
    /// Where it stands, since the Unix epoch, if it does not go by itself.
    stands: Option<Duration>,
}

impl HybridClock {
    /// A clock that starts now, with no offset.
    pub fn new() -> Self {
        Self { wall: WallClock::new(), offset: Arc::new(watch::Sender::new(Duration::ZERO)), stands: None }
    }

    /// A clock that stands at this time since the Unix epoch until it is moved, so that what happens at an edge does not
    /// hang on how fast the machine is.
    pub fn still(unix: Duration) -> Self {
        Self { stands: Some(unix), ..Self::new() }
    }

    /// Moves the clock forward and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        self.offset.send_modify(|offset| *offset = offset.saturating_add(by));
    }

    /// How far the clock is ahead of the machine's.
    pub fn offset(&self) -> Duration {
        *self.offset.borrow()
    }
}

impl Default for HybridClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HybridClock {
    fn elapsed(&self) -> Duration {
        let wall = if self.stands.is_some() { Duration::ZERO } else { self.wall.elapsed() };
        wall.saturating_add(self.offset())
    }

    fn unix(&self) -> Duration {
        self.stands.unwrap_or_else(|| self.wall.unix()).saturating_add(self.offset())
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let edge = self.elapsed().saturating_add(duration);
        let mut moved = self.offset.subscribe();
        Box::pin(async move {
            loop {
                let left = edge.saturating_sub(self.elapsed());
                if left.is_zero() {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(left), if self.stands.is_none() => {}
                    changed = moved.changed() => if changed.is_err() { return },
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_hour_passes_when_the_clock_is_moved() {
        let clock = HybridClock::new();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_hours(1)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_hours(1));
        tokio::time::timeout(Duration::from_secs(5), sleeper).await.expect("woken").expect("no panic");
        assert!(clock.elapsed() >= Duration::from_hours(1));
    }

    #[tokio::test]
    async fn a_still_clock_goes_only_where_it_is_moved() {
        let clock = HybridClock::still(Duration::from_secs(1000));
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!((clock.elapsed(), clock.unix()), (Duration::ZERO, Duration::from_secs(1000)));
        let mut sleeper = clock.sleep(Duration::from_millis(1));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut sleeper).await.is_err());
        clock.advance(Duration::from_millis(1));
        sleeper.await;
        assert_eq!(clock.unix(), Duration::from_millis(1_000_001));
    }

    #[tokio::test]
    async fn real_time_also_wakes_a_sleeper() {
        let clock = HybridClock::new();
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.elapsed() >= Duration::from_millis(5));
    }
}
