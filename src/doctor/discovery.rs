//! The metadata: of the resource (RFC 9728), and of its authorization server (RFC 8414, OpenID Connect Discovery).

use serde_json::Value;

use super::answer::{Problem, read, url_of};
use super::diagnosis::{State, Station};
use super::road::Road;
use super::strings::{only_a_slash, parting};
use crate::model::covers;
use crate::transcript::Exchange;

const OF_RESOURCE: &str = "the metadata of the resource";
const OF_SERVER: &str = "the metadata of the authorization server";

/// What the client found out before it could log in.
pub(super) fn discovery(road: &Road<'_>) -> Station {
    if road.is_open() {
        return Station::not_reached("discovery", "not needed: the server asks for no token");
    }
    if road.resource_places.is_empty() && road.server_places.is_empty() {
        return Station::not_reached("discovery", "the client did not look for metadata");
    }
    let mut station = Station::new("discovery");
    resource(road, &mut station);
    if station.state != State::Broken || !road.server_places.is_empty() {
        server(road, &mut station);
    }
    station
}

/// Tells what is wrong with the places that were asked, up to the one that had the document.
fn places(station: &mut Station, asked: &[&Exchange], document: &str) {
    for place in asked {
        match read(place) {
            Ok(_) => {
                let kind = place.media_type().unwrap_or("no content-type");
                if kind != "application/json" {
                    station.show(place);
                    station.warns(
                        format!("{} is sent as {kind}; strict clients do not read it", url_of(place)),
                        format!("send {document} as application/json"),
                    );
                }
                return;
            }
            // A place without the document is nothing wrong as long as another has it.
            Err(Problem::Missing(_)) => {}
            Err(problem) => {
                station.show(place);
                station.warns(format!("{} {}", url_of(place), problem.words()), problem.change(document));
            }
        }
    }
}

fn all_missing(asked: &[&Exchange]) -> bool {
    asked.iter().all(|place| matches!(read(place), Err(Problem::Missing(_))))
}

fn resource(road: &Road<'_>, station: &mut Station) {
    places(station, &road.resource_places, OF_RESOURCE);
    let Some(document) = &road.resource else {
        if let Some(place) = road.resource_places.first().filter(|_| all_missing(&road.resource_places)) {
            station.show(place);
            station.warns(
                format!("{OF_RESOURCE} is nowhere: {} {}", url_of(place), Problem::Missing(404).words()),
                format!("serve {OF_RESOURCE} at {} (RFC 9728; a MUST since 2025-06-18)", url_of(place)),
            );
        }
        // A fallback of 2025-03-26 may get the client on; without one, the road ends here.
        if road.server.is_none() {
            station.state = State::Broken;
        } else {
            station.saw("the client went on by the rule of 2025-03-26: it took the origin for the issuer");
        }
        return;
    };
    let before = station.amiss;
    stated(road, station, document);
    if let Some(place) =
        road.resource_places.iter().find(|place| read(place).is_ok()).filter(|_| station.amiss != before)
    {
        station.show(place);
    }
}

fn stated(road: &Road<'_>, station: &mut Station, document: &Value) {
    let stated = document["resource"].as_str();
    match stated {
        None => station.breaks(
            format!("{OF_RESOURCE} does not say which resource it is of"),
            format!("add \"resource\": \"{}\" to it (RFC 9728 section 2)", road.url),
        ),
        Some(stated) if !covers(stated, road.url) => {
            let difference = parting(road.url, stated).map(|(_, words)| format!(" ({words})")).unwrap_or_default();
            station.breaks(
                format!(
                    "{OF_RESOURCE} is of another resource: {stated}, not {}{difference}; clients stop here",
                    road.url
                ),
                format!(
                    "let it say \"resource\": \"{}\", the address that clients use, behind a proxy the public one (RFC \
                     9728 section 3.3); or use {stated} as the address, if the server is there",
                    road.url
                ),
            );
        }
        Some(stated) if only_a_slash(stated, road.url) => station.warns(
            format!("the resource says {stated} where clients use {}: a slash at the end apart", road.url),
            "use one spelling everywhere; strict clients and token validators compare byte by byte",
        ),
        Some(stated) => station.saw(format!("the resource is {stated}")),
    }
    match &document["authorization_servers"] {
        Value::Array(list) if list.first().is_some_and(Value::is_string) => {}
        _ => station.breaks(
            format!("{OF_RESOURCE} names no authorization server"),
            "add \"authorization_servers\": [\"…\"] with the issuer of your authorization server",
        ),
    }
}

fn server(road: &Road<'_>, station: &mut Station) {
    let Some(issuer) = road.issuer() else { return };
    if road.server_places.is_empty() {
        return;
    }
    places(station, &road.server_places, OF_SERVER);
    let Some(document) = &road.server else {
        let known = road.server_places.len();
        // The client only guessed where to look; what it did not find there need not be there.
        if road.resource.is_none() {
            station.saw(format!("so the client looked for {OF_SERVER} at {issuer} itself, in vain"));
            return;
        }
        if let Some(place) = road.server_places.first().filter(|_| all_missing(&road.server_places)) {
            station.show(place);
            station.warns(
                format!("{OF_SERVER} is at none of the {known} known places of {issuer}"),
                format!("serve {OF_SERVER} at {} (RFC 8414 section 3)", url_of(place)),
            );
        }
        station.state = State::Broken;
        return;
    };
    let before = station.amiss;
    consistent(station, document, &issuer);
    pkce(road, station);
    if let Some(found) = road.server_found.filter(|_| station.amiss != before) {
        station.show(found);
    }
}

fn consistent(station: &mut Station, document: &Value, issuer: &str) {
    match document["issuer"].as_str() {
        Some(own) if own == issuer => station.saw(format!("the authorization server is {issuer}")),
        Some(own) if only_a_slash(own, issuer) => station.warns(
            format!("the issuer is {issuer} for the resource and {own} for itself: a slash at the end apart"),
            "use one spelling in both documents; clients have to compare byte by byte (RFC 8414 section 3.3)",
        ),
        own => {
            let own = own.unwrap_or("nothing");
            station.breaks(
                format!(
                    "the issuer is {issuer} for the resource, but {own} for itself; clients must not use such metadata"
                ),
                format!(
                    "let `issuer` in {OF_SERVER} and `authorization_servers` in {OF_RESOURCE} be the same string (RFC \
                     8414 section 3.3)"
                ),
            );
        }
    }
    for name in ["authorization_endpoint", "token_endpoint"] {
        if document[name].as_str().is_none() {
            station.breaks(format!("{OF_SERVER} names no {name}"), format!("add {name} to it (RFC 8414 section 2)"));
        }
    }
}

fn pkce(road: &Road<'_>, station: &mut Station) {
    let openid = road.server_found.is_some_and(|found| found.target.contains("openid-configuration"));
    let stated = road.server.as_ref().is_some_and(|document| document["code_challenge_methods_supported"].is_array());
    if road.server_lists("code_challenge_methods_supported", "S256") {
        return;
    }
    let seen = if stated {
        "the authorization server does not list S256 among its PKCE methods; clients refuse to go on"
    } else {
        "the authorization server does not say that it supports PKCE (code_challenge_methods_supported); since \
         2025-11-25 clients must refuse to go on"
    };
    let change = format!("add \"code_challenge_methods_supported\": [\"S256\"] to {OF_SERVER}");
    // For OpenID documents it is a MUST of 2025-11-25; for RFC 8414 only a recommendation of RFC 9700.
    if openid || stated {
        station.breaks(seen, change);
    } else {
        station.warns(seen, change);
    }
}
