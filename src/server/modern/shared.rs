//! What the requests of this era share, at all nodes of one process: the key that seals states, the open subscriptions,
//! and the tasks. Servers in different processes share only the key, and that through their store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::listen::Listeners;
use super::state::Seal;
use super::tasks::Tasks;
use crate::model::Rng;
use crate::server::dispatch::App;

/// The shared things.
#[derive(Debug)]
pub(crate) struct Modern {
    pub(crate) seal: Arc<Seal>,
    pub(crate) listeners: Listeners,
    pub(crate) tasks: Tasks,
    working: Arc<AtomicUsize>,
    greeted: AtomicBool,
}

/// Counts as work until it is dropped.
#[derive(Debug)]
pub(crate) struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Modern {
    /// Nothing yet, and a key of its own.
    pub(crate) fn new(rng: &Rng) -> Self {
        Self {
            seal: Arc::new(Seal::new(&rng.bytes::<32>())),
            listeners: Listeners::default(),
            tasks: Tasks::default(),
            working: Arc::default(),
            greeted: AtomicBool::default(),
        }
    }

    /// A request of this era came.
    pub(crate) fn greet(&self) {
        self.greeted.store(true, Ordering::SeqCst);
    }

    /// Whether one ever came; only a fault asks.
    pub(crate) fn greeted(&self) -> bool {
        self.greeted.load(Ordering::SeqCst)
    }

    /// Counts a request as being worked on.
    pub(crate) fn begin_work(&self) -> Working {
        self.working.fetch_add(1, Ordering::SeqCst);
        Working(Arc::clone(&self.working))
    }

    /// How many requests are being worked on.
    pub(crate) fn working(&self) -> usize {
        self.working.load(Ordering::SeqCst)
    }

    /// Ends everything: subscriptions are answered, tasks are stopped.
    pub(crate) fn close(&self, app: &App) {
        self.listeners.close(app);
        self.tasks.stop();
    }
}
