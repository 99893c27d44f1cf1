//! Every check of clients is proven by a misdeed: what a faultless client put on the wire is changed in one point, and exactly
//! the checks that are about that point see it.

use std::collections::{BTreeMap, BTreeSet};

use mcp_rehearsal::check::{CLIENT_CHECKS, Outcome, judge_client};
use mcp_rehearsal::transcript::{End, Ended, Event, EventKind, View};
use serde_json::{Value, json};

mod client_faults_support;

use client_faults_support::{Conversation, Sent, Wire};

/// Something that a client does wrong.
struct Misdeed {
    /// The checks that see it, and no others do.
    seen_by: &'static [&'static str],
    on: Conversation,
    does: fn(&mut Wire<'_>),
}

const fn misdeed(on: Conversation, seen_by: &'static [&'static str], does: fn(&mut Wire<'_>)) -> Misdeed {
    Misdeed { seen_by, on, does }
}

fn drop_member(value: &mut Value, name: &str) {
    let gone = value.as_object_mut().and_then(|members| members.shift_remove(name));
    assert!(gone.is_some(), "{name} is there");
}

fn capability_left_out(wire: &mut Wire<'_>, name: &str) {
    wire.message("initialize", |message| drop_member(&mut message["params"]["capabilities"], name));
}

fn refuses_roots(code: i64) -> impl Fn(&mut Value) {
    move |answer| {
        drop_member(answer, "result");
        answer["error"] = json!({"code": code, "message": "no"});
    }
}

fn registers(sent: &Sent<'_>) -> bool {
    sent.target == "/register"
}

fn registration(wire: &mut Wire<'_>, change: impl Fn(&mut Value)) {
    wire.body(registers, change);
}

fn brings_state(sent: &Sent<'_>) -> bool {
    sent.json()["params"].get("requestState").is_some()
}

fn brought(wire: &mut Wire<'_>, change: impl Fn(&mut Value)) {
    wire.body(brings_state, change);
}

/// The value of the last message of the client with this method, at this place.
fn said(wire: &mut Wire<'_>, method: &str, pointer: &str) -> Value {
    let bodies = wire.0.iter().filter_map(|event| match &event.kind {
        EventKind::Request { body: Some(body), .. } => serde_json::from_str::<Value>(body).ok(),
        _ => None,
    });
    let found = bodies.filter(|body| body["method"] == method).rev().find_map(|body| body.pointer(pointer).cloned());
    found.unwrap_or_else(|| panic!("{method} has {pointer}"))
}

