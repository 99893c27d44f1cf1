//! Which tokens a transcript shows, and what a request to the guarded endpoint carries at its moment.
//!
//! Says what is known of a credential; whether it was treated rightly is for the checks.

use super::wire;
use crate::check::wire::{faultless, foreign_origin};
use crate::model::Members as _;
use crate::transcript::{Event, EventKind, Exchange, Msg, View};

/// How long before and after its end nobody can say whether a token still counts.
const BLURRED_S: u64 = 10;

/// An access token that an authorization server gave out.
pub(crate) struct Issued<'v> {
    /// Its label.
    pub label: String,
    /// The token request.
    pub exchange: &'v Exchange,
    /// Its life in seconds, as far as it was told.
    pub expires_in: Option<u64>,
    /// The resources that it was asked for (RFC 8707).
    pub resources: Vec<String>,
    /// Whether a refresh token was given for it.
    pub refreshed: bool,
    /// Whom the authorization request named, if anybody.
    pub hint: Option<String>,
}

/// What the `Authorization` header of a request is worth at its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// There is none.
    Absent,
    /// It breaks the grammar of RFC 6750 section 2.1.
    Malformed,
    /// A token that no authorization server of the transcript gave out.
    Unknown,
    /// A token made to order with something wrong about it, where a right one was served before.
    Forged,
    /// A token that ended so many seconds ago.
    Expired(u64),
    /// A token that was revoked.
    Revoked,
    /// A token that is good as far as can be seen.
    Live,
    /// Nothing certain can be said.
    Unclear,
}

impl Credential {
    /// Whether no server may serve it.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Self::Unknown | Self::Forged | Self::Expired(_) | Self::Revoked)
    }
}

/// The tokens of a transcript.
pub(crate) struct Vault<'v> {
    view: &'v View<'v>,
    issued: Vec<Issued<'v>>,
    /// Every request to a token or revocation endpoint: each may end what was good before.
    turns: Vec<&'v Exchange>,
    revocations: Vec<&'v Exchange>,
    minted: Vec<Minted<'v>>,
    /// Where in the transcript a right token that was made to order was served for the first time.
    proven: Option<u32>,
    /// When the clock was moved, and by how many milliseconds.
    moved: Vec<(u32, u64)>,
    /// Labels of what cannot be a token: it is empty, or of other letters.
    misshapen: Vec<&'v str>,
}

/// An access token that was made to order.
struct Minted<'v> {
    label: &'v str,
    flaws: &'v [String],
    /// Seconds since its end at the moment it was made.
    ended_s: Option<u64>,
    seq: u32,
    at: u64,
}

impl<'v> Vault<'v> {
    /// Collects them; `None` where the endpoint asks for no authorization.
    pub(crate) fn open(view: &'v View<'v>) -> Option<Self> {
        if !is_guarded(view) {
            return None;
        }
        let mut turns = wire::token_requests(view);
        let issued = turns.iter().filter_map(|exchange| issued(view, exchange)).collect();
        let revocations: Vec<&Exchange> = wire::to(view, "revocation_endpoint", "/revoke");
        turns.extend(revocations.iter().copied());
        let minted: Vec<Minted<'_>> = view.events.iter().filter_map(minted).collect();
        let right = |exchange: &&Exchange| {
            let label = wire::token_of(exchange);
            // Signed claims that the issuer gave out by itself prove as much as those it signed to order.
            let signed = |event: &Event| matches!(&event.kind, EventKind::Claims { label: of, .. } if Some(of.as_str()) == label);
            minted.iter().any(|one| one.flaws.is_empty() && Some(one.label) == label && one.seq < exchange.seq)
                || view.events.iter().any(|event| event.seq < exchange.seq && signed(event))
        };
        let good = |(index, exchange): &(usize, &'v Exchange)| right(exchange) && served(view, *index, exchange);
        let proven = view.exchanges.iter().enumerate().find(good).map(|(_, exchange)| exchange.seq);
        let moved = view.events.iter().filter_map(|event| match event.kind {
            EventKind::Clock { advanced_ms } => Some((event.seq, advanced_ms)),
            _ => None,
        });
        let misshapen = view.events.iter().filter_map(|event| match &event.kind {
            EventKind::Secret { label, length, visible_ascii, .. } if *length == 0 || !visible_ascii => {
                Some(label.as_str())
            }
            _ => None,
        });
        let (moved, misshapen) = (moved.collect(), misshapen.collect());
        Some(Self { view, issued, turns, revocations, minted, proven, moved, misshapen })
    }

    /// What is wrong with the token of a request, where it was made to order and a right one was served before: without
    /// that a server that takes no such tokens at all would look careful.
    pub(crate) fn flaws(&self, exchange: &Exchange) -> &'v [String] {
        let label = wire::token_of(exchange);
        let order = label.and_then(|label| self.order(label, exchange));
        order.filter(|_| self.proves(exchange)).map_or(&[], |order| order.flaws)
    }

