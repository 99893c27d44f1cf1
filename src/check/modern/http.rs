//! Streamable HTTP in the modern era: no sessions, no streams but those of requests, nothing to resume.

use serde_json::Value;

use super::flaw::{Ask, requests, sound};
use crate::check::wire::{came, short, told};
use crate::check::{Check, Findings};
use crate::model::{Era, Kind, Members as _, Via};
use crate::transcript::{End, Exchange, Msg, View, is_modern_version};

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.get-405-modern", judge: get },
    Check { id: "transport.http.delete-405-modern", judge: delete },
    Check { id: "transport.http.session-header-ignored-modern", judge: no_session },
    Check { id: "transport.http.last-event-id-ignored", judge: no_resumption },
    Check { id: "transport.http.x-accel-buffering", judge: unbuffered },
    Check { id: "transport.http.sse-response-arrives-modern", judge: response_ends },
    Check { id: "transport.http.sse-related-only-must", judge: related },
    Check { id: "lifecycle.modern-only-initialize-error", judge: initialize_refused },
    Check { id: "lifecycle.dual-era-modern-request", judge: served_without_session },
    Check { id: "lifecycle.dual-era-initialize", judge: handshake },
];

/// Handshakes of older clients at the server: exchange, request, response.
fn handshakes<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'v Exchange, &'v Msg, Option<&'v Msg>)> {
    view.calls_to("initialize")
        .map(|(request, response)| (view.exchange_of(request), request, response))
        .filter(|(exchange, ..)| !exchange.modern)
}

/// Whether the server showed that it has the modern era and no other: it refused a handshake, and never took one.
fn modern_only(view: &View<'_>) -> bool {
    let took = view.conversations.iter().any(|known| known.era == Era::Legacy);
    let refused = handshakes(view).any(|(exchange, _, response)| {
        matches!(exchange.status, Some(400 | 404 | 405))
            || response.is_some_and(|response| response.value.member("error").is_some())
    });
    view.is_modern() && refused && !took
}

fn path(exchange: &Exchange) -> &str {
    exchange.path()
}

/// Requests by some other HTTP method to where modern requests are served.
fn others<'v>(view: &'v View<'_>, method: &'static str) -> Vec<&'v Exchange> {
    let Some(place) = view.exchanges.iter().find(|exchange| exchange.modern).filter(|_| modern_only(view)) else {
        return Vec::new();
    };
    view.exchanges
        .iter()
        .filter(|exchange| {
            exchange.via == Via::StreamableHttp && exchange.method == method && path(exchange) == path(place)
        })
        .filter(|exchange| exchange.status.is_some_and(|status| !matches!(status, 401 | 403 | 429 | 500..)))
        .collect()
}

fn not_allowed(view: &View<'_>, out: &mut Findings, method: &'static str) {
    for exchange in others(view, method) {
        out.require(exchange.status == Some(405), || {
            told(
                format!("The server has the modern era only, and answered {method} with another status than 405."),
                &["status 405"],
                came(exchange),
                "take POST at the endpoint and answer 405 to everything else",
                exchange.evidence(),
            )
        });
    }
}

fn get(view: &View<'_>, out: &mut Findings) {
    not_allowed(view, out, "GET");
}

fn delete(view: &View<'_>, out: &mut Findings) {
    not_allowed(view, out, "DELETE");
}

/// A modern answer assigns no session, and a session header changes nothing.
fn no_session(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(Ask::over_http) {
        let minted = ask.exchange.got_header("mcp-session-id").is_some();
        let sent = ask.exchange.session().is_some();
        // A session that is not known is no reason to refuse, as it would be for an older client.
        let lost = sent && ask.exchange.status == Some(404) && ask.code() != Some(-32601);
        let demanded = !sent && ask.exchange.status == Some(400) && says_session(&ask);
        out.require(!minted && !lost && !demanded, || {
            told(
                format!(
                    "{} {}.",
                    ask.method(),
                    if minted { "was answered with a session id" } else { "was refused for its session" }
                ),
                &["no Mcp-Session-Id in the answer, and none asked for"],
                came(ask.exchange),
                "keep sessions to the handshake era; serve requests with modern _meta by themselves",
                ask.evidence(),
            )
        });
    }
}

