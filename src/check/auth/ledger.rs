//! What a transcript shows of tokens: who got which, from which grant, and what became of them.
//!
//! Puts together; it never says whether anything is right.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::wire::{
    around, at_endpoint, authorization_requests, document, form, param, query, redirect, to, token_of, token_requests,
};
use crate::check::Findings;
use crate::model::{Members as _, Revision};
use crate::transcript::{Exchange, View};

/// How long after a rotation the token before it may still be taken for the repetition of a lost answer, in
/// microseconds. No known server grants more than a minute.
const GRACE: u64 = 60_000_000;

/// A form to an authorization server, with its answer.
#[derive(Debug)]
pub(crate) struct Ask<'v> {
    /// The exchange.
    pub exchange: &'v Exchange,
    /// What was sent.
    pub form: &'v [(String, String)],
    /// The JSON object that came back; null where none did.
    pub answer: &'v Value,
    /// The revision that governs it.
    pub revision: Option<Revision>,
}

impl<'v> Ask<'v> {
    fn of(view: &View<'_>, exchange: &'v Exchange) -> Self {
        let answer = document(exchange).unwrap_or(&Value::Null);
        Self { exchange, form: form(exchange), answer, revision: around(view, exchange) }
    }

    /// A parameter that is there and not empty.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        param(self.form, name).filter(|value| !value.is_empty())
    }

    /// Whether a grant type was asked for.
    pub(crate) fn grants(&self, grant_type: &str) -> bool {
        self.param("grant_type") == Some(grant_type)
    }

    /// The refresh token of a refresh.
    pub(crate) fn presented(&self) -> Option<&str> {
        self.param("refresh_token").filter(|_| self.grants("refresh_token"))
    }

    /// The access token that was handed out.
    pub(crate) fn access(&self) -> Option<&'v str> {
        self.answer.at("access_token").as_str().filter(|_| self.exchange.is_success())
    }

    /// The refresh token that was handed out.
    pub(crate) fn refresh(&self) -> Option<&'v str> {
        self.access().and(self.answer.at("refresh_token").as_str())
    }

    /// The scope that the answer states.
    pub(crate) fn stated(&self) -> Option<BTreeSet<String>> {
        self.access().and(self.answer.at("scope").as_str()).map(words)
    }

    /// The `error` of the answer.
    pub(crate) fn error(&self) -> Option<&str> {
        self.answer.at("error").as_str()
    }

    /// Whether something came that speaks about the request, not about load, outage or the way.
    pub(crate) fn conclusive(&self) -> bool {
        !matches!(self.exchange.status, None | Some(300..=399 | 408 | 429 | 502..=504))
    }

    /// Whether the server looked at the request and refused it.
    pub(crate) fn refused(&self) -> bool {
        let error = self.exchange.is_success() && self.error().is_some();
        self.conclusive() && (error || !self.exchange.is_success())
    }

    /// Whether the form is in order below its meaning: a POST, no parameter twice that may not be.
    pub(crate) fn sound(&self) -> bool {
        let kind = self.exchange.sent_header("content-type").unwrap_or_default();
        self.exchange.method == "POST"
            && kind.starts_with("application/x-www-form-urlencoded")
            && self.repeated().is_none()
    }

    /// A parameter that is there twice; `resource` may be (RFC 8707 section 2).
    pub(crate) fn repeated(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        let names = self.form.iter().map(|(name, _)| name.as_str());
        names.into_iter().find(|name| *name != "resource" && !seen.insert(*name))
    }

    /// Which client sends it: its id, or the label of its HTTP Basic.
    pub(crate) fn client(&self) -> &str {
        self.exchange.sent_header("authorization").or_else(|| self.param("client_id")).unwrap_or_default()
    }

    /// What the client proves itself with.
    pub(crate) fn proof(&self) -> Option<&str> {
        let basic = self.exchange.sent_header("authorization");
        basic.or_else(|| self.param("client_secret")).or_else(|| self.param("client_assertion"))
    }

    /// Microseconds at which the answer was there.
    pub(crate) fn done(&self) -> u64 {
        self.exchange.end_at.unwrap_or(self.exchange.at)
    }

    /// Whether its answer was there before another request left.
    pub(crate) fn before(&self, other: &Exchange) -> bool {
        let answered = self.exchange.end_seq.or(self.exchange.response_seq).unwrap_or(self.exchange.seq);
        answered < other.seq
    }

    /// Whether both belong to one step: they were meant to be under way at once, whichever way a busy machine had it.
    pub(crate) fn together(&self, other: &Self) -> bool {
        self.exchange.step.is_some() && self.exchange.step == other.exchange.step
    }
}

/// The requests under whose revision a requirement holds.
pub(crate) fn under<'l, 'v>(asks: &'l [Ask<'v>], out: &Findings) -> Vec<&'l Ask<'v>> {
    asks.iter().filter(|ask| out.covers(ask.revision)).collect()
}

