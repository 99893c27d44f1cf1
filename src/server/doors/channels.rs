//! The channels of a server by the id of their session. It must not know what carries them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Channel;
use crate::model::Via;

/// All channels, those that wait for another socket too.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    by_id: Mutex<HashMap<String, Arc<Channel>>>,
    stopping: AtomicBool,
}

impl Channels {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Channel>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel, and forgets those whose session has ended.
    pub(crate) fn insert(&self, channel: Arc<Channel>) {
        if self.stopping() {
            channel.hang_up();
        }
        let mut map = self.map();
        map.retain(|_, known| !known.over());
        map.insert(channel.id.clone(), channel);
    }

    /// The channel of a transport that has this id.
    pub(crate) fn find(&self, id: &str, via: Via) -> Option<Arc<Channel>> {
        self.map().get(id).filter(|channel| channel.via == via && !channel.over()).cloned()
    }

    /// Whether the session has a channel, and so no other way.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.map().contains_key(id)
    }

    /// How many channels of a transport there are.
    pub(crate) fn count(&self, via: Via) -> usize {
        self.map().values().filter(|channel| channel.via == via && !channel.over()).count()
    }

    /// Forgets a channel.
    pub(crate) fn remove(&self, id: &str) {
        self.map().remove(id);
    }

    /// The server stops: channels that no session ends are ended here.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.map().values().for_each(|channel| channel.hang_up());
    }

    /// Whether the server stops.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
