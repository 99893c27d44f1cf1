//! What faults of the wrong moment need: windows in which one request can get in the way of another. The correct server
//! has none of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::grant::GrantId;

/// How wide such a window is, in real time.
const WINDOW: Duration = Duration::from_millis(20);
/// In how long a time a fault lets few refreshes pass, and how many those are.
const A_MINUTE: Duration = Duration::from_secs(60);
const FEW: usize = 3;
/// How long it is remembered that a token was served.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What is under way, and what was served a moment ago.
#[derive(Debug, Default)]
pub(super) struct Races {
    refreshing: Mutex<HashSet<GrantId>>,
    served: Mutex<HashMap<u64, Duration>>,
    refreshed: Mutex<HashMap<GrantId, Vec<Duration>>>,
}

impl Races {
    /// Waits for as long as a window is open.
    pub(super) async fn window() {
        tokio::time::sleep(WINDOW).await;
    }

    /// A refresh of this grant begins; says whether it is the only one.
    pub(super) fn begin(&self, id: &GrantId) -> bool {
        self.refreshing.lock().unwrap_or_else(PoisonError::into_inner).insert(*id)
    }

    /// Whether a refresh of this grant is under way.
    pub(super) fn under_way(&self, id: &GrantId) -> bool {
        self.refreshing.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// It is over.
    pub(super) fn end(&self, id: &GrantId) {
        self.refreshing.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Whether a grant was refreshed so often within a minute that a fault lets it wait.
    pub(super) fn too_often(&self, id: &GrantId, now: Duration) -> bool {
        let refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: &&Duration| now.saturating_sub(**at) < A_MINUTE;
        refreshed.get(id).is_some_and(|times| times.iter().filter(lately).count() >= FEW)
    }

    /// A grant was refreshed.
    pub(super) fn refreshed(&self, id: &GrantId, now: Duration) {
        self.refreshed.lock().unwrap_or_else(PoisonError::into_inner).entry(*id).or_default().push(now);
    }

    /// Whether a token was served a moment ago; notes it where it is served now.
    pub(super) fn served(&self, serial: u64, now: Duration, good: bool) -> bool {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if good {
            served.insert(serial, now);
        }
        served.get(&serial).is_some_and(|last| now.saturating_sub(*last) < REMEMBERED)
    }
}