    fn order(&self, label: &str, exchange: &Exchange) -> Option<&Minted<'v>> {
        self.minted.iter().find(|one| one.label == label && one.seq < exchange.seq)
    }

    fn proves(&self, exchange: &Exchange) -> bool {
        self.proven.is_some_and(|seq| seq < exchange.seq)
    }

    /// What a token that was made to order is worth.
    fn worth_of_order(&self, order: &Minted<'_>, exchange: &Exchange) -> Credential {
        if order.flaws.is_empty() || !self.proves(exchange) {
            return Credential::Unclear;
        }
        match (order.flaws, order.ended_s) {
            ([only], Some(ended)) if only == "expired" => {
                Credential::Expired(ended + self.passed(order.seq, order.at, exchange))
            }
            _ => Credential::Forged,
        }
    }

    /// The token that a request carries, where it was given out before.
    pub(crate) fn token(&self, exchange: &Exchange) -> Option<&Issued<'v>> {
        self.find(wire::token_of(exchange)?, exchange)
    }

    fn find(&self, label: &str, exchange: &Exchange) -> Option<&Issued<'v>> {
        self.issued.iter().rev().find(|one| one.label == label && one.exchange.seq < exchange.seq)
    }

    /// Requests to the endpoint that a server has no reason to refuse but their credential, and that were answered.
    pub(crate) fn asked(&self) -> impl Iterator<Item = (&'v Exchange, Credential)> {
        let answered = |exchange: &Exchange| !matches!(exchange.status, None | Some(429 | 502..=504));
        let counts =
            |exchange: &Exchange| answered(exchange) && fair(self.view, exchange) && query_token(exchange).is_none();
        let select = || (0..self.view.exchanges.len()).filter(|index| counts(&self.view.exchanges[*index])).collect();
        let asked = self.view.gather("asked with a credential", select);
        asked.into_iter().map(|exchange| (exchange, self.credential(exchange)))
    }

    /// Whether any token was made to order.
    pub(crate) fn has_orders(&self) -> bool {
        !self.minted.is_empty()
    }

    /// What the header of a request is worth.
    pub(crate) fn credential(&self, exchange: &Exchange) -> Credential {
        let Some(header) = exchange.sent_header("authorization") else { return Credential::Absent };
        match header.split_once(' ') {
            None => Credential::Malformed,
            Some((scheme, _)) if !scheme.eq_ignore_ascii_case("bearer") => Credential::Unclear,
            Some((_, token)) if self.misshapen(token) => Credential::Malformed,
            Some((_, token)) => self.worth(token, exchange),
        }
    }

    /// What a token is worth when an exchange begins.
    pub(crate) fn worth(&self, label: &str, exchange: &Exchange) -> Credential {
        if let Some(order) = self.order(label, exchange) {
            return self.worth_of_order(order, exchange);
        }
        let Some(token) = self.find(label, exchange) else {
            let known = self.issued.iter().any(|one| one.exchange.seq < exchange.seq);
            return if known { Credential::Unknown } else { Credential::Unclear };
        };
        let before = |turn: &&&Exchange| turn.end_seq.is_some_and(|end| end < exchange.seq);
        let revokes = |turn: &&Exchange| {
            turn.status == Some(200) && wire::param(wire::form(turn), "token").is_some_and(|known| known == label)
        };
        if self.revocations.iter().filter(before).any(revokes) {
            return Credential::Revoked;
        }
        if let Some(life) = token.expires_in {
            let age = self.age(token, exchange);
            if age > life + BLURRED_S {
                return Credential::Expired(age - life);
            }
            if age + BLURRED_S > life {
                return Credential::Unclear;
            }
        }
        // A later login, refresh or revocation of the client may end it, and whether it does is the server's choice.
        let later = |turn: &&Exchange| {
            turn.seq > token.exchange.seq && turn.seq < exchange.seq && turn.client == token.exchange.client
        };
        if self.turns.iter().any(later) { Credential::Unclear } else { Credential::Live }
    }

    /// Seconds between the birth of a token and a request. A server whose clock was moved has lived longer than we.
    fn age(&self, token: &Issued<'_>, exchange: &Exchange) -> u64 {
        self.passed(token.exchange.seq, token.exchange.end_at.unwrap_or(token.exchange.at), exchange)
    }

    /// Seconds between a moment of the transcript and a request.
    fn passed(&self, seq: u32, at: u64, exchange: &Exchange) -> u64 {
        let moved = self.moved.iter().filter(|(moved, _)| *moved > seq && *moved < exchange.seq);
        (moved.map(|(_, by_ms)| by_ms).sum::<u64>() / 1_000).max(exchange.at.saturating_sub(at) / 1_000_000)
    }

    fn misshapen(&self, label: &str) -> bool {
        self.misshapen.contains(&label)
    }
}

