//! What the server handed out, text by text, and the number of each. The one place of the fuzzer that knows secrets.

use std::fmt;

use super::deed::{Id, Resource};

/// A code with what is needed to use it.
#[derive(Clone)]
pub(crate) struct CodeText {
    pub(crate) text: String,
    pub(crate) verifier: String,
    pub(crate) client: Id,
    pub(crate) user: u8,
    pub(crate) resource: Resource,
}

/// A token and whose it is.
#[derive(Clone)]
pub(crate) struct TokenText {
    pub(crate) text: String,
    pub(crate) client: Id,
    pub(crate) user: u8,
}

/// A session and whose it is.
#[derive(Clone)]
pub(crate) struct SessionText {
    pub(crate) text: String,
    pub(crate) user: u8,
}

/// Every text that was handed out; its number is its place.
#[derive(Default, Clone)]
pub(crate) struct Names {
    pub(crate) clients: Vec<String>,
    pub(crate) codes: Vec<CodeText>,
    pub(crate) access: Vec<TokenText>,
    pub(crate) refresh: Vec<TokenText>,
    pub(crate) sessions: Vec<SessionText>,
    /// How many calls went on.
    pub(crate) calls: Id,
    /// Whether the server keeps no sessions: whoever opens one gets no id, and sends none.
    pub(crate) sessionless: bool,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names(…)")
    }
}

fn number<T>(all: &mut Vec<T>, new: T, same: impl Fn(&T) -> bool) -> Id {
    let at = all.iter().position(same).unwrap_or_else(|| {
        all.push(new);
        all.len() - 1
    });
    Id::try_from(at).unwrap_or(Id::MAX)
}

impl Names {
    /// The number of a session that has no id.
    pub(crate) fn nameless(&mut self, user: u8) -> Id {
        self.sessions.push(SessionText { text: String::new(), user });
        Id::try_from(self.sessions.len() - 1).unwrap_or(Id::MAX)
    }

    pub(crate) fn client(&mut self, text: String) -> Id {
        let wanted = text.clone();
        number(&mut self.clients, text, |known| *known == wanted)
    }

    pub(crate) fn code(&mut self, new: CodeText) -> Id {
        let wanted = new.text.clone();
        number(&mut self.codes, new, |known| known.text == wanted)
    }

    pub(crate) fn access(&mut self, new: TokenText) -> Id {
        let wanted = new.text.clone();
        number(&mut self.access, new, |known| known.text == wanted)
    }

    pub(crate) fn refresh(&mut self, new: TokenText) -> Id {
        let wanted = new.text.clone();
        number(&mut self.refresh, new, |known| known.text == wanted)
    }

    pub(crate) fn session(&mut self, new: SessionText) -> Id {
        let wanted = new.text.clone();
        number(&mut self.sessions, new, |known| known.text == wanted)
    }

    /// The newest access token of a user.
    pub(crate) fn newest_of(&self, user: u8) -> Option<Id> {
        let at = self.access.iter().rposition(|token| token.user == user)?;
        Id::try_from(at).ok()
    }
}