/// A request that leaves before the answer to `initialize` has come.
fn hurries(wire: &mut Wire<'_>) {
    let is_hello = |event: &Event| match &event.kind {
        EventKind::Request { body: Some(body), .. } => body.contains("\"initialize\""),
        _ => false,
    };
    let at = wire.0.iter().rposition(is_hello).expect("it begins");
    let mut early = wire.0[at].clone();
    let EventKind::Request { exchange, body, .. } = &mut early.kind else { unreachable!() };
    (*exchange, *body) = (9_999, Some(r#"{"jsonrpc":"2.0","id":900,"method":"tools/list"}"#.into()));
    wire.0.insert(at + 1, early);
}

use Conversation::{FellBack, Modern, ModernPipes, Old, Pipes, Session};

#[rustfmt::skip]
const MISDEEDS: &[Misdeed] = &[
    // messages
    misdeed(Session, &["base.client-jsonrpc-envelope"], |wire| wire.message("ping", |message| drop_member(message, "jsonrpc"))),
    misdeed(Session, &["base.client-request-id-type"], |wire| wire.message("ping", |message| message["id"] = json!(1.5))),
    misdeed(Session, &["base.client-request-id-not-null"], |wire| wire.message("ping", |message| message["id"] = Value::Null)),
    misdeed(Session, &["base.client-request-id-unique-session"], |wire| {
        let id = said(wire, "tools/list", "/id");
        wire.message("ping", |message| message["id"] = id.clone());
    }),
    misdeed(Modern, &["base.client-request-id-unique-inflight"], |wire| {
        let id = said(wire, "subscriptions/listen", "/id");
        wire.message("tools/list", |message| message["id"] = id.clone());
    }),
    misdeed(Session, &["base.client-notification-no-id"], |wire| {
        wire.message("notifications/cancelled", |message| message["id"] = json!(900));
    }),
    misdeed(Old, &["base.batch-initialize-excluded"], |wire| wire.message("initialize", |message| *message = json!([message]))),
    misdeed(Session, &["transport.http.body-single"], |wire| wire.message("ping", |message| *message = json!([message]))),
    // the beginning
    misdeed(Session, &["lifecycle.client-initialize-first"], |wire| {
        wire.each(|sent| {
            let mut value = sent.json();
            let begins = value["method"] == "initialize";
            if begins {
                drop_member(&mut value["params"], "clientInfo");
                sent.say(&value.to_string());
            }
            begins
        });
    }),
    misdeed(Session, &["lifecycle.client-initialized"], |wire| {
        wire.message("notifications/initialized", |message| message["method"] = json!("notifications/roots/list_changed"));
    }),
    misdeed(Session, &["lifecycle.client-early-requests"], hurries),
    misdeed(Session, &["lifecycle.client-version-supported"], |wire| {
        wire.message("initialize", |message| message["params"]["protocolVersion"] = json!("1.0"));
    }),
    misdeed(Session, &["lifecycle.client-respect-version"], |wire| {
        wire.reply(|sent| sent.json()["method"] == "initialize", |_, answer| {
            drop_member(&mut answer["result"]["capabilities"], "tools");
        });
    }),
    misdeed(FellBack, &["lifecycle.client-no-fallback-on-modern-error"], |wire| {
        wire.reply(|sent| sent.json()["method"] == "server/discover", |_, answer| {
            *answer = json!({"jsonrpc": "2.0", "id": answer["id"], "error": {"code": -32020, "message": "no"}});
        });
    }),
    // HTTP
    misdeed(Session, &["transport.http.client-accept"], |wire| wire.head("ping", "accept", Some("application/json"))),
    misdeed(Session, &["transport.http.client-get-accept"], |wire| {
        wire.request(|sent| sent.method == "GET" && sent.target == "/mcp", |sent| sent.head("accept", Some("application/json")));
    }),
    misdeed(Session, &["transport.http.client-version-header"], |wire| wire.head("ping", "mcp-protocol-version", None)),
    misdeed(Session, &["transport.http.client-version-header-negotiated"], |wire| {
        wire.head("ping", "mcp-protocol-version", Some("2025-06-18"));
    }),
    misdeed(Session, &["transport.http.session-client-echo"], |wire| wire.head("ping", "mcp-session-id", None)),
    misdeed(Session, &["transport.http.session-client-reinit"], |wire| {
        wire.reply(|sent| sent.text().contains("test_tool_with_progress"), |status, answer| (*status, *answer) = (404, Value::Null));
    }),
    misdeed(Session, &["transport.http.session-client-delete"], |wire| {
        wire.without(|sent| sent.method == "DELETE");
        let stream = wire.last(|sent| sent.method == "GET" && sent.target == "/mcp");
        for event in wire.0.iter_mut() {
            if let EventKind::End { exchange, end } = &mut event.kind
                && *exchange == stream
            {
                *end = End::ClosedByUs;
            }
        }
    }),
    // standard input and output
    misdeed(Pipes, &["transport.stdio.client-stdin-clean"], |wire| {
        wire.request(|sent| sent.text().contains("test_simple_text"), |sent| sent.say("hello"));
    }),
    misdeed(Pipes, &["transport.stdio.client-shutdown-order"], |wire| {
        for event in wire.0.iter_mut() {
            if let EventKind::Exit { after, .. } = &mut event.kind {
                *after = Ended::Sigterm;
            }
        }
    }),
    misdeed(ModernPipes, &["base.client-no-responses", "transport.stdio.client-no-responses"], |wire| {
        wire.message("tools/call", |message| {
            drop_member(message, "method");
            message["result"] = json!({});
        });
    }),
    // what the server asks
    misdeed(Session, &["utilities.ping.client-respond"], |wire| {
        wire.answer("roots/list", refuses_roots(-32601));
        for event in wire.0.iter_mut() {
            if let EventKind::Sse { data: Some(data), .. } = &mut event.kind {
                *data = data.replace("\"roots/list\"", "\"ping\"").into();
            }
        }
    }),
    misdeed(Session, &["features.roots.client-capability"], |wire| capability_left_out(wire, "roots")),
    misdeed(Session, &["features.roots.client-file-uri"], |wire| {
        wire.answer("roots/list", |answer| answer["result"]["roots"][0]["uri"] = json!("https://example.com/"));
    }),
    misdeed(Session, &["features.roots.client-unsupported-error"], |wire| {
        capability_left_out(wire, "roots");
        wire.answer("roots/list", refuses_roots(-32000));
    }),
    misdeed(Session, &["features.sampling.client-capability"], |wire| capability_left_out(wire, "sampling")),
    misdeed(Session, &["features.elicitation.client-capability"], |wire| capability_left_out(wire, "elicitation")),
    misdeed(Session, &["features.elicitation.client-undeclared-mode-error"], |wire| {
        wire.message("initialize", |message| drop_member(&mut message["params"]["capabilities"]["elicitation"], "url"));
    }),
    misdeed(Session, &["features.elicitation.client-content-on-accept"], |wire| {
        wire.answer("elicitation/create", |answer| answer["result"]["action"] = json!("decline"));
    }),
    // the era without sessions
    misdeed(Modern, &["base.client-meta-required-fields"], |wire| {
        wire.message("tools/list", |message| drop_member(&mut message["params"]["_meta"], "io.modelcontextprotocol/clientCapabilities"));
    }),
    misdeed(Modern, &["base.client-meta-client-info"], |wire| {
        wire.message("tools/list", |message| drop_member(&mut message["params"]["_meta"], "io.modelcontextprotocol/clientInfo"));
    }),
    misdeed(Modern, &["base.client-no-responses", "transport.http.no-client-responses"], |wire| {
        wire.message("tools/list", |message| {
            drop_member(message, "method");
            message["result"] = json!({});
        });
    }),
    misdeed(Modern, &["patterns.headers.client-standard-headers"], |wire| wire.head("tools/list", "mcp-method", Some("ping"))),
    misdeed(Modern, &["patterns.headers.client-param-headers"], |wire| {
        wire.request(|sent| sent.text().contains("test_header_params"), |sent| sent.head("mcp-param-region", Some("us-east")));
    }),
    misdeed(Modern, &["patterns.mrtr.client-new-id"], |wire| {
        let name = |sent: &Sent<'_>| sent.json()["params"]["name"] == "test_input_required_result_multi_round";
        let mut first = Value::Null;
        wire.each(|sent| {
            if name(sent) && first.is_null() {
                first = sent.json()["id"].clone();
            }
            false
        });
        let second = |sent: &Sent<'_>| brings_state(sent) && sent.json()["id"] == json!(first.as_i64().map(|id| id + 1));
        wire.reply(second, |_, answer| answer["id"] = first.clone());
        wire.body(second, |message| message["id"] = first.clone());
    }),
    misdeed(Modern, &["patterns.mrtr.client-echo-state"], |wire| brought(wire, |message| message["params"]["requestState"] = json!("mine"))),
    // tokens
    misdeed(Session, &["auth.resource-server.client-header"], |wire| wire.head("ping", "authorization", None)),
    misdeed(Session, &["auth.resource-server.client-no-query"], |wire| {
        wire.request(|sent| sent.json()["method"] == "ping", |sent| "/mcp?access_token=access%231".clone_into(sent.target));
    }),
    misdeed(Session, &["auth.token.no-credentials-in-uri"], |wire| wire.place("/token", |_| "/token?refresh_token=refresh%231".to_owned())),
    misdeed(Session, &["auth.token.client-refresh-replace"], |wire| {
        wire.form("grant_type=refresh_token", |form| form.replace("refresh%232", "refresh%231").replace("refresh#2", "refresh#1"));
    }),
    misdeed(Modern, &["auth.token.client-refresh-grant-type"], |wire| {
        registration(wire, |message| message["grant_types"] = json!(["authorization_code"]));
    }),
    // cancellation, progress, pages
    misdeed(Session, &["utilities.cancellation.client-only-own-inflight"], |wire| {
        wire.message("notifications/cancelled", |message| message["params"]["requestId"] = json!("nobody's"));
    }),
    misdeed(Session, &["utilities.cancellation.client-not-initialize"], |wire| {
        let id = said(wire, "initialize", "/id");
        wire.message("notifications/cancelled", |message| message["params"]["requestId"] = id.clone());
    }),
    misdeed(Session, &["utilities.progress.token-type"], |wire| {
        wire.body(|sent| sent.text().contains("test_tool_with_progress"), |message| {
            message["params"]["_meta"]["progressToken"] = json!(1.5);
        });
    }),
    misdeed(Session, &["utilities.pagination.cursor-opaque"], |wire| {
        wire.message("resources/templates/list", |message| message["params"]["cursor"] = json!("page-2"));
    }),
    // the login
    misdeed(Session, &["auth.authorization.pkce-client"], |wire| wire.ask("code_challenge", None)),
    misdeed(Session, &["auth.authorization.pkce-s256-client"], |wire| wire.ask("code_challenge_method", Some("plain"))),
    misdeed(Session, &["auth.authorization.verifier-format"], |wire| {
        for event in wire.0.iter_mut() {
            if let EventKind::Secret { label, length, .. } = &mut event.kind
                && label.starts_with("verifier")
            {
                *length = 10;
            }
        }
    }),
    misdeed(Session, &["auth.authorization.state-client"], |wire| wire.ask("state", None)),
    misdeed(Session, &["auth.authorization.redirect-scheme"], |wire| {
        wire.ask("redirect_uri", Some("http://client.example.com/back"));
        wire.reply(registers, |_, document| document["redirect_uris"] = json!(["http://client.example.com/back"]));
    }),
    misdeed(Session, &["auth.authorization.redirect-registered"], |wire| wire.ask("redirect_uri", Some("http://127.0.0.1:9/elsewhere"))),
    misdeed(Session, &["auth.authorization.resource-in-both-requests"], |wire| wire.ask("resource", None)),
    misdeed(Session, &["auth.authorization.resource-canonical"], |wire| wire.ask("resource", Some("https://other.example.com/mcp"))),
    misdeed(Session, &["auth.authorization.resource-no-trailing-slash"], |wire| {
        wire.form("grant_type=authorization_code", |form| form.replace("%2Fmcp", "%2Fmcp%2F"));
    }),
    misdeed(Session, &["auth.registration.dcr-redirect-required"], |wire| {
        registration(wire, |message| drop_member(message, "redirect_uris"));
    }),
    misdeed(Modern, &["auth.registration.client-application-type"], |wire| registration(wire, |message| drop_member(message, "application_type"))),
    misdeed(Session, &["auth.registration.client-cimd-https"], |wire| wire.ask("client_id", Some("http://client.example.com/"))),
    misdeed(Session, &["auth.discovery.client-prm-header-first"], |wire| {
        wire.place("/.well-known/oauth-protected-resource", |_| "/.well-known/oauth-protected-resource".to_owned());
    }),
    misdeed(Session, &["auth.discovery.client-pkce-refuse"], |wire| {
        wire.reply(|sent| sent.target.starts_with("/.well-known/oauth-authorization-server"), |_, document| {
            drop_member(document, "code_challenge_methods_supported");
        });
    }),
];

/// The checks that see something amiss, and those that saw anything at all.
fn judged(mut events: Vec<Event>) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    for (seq, event) in events.iter_mut().enumerate() {
        event.seq = u32::try_from(seq).expect("few events");
    }
    let findings = judge_client(&View::new(&events));
    let ids = |of: fn(Outcome) -> bool| {
        findings.iter().filter(|finding| of(finding.outcome)).map(|finding| finding.requirement).collect()
    };
    (ids(|outcome| outcome >= Outcome::Warn), ids(|outcome| outcome != Outcome::NotExercised))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_misdeed_is_seen_by_exactly_its_checks_and_each_check_sees_one() {
    let all: BTreeSet<&str> = CLIENT_CHECKS.iter().flat_map(|topic| topic.iter()).map(|check| check.id).collect();
    let mut played: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for conversation in Conversation::ALL {
        let events = conversation.play().await;
        let seen = judged(events.clone()).0;
        if !seen.is_empty() {
            wrong.push(format!("{conversation:?} keeps the rules, but is told off by {seen:?}"));
        }
        played.insert(format!("{conversation:?}"), events);
    }
    let mut proven = BTreeSet::new();
    for misdeed in MISDEEDS {
        let mut events = played[&format!("{:?}", misdeed.on)].clone();
        (misdeed.does)(&mut Wire(&mut events));
        let seen = judged(events).0;
        let meant: BTreeSet<&str> = misdeed.seen_by.iter().copied().collect();
        if seen != meant {
            wrong.push(format!("meant for {meant:?}, seen by {seen:?}"));
        }
        proven.extend(meant);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unproven: Vec<&str> = all.difference(&proven).copied().collect();
    assert_eq!(unproven, [""; 0], "checks that nothing proves");
}