fn minted(event: &Event) -> Option<Minted<'_>> {
    let EventKind::Minted { label, flaws, ended_s } = &event.kind else { return None };
    Some(Minted { label, flaws, ended_s: *ended_s, seq: event.seq, at: event.at })
}

/// Whether a request brought a result that is no error of a tool.
pub(crate) fn served(view: &View<'_>, index: usize, exchange: &Exchange) -> bool {
    let result = |msg: &Msg| {
        msg.received() && msg.value.at("result").is_object() && msg.value.at("result").at("isError") != true
    };
    exchange.is_success() && view.messages_in(index).any(result)
}

/// Whether some answer of the endpoint shows that it asks for authorization.
pub(crate) fn is_guarded(view: &View<'_>) -> bool {
    view.exchanges.iter().any(|exchange| {
        (exchange.status == Some(401) || wire::bearer(exchange).is_some()) && wire::at_endpoint(view, exchange)
    })
}

/// The access token in the query of a request (RFC 6750 section 2.3).
pub(crate) fn query_token(exchange: &Exchange) -> Option<String> {
    wire::param(wire::query(exchange), "access_token").map(str::to_owned)
}

/// Whether a request to the endpoint gives no reason for a refusal but its credential.
pub(crate) fn fair(view: &View<'_>, exchange: &Exchange) -> bool {
    if !wire::at_endpoint(view, exchange) {
        return false;
    }
    let opens = exchange.session().is_none() && rpc_method(exchange) == Some("initialize");
    let accepts = |kind: &str| exchange.sent_header("accept").is_some_and(|accept| accept.contains(kind));
    if opens {
        return foreign_origin(exchange).is_none() && accepts("application/json") && accepts("text/event-stream");
    }
    faultless(view, exchange)
}

/// The JSON-RPC method of a POST.
pub(crate) fn rpc_method(exchange: &Exchange) -> Option<&str> {
    exchange.sent_json()?.at("method").as_str()
}

fn issued<'v>(view: &'v View<'_>, exchange: &'v Exchange) -> Option<Issued<'v>> {
    let document = wire::document(exchange).filter(|_| exchange.status == Some(200))?;
    let form = wire::form(exchange);
    let of = |pairs: &[(String, String)], wanted: &str| -> Vec<String> {
        pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect()
    };
    let code = wire::param(form, "code");
    let asked = code.and_then(|code| {
        let leads_here = |asked: &&&Exchange| {
            wire::redirect(asked).is_some_and(|(_, handed)| wire::param(handed, "code") == Some(code))
        };
        wire::authorization_requests(view).iter().find(leads_here).map(|asked| wire::query(asked))
    });
    let asked = asked.unwrap_or_default();
    let own = of(form, "resource");
    Some(Issued {
        label: document.at("access_token").as_str()?.to_owned(),
        exchange,
        expires_in: document.at("expires_in").as_u64(),
        resources: if own.is_empty() { of(asked, "resource") } else { own },
        refreshed: wire::param(form, "grant_type") == Some("refresh_token"),
        hint: wire::param(asked, "login_hint").map(str::to_owned),
    })
}
