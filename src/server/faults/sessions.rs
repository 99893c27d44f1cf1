//! Faults of session ids and of the end of sessions.

use super::all::catalogue;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{restatus, says, set_header};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "session.delete-ignored" breaks [
        "transport.http.session-delete-effective", "transport.http.session-404-after-termination",
        "transport.http.session-404-after-termination-all-methods", "transport.http.session-delete-closes-streams",
    ] Rule(Rule::DeleteEnds) "DELETE is answered with 204 and the session lives on";
    "session.delete-refused" breaks ["transport.http.session-delete-405"]
        Rule(Rule::DeleteOffered) "DELETE is refused with 400 instead of 405";
    "session.delete-keeps-streams" breaks ["transport.http.session-delete-closes-streams"]
        Rule(Rule::DeleteClosesStreams) "Streams of a deleted session stay open";
    "session.delete-all" breaks ["transport.http.session-delete-scoped"]
        Rule(Rule::DeleteScoped) "DELETE ends the sessions of everybody";
    "session.id-counted" breaks ["transport.http.session-id-secure", "transport.http.session-id-non-deterministic"]
        Rule(Rule::SessionIdRandom) "Session ids are counted from 1";
    "session.id-with-space" breaks ["transport.http.session-id-visible-ascii"]
        Rule(Rule::SessionIdVisible) "Session ids contain a space";
    "session.id-not-issued" breaks ["transport.http.session-sessionless-works", "transport.http.get-sse-or-405", "base.response-exactly-one"]
        Rule(Rule::SessionIssued) "No session id is given, and yet GET is refused for its lack";
    "session.id-for-all" before "claude-connector" breaks ["transport.http.session-uncarried-served"]
        Rule(Rule::SessionIdsAvoided) "Session ids are given although the client never sends one, and demanded of it";
    "session.id-changes" breaks ["transport.http.session-id-stable"]
        Head(|reply, ask| if ask.session.is_some() { set_header(reply, "mcp-session-id", "0123456789abcdef") })
        "Later answers carry another session id";
    "session.missing-404" breaks ["transport.http.session-missing-400"]
        Head(|reply, ask| if ask.session.is_none()
            && ask.rpc_method.as_deref() != Some("initialize")
            && !says(reply, "error_description")
        {
            restatus(reply, 400, 404);
        })
        "A missing session id gets 404";
    "session.unknown-served" breaks ["transport.http.session-unknown-id-404", "transport.http.session-id-bound-to-user"]
        Rule(Rule::UnknownSessionRefused) "A request with an unknown session id is served in somebody's session";
    "session.unknown-400" breaks [
        "transport.http.session-unknown-id-404", "transport.http.session-404-after-termination",
        "transport.http.session-404-after-termination-all-methods", "auth.discovery.absent-404",
    ] Head(|reply, _| restatus(reply, 404, 400)) "An unknown or ended session gets 400 instead of 404";
    "session.unknown-get-405" breaks ["transport.http.session-404-after-termination-all-methods"]
        Head(|reply, ask| if ask.http_method == "GET" && reply.status == 404 {
            restatus(reply, 404, 405);
            set_header(reply, "allow", "POST, DELETE");
        })
        "GET in an ended session gets 405, as if there were no streams";
    "session.malformed-500" breaks [
        "transport.http.session-malformed-id-4xx", "transport.http.status-not-5xx-for-client-fault",
    ] Head(|reply, ask| if ask.session.as_ref().is_some_and(|id| id.contains(' ')) { restatus(reply, 404, 500) })
        "A session id with a space gets 500";
    "session.bound-to-connection" breaks ["transport.http.session-survives-reconnect"]
        Rule(Rule::SessionOutlivesConnection) "A session is lost when its client comes back on another connection";
    "session.progress-leaks" breaks [
        "transport.http.session-isolation", "transport.http.get-unrelated", "utilities.progress.only-given-tokens",
    ]
        Rule(Rule::ProgressKeepsToSession) "Progress goes out to the clients of all sessions";
    "session.idle-from-start" breaks ["transport.http.session-survives-reconnect"]
        Rule(Rule::SessionUseCounts) "A session ends a while after it began, however much it is used";
    "session.ends-in-use" breaks ["transport.http.session-kept-in-use"]
        Rule(Rule::SessionsKept) "A session ends after thirty requests, in the middle of its use";
    "session.one-only" breaks ["transport.http.session-reinit-after-404", "lifecycle.initialize-result"]
        Rule(Rule::SessionsManifold) "Only the first initialize gets a session";
};