fn says_session(ask: &Ask<'_>) -> bool {
    let text = ask.response.and_then(|response| response.value.at("error").at("message").as_str());
    text.or(ask.exchange.response_body.as_deref()).is_some_and(|text| text.to_ascii_lowercase().contains("session"))
}

/// `Last-Event-ID` means nothing.
fn no_resumption(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(|ask| ask.over_http() && ask.exchange.sent_header("last-event-id").is_some()) {
        let strange = ask.exchange.events.iter().filter_map(|event| event.data.as_deref()).any(|data| {
            serde_json::from_str::<Value>(data)
                .is_ok_and(|value| value.member("id").is_some_and(|id| id != ask.request.value.at("id")))
        });
        let works = sound(view).any(|other| {
            other.method() == ask.method()
                && other.result().is_some()
                && other.exchange.sent_header("last-event-id").is_none()
        });
        if ask.result().is_none() && !works && !strange {
            continue;
        }
        out.require(!strange && ask.result().is_some(), || {
            told(
                format!("{} came with Last-Event-ID, and was not served as without it.", ask.method()),
                &["the same answer as without the header"],
                came(ask.exchange),
                "ignore Last-Event-ID: this revision has nothing to resume",
                ask.evidence(),
            )
        });
    }
}

fn streams<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    requests(view).filter(|ask| {
        ask.over_http() && ask.exchange.is_success() && ask.exchange.media_type() == Some("text/event-stream")
    })
}

/// A stream tells proxies not to hold it back.
fn unbuffered(view: &View<'_>, out: &mut Findings) {
    for ask in streams(view) {
        let header = ask.exchange.got_header("x-accel-buffering");
        out.require(header.is_some_and(|value| value.trim().eq_ignore_ascii_case("no")), || {
            told(
                "An event stream does not tell proxies to pass it on at once.".to_owned(),
                &["X-Accel-Buffering: no"],
                header.map_or_else(|| "no such header".to_owned(), |value| format!("X-Accel-Buffering: {value}")),
                "send the header with every event stream",
                ask.evidence(),
            )
        });
    }
}

/// The response ends the stream of its request.
fn response_ends(view: &View<'_>, out: &mut Findings) {
    const GRACE: u64 = 5_000_000;
    for ask in streams(view).filter(|ask| ask.method() != "subscriptions/listen") {
        let ended = matches!(ask.exchange.end, Some(End::Complete | End::CutShort));
        let Some(response) = ask.response else {
            if ended {
                out.breach(told(
                    format!("The stream of {} ended without a response.", ask.method()),
                    &["the response as the last message; there is nothing to resume in this revision"],
                    came(ask.exchange),
                    "send the response before the stream is closed",
                    ask.evidence(),
                ));
            } else {
                out.inconclusive();
            }
            continue;
        };
        let after = view.messages_in(ask.request.exchange).any(|msg| msg.received() && msg.seq > response.seq);
        let waited = ask.exchange.end_at.map_or(0, |end| end.saturating_sub(response.at));
        if !ended && waited <= GRACE && !after {
            out.inconclusive();
            continue;
        }
        out.require(ended && waited <= GRACE && !after, || {
            told(
                format!("The stream of {} went on after its response.", ask.method()),
                &["the response as the last message, and then the end of the stream"],
                came(ask.exchange),
                "close the stream once the response has been written",
                ask.evidence(),
            )
        });
    }
}

