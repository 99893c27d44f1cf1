//! Whether the client can keep its session alive without a person.

use super::answer::body_of;
use super::diagnosis::Station;
use super::oauth_error::{Asked, tell};
use super::road::{NOT_THIS_FAR, Road};
use crate::transcript::Exchange;

/// The scope by which clients ask for refresh tokens.
pub(super) const OFFLINE: &str = "offline_access";

/// Whether a scope has `offline_access` in it.
pub(super) fn asks_offline(scope: Option<&str>) -> bool {
    scope.is_some_and(|scope| scope.split(' ').any(|name| name == OFFLINE))
}

/// Whether the refresh that was tried gave a token.
pub(super) fn works(road: &Road<'_>) -> Option<bool> {
    let refresh = road.refresh?;
    let document = body_of(refresh).ok().filter(|_| refresh.status == Some(200));
    Some(document.is_some_and(|document| document["access_token"].is_string()))
}

/// Whether the refresh token works, and the session lives on; `after` is a call made after the refresh.
pub(super) fn refresh(road: &Road<'_>, after: Option<&Exchange>) -> Station {
    let Some(tokens) = road.tokens() else {
        let why = if road.is_open() { "not needed: the server asks for no token" } else { NOT_THIS_FAR };
        return Station::not_reached("refresh", why);
    };
    let mut station = Station::new("refresh");
    let Some(exchange) = road.refresh else {
        if tokens["refresh_token"].is_string() {
            return Station::not_reached("refresh", "the client did not try its refresh token");
        }
        if let Some(exchange) = road.exchange {
            station.show(exchange);
        }
        let (why, change) = missing(road);
        station.warns(format!("no refresh token was issued: {why}"), change);
        return station;
    };
    if works(road) != Some(true) {
        tell(&mut station, Asked::Refresh, exchange);
        return station;
    }
    station.show(exchange);
    let renewed = body_of(exchange).unwrap_or_default();
    let rotates = match renewed["refresh_token"].as_str() {
        Some(label) if Some(label) != tokens["refresh_token"].as_str() => "the refresh token rotates",
        _ => "the refresh token stays the same",
    };
    station.saw(format!("the refresh works; {rotates}"));
    if renewed["expires_in"].is_null() && tokens["expires_in"].is_number() {
        station.warns(
            "the refreshed token does not say when it ends (expires_in), unlike the first",
            "add expires_in to each token response (RFC 6749 section 5.1)",
        );
    }
    match after.map(|call| (call, call.status)) {
        Some((_, Some(200..=299))) => station.saw("the session lives on with the new token"),
        Some((call, Some(401))) => {
            station.show(call);
            station.breaks(
                "the endpoint refuses the refreshed token",
                "give refreshed tokens the audience and the scope of the first; do not bind sessions to one token",
            );
        }
        Some((call, Some(404))) => {
            station.show(call);
            station.breaks(
                "after the refresh the session is gone (404)",
                "bind sessions to the user, not to the token: tokens change in mid-session",
            );
        }
        Some((call, _)) => {
            station.show(call);
            station.warns("the call after the refresh failed", "bind sessions to the user, not to the token");
        }
        None => {}
    }
    station
}

/// Why no refresh token came, as far as it can be seen, and what helps.
fn missing(road: &Road<'_>) -> (&'static str, &'static str) {
    let lists_grants = road.server.as_ref().is_some_and(|server| server["grant_types_supported"].is_array());
    if lists_grants && !road.server_lists("grant_types_supported", "refresh_token") {
        return (
            "the authorization server does not offer the grant refresh_token (grant_types_supported)",
            "offer the grant refresh_token, or make access tokens last as long as a session should",
        );
    }
    if asks_offline(road.asked("scope").as_deref()) {
        return (
            "offline_access was asked for and still brought none",
            "allow refresh tokens for this client, also for clients that registered themselves",
        );
    }
    if road.server_lists("scopes_supported", OFFLINE) {
        return (
            "it may be issued only where offline_access is asked for, which this client does not",
            "issue refresh tokens to every client that registered the grant refresh_token; not all ask for offline_access",
        );
    }
    (
        "nothing says why",
        "issue refresh tokens to clients that registered the grant refresh_token, or list offline_access among \
         scopes_supported if that is what they have to ask for",
    )
}