/// The words of a scope.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What somebody consented to, as far as it is seen.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The client it was given to, as it named itself at the token endpoint.
    pub client: String,
    /// The id of that client, where it is seen.
    pub id: Option<String>,
    /// Whether that client proved itself.
    pub proven: bool,
    /// The scope: as stated, else as asked for.
    pub scope: Option<BTreeSet<String>>,
    /// The resource that was asked for.
    pub resource: Option<String>,
}

impl Grant {
    /// Whether a request comes from another client.
    pub(crate) fn foreign(&self, ask: &Ask<'_>) -> bool {
        match (ask.param("client_id"), &self.id) {
            (Some(named), Some(id)) => named != id,
            _ => ask.client() != self.client,
        }
    }

    /// Whether a request comes from the client of the grant, proven as when it got the grant.
    pub(crate) fn own(&self, ask: &Ask<'_>) -> bool {
        let basic = ask.exchange.sent_header("authorization");
        !self.foreign(ask) && ask.proof().is_some() == self.proven && basic.is_none_or(|basic| basic == self.client)
    }
}

/// A token and where it came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// Index of the grant.
    pub grant: usize,
    /// Index of the request whose answer first had it.
    pub ask: usize,
}

/// All that is seen of tokens.
#[derive(Debug)]
pub(crate) struct Ledger<'v> {
    /// Requests to the token endpoint, in order.
    pub asks: Vec<Ask<'v>>,
    /// Requests to the revocation endpoint.
    pub revocations: Vec<Ask<'v>>,
    /// Requests to the introspection endpoint.
    pub introspections: Vec<Ask<'v>>,
    /// Requests to the MCP endpoint that carried a token: the label, the exchange.
    pub uses: Vec<(&'v str, &'v Exchange)>,
    /// Grants in order.
    pub grants: Vec<Grant>,
    /// Refresh tokens by label.
    pub refresh: BTreeMap<&'v str, Origin>,
    /// Access tokens by label.
    pub access: BTreeMap<&'v str, Origin>,
}

impl<'v> Ledger<'v> {
    /// Reads a transcript.
    pub(crate) fn new(view: &'v View<'_>) -> Self {
        let asks = |exchanges: Vec<&'v Exchange>| -> Vec<Ask<'v>> {
            exchanges.into_iter().map(|exchange| Ask::of(view, exchange)).collect()
        };
        let carried = view.exchanges.iter().filter_map(|exchange| Some((token_of(exchange)?, exchange)));
        let uses = carried.filter(|(_, exchange)| at_endpoint(view, exchange)).collect();
        let mut ledger = Self {
            asks: asks(token_requests(view)),
            revocations: asks(to(view, "revocation_endpoint", "/revoke")),
            introspections: asks(to(view, "introspection_endpoint", "/introspect")),
            uses,
            grants: Vec::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
        };
        for index in 0..ledger.asks.len() {
            ledger.enter(view, index);
        }
        ledger
    }

    fn enter(&mut self, view: &'v View<'_>, index: usize) {
        let ask = &self.asks[index];
        let Some(access) = ask.access() else { return };
        let known = ask.presented().and_then(|token| self.refresh.get(token)).map(|origin| origin.grant);
        let refresh = ask.refresh();
        let grant = known.unwrap_or_else(|| {
            let begun = ask.param("code").and_then(|code| authorization(view, code)).unwrap_or_default();
            let asked = param(begun, "scope").or_else(|| ask.param("scope")).map(words);
            let resource = ask.param("resource").or_else(|| param(begun, "resource"));
            self.grants.push(Grant {
                client: ask.client().to_owned(),
                id: ask.param("client_id").or_else(|| param(begun, "client_id")).map(str::to_owned),
                proven: ask.proof().is_some(),
                scope: ask.stated().or(asked),
                resource: resource.map(str::to_owned),
            });
            self.grants.len() - 1
        });
        let origin = Origin { grant, ask: index };
        self.access.entry(access).or_insert(origin);
        if let Some(refresh) = refresh {
            self.refresh.entry(refresh).or_insert(origin);
        }
    }

    /// The grant of a refresh token.
    pub(crate) fn grant_of(&self, refresh: &str) -> Option<&Grant> {
        self.refresh.get(refresh).map(|origin| &self.grants[origin.grant])
    }

    /// The grant that a token of either kind belongs to.
    pub(crate) fn family(&self, token: &str) -> Option<usize> {
        self.refresh.get(token).or_else(|| self.access.get(token)).map(|origin| origin.grant)
    }

    /// Whether a client is known to the server: it was registered, or got a token.
    pub(crate) fn knows(&self, view: &View<'_>, client: &str) -> bool {
        let registered = to(view, "registration_endpoint", "/register");
        registered.into_iter().filter_map(document).any(|document| document.at("client_id") == client)
            || self.asks.iter().any(|ask| ask.access().is_some() && ask.param("client_id") == Some(client))
    }

