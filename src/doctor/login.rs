//! From the metadata to a token: client id, authorization, exchange of the code.

use serde_json::Value;

use super::answer::body_of;
use super::diagnosis::Station;
use super::oauth_error::{Asked, tell};
use super::road::{NOT_THIS_FAR, Road};
use crate::check::auth::wire;
use crate::profile::Profile;
use crate::report::text::clip;
use crate::transcript::Exchange;

/// Why there is nothing to say about a request to an endpoint of the authorization server.
fn not_asked(road: &Road<'_>, name: &'static str) -> Station {
    let why = if road.is_open() { "not needed: the server asks for no token" } else { NOT_THIS_FAR };
    Station::not_reached(name, why)
}

/// How the client came by its id.
pub(super) fn registration(road: &Road<'_>, profile: &Profile) -> Station {
    let mut station = Station::new("registration");
    if let Some(exchange) = road.registration {
        let document = body_of(exchange).ok().filter(|_| exchange.is_success());
        if let Some(document) = document.filter(|document| document["client_id"].is_string()) {
            registered(&mut station, exchange, &document);
            return station;
        }
        tell(&mut station, Asked::Registration, exchange);
        if road.server.is_none() {
            station.saw("without metadata the client tried /register, the place of 2025-03-26");
        }
        return station;
    }
    if let Some(id) = road.asked("client_id") {
        station.saw(format!("the client is known by its metadata document, {id}"));
        return station;
    }
    if road.server.is_none() || road.server_says("registration_endpoint").is_some() {
        return not_asked(road, "registration");
    }
    if let Some(found) = road.server_found {
        station.show(found);
    }
    let documents = road.server.as_ref().is_some_and(|server| server["client_id_metadata_document_supported"] == true);
    let offered = match (documents, profile.oauth.value.document.is_some()) {
        (true, false) => "it takes only client ID metadata documents, and this client has none",
        (true, true) => "it takes client ID metadata documents, but cannot read one on another machine from here",
        (false, _) => "it offers neither registration_endpoint nor client_id_metadata_document_supported",
    };
    station.breaks(
        format!("no client can register itself: {offered}; only a client id that was set up by hand gets in"),
        "offer client ID metadata documents and a registration_endpoint (RFC 7591), or tell users how to get a client \
         id and where to enter it",
    );
    station
}

fn registered(station: &mut Station, exchange: &Exchange, document: &Value) {
    station.show(exchange);
    let method = document["token_endpoint_auth_method"].as_str().unwrap_or("not said");
    station.saw(format!("the client registered itself; it proves itself by `{}`", clip(method, 40)));
    let sent: Value = exchange.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    if document["redirect_uris"].is_array() && document["redirect_uris"] != sent["redirect_uris"] {
        station.warns(
            format!("it was registered with other redirect URIs than it asked for: {}", clip(&document["redirect_uris"].to_string(), 160)),
            "register the redirect URIs as they were sent, or refuse with invalid_redirect_uri (RFC 7591 section 3.2.2)",
        );
    }
}

/// Whether the authorization endpoint gave a code.
pub(super) fn authorization(road: &Road<'_>) -> Station {
    let Some(exchange) = road.authorization else {
        return not_asked(road, "authorization");
    };
    let mut station = Station::new("authorization");
    station.show(exchange);
    let Some(status) = exchange.status else {
        let words = exchange.amiss().unwrap_or_else(|| "no answer".to_owned());
        station
            .breaks(format!("the authorization endpoint does not answer: {words}"), "look whether it can be reached");
        return station;
    };
    let redirected = wire::redirect(exchange).filter(|_| (300..400).contains(&status));
    let person = "a person has to log in or consent there, which this program cannot do; nothing is known of what comes \
                  after";
    match redirected {
        _ if road.way_back.is_some() => returned(road, &mut station),
        Some((place, _)) => station.warns(format!("it redirects to {}: {person}", clip(place, 160)), ""),
        None if (200..300).contains(&status) => station.warns(format!("it answers with a page: {person}"), ""),
        None => station.breaks(
            format!("the authorization endpoint answers with status {status}"),
            "redirect with a code; refuse with an error page only where client or redirect URI are unknown (RFC 6749 \
             section 4.1.2.1)",
        ),
    }
    station
}

