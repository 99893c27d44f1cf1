//! The state of the model. Data, and questions about it that need nothing but the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rules::{CODE_REPLAY, REUSE_ACCESS, REUSE_FAMILY, REVOKE_CASCADE, REVOKE_NOW, REVOKE_REFRESH, REVOKED};
use crate::fuzz::deed::{Bearer, Id, Resource, Scope};

/// Whether something holds, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Sure {
    No,
    Perhaps,
    Yes,
}

/// Why a grant, or a token of it, is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// A refresh token from before was used.
    Reuse,
    /// Its code was used once more.
    CodeReplay,
    /// Its refresh token was revoked.
    Revoked,
    /// The access token itself was revoked.
    Itself,
}

impl Why {
    /// The rule that an access token breaks which is taken nevertheless.
    pub(super) fn of_access(self) -> &'static str {
        match self {
            Self::Reuse => REUSE_ACCESS,
            Self::CodeReplay => CODE_REPLAY,
            Self::Revoked => REVOKE_CASCADE,
            Self::Itself => REVOKE_NOW,
        }
    }

    /// The same of a refresh token.
    pub(super) fn of_refresh(self) -> &'static str {
        match self {
            Self::Reuse => REUSE_FAMILY,
            Self::CodeReplay => CODE_REPLAY,
            Self::Revoked => REVOKE_REFRESH,
            Self::Itself => REVOKED,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Code {
    pub(crate) client: Id,
    pub(crate) user: u8,
    pub(crate) scope: Scope,
    pub(crate) resource: Resource,
    pub(crate) ends: Duration,
    /// The grant that it became.
    pub(crate) used: Option<usize>,
    /// It was tried in vain, and a server may have thrown it away for that.
    pub(crate) tried: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) client: Id,
    pub(crate) user: u8,
    pub(crate) scope: Scope,
    pub(crate) resource: Resource,
    pub(crate) ended: Option<Why>,
    /// The generation in force, its token, and since when.
    pub(crate) generation: u32,
    pub(crate) current: Option<Id>,
    pub(crate) since: Duration,
    /// When it ends if nobody refreshes.
    pub(crate) idle_end: Duration,
    /// Whether less scope than there is was asked for once.
    pub(crate) narrowed: bool,
    /// The rule that is broken should it turn out to be over.
    pub(crate) suspect: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    pub(crate) grant: usize,
    pub(crate) scope: Scope,
    pub(crate) ends: Duration,
    pub(crate) revoked: bool,
    pub(crate) refreshed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Refresh {
    pub(crate) grant: usize,
    pub(crate) generation: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) user: u8,
    /// The token it was opened with.
    pub(crate) opened_with: Bearer,
    pub(crate) deleted: bool,
    /// It was found to be over when it might have been.
    pub(crate) gone: bool,
    /// When it was surely used last, and when at the latest it may have been.
    pub(crate) used: Duration,
    pub(crate) perhaps_used: Duration,
    /// The rule that is broken should it turn out to be over.
    pub(crate) suspect: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) session: Id,
    pub(crate) bearer: Id,
    /// When its work is done.
    pub(crate) done: Duration,
    pub(crate) dropped: bool,
    pub(crate) cancelled: Sure,
    /// Its stream was read to the end.
    pub(crate) read: bool,
}

/// Everything that there is at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct World {
    /// Since the beginning.
    pub(crate) now: Duration,
    pub(crate) clients: BTreeSet<Id>,
    pub(crate) codes: BTreeMap<Id, Code>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) access: BTreeMap<Id, Access>,
    pub(crate) refresh: BTreeMap<Id, Refresh>,
    pub(crate) sessions: BTreeMap<Id, Session>,
    pub(crate) calls: BTreeMap<Id, Call>,
}

impl World {
    /// How the state looks from afar, as a number that is the same for states that differ in nothing that matters to
    /// coverage: how many of each thing there are in which condition, up to two.
    pub(crate) fn shape(&self) -> u64 {
        let mut parts: Vec<usize> = Vec::with_capacity(16);
        let few = |count: usize| count.min(2);
        parts.push(few(self.clients.len()));
        parts.push(few(self.codes.values().filter(|code| code.used.is_none() && code.ends > self.now).count()));
        parts.push(few(self.codes.values().filter(|code| code.used.is_some()).count()));
        for why in [None, Some(Why::Reuse), Some(Why::CodeReplay), Some(Why::Revoked)] {
            parts.push(few(self.grants.iter().filter(|grant| grant.ended == why).count()));
        }
        parts.push(few(self.grants.iter().filter(|grant| grant.idle_end <= self.now).count()));
        parts.push(few(self.grants.iter().map(|grant| grant.generation as usize).max().unwrap_or(0)));
        parts.push(few(self.access.values().filter(|access| access.ends > self.now && !access.revoked).count()));
        parts.push(few(self.access.values().filter(|access| access.revoked).count()));
        parts.push(few(self.sessions.values().filter(|session| !session.deleted && !session.gone).count()));
        parts.push(few(self.sessions.values().filter(|session| session.deleted).count()));
        parts.push(few(self.calls.values().filter(|call| !call.read).count()));
        parts.iter().fold(0, |all, part| all * 3 + *part as u64)
    }

    /// The grant behind an access token.
    pub(crate) fn grant_of(&self, access: Id) -> Option<&Grant> {
        self.grants.get(self.access.get(&access)?.grant)
    }

    /// A grant is over; the others are to go on.
    pub(super) fn end_grant(&mut self, number: usize, why: Why, isolated: &'static str) {
        for (at, grant) in self.grants.iter_mut().enumerate() {
            if at == number {
                grant.ended.get_or_insert(why);
            } else {
                grant.suspect = Some(isolated);
            }
        }
    }
}

/// Whether something still lives that ends then, or so much later: in between, nobody can tell.
pub(super) fn lives(now: Duration, end: Duration, loose: Duration) -> Sure {
    if now < end {
        Sure::Yes
    } else if now <= end + loose {
        Sure::Perhaps
    } else {
        Sure::No
    }
}
