//! What is done to a server with nothing left to choose, and what comes of it: the words of a history.
//!
//! Whatever a server hands out has a number by which it is spoken of here; its text is for `names`. Knows no wire.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

/// The number of something that the server handed out, counted from 0 for each kind of thing.
pub(crate) type Id = u16;

/// A set of scopes, one bit each: `mcp:read`, `mcp:write`, `mcp:admin`, each of which implies those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope(pub(crate) u8);

impl Scope {
    const NAMES: [&'static str; 3] = ["mcp:read", "mcp:write", "mcp:admin"];
    pub(crate) const READ: Self = Self(0b001);
    pub(crate) const WRITE: Self = Self(0b011);
    pub(crate) const ALL: Self = Self(0b111);

    /// The scopes of a text; what is unknown is left out.
    pub(crate) fn read(text: &str) -> Self {
        let bit = |word: &str| Self::NAMES.iter().position(|name| *name == word).map_or(0, |at| 1 << at);
        Self(text.split(' ').fold(0, |all, word| all | bit(word)))
    }

    /// Whether all of these are within the others.
    pub(crate) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether something may be changed with them.
    pub(crate) fn may_write(self) -> bool {
        self.0 > Self::READ.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Self::NAMES.iter().enumerate().filter(|(at, _)| self.0 & (1 << at) != 0);
        f.write_str(&held.map(|(_, name)| *name).collect::<Vec<_>>().join(" "))
    }
}

/// What a token is for: the server that is fuzzed, or another of the same issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    Here,
    Elsewhere,
}

/// What is wrong with an exchange on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// Another verifier than that of the authorization request.
    Verifier,
    /// Another redirect URI.
    Redirect,
}

/// What a request is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bearer {
    Access(Id),
    /// A text that no issuer made.
    Forged,
    Nothing,
}

/// A token that is to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Access(Id),
    Refresh(Id),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    /// `tools/list`
    List,
    /// A tool that only reads.
    Read,
    /// A tool that changes something.
    Write,
}

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    Register,
    Authorise {
        client: Id,
        user: u8,
        scope: Scope,
        resource: Resource,
    },
    Exchange {
        code: Id,
        client: Id,
        flaw: Option<Flaw>,
    },
    Refresh {
        token: Id,
        client: Id,
        scope: Option<Scope>,
        resource: Option<Resource>,
    },
    Revoke {
        token: Token,
        client: Id,
    },
    /// `initialize`
    Open {
        bearer: Bearer,
    },
    /// A request in a session; without one, in a session that was never there.
    Call {
        session: Option<Id>,
        bearer: Bearer,
        errand: Errand,
    },
    /// A request of the era without sessions (2026-07-28).
    Ask {
        bearer: Bearer,
        errand: Errand,
    },
    Delete {
        session: Id,
        bearer: Bearer,
    },
    /// A call that takes a while, whose answer is streamed.
    Start {
        session: Id,
        bearer: Bearer,
    },
    /// The connection of such a call breaks.
    Drop {
        call: Id,
    },
    Cancel {
        call: Id,
        bearer: Bearer,
    },
    /// Its time passes, and its stream is read to the end; one that broke is resumed first.
    Finish {
        call: Id,
        bearer: Bearer,
        passes: Duration,
        resumes: bool,
    },
    Pass(Duration),
    /// Every connection ends.
    Reconnect,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    Client(Id),
    Code(Id),
    Tokens {
        access: Id,
        refresh: Option<Id>,
        scope: Option<Scope>,
        expires_in: Option<u64>,
    },
    Session(Id),
    /// A call that goes on.
    Call(Id),
    /// The one response to the request, a result.
    Result,
    /// Success that says no more.
    Done,
    /// A refusal: status, and the code of the error where there is one.
    Refused {
        status: u16,
        error: String,
    },
    /// How the stream of a call went: responses on it, and whether some event came twice or out of order.
    Stream {
        responses: u32,
        repeated: bool,
    },
    /// Something that is none of these.
    Odd(String),
    /// No answer.
    Silence(String),
}

impl Deed {
    /// The kind of deed in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Authorise { .. } => "authorise",
            Self::Exchange { .. } => "exchange",
            Self::Refresh { .. } => "refresh",
            Self::Revoke { .. } => "revoke",
            Self::Open { .. } => "open",
            Self::Call { .. } => "call",
            Self::Ask { .. } => "ask",
            Self::Delete { .. } => "delete",
            Self::Start { .. } => "start",
            Self::Drop { .. } => "drop",
            Self::Cancel { .. } => "cancel",
            Self::Finish { .. } => "finish",
            Self::Pass(_) => "pass",
            Self::Reconnect => "reconnect",
        }
    }
}

impl Seen {
    /// The kind of outcome in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Refused { status: 500.., .. } => "5xx",
            Self::Refused { .. } => "refused",
            Self::Odd(_) => "odd",
            Self::Silence(_) => "silence",
            Self::Stream { .. } => "stream",
            _ => "ok",
        }
    }

    /// Whether the server did as it was asked.
    pub(crate) fn is_success(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Odd(_) | Self::Silence(_))
    }
}

