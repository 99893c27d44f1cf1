//! Faults of session ids and of the end of sessions.

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{restatus, set_header};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "session.delete-ignored" breaks ["transport.http.session-delete-effective", "transport.http.session-404-after-termination"]
        Rule(Rule::DeleteEnds) "DELETE is answered with 204 and the session lives on";
    "session.delete-keeps-streams" breaks ["transport.http.session-delete-closes-streams"]
        Rule(Rule::DeleteClosesStreams) "Streams of a deleted session stay open";
    "session.delete-all" breaks ["transport.http.session-delete-scoped", "transport.http.session-isolation"]
        Rule(Rule::DeleteScoped) "DELETE ends the sessions of everybody";
    "session.id-counted" breaks ["transport.http.session-id-secure", "transport.http.session-id-non-deterministic"]
        Rule(Rule::SessionIdRandom) "Session ids are counted from 1";
    "session.id-with-space" breaks ["transport.http.session-id-visible-ascii"]
        Rule(Rule::SessionIdVisible) "Session ids contain a space";
    "session.id-not-issued" breaks ["transport.http.session-sessionless-works"]
        Rule(Rule::SessionIssued) "No session id is given, and later requests are refused for its lack";
    "session.id-changes" breaks ["transport.http.session-id-stable"]
        Head(|reply, ask| if ask.session.is_some() { set_header(reply, "mcp-session-id", "0123456789abcdef") })
        "Later answers carry another session id";
    "session.missing-served" breaks ["transport.http.session-missing-400"]
        Rule(Rule::SessionRequired) "A request without session id is served in somebody's session";
    "session.missing-404" breaks ["transport.http.session-missing-400"]
        Head(|reply, ask| if ask.session.is_none() && ask.rpc_method.as_deref() != Some("initialize") { restatus(reply, 400, 404) })
        "A missing session id gets 404";
    "session.unknown-served" breaks ["transport.http.session-unknown-id-404", "transport.http.session-404-after-termination"]
        Rule(Rule::UnknownSessionRefused) "A request with an unknown session id is served in somebody's session";
    "session.unknown-400" breaks ["transport.http.session-unknown-id-404", "transport.http.session-404-after-termination"]
        Head(|reply, _| restatus(reply, 404, 400)) "An unknown or ended session gets 400 instead of 404";
    "session.unknown-get-405" breaks ["transport.http.session-404-after-termination-all-methods"]
        Head(|reply, ask| if ask.http_method == "GET" { restatus(reply, 404, 405) })
        "GET in an ended session gets 405, as if there were no streams";
    "session.one-only" breaks ["transport.http.session-reinit-after-404"]
        Rule(Rule::SessionsManifold) "Only the first initialize gets a session";
};