/// The client is back at its redirect URI.
fn returned(road: &Road<'_>, station: &mut Station) {
    if road.redirected("state") != road.asked("state") {
        station.breaks(
            "the state that came back is not the one that was sent, so clients stop",
            "return `state` byte by byte as it came (RFC 6749 section 4.1.2)",
        );
        return;
    }
    let own = road.server_says("issuer").map(str::to_owned).or_else(|| road.issuer()).unwrap_or_default();
    let announced =
        road.server.as_ref().is_some_and(|document| document["authorization_response_iss_parameter_supported"] == true);
    match road.redirected("iss") {
        Some(iss) if iss != own => {
            station.breaks(
                format!("`iss` in the answer is {}, but the issuer is {own}; clients stop", clip(&iss, 160)),
                "let `iss` be the issuer, byte by byte (RFC 9207 section 2)",
            );
            return;
        }
        None if announced => {
            station.breaks(
                "the metadata announces `iss` in the answer, but none came; clients stop",
                "send `iss`, or do not announce authorization_response_iss_parameter_supported (RFC 9207)",
            );
            return;
        }
        _ => {}
    }
    if let Some(error) = road.redirected("error") {
        let more = road.redirected("error_description").map(|text| format!(" ({})", clip(&text, 200)));
        station.breaks(
            format!("the authorization is refused: `{}`{}", clip(&error, 60), more.unwrap_or_default()),
            match error.as_str() {
                "invalid_scope" => "let scopes_supported and the challenge name only scopes that are granted",
                "invalid_target" => "register the address of the MCP endpoint as a resource (audience, API) there",
                "access_denied" => "whoever consents said no; try again, or consent automatically for tests",
                _ => "take the parameters of OAuth 2.1 with PKCE and `resource`, and ignore unknown ones",
            },
        );
    } else if road.redirected("code").is_some() {
        let scope = road.asked("scope").map(|scope| format!(", asked for the scope `{}`", clip(&scope, 120)));
        station.saw(format!("it gave a code without a person{}", scope.unwrap_or_default()));
    } else {
        station.breaks(
            "the answer has neither a code nor an error",
            "redirect with `code` and `state` (RFC 6749 section 4.1.2)",
        );
    }
}

/// Whether the code became a token, and whether clients can use it.
pub(super) fn token(road: &Road<'_>) -> Station {
    let Some(exchange) = road.exchange else { return not_asked(road, "token") };
    let mut station = Station::new("token");
    let Some(tokens) = road.tokens() else {
        tell(&mut station, Asked::Code, exchange);
        return station;
    };
    station.show(exchange);
    usable(&mut station, tokens);
    let lives = match &tokens["expires_in"] {
        Value::Number(number) => number.as_u64().map(|seconds| format!("for {seconds} s")),
        _ => None,
    };
    match (&lives, &tokens["expires_in"]) {
        (None, Value::Null) => station.warns(
            "the answer does not say when the token ends (expires_in), so clients only learn it from a failed call",
            "add expires_in (RFC 6749 section 5.1)",
        ),
        (None, odd) => station.warns(
            format!("expires_in is {odd}, which is no number of seconds"),
            "let expires_in be a JSON number (RFC 6749 section 5.1)",
        ),
        _ => {}
    }
    let refresh = if tokens["refresh_token"].is_string() { "with" } else { "without" };
    let lives = lives.unwrap_or_else(|| "for an unknown time".to_owned());
    station.saw(format!("an access token {lives}, {refresh} a refresh token"));
    if let Some(granted) = tokens["scope"].as_str()
        && road.asked("scope").as_deref() != Some(granted)
    {
        station.saw(format!("granted was the scope `{}`", clip(granted, 120)));
    }
    station
}

fn usable(station: &mut Station, tokens: &Value) {
    match tokens["token_type"].as_str() {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(kind) => station.breaks(
            format!("the token is of the type `{}`; clients must not use a type they do not know", clip(kind, 40)),
            "let token_type be `Bearer` (RFC 6749 section 7.1)",
        ),
        None => station.breaks(
            "the answer does not say the type of the token (token_type), and clients insist on it",
            "add \"token_type\": \"Bearer\" (RFC 6749 section 5.1)",
        ),
    }
}