fn with(bearer: Bearer) -> String {
    match bearer {
        Bearer::Access(id) => format!("with access#{id}"),
        Bearer::Forged => "with a forged token".to_owned(),
        Bearer::Nothing => "without a token".to_owned(),
    }
}

fn named(resource: Resource) -> &'static str {
    match resource {
        Resource::Here => "for this server",
        Resource::Elsewhere => "for another server",
    }
}

/// A length of time in the largest units that it has.
pub(crate) fn span(length: Duration) -> String {
    let (mut rest, mut text) = (length.as_secs(), String::new());
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")] {
        if rest >= unit {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{}{name}", if text.is_empty() { "" } else { " " }, rest / unit);
            rest %= unit;
        }
    }
    match (text.is_empty(), length.subsec_millis()) {
        (true, ms) => format!("{ms}ms"),
        (false, 0) => text,
        (false, ms) => format!("{text} {ms}ms"),
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register => f.write_str("register a client"),
            Self::Authorise { client, user, scope, resource } => {
                write!(f, "authorise client#{client} for user {user}: {scope}, {}", named(*resource))
            }
            Self::Exchange { code, client, flaw } => {
                write!(f, "exchange code#{code} as client#{client}")?;
                match flaw {
                    None => Ok(()),
                    Some(Flaw::Verifier) => f.write_str(" with a wrong verifier"),
                    Some(Flaw::Redirect) => f.write_str(" with another redirect URI"),
                }
            }
            Self::Refresh { token, client, scope, resource } => {
                write!(f, "refresh with refresh#{token} as client#{client}")?;
                if let Some(scope) = scope {
                    write!(f, " asking for {scope}")?;
                }
                resource.map_or(Ok(()), |resource| write!(f, " {}", named(resource)))
            }
            Self::Revoke { token: Token::Access(id), client } => write!(f, "revoke access#{id} as client#{client}"),
            Self::Revoke { token: Token::Refresh(id), client } => write!(f, "revoke refresh#{id} as client#{client}"),
            Self::Open { bearer } => write!(f, "open a session {}", with(*bearer)),
            Self::Call { session, bearer, errand } => {
                let place = session.map_or_else(|| "a made-up session".to_owned(), |id| format!("session#{id}"));
                write!(f, "{} in {place} {}", errand.verb(), with(*bearer))
            }
            Self::Ask { bearer, errand } => write!(f, "{} without a session {}", errand.verb(), with(*bearer)),
            Self::Delete { session, bearer } => write!(f, "delete session#{session} {}", with(*bearer)),
            Self::Start { session, bearer } => write!(f, "begin a long call in session#{session} {}", with(*bearer)),
            Self::Drop { call } => write!(f, "drop the connection of call#{call}"),
            Self::Cancel { call, bearer } => write!(f, "cancel call#{call} {}", with(*bearer)),
            Self::Finish { call, passes, resumes, .. } => {
                let resumed = if *resumes { "resume call#" } else { "wait for call#" };
                write!(f, "{resumed}{call}, {} later", span(*passes))
            }
            Self::Pass(length) => write!(f, "let {} pass", span(*length)),
            Self::Reconnect => f.write_str("drop every connection and connect anew"),
        }
    }
}

impl Errand {
    fn verb(self) -> &'static str {
        match self {
            Self::List => "list tools",
            Self::Read => "call a tool that reads",
            Self::Write => "call a tool that writes",
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client#{id}"),
            Self::Code(id) => write!(f, "code#{id}"),
            Self::Tokens { access, refresh, scope, .. } => {
                write!(f, "access#{access}")?;
                if let Some(refresh) = refresh {
                    write!(f, ", refresh#{refresh}")?;
                }
                scope.map_or(Ok(()), |scope| write!(f, " ({scope})"))
            }
            Self::Session(id) => write!(f, "session#{id}"),
            Self::Call(id) => write!(f, "call#{id} goes on"),
            Self::Result => f.write_str("a result"),
            Self::Done => f.write_str("done"),
            Self::Refused { status, error } if error.is_empty() => write!(f, "{status}"),
            Self::Refused { status, error } => write!(f, "{status} {error}"),
            Self::Stream { responses, repeated } => {
                let events = if *repeated { ", some event twice or out of order" } else { "" };
                write!(f, "{responses} response{}{events}", if *responses == 1 { "" } else { "s" })
            }
            Self::Odd(text) => write!(f, "odd: {text}"),
            Self::Silence(text) => write!(f, "no answer: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_written() {
        for scope in [Scope::READ, Scope::WRITE, Scope::ALL] {
            assert_eq!(Scope::read(&scope.to_string()), scope);
        }
        assert!(Scope::READ.within(Scope::WRITE) && !Scope::ALL.within(Scope::WRITE));
        assert!(Scope::WRITE.may_write() && !Scope::READ.may_write());
    }

    #[test]
    fn lengths_are_told_in_units() {
        assert_eq!(span(Duration::from_secs(3598)), "59m 58s");
        assert_eq!(span(Duration::from_millis(250)), "250ms");
        assert_eq!(span(Duration::from_secs(2_592_002)), "30d 2s");
    }
}
