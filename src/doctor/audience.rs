//! For whom the token is: what was advertised, asked for, issued, and taken.

use serde_json::Value;

use super::diagnosis::{Named, Station, Token};
use super::road::{NOT_THIS_FAR, Road};
use super::strings::side_by_side;
use crate::check::auth::wire;
use crate::model::covers;
use crate::report::text::clip;
use crate::transcript::Exchange;

/// The audiences in a JWT.
fn audiences(claims: &Value) -> Vec<String> {
    match &claims["aud"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The answer to the first request with the fresh token.
fn first_use<'v>(road: &Road<'v>) -> Option<&'v Exchange> {
    road.call_with(road.tokens()?["access_token"].as_str()?)
}

/// Why a request with a token was refused, as the server says it.
fn reason(refused: &Exchange) -> String {
    let challenge = wire::bearer(refused);
    let said = ["error", "error_description"].iter().filter_map(|name| challenge?.param(name));
    let said: Vec<String> = said.map(|text| clip(text, 160)).collect();
    if said.is_empty() { String::new() } else { format!(": {}", said.join(", ")) }
}

/// The resource strings, side by side.
pub(super) fn resources(road: &Road<'_>) -> Vec<Named> {
    if road.is_open() {
        return Vec::new();
    }
    let advertised = road.resource.as_ref().and_then(|document| document["resource"].as_str().map(str::to_owned));
    let in_form = road.exchange.and_then(|exchange| wire::param(wire::form(exchange), "resource").map(str::to_owned));
    let issued = road.claims().map(|(_, claims)| audiences(claims));
    let validated = first_use(road).map(|used| match used.status {
        Some(401 | 403) => format!("refused{}", reason(used)),
        Some(status) => format!("taken ({status})"),
        None => "no answer".to_owned(),
    });
    let mut said = vec![
        ("address", Some(road.url.to_owned())),
        ("advertised (resource metadata)", advertised),
        ("requested (authorization)", road.asked("resource")),
        ("requested (token)", in_form),
    ];
    said.extend(issued.into_iter().flatten().map(|audience| ("issued (aud of the token)", Some(audience))));
    let mut table = side_by_side(said);
    // What the server did is no string to compare.
    let as_it_is = |what, value: String| Named { what, value, differs_at: None, difference: None };
    if road.exchange.is_some() && road.claims().is_none() && road.tokens().is_some() {
        table.push(as_it_is("issued (aud of the token)", "cannot be seen: the token is opaque".to_owned()));
    }
    table.extend(validated.map(|value| as_it_is("validated (by the endpoint)", value)));
    table
}

/// The issuer strings, side by side.
pub(super) fn issuers(road: &Road<'_>) -> Vec<Named> {
    if road.is_open() || (road.resource.is_none() && road.server.is_none()) {
        return Vec::new();
    }
    let in_token = road.claims().and_then(|(_, claims)| claims["iss"].as_str().map(str::to_owned));
    side_by_side(vec![
        (if road.resource.is_some() { "named by the resource" } else { "origin of the resource" }, road.issuer()),
        ("in its own metadata", road.server_says("issuer").map(str::to_owned)),
        ("iss of the redirect", road.redirected("iss")),
        ("iss of the token", in_token),
    ])
}

/// What is known of the access token.
pub(super) fn token(road: &Road<'_>) -> Option<Token> {
    let tokens = road.tokens()?;
    let Some((header, claims)) = road.claims() else {
        let notes = vec!["it is no JWT: only its issuer can read it, so audience and scope cannot be seen".to_owned()];
        return Some(Token { format: "opaque", header: None, claims: None, notes });
    };
    let mut notes = Vec::new();
    if let (Some(issued), Some(ends)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) {
        let lives = ends.saturating_sub(issued);
        notes.push(match tokens["expires_in"].as_i64() {
            Some(told) if told != lives => {
                format!("exp is {lives} s after iat, but expires_in says {told} s: clients believe expires_in")
            }
            _ => format!("exp is {lives} s after iat"),
        });
    }
    if claims["exp"].is_null() {
        notes.push("there is no exp: it never ends by itself".to_owned());
    }
    if claims["aud"].is_null() {
        notes.push("there is no aud: it says nothing about whom it is for".to_owned());
    }
    if header["alg"].as_str().is_some_and(|alg| alg.eq_ignore_ascii_case("none")) {
        notes.push("alg is none: it is not signed, so anybody can make one".to_owned());
    }
    Some(Token { format: "jwt", header: Some(header.clone()), claims: Some(claims.clone()), notes })
}

/// Whether the token is for this server, and whether the server looks.
pub(super) fn audience(road: &Road<'_>, forged: Option<&Exchange>) -> Station {
    let mut station = Station::new("audience");
    if road.tokens().is_none() {
        let why = if road.is_open() { "not needed: the server asks for no token" } else { NOT_THIS_FAR };
        return Station::not_reached("audience", why);
    }
    if let Some(used) = first_use(road) {
        station.show(used);
        match used.status {
            Some(401) => station.breaks(
                format!("the endpoint refuses the token that was just issued{}", reason(used)),
                "compare the resource strings below: the audience that the endpoint expects has to be the one that the \
                 authorization server issues; compare the issuer and the keys too",
            ),
            Some(403) => station.breaks(
                format!("the endpoint takes the token for real, but it is not enough{}", reason(used)),
                "name the scopes that are needed in the challenge of the 401, so that clients ask for them",
            ),
            Some(_) => station.saw("the endpoint takes the token"),
            None => station.warns("the endpoint gave no answer to the first request with the token", ""),
        }
    }
    if let Some((_, claims)) = road.claims() {
        let all = audiences(claims);
        if all.iter().any(|audience| covers(audience, road.url)) {
            station.saw("its audience is this server");
        } else {
            let said = if all.is_empty() { "no audience".to_owned() } else { all.join(", ") };
            station.warns(
                format!("the token is for {}, not for {}", clip(&said, 200), road.url),
                "issue tokens whose aud is the `resource` of the request (RFC 8707 section 2), and let the endpoint \
                 check it",
            );
        }
    }
    if let Some(forged) = forged {
        match forged.status {
            Some(401) => station.saw("a made-up token is refused"),
            Some(200..=299) => {
                station.show(forged);
                station.breaks(
                    "the endpoint takes a made-up token as well: it does not check tokens at all",
                    "validate each token at the endpoint: signature or introspection, end, issuer and audience",
                );
            }
            _ => {}
        }
    }
    station
}