/// What comes on the stream of a request belongs to that request.
fn related(view: &View<'_>, out: &mut Findings) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for ask in streams(view).filter(|ask| ask.method() != "subscriptions/listen") {
        let own = ask.request.value.at("params").at("_meta").at("progressToken");
        for msg in view.messages_in(ask.request.exchange).filter(|msg| msg.received() && msg.kind == Kind::Notification)
        {
            let fits = match msg.method() {
                Some("notifications/progress") => {
                    let token = msg.value.at("params").at("progressToken");
                    let anothers = requests(view).any(|other| {
                        text(other.request.value.at("params").at("_meta").at("progressToken")) == text(token)
                    });
                    // A token that nobody gave is another matter.
                    if text(own) != text(token) && !anothers {
                        continue;
                    }
                    text(own) == text(token)
                }
                Some("notifications/message") => true,
                Some(method) if method.ends_with("/list_changed") || method == "notifications/resources/updated" => {
                    false
                }
                _ => continue,
            };
            out.require(fits, || {
                told(
                    format!(
                        "{} came on the stream of {}, to which it does not belong.",
                        msg.method().unwrap_or_default(),
                        ask.method()
                    ),
                    &["progress and log messages of this very request"],
                    short(&msg.value.to_string()),
                    "send changes on subscriptions, and what belongs to a request on its own stream",
                    vec![ask.request.seq, msg.seq],
                )
            });
        }
    }
}

/// A server without a handshake says to older clients what it speaks.
fn initialize_refused(view: &View<'_>, out: &mut Findings) {
    if !modern_only(view) {
        return;
    }
    for (exchange, _, response) in handshakes(view) {
        if matches!(exchange.status, None | Some(401 | 403 | 429 | 500..)) && response.is_none() {
            continue;
        }
        let said = response
            .map(|response| response.value.at("error").to_string())
            .or_else(|| exchange.response_body.as_deref().map(str::to_owned))
            .unwrap_or_default();
        let named = said.split(|letter: char| !letter.is_ascii_digit() && letter != '-').any(is_modern_version);
        out.require(named, || {
            told(
                "The server has no handshake, and the error to initialize does not say which versions it speaks."
                    .to_owned(),
                &["the supported versions in the text or the data of the error"],
                came(exchange),
                "name the versions in the message: it may be all that the user of an older client gets to see",
                exchange.evidence(),
            )
        });
    }
}

/// A server of both eras serves modern requests without a session.
fn served_without_session(view: &View<'_>, out: &mut Findings) {
    if !view.conversations.iter().any(|known| known.era == Era::Legacy) {
        return;
    }
    for ask in sound(view).filter(|ask| ask.exchange.session().is_none() || ask.over_http()) {
        let refused = ask.is_refused() && says_session(&ask);
        out.require(!refused, || {
            told(
                format!("{} came with modern _meta, and the server asked for a session.", ask.method()),
                &["service by the request alone"],
                came(ask.exchange),
                "choose the era by _meta before sessions are looked at",
                ask.evidence(),
            )
        });
    }
}

