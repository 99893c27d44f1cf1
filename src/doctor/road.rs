//! The road as the transcript shows it: which exchange belongs to which station.
//!
//! Requests are known by their shape, not by what the metadata names, since the metadata may be what is wrong.

use serde_json::Value;
use url::Url;

use super::answer::{read, url_of};
use super::walk::FORGED;
use crate::check::auth::wire;
use crate::transcript::{EventKind, Exchange, View};

/// Why nothing is said of a station.
pub(super) const NOT_THIS_FAR: &str = "the client did not come this far";

/// The exchanges and documents that the stations are about.
pub(super) struct Road<'v> {
    pub(super) view: &'v View<'v>,
    /// The address of the endpoint.
    pub(super) url: &'v str,
    /// Requests to the endpoint.
    pub(super) calls: Vec<&'v Exchange>,
    /// Requests for the metadata of the resource, each address once.
    pub(super) resource_places: Vec<&'v Exchange>,
    /// The metadata of the resource.
    pub(super) resource: Option<Value>,
    /// Requests for the metadata of the authorization server, each address once.
    pub(super) server_places: Vec<&'v Exchange>,
    /// The exchange that brought the metadata of the authorization server.
    pub(super) server_found: Option<&'v Exchange>,
    /// The metadata of the authorization server.
    pub(super) server: Option<Value>,
    /// The first registration.
    pub(super) registration: Option<&'v Exchange>,
    /// The first authorization request.
    pub(super) authorization: Option<&'v Exchange>,
    /// What led back to the client after it: the same exchange, or a later page of the login.
    pub(super) way_back: Option<&'v Exchange>,
    /// The first exchange of a code.
    pub(super) exchange: Option<&'v Exchange>,
    /// The first refresh.
    pub(super) refresh: Option<&'v Exchange>,
}

impl<'v> Road<'v> {
    pub(super) fn new(view: &'v View<'v>, url: &'v str) -> Self {
        let all = || view.exchanges.iter();
        let endpoint = Url::parse(url).ok();
        let at_endpoint =
            |exchange: &&Exchange| Url::parse(&url_of(exchange)).ok().is_some_and(|place| Some(place) == endpoint);
        // What the made-up token met says nothing about the client's own road.
        let own = |exchange: &&Exchange| exchange.step != Some(FORGED);
        let calls: Vec<&Exchange> = all().filter(at_endpoint).filter(own).collect();
        let named: Vec<String> =
            calls.iter().filter_map(|call| wire::bearer(call)?.param("resource_metadata").map(str::to_owned)).collect();
        let is_named = |exchange: &&Exchange| exchange.method == "GET" && named.contains(&url_of(exchange));
        let resource_places = each_once(wire::resource_metadata(view).chain(all().filter(is_named)));
        let server_places = each_once(wire::server_metadata(view));
        let server_found = server_places.iter().find(|place| read(place).is_ok()).copied();
        let grant = |kind: &str| {
            all().find(|exchange| {
                exchange.method == "POST" && wire::param(wire::form(exchange), "grant_type") == Some(kind)
            })
        };
        let registers = |exchange: &&Exchange| {
            let body = exchange.body.as_deref().unwrap_or_default();
            exchange.method == "POST" && body.starts_with('{') && body.contains("\"redirect_uris\"")
        };
        let authorizes = |exchange: &&Exchange| {
            exchange.method == "GET" && wire::param(wire::query(exchange), "response_type").is_some()
        };
        let authorization = all().find(authorizes);
        let home = authorization.and_then(|asked| {
            let home = wire::param(wire::query(asked), "redirect_uri").map(str::to_owned);
            // A client with a single redirect URI need not name it (RFC 6749 section 3.1.2.3).
            let Some(home) = home else { return wire::redirect(asked).map(|_| asked) };
            let back = |exchange: &&Exchange| wire::redirect(exchange).is_some_and(|(place, _)| *place == home);
            all().filter(|exchange| exchange.seq >= asked.seq).find(back)
        });
        Self {
            view,
            url,
            resource: resource_places.iter().find_map(|place| read(place).ok()),
            resource_places,
            server: server_found.and_then(|place| read(place).ok()),
            server_places,
            server_found,
            registration: all().find(registers),
            authorization,
            way_back: home,
            exchange: grant("authorization_code"),
            refresh: grant("refresh_token"),
            calls,
        }
    }

    /// The issuer that the client went to: the first that the resource names, or else the origin of the resource.
    pub(super) fn issuer(&self) -> Option<String> {
        match &self.resource {
            Some(document) => document["authorization_servers"][0].as_str().map(str::to_owned),
            None => Some(Url::parse(self.url).ok()?.origin().ascii_serialization()),
        }
    }

    /// A text in the metadata of the authorization server.
    pub(super) fn server_says(&self, name: &str) -> Option<&str> {
        self.server.as_ref()?.get(name)?.as_str()
    }

    /// Whether a list in the metadata of the authorization server has this word.
    pub(super) fn server_lists(&self, name: &str, word: &str) -> bool {
        let list = self.server.as_ref().and_then(|document| document.get(name)?.as_array());
        list.is_some_and(|list| list.iter().any(|one| one == word))
    }

    /// The first request that was refused for want of a token.
    pub(super) fn challenge(&self) -> Option<&'v Exchange> {
        self.calls.iter().find(|call| call.status == Some(401)).copied()
    }

    /// Whether the server lets everybody in: it never asked for a token.
    pub(super) fn is_open(&self) -> bool {
        self.challenge().is_none() && self.got_in() && self.exchange.is_none()
    }

    /// Whether a conversation was opened.
    pub(super) fn got_in(&self) -> bool {
        !self.view.conversations.is_empty()
    }

    /// The answer that brought the first tokens.
    pub(super) fn tokens(&self) -> Option<&'v Value> {
        let document = wire::document(self.exchange.filter(|exchange| exchange.status == Some(200))?)?;
        document["access_token"].is_string().then_some(document)
    }

    /// Header and claims of the first access token, where it is a JWT.
    pub(super) fn claims(&self) -> Option<(&'v Value, &'v Value)> {
        let wanted = self.tokens()?["access_token"].as_str()?.to_owned();
        self.view.events.iter().find_map(|event| match &event.kind {
            EventKind::Claims { label, header, claims } if *label == wanted => Some((header, claims)),
            _ => None,
        })
    }

    /// A parameter of the authorization request.
    pub(super) fn asked(&self, name: &str) -> Option<String> {
        let pairs = wire::query(self.authorization?);
        wire::param(pairs, name).map(str::to_owned)
    }

    /// A parameter of the answer to the authorization request.
    pub(super) fn redirected(&self, name: &str) -> Option<String> {
        let (_, pairs) = wire::redirect(self.way_back?)?;
        wire::param(pairs, name).map(str::to_owned)
    }

    /// The first request to the endpoint that carried this access token.
    pub(super) fn call_with(&self, token: &str) -> Option<&'v Exchange> {
        self.calls.iter().find(|call| wire::token_of(call) == Some(token)).copied()
    }
}

/// Exchanges with each address only the first time.
fn each_once<'v>(exchanges: impl Iterator<Item = &'v Exchange>) -> Vec<&'v Exchange> {
    let mut found: Vec<&Exchange> = Vec::new();
    let mut exchanges: Vec<&Exchange> = exchanges.collect();
    exchanges.sort_by_key(|exchange| exchange.seq);
    for exchange in exchanges {
        if !found.iter().any(|known| url_of(known) == url_of(exchange)) {
            found.push(exchange);
        }
    }
    found
}
