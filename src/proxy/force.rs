//! The faults that are in force, and how often each may still happen.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{Disturbance, NetworkFault};

/// A fault in force.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) fault: NetworkFault,
    /// How often it may still happen; `None` where nobody counts.
    left: Option<AtomicU32>,
}

impl Armed {
    /// Whether it happens once more, which is counted.
    pub(super) fn happens(&self) -> bool {
        let Some(left) = &self.left else { return true };
        let less = |left: u32| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Whether it may happen once more.
    pub(super) fn may_happen(&self) -> bool {
        self.left.as_ref().is_none_or(|left| left.load(Ordering::Relaxed) > 0)
    }
}

/// Everything that is in force since the same moment.
#[derive(Debug)]
pub(super) struct Force {
    /// Counts up with each change.
    pub(super) generation: u64,
    faults: Vec<Armed>,
    /// How many connections had been opened before.
    before: u64,
}

impl Force {
    pub(super) fn new(generation: u64, faults: Vec<NetworkFault>, before: u64) -> Self {
        let armed = |fault: NetworkFault| Armed { left: fault.times.map(AtomicU32::new), fault };
        Self { generation, faults: faults.into_iter().map(armed).collect(), before }
    }

    /// The faults that concern the connection of this number.
    pub(super) fn on(&self, connection: u64) -> impl Iterator<Item = &Armed> {
        let since = connection.saturating_sub(self.before);
        self.faults.iter().filter(move |armed| armed.fault.connection.is_none_or(|number| u64::from(number) == since))
    }

    /// What of it concerns the connection of this number.
    pub(super) fn each(&self, connection: u64) -> impl Iterator<Item = &Disturbance> {
        self.on(connection).map(|armed| &armed.fault.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn force(fault: &str, before: u64) -> Force {
        Force::new(1, vec![fault.parse().expect("a fault")], before)
    }

    #[test]
    fn connections_are_counted_from_when_the_fault_came() {
        let second = force("cut=connection:2", 5);
        assert_eq!([5, 6, 7, 8].map(|number| second.on(number).count()), [0, 0, 1, 0]);
        assert_eq!([4, 6].map(|number| force("cut", 5).on(number).count()), [1, 1]);
    }

    #[test]
    fn it_happens_as_often_as_it_may() {
        let twice = force("cut=times:2", 0);
        let armed = twice.on(1).next().expect("in force");
        assert_eq!([armed.happens(), armed.happens(), armed.happens()], [true, true, false]);
        assert!(!armed.may_happen());
        let always = force("cut", 0);
        assert!(always.on(1).all(|armed| armed.happens() && armed.happens() && armed.may_happen()));
    }
}
