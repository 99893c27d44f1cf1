//! The first stations: is there a server, and does it say how to get in?

use super::answer::{Problem, body_of};
use super::diagnosis::Station;
use super::road::Road;
use crate::check::auth::wire;
use crate::model::Challenge;

/// Whether anything answers at the address, and whether it may be an MCP endpoint.
pub(super) fn reach(road: &Road<'_>) -> Station {
    let mut station = Station::new("reach");
    let Some(first) = road.calls.iter().find(|call| call.method == "POST").or_else(|| road.calls.first()) else {
        return Station::not_reached("reach", "the client sent nothing to this address");
    };
    station.show(first);
    let page = matches!(body_of(first), Err(Problem::Page));
    let Some(status) = first.status else {
        let words = first.amiss().unwrap_or_else(|| "no answer".to_owned());
        station.breaks(words, "start the server, or correct host and port of the address");
        return station;
    };
    match status {
        200..=299 if page => station.breaks(
            "a web page answers there, not an MCP endpoint",
            "give the address of the endpoint itself; its path is often /mcp",
        ),
        200..=299 => station.saw("the endpoint answers"),
        300..=399 => {
            let place = first.got_header("location").unwrap_or("nowhere");
            station.breaks(
                format!("the address redirects ({status}) to {place}; clients do not send a POST on to there"),
                "use the address that it redirects to, or serve the endpoint without a redirect",
            );
        }
        401 => station.saw("the endpoint answers, and asks for a token (401)"),
        403 => station.saw("the endpoint answers, and refuses (403)"),
        404 => station.breaks(
            "nothing is served at this path (404)",
            "correct the path of the address, or the route of the endpoint",
        ),
        405 => station.breaks(
            "the path takes no POST (405), so it is no Streamable HTTP endpoint",
            "give the address of the Streamable HTTP endpoint; an old HTTP+SSE endpoint answers like this one",
        ),
        500.. => station.breaks(
            format!("the server, or a proxy before it, fails with status {status}"),
            "look into the log of the server; a proxy sends 502 or 504 when the server behind it is down or slow",
        ),
        _ => station.saw(format!("the endpoint answers with status {status}")),
    }
    if first.status.is_some_and(|status| status < 400)
        && let Some(amiss) = first.amiss()
    {
        station.breaks(amiss, "end each answer, or answer faster; --patience sets how long is waited");
    }
    station
}

/// Whether the refusal tells a client where to begin.
pub(super) fn challenge(road: &Road<'_>) -> Station {
    let mut station = Station::new("challenge");
    let Some(refused) = road.challenge() else { return without(road) };
    station.show(refused);
    let all = wire::challenged(refused);
    let Some(bearer) = wire::bearer(refused) else {
        let what = match all.first() {
            None => "the 401 has no WWW-Authenticate header".to_owned(),
            Some(other) => format!("the 401 asks for `{}`, not for `Bearer`", other.scheme),
        };
        station.warns(
            format!("{what}; clients that begin with the challenge have to guess where the metadata is"),
            format!("send {} with the 401 (RFC 9728 section 5.1)", wanted(road)),
        );
        return station;
    };
    read(road, &mut station, bearer);
    station
}

/// The header as it ought to be.
fn wanted(road: &Road<'_>) -> String {
    let place = url::Url::parse(road.url).map_or_else(
        |_| "…".to_owned(),
        |url| {
            let path = url.path().trim_end_matches('/');
            format!("{}/.well-known/oauth-protected-resource{path}", url.origin().ascii_serialization())
        },
    );
    format!("`WWW-Authenticate: Bearer resource_metadata=\"{place}\"`")
}

fn read(road: &Road<'_>, station: &mut Station, bearer: &Challenge) {
    for fault in &bearer.faults {
        station.warns(
            format!("the challenge breaks the grammar of the header: {fault}"),
            "write parameters as name=\"value\", separated by commas (RFC 9110 section 11.6.1)",
        );
    }
    match bearer.param("resource_metadata") {
        Some(place) => station.saw(format!("Bearer, with the metadata at {place}")),
        None => station.warns(
            "the challenge does not say where the metadata of the resource is (resource_metadata), so clients guess",
            format!("send {} with the 401 (RFC 9728 section 5.1)", wanted(road)),
        ),
    }
    if let Some(scope) = bearer.param("scope") {
        station.saw(format!("it asks for the scope `{scope}`"));
    }
}

/// Where no request was refused with 401.
fn without(road: &Road<'_>) -> Station {
    let mut station = Station::new("challenge");
    if let Some(forbidden) = road.calls.iter().find(|call| call.status == Some(403)).filter(|_| !road.got_in()) {
        station.show(forbidden);
        station.breaks(
            "a request without a token is refused with 403; clients begin to log in only on 401",
            format!("answer 401 with {} (RFC 6750 section 3.1)", wanted(road)),
        );
    } else if road.is_open() {
        let own = road.calls.iter().any(|call| call.sent_header("authorization").is_some());
        station.saw(if own {
            "none: the server takes the authorization that you gave it"
        } else {
            "none: the server lets everybody in without a token"
        });
    } else if road.exchange.is_some() {
        station.saw("none was needed: this client logs in before it calls");
    } else {
        return Station::not_reached("challenge", "no request was refused for want of a token");
    }
    station
}
