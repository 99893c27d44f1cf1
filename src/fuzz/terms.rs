//! What is known beforehand of a server: how long things live there, and how exactly that can be told.

use std::time::Duration;

/// The lifetimes that a server keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How long an access token lives.
    pub access: Duration,
    /// How long a refresh token may lie unused.
    pub refresh: Duration,
    /// How long a code lives.
    pub code: Duration,
    /// How long after a rotation the refresh token before it is taken for the repetition of a lost answer.
    pub grace: Duration,
    /// How much longer than it lives an access token may be taken, for clocks that differ.
    pub leeway: Duration,
    /// How much earlier than it says an access token may end, where clocks are read in whole seconds and answers take time.
    pub early: Duration,
    /// How long a session may lie idle.
    pub idle: Duration,
    /// How much earlier than that it may end, where its use is not noted each time.
    pub idle_early: Duration,
    /// Whether it is known what the server does where the rules leave it a choice: any second use of a code or of an old
    /// refresh token ends the grant, and a request that is refused for another reason changes nothing.
    pub strict: bool,
    /// How long after its end each of them may live on all the same, where nobody knows.
    pub loose: Duration,
    /// Whether requests need a token.
    pub guarded: bool,
    /// Whether it gives sessions ids.
    pub sessions: bool,
    /// Rules that are known to be broken, by their ids: whoever has to be refused by one of them may be served.
    pub except: Vec<String>,
    /// How far from an edge it is certain on which side of it a request comes.
    pub margin: Duration,
}

impl Terms {
    /// Whether a rule is known to be broken.
    pub(crate) fn excepts(&self, rule: &str) -> bool {
        self.except.iter().any(|id| id == rule)
    }

    /// Those of the reference server where it asks for tokens, on a clock that stands still.
    pub fn reference() -> Self {
        let auth = crate::server::AuthConfig::default();
        Self {
            access: auth.access_ttl,
            refresh: auth.refresh_ttl,
            code: auth.code_ttl,
            grace: auth.grace,
            leeway: auth.leeway,
            early: Duration::ZERO,
            idle: Duration::from_secs(24 * 3600),
            idle_early: Duration::ZERO,
            strict: true,
            loose: Duration::ZERO,
            guarded: true,
            sessions: true,
            except: Vec::new(),
            // A scenario is played on a clock that goes, and tokens end at whole seconds.
            margin: Duration::from_secs(3),
        }
    }
}