    /// The first refresh that exchanged a token for another, with its answer before the request.
    pub(crate) fn rotation(&self, token: &str, before: &Exchange) -> Option<&Ask<'v>> {
        self.asks.iter().find(|ask| {
            ask.presented() == Some(token) && ask.refresh().is_some_and(|fresh| fresh != token) && ask.before(before)
        })
    }

    /// Whether a refresh token was rotated away so long ago that nobody can mean to repeat a lost answer: the grace is
    /// over, or its successor was used.
    pub(crate) fn stale(&self, token: &str, at: &Exchange) -> bool {
        let Some(rotation) = self.rotation(token, at) else { return false };
        let successor = rotation.refresh().unwrap_or_default();
        at.at.saturating_sub(rotation.done()) > GRACE || self.rotation(successor, at).is_some()
    }

    /// What ended a grant before a request: its revocation, or the refused reuse of a token; the evidence of it.
    pub(crate) fn ended(&self, grant: usize, before: &Exchange) -> Option<&Ask<'v>> {
        let of_grant = |token: &str| self.refresh.get(token).is_some_and(|origin| origin.grant == grant);
        let revoked = self
            .revocations
            .iter()
            .find(|ask| ask.exchange.is_success() && ask.before(before) && ask.param("token").is_some_and(of_grant));
        revoked.or_else(|| self.reused(grant, before))
    }

    /// The refused reuse of a stale token of a grant, before a request.
    pub(crate) fn reused(&self, grant: usize, before: &Exchange) -> Option<&Ask<'v>> {
        self.asks.iter().find(|ask| {
            let reuse = |token: &str| {
                self.refresh.get(token).is_some_and(|origin| origin.grant == grant) && self.stale(token, ask.exchange)
            };
            ask.refused() && ask.before(before) && ask.presented().is_some_and(reuse)
        })
    }

    /// Whether the token of a refresh is the one in force, held by its own client, which asks for nothing more than it
    /// has: only the state of the grant is a reason to refuse it.
    pub(crate) fn fair(&self, ask: &Ask<'_>) -> bool {
        let Some(grant) = ask.presented().and_then(|token| self.grant_of(token)) else { return false };
        let within = ask
            .param("scope")
            .is_none_or(|scope| grant.scope.as_ref().is_some_and(|granted| words(scope).is_subset(granted)));
        let same = ask.param("resource").is_none_or(|wanted| {
            grant.resource.as_deref().is_some_and(|known| known.trim_end_matches('/') == wanted.trim_end_matches('/'))
        });
        ask.sound() && ask.conclusive() && grant.own(ask) && within && same
    }

    /// Whether the refresh token is in force as far as is seen: not rotated away, its grant not ended, used or issued
    /// within a month.
    pub(crate) fn alive(&self, ask: &Ask<'_>) -> bool {
        const MONTH: u64 = 29 * 86_400 * 1_000_000;
        let Some(token) = ask.presented() else { return false };
        let Some(origin) = self.refresh.get(token) else { return false };
        let age = ask.exchange.at.saturating_sub(self.asks[origin.ask].done());
        self.rotation(token, ask.exchange).is_none() && self.ended(origin.grant, ask.exchange).is_none() && age < MONTH
    }

    /// Whether an access token has time left at a request, as far as its answer said.
    pub(crate) fn in_time(&self, token: &str, at: &Exchange) -> bool {
        let Some(origin) = self.access.get(token) else { return false };
        let ask = &self.asks[origin.ask];
        let lives = ask.answer.at("expires_in").as_u64().unwrap_or(300).saturating_mul(1_000_000);
        at.at < ask.exchange.at.saturating_add(lives)
    }

    /// Uses of access tokens of a grant while they had time left: token and exchange.
    pub(crate) fn uses_of(&self, grant: usize) -> impl Iterator<Item = (&'v str, &'v Exchange)> {
        self.uses.iter().copied().filter(move |(token, exchange)| {
            self.access.get(*token).is_some_and(|origin| origin.grant == grant)
                && self.in_time(token, exchange)
                && exchange.status.is_some()
        })
    }

    /// Revocations of a client's own token that are in order, but for the hint.
    pub(crate) fn own_revocations(&self) -> impl Iterator<Item = (&Ask<'v>, &str, usize)> {
        self.revocations.iter().filter_map(|ask| {
            let token = ask.param("token")?;
            let grant = self.family(token)?;
            let away = matches!(ask.exchange.status, Some(404 | 405 | 415));
            let fair = ask.sound() && ask.conclusive() && !away && self.grants[grant].own(ask);
            fair.then_some((ask, token, grant))
        })
    }
}

/// The parameters of the authorization request that a code came from.
fn authorization<'v>(view: &'v View<'_>, code: &str) -> Option<&'v [(String, String)]> {
    let asked = authorization_requests(view);
    let origin = asked
        .into_iter()
        .find(|exchange| redirect(exchange).is_some_and(|(_, pairs)| param(pairs, "code") == Some(code)))?;
    Some(query(origin))
}
