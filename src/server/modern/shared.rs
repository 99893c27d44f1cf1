//! What the requests of this era share, at all nodes of one process: the key that seals states, the open subscriptions,
//! and the tasks. Servers in different processes share none of it.

use super::listen::Listeners;
use super::state::Seal;
use super::tasks::Tasks;
use crate::model::Rng;
use crate::server::dispatch::App;

/// The shared things.
#[derive(Debug)]
pub(crate) struct Modern {
    pub(crate) seal: Seal,
    pub(crate) listeners: Listeners,
    pub(crate) tasks: Tasks,
}

impl Modern {
    /// Nothing yet, and a key of its own.
    pub(crate) fn new(rng: &Rng) -> Self {
        Self { seal: Seal::new(&rng.bytes()), listeners: Listeners::default(), tasks: Tasks::default() }
    }

    /// Ends everything: subscriptions are answered, tasks are stopped.
    pub(crate) fn close(&self, app: &App) {
        self.listeners.close(app);
        self.tasks.stop();
    }
}