/// A server of both eras answers a handshake by the rules of the handshake.
fn handshake(view: &View<'_>, out: &mut Findings) {
    if !view.is_modern() || !view.conversations.iter().any(|known| known.era == Era::Legacy) {
        return;
    }
    for (exchange, request, response) in handshakes(view) {
        let well = request.value.at("params").at("protocolVersion").is_string()
            && request.value.at("params").at("capabilities").is_object();
        let Some(response) = response.filter(|_| well && exchange.session().is_none()) else { continue };
        let version = response.value.at("result").at("protocolVersion").as_str();
        let modern = version.is_some_and(is_modern_version);
        let code = response.message().error_code();
        // Refusing a version that cannot be had by handshake is tolerated there; the modern error is not.
        let right = match version {
            Some(_) => !modern,
            None => !matches!(code, Some(-32022..=-32020)),
        };
        out.require(right, || {
            told(
                "A handshake was answered in the words of the modern era.".to_owned(),
                &["a result with a version of the handshake era, the latest of them if another one was asked for"],
                short(&response.value.to_string()),
                "offer the latest version that has a handshake; 2026-07-28 cannot be negotiated by initialize",
                vec![exchange.seq, response.seq],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::{Builder, End};
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn hello(version: &str) -> String {
        json!({"jsonrpc": "2.0", "id": 90, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
        .to_string()
    }

    fn refused(data: &Value) -> Builder {
        let error = json!({"jsonrpc": "2.0", "id": 90, "error": {"code": -32601, "message": "no", "data": data}});
        start().legacy().request("POST", &[], Some(&hello("2025-11-25"))).json(400, &error)
    }

    #[test]
    fn methods_of_http() {
        let only = || refused(&json!({"supported": ["2026-07-28"]}));
        for (id, method) in [("transport.http.get-405-modern", "GET"), ("transport.http.delete-405-modern", "DELETE")] {
            let asked = || only().request(method, &[], None);
            expect_three(id, &asked().answer(405, &[], ""), &asked().answer(404, &[], ""), &only());
            // A server of both eras may well have them.
            let both = Builder::new().initialize("2025-11-25").modern().discover(json!({}));
            let both = both.request(method, &[], None).answer(200, &[], "");
            expect_three(id, &asked().answer(405, &[], ""), &asked().answer(404, &[], ""), &both);
        }
        let id = "lifecycle.modern-only-initialize-error";
        expect_three(id, &only(), &refused(&Value::Null), &start());
    }

    #[test]
    fn sessions() {
        let body = json!({"jsonrpc": "2.0", "id": 2, "result": {"resultType": "complete", "tools": []}}).to_string();
        let headers = [("content-type", "application/json"), ("mcp-session-id", "session#1")];
        let minted = start().probe(&[], "tools/list", Value::Null).answer(200, &headers, &body);
        expect_three("transport.http.session-header-ignored-modern", &start(), &minted, &Builder::new().modern());
        let both = || Builder::new().initialize("2025-11-25").modern().discover(json!({"tools": {}}));
        let text = json!({"jsonrpc": "2.0", "id": 3, "error": {"code": -32000, "message": "No session"}});
        let asked = both().probe(&[], "tools/list", Value::Null).json(400, &text);
        expect_three("lifecycle.dual-era-modern-request", &both(), &asked, &start());
        let answered = |version: &str| both().legacy().initialize_with("2026-07-28", version, json!({}), json!({}));
        let wrong = json!({"jsonrpc": "2.0", "id": 90, "error": {"code": -32022, "message": "no"}});
        let broken =
            both().legacy().request("POST", &[("mcp-session-id", "")], Some(&hello("2026-07-28"))).json(400, &wrong);
        expect_three("lifecycle.dual-era-initialize", &answered("2025-11-25"), &broken, &start());
    }

    #[test]
    fn streams() {
        let reply = |id: i64| json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": []}});
        let call = |headers: &[(&str, &str)]| {
            let mut all = vec![("content-type", "text/event-stream")];
            all.extend(headers);
            let params = json!({"name": "x", "_meta": {"progressToken": "p"}});
            start().probe(&[], "tools/call", params).head(200, &all)
        };
        let done = |builder: Builder| builder.sse(None, &reply(2)).end(End::Complete);
        let quiet = done(call(&[("x-accel-buffering", "no")]));
        expect_three("transport.http.x-accel-buffering", &quiet, &done(call(&[])), &start());
        let late = call(&[]).sse(None, &reply(2)).pause_ms(9_000).end(End::ClosedByUs);
        expect_three("transport.http.sse-response-arrives-modern", &done(call(&[])), &late, &start());
        expect_three("transport.http.sse-response-arrives-modern", &quiet, &call(&[]).end(End::Complete), &start());
        let note = |method: &str, params: Value| {
            done(call(&[]).sse(None, &json!({"jsonrpc": "2.0", "method": method, "params": params})))
        };
        let kept = note("notifications/progress", json!({"progressToken": "p", "progress": 1}));
        let broken = note("notifications/tools/list_changed", json!({}));
        expect_three("transport.http.sse-related-only-must", &kept, &broken, &done(call(&[])));
        let probe = |builder: Builder| builder.probe(&[("last-event-id", "7")], "tools/list", Value::Null);
        let listed = || start().call("tools/list", Value::Null, json!({"tools": []}));
        let kept = probe(listed()).serves("tools/list", json!({"tools": []}));
        let broken = probe(listed()).refuses(400, -32600, Value::Null);
        expect_three("transport.http.last-event-id-ignored", &kept, &broken, &listed());
    }
}
