//! The words of a store: what is known of a session, what may change of it, and the entries of its log.
//!
//! It must not know where any of that is kept.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::model::Revision;

/// The most subscriptions of one session.
const MOST_SUBSCRIPTIONS: usize = 1000;
/// The most texts that one session remembers.
const MOST_MARKS: usize = 1000;

/// What any node needs to serve a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// The session id.
    pub(crate) id: String,
    /// What was negotiated.
    pub(crate) revision: Revision,
    /// What the client can do.
    pub(crate) capabilities: Value,
    /// Whose it is, where the server asks for authorization.
    pub(crate) subject: Option<String>,
    /// What has changed since it began.
    pub(crate) facts: Facts,
    /// When it ends if nobody uses it, since the Unix epoch.
    pub(crate) until: Duration,
}

/// The part of a session that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether the client has sent `notifications/initialized`.
    pub(crate) initialized: bool,
    /// The lowest log level the client wants, as an index.
    pub(crate) level: usize,
    /// Resources whose changes the client wants to hear of.
    pub(crate) subscriptions: BTreeSet<String>,
    /// Texts that the session remembers.
    pub(crate) marks: BTreeSet<String>,
    /// The newest GET stream.
    pub(crate) get: Option<u64>,
    /// The node at which that stream has a reader.
    pub(crate) reader: Option<String>,
    /// Marks of the tokens that the session was used with.
    pub(crate) tokens: BTreeSet<String>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            initialized: false,
            // 1 is `info`, what a client gets that never sets a level.
            level: 1,
            subscriptions: BTreeSet::new(),
            marks: BTreeSet::new(),
            get: None,
            reader: None,
            tokens: BTreeSet::new(),
        }
    }
}

impl Facts {
    /// Takes a change in; those of the log and of time are nothing here.
    pub(crate) fn take(&mut self, change: &Change) {
        match change {
            Change::Initialized => self.initialized = true,
            Change::Level(level) => self.level = *level,
            Change::Subscribed(uri) if self.subscriptions.len() < MOST_SUBSCRIPTIONS => {
                self.subscriptions.insert(uri.clone());
            }
            Change::Unsubscribed(uri) => {
                self.subscriptions.remove(uri);
            }
            Change::Marked(text) if self.marks.len() < MOST_MARKS => {
                self.marks.insert(text.clone());
            }
            Change::Opened { stream, reader: Some(node), .. } => {
                self.get = Some(*stream);
                self.reader = Some(node.clone());
            }
            Change::ReaderGone => self.reader = None,
            Change::Token { mark, .. } => {
                self.tokens.insert(mark.clone());
            }
            Change::TokensForgotten(_) => self.tokens.clear(),
            _ => {}
        }
    }
}

/// A place in the log; later ones are greater. In memory each stream counts for itself, in Redis the whole log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Position(pub(crate) u64, pub(crate) u64);

impl Position {
    /// Before everything.
    pub(crate) const START: Self = Self(0, 0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { write!(f, "{}", self.1) } else { write!(f, "{}-{}", self.0, self.1) }
    }
}

/// The text is no place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let number = |text: &str| {
            let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<u64>().map_err(|_| NoPosition) } else { Err(NoPosition) }
        };
        match text.split_once('-') {
            Some((time, count)) => Ok(Self(number(time)?, number(count)?)),
            None => Ok(Self(0, number(text)?)),
        }
    }
}

/// What a log says of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It began; the node that serves it, and the request that it answers, where it answers one.
    Opened {
        /// The node.
        node: String,
        /// The id of the request, as JSON.
        request: Option<String>,
    },
    /// It carried a message.
    Event(String),
    /// It has said all.
    Finished,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The stream it is about.
    pub(crate) stream: u64,
    /// Where it stands.
    pub(crate) position: Position,
    /// What it says.
    pub(crate) kind: Kind,
}

/// Something that is written about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The client has sent `notifications/initialized`.
    Initialized,
    /// The lowest log level the client wants.
    Level(usize),
    /// The client wants to hear of changes of a resource.
    Subscribed(String),
    /// It does not any more.
    Unsubscribed(String),
    /// A text to remember.
    Marked(String),
    /// It was used, and lives until then, since the Unix epoch.
    Used(Duration),
    /// It was used with a token; a mark of it, and the end of its life.
    Token {
        /// A digest; never the token.
        mark: String,
        /// Since the Unix epoch.
        until: Duration,
    },
    /// The marks of these tokens are too many to be kept.
    TokensForgotten(Vec<String>),
    /// A stream began.
    Opened {
        /// Its number.
        stream: u64,
        /// The node of its reader, for a GET stream.
        reader: Option<String>,
        /// The node that serves it.
        node: String,
        /// The id of the request that it answers, as JSON.
        request: Option<String>,
    },
    /// The reader of the newest GET stream is gone.
    ReaderGone,
    /// A stream carries a message.
    Event {
        /// The stream.
        stream: u64,
        /// The message.
        data: String,
    },
    /// The reader of a stream is sent away, and told when to come back, in milliseconds. Nothing of that is kept: it only
    /// has its place behind what was said before.
    Left {
        /// The stream.
        stream: u64,
        /// When to come back.
        retry_ms: Option<u64>,
    },
    /// A stream has said all.
    Finished(u64),
    /// Something that other nodes have to know at once; it is not kept.
    Told(Notice),
}

impl Change {
    /// Roughly how many bytes it takes while it waits.
    pub(crate) fn size(&self) -> usize {
        64 + match self {
            Self::Event { data, .. } => data.len(),
            Self::Subscribed(text) | Self::Unsubscribed(text) | Self::Marked(text) => text.len(),
            Self::Told(Notice::Reply(message)) => message.len(),
            Self::Opened { request, .. } => request.as_ref().map_or(0, String::len),
            _ => 0,
        }
    }
}

/// What one node tells the others of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A stream has news.
    News(u64),
    /// The facts have changed; look them up.
    Changed,
    /// The client has taken back a request.
    Cancelled(String),
    /// The client has answered a question, with this message.
    Reply(String),
    /// The session is over.
    Ended,
    /// Who reads this GET stream? Asked by a node.
    WhoReads(u64),
    /// I do.
    IRead(u64),
    /// A newer GET stream takes the place of this one: let its reader go.
    Leave(u64),
    /// Notices may have been missed. No node tells that; a connection that was lost does.
    Missed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back_and_in_order() {
        for position in [Position(0, 7), Position(1_700_000_000_000, 0), Position(u64::MAX, u64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        assert!(Position(0, 9) < Position(1, 0) && Position(5, 1) < Position(5, 2));
        for wrong in ["", "-", "1-", "-1", "+1", "1-2-3", "x", "99999999999999999999999", " 1"] {
            assert_eq!(wrong.parse::<Position>(), Err(NoPosition), "{wrong}");
        }
    }

    #[test]
    fn facts_take_changes_in_and_have_bounds() {
        let mut facts = Facts::default();
        for change in [Change::Initialized, Change::Level(3), Change::Subscribed("a".into()), Change::Finished(1)] {
            facts.take(&change);
        }
        assert!(facts.initialized && facts.level == 3 && facts.subscriptions.contains("a"));
        facts.take(&Change::Unsubscribed("a".into()));
        for number in 0..2 * MOST_MARKS {
            facts.take(&Change::Marked(number.to_string()));
        }
        assert!(facts.subscriptions.is_empty() && facts.marks.len() == MOST_MARKS);
    }
}
