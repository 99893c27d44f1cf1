//! What OAuth looks like in a transcript: which exchange is a metadata document, a token request, a challenge.
//!
//! Secrets are labels here; equal labels are equal secrets.

use serde_json::Value;

use crate::check::wire::{nearest, to_endpoint};
use crate::model::{Challenge, Members as _, Revision};
use crate::transcript::{Exchange, META_VERSION, Msg, Redirect, View, has_modern_meta};

/// Whether anything in a transcript has to do with authorization: a credential, a refusal, a request to another place
/// than the endpoint, or a parameter.
pub(crate) fn occurs(view: &View<'_>) -> bool {
    view.exchanges.iter().any(|exchange| {
        matches!(exchange.status, Some(401 | 403))
            || exchange.sent_header("authorization").is_some()
            || exchange.got_header("www-authenticate").is_some()
            || exchange.target.contains('?')
            || !to_endpoint(view, exchange)
    })
}

/// The path of a request without its query.
pub(crate) fn path(exchange: &Exchange) -> &str {
    exchange.path()
}

/// `host:port` that a request went to.
pub(crate) fn authority(exchange: &Exchange) -> &str {
    exchange.sent_header("host").unwrap_or_default()
}

/// `host:port` of a URL as a `Host` header has it.
pub(crate) fn authority_of(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a request went to this URL, whatever their queries.
pub(crate) fn goes_to(exchange: &Exchange, url: &url::Url) -> bool {
    path(exchange) == url.path() && authority(exchange).eq_ignore_ascii_case(&authority_of(url))
}

/// The revision that governs an exchange outside the endpoint: that of the conversation around it, or the one asked for.
pub(crate) fn around(view: &View<'_>, exchange: &Exchange) -> Option<Revision> {
    let asked = || view.messages.iter().find_map(names_revision);
    exchange.revision.or_else(|| nearest(view, exchange)?.revision).or_else(asked)
}

/// The revision that a request of the client names: `initialize` in its parameters, the modern era in `_meta`.
fn names_revision(msg: &Msg) -> Option<Revision> {
    let params = msg.message().params().filter(|_| !msg.received())?;
    let modern = params.at("_meta").get(META_VERSION);
    let handshake = params.member("protocolVersion").filter(|_| msg.method() == Some("initialize"));
    modern.or(handshake)?.as_str()?.parse().ok()
}

/// The JSON object that came back.
pub(crate) fn document(exchange: &Exchange) -> Option<&Value> {
    exchange.got_json().filter(|value| value.is_object())
}

/// Requests for the metadata of the resource (RFC 9728 section 3.1).
pub(crate) fn resource_metadata<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges
        .iter()
        .filter(|exchange| exchange.method == "GET" && path(exchange).contains("/.well-known/oauth-protected-resource"))
}

/// Requests for the metadata of an authorization server (RFC 8414 section 3.1, OpenID Connect Discovery section 4).
pub(crate) fn server_metadata<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(|exchange| {
        let path = path(exchange);
        let known = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
        exchange.method == "GET" && known.iter().any(|known| path.contains(known))
    })
}

/// The metadata documents of authorization servers that were found.
pub(crate) fn server_documents<'v>(view: &'v View<'_>) -> Vec<&'v Value> {
    server_metadata(view).filter(|exchange| exchange.is_success()).filter_map(document).collect()
}

/// Requests to an endpoint that some metadata names, such as `token_endpoint`; without any metadata, those to the place
/// that 2025-03-26 gives it, such as `/token`.
pub(crate) fn to<'v>(view: &'v View<'_>, name: &'static str, fallback: &str) -> Vec<&'v Exchange> {
    view.gather(name, || {
        let documents = server_documents(view);
        let url = |document: &&Value| document.member(name)?.as_str()?.parse().ok();
        let named: Vec<url::Url> = documents.iter().filter_map(url).collect();
        let matches = |exchange: &Exchange| {
            if documents.is_empty() {
                return path(exchange) == fallback;
            }
            named.iter().any(|url| goes_to(exchange, url))
        };
        (0..view.exchanges.len()).filter(|index| matches(&view.exchanges[*index])).collect()
    })
}

/// Requests to the token endpoint.
pub(crate) fn token_requests<'v>(view: &'v View<'_>) -> Vec<&'v Exchange> {
    to(view, "token_endpoint", "/token")
}

/// Requests to the authorization endpoint.
pub(crate) fn authorization_requests<'v>(view: &'v View<'_>) -> Vec<&'v Exchange> {
    to(view, "authorization_endpoint", "/authorize")
}

/// The parameters of a form.
pub(crate) fn form(exchange: &Exchange) -> &[(String, String)] {
    exchange.form()
}

/// The parameters of a query.
pub(crate) fn query(exchange: &Exchange) -> &[(String, String)] {
    exchange.query()
}

/// The first parameter of a name.
pub(crate) fn param<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Where an answer redirects to, with the parameters it hands over.
pub(crate) fn redirect(exchange: &Exchange) -> Option<&Redirect> {
    exchange.redirect()
}

/// Every challenge of an answer.
pub(crate) fn challenged(exchange: &Exchange) -> &[Challenge] {
    exchange.challenges()
}

/// The Bearer challenge of an answer.
pub(crate) fn bearer(exchange: &Exchange) -> Option<&Challenge> {
    challenged(exchange).iter().find(|challenge| challenge.is("bearer"))
}

/// Requests to the MCP endpoint that were answered with this status.
pub(crate) fn refused_with<'v>(view: &'v View<'_>, status: u16) -> impl Iterator<Item = &'v Exchange> {
    view.exchanges.iter().filter(move |exchange| exchange.status == Some(status) && at_endpoint(view, exchange))
}

/// The requests that show where the endpoint is, whatever came of them: handshakes, and what names the modern era.
pub(crate) fn openings<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Exchange> {
    let opens = |msg: &&Msg| !msg.received() && (msg.method() == Some("initialize") || has_modern_meta(&msg.value));
    view.messages.iter().filter(opens).map(|msg| view.exchange_of(msg))
}

/// Whether a request went to the MCP endpoint, also where no conversation was opened: then the first POST of a JSON-RPC
/// message says where it is.
pub(crate) fn at_endpoint(view: &View<'_>, exchange: &Exchange) -> bool {
    view.gathers("the endpoint", exchange, || {
        let openings: Vec<&Exchange> = openings(view).collect();
        let like = |exchange: &Exchange, opening: &&Exchange| {
            path(opening) == path(exchange) && authority(opening) == authority(exchange)
        };
        let there =
            |exchange: &Exchange| to_endpoint(view, exchange) || openings.iter().any(|opening| like(exchange, opening));
        (0..view.exchanges.len()).filter(|index| there(&view.exchanges[*index])).collect()
    })
}

/// The label of the access token that a request carried.
pub(crate) fn token_of(exchange: &Exchange) -> Option<&str> {
    let (scheme, token) = exchange.sent_header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Whether an authority is this very machine, where http is as good as https (RFC 8252 section 8.3).
pub(crate) fn on_this_machine(url: &str) -> bool {
    let Ok(url) = url.parse::<url::Url>() else { return false };
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}
