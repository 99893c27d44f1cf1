//! A failure as a scenario file that `run` replays.
//!
//! Every token has a name of its own in the file, so that the steps send what the fuzzer sent; the step that breaks the
//! rule says what would have been right.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::ask::{
    ELSEWHERE, FORGED, LEGACY, MODERN, NO_SESSION, OTHER_REDIRECT, REDIRECT, WRONG_VERIFIER, initialize, message,
    modern_message, user_name,
};
use super::campaign::Failure;
use super::deed::{Bearer, Deed, Flaw, Id, Resource, Seen, Token};
use super::model::{Broken, INVARIANTS, WORK, Want};
use crate::model::requirements;

/// A step as its word and its body, or a group of steps at once.
enum Step {
    One(&'static str, Value),
    Together(Vec<Step>),
}

/// Which step gave what.
#[derive(Default)]
struct Given {
    clients: BTreeMap<Id, String>,
    codes: BTreeMap<Id, String>,
    access: BTreeMap<Id, String>,
    refresh: BTreeMap<Id, String>,
    sessions: BTreeMap<Id, String>,
    /// What each code is for.
    resources: BTreeMap<Id, Resource>,
    /// The clients of calls that are under way.
    callers: Vec<String>,
    count: usize,
}

impl Given {
    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}", self.count)
    }

    fn client(&self, id: Id) -> Value {
        json!(self.clients.get(&id).map_or_else(|| "no-such-client".to_owned(), |name| format!("{{{name}.client}}")))
    }

    fn bearer(&self, bearer: Bearer) -> Value {
        match bearer {
            Bearer::Nothing => Value::Null,
            Bearer::Forged => json!(format!("Bearer {FORGED}")),
            Bearer::Access(id) => {
                json!(self.access.get(&id).map(|name| format!("Bearer {{{name}.access}}")))
            }
        }
    }

    fn session(&self, id: Id) -> String {
        self.sessions.get(&id).map_or_else(|| NO_SESSION.to_owned(), |name| format!("{{{name}.session}}"))
    }

    /// The name of what an act gives, noted as given.
    fn note(&mut self, seen: &Seen) -> Option<String> {
        match seen {
            Seen::Client(id) => {
                let name = self.name("client");
                self.clients.entry(*id).or_insert_with(|| name.clone());
                Some(name)
            }
            Seen::Code(id) => {
                let name = self.name("code");
                self.codes.entry(*id).or_insert_with(|| name.clone());
                Some(name)
            }
            Seen::Tokens { access, refresh, .. } => {
                let name = self.name("tokens");
                self.access.entry(*access).or_insert_with(|| name.clone());
                if let Some(refresh) = refresh {
                    self.refresh.entry(*refresh).or_insert_with(|| name.clone());
                }
                Some(name)
            }
            Seen::Session(id) => {
                let name = self.name("session");
                self.sessions.entry(*id).or_insert_with(|| name.clone());
                Some(name)
            }
            _ => None,
        }
    }
}

/// A length of time as scenarios write it.
fn delay(length: std::time::Duration) -> String {
    if length.subsec_millis() == 0 { format!("{}s", length.as_secs()) } else { format!("{}ms", length.as_millis()) }
}

fn resource(resource: Resource) -> Value {
    match resource {
        Resource::Here => json!("{resource}"),
        Resource::Elsewhere => json!(ELSEWHERE),
    }
}

fn in_session(given: &Given, session: Option<Id>, bearer: Bearer) -> Value {
    let session = session.map_or_else(|| NO_SESSION.to_owned(), |id| given.session(id));
    json!({"authorization": given.bearer(bearer), "mcp-session-id": session})
}

/// The steps of one deed.
fn steps(given: &Given, deed: &Deed, number: u32) -> Vec<(&'static str, Value)> {
    match *deed {
        Deed::Register => vec![("oauth", json!({"request": "register", "set": {"redirect_uris": [REDIRECT]}}))],
        Deed::Authorise { client, user, scope, resource: wanted } => {
            let set = json!({
                "client_id": given.client(client),
                "redirect_uri": REDIRECT,
                "scope": scope.to_string(),
                "resource": resource(wanted),
                "login_hint": user_name(user),
            });
            vec![("oauth", json!({"request": "authorize", "set": set}))]
        }
        Deed::Exchange { code, client, flaw } => {
            let name = given.codes.get(&code).cloned().unwrap_or_default();
            let verifier =
                if flaw == Some(Flaw::Verifier) { WRONG_VERIFIER.to_owned() } else { format!("{{{name}.verifier}}") };
            let set = json!({
                "code": format!("{{{name}.code}}"),
                "code_verifier": verifier,
                "redirect_uri": if flaw == Some(Flaw::Redirect) { OTHER_REDIRECT } else { REDIRECT },
                "client_id": given.client(client),
                "resource": resource(given.resources.get(&code).copied().unwrap_or(Resource::Here)),
            });
            vec![("oauth", json!({"request": "exchange", "set": set}))]
        }
        Deed::Refresh { token, client, scope, resource: wanted } => {
            let name = given.refresh.get(&token).cloned().unwrap_or_default();
            let mut set = json!({
                "refresh_token": format!("{{{name}.refresh}}"),
                "client_id": given.client(client),
                "resource": wanted.map(resource),
            });
            if let Some(scope) = scope {
                set["scope"] = json!(scope.to_string());
            }
            vec![("oauth", json!({"request": "refresh", "set": set}))]
        }
        Deed::Revoke { token, client } => {
            let text = match token {
                Token::Access(id) => format!("{{{}.access}}", given.access.get(&id).cloned().unwrap_or_default()),
                Token::Refresh(id) => format!("{{{}.refresh}}", given.refresh.get(&id).cloned().unwrap_or_default()),
            };
            let set = json!({"token": text, "client_id": given.client(client)});
            vec![("oauth", json!({"request": "revoke", "set": set}))]
        }
        Deed::Open { bearer } => {
            let headers = json!({"authorization": given.bearer(bearer)});
            let message = initialize(number);
            vec![("raw", json!({"session": "none", "version": "none", "headers": headers, "message": message}))]
        }
        Deed::Call { session, bearer, errand } => {
            let headers = in_session(given, session, bearer);
            vec![("raw", json!({"version": LEGACY, "headers": headers, "message": message(errand, number)}))]
        }
        Deed::Ask { bearer, errand } => {
            let (message, mirrored) = modern_message(errand, number);
            let mut headers = json!({"authorization": given.bearer(bearer)});
            for (name, value) in mirrored.iter().filter(|(name, _)| *name != "mcp-protocol-version") {
                headers[*name] = json!(value);
            }
            let body = json!({"session": "none", "version": MODERN, "headers": headers, "message": message});
            vec![("raw", body)]
        }
        Deed::Delete { session, bearer } => {
            let headers = in_session(given, Some(session), bearer);
            vec![("raw", json!({"method": "DELETE", "version": LEGACY, "headers": headers}))]
        }
        Deed::Pass(length) => vec![("wait", json!({"for": delay(length)}))],
        Deed::Reconnect => {
            let callers = given.callers.iter().map(|client| ("disconnect", json!({"client": client})));
            callers.chain([("disconnect", json!({})), ("reconnect", json!({"resume": false}))]).collect()
        }
        Deed::Start { .. } | Deed::Drop { .. } | Deed::Cancel { .. } | Deed::Finish { .. } => Vec::new(),
    }
}

/// The steps of a deed that is about a call under way. Each call has a client of its own, so that its connection can break
/// by itself.
fn of_call(
    given: &Given,
    deed: &Deed,
    seen: &Seen,
    calls: &mut BTreeMap<Id, (u32, Id)>,
    number: u32,
) -> Vec<(&'static str, Value)> {
    let named = |call: Id| (format!("caller{call}"), format!("call{call}"));
    match *deed {
        Deed::Start { session, bearer } => {
            let Seen::Call(call) = seen else {
                let headers = in_session(given, Some(session), bearer);
                let message = super::ask::long_call(number, WORK.as_millis());
                return vec![("raw", json!({"version": LEGACY, "headers": headers, "message": message}))];
            };
            calls.insert(*call, (number, session));
            let (client, name) = named(*call);
            let mut headers = in_session(given, Some(session), bearer);
            headers["mcp-protocol-version"] = json!(LEGACY);
            let ms = u64::try_from(WORK.as_millis()).unwrap_or(u64::MAX);
            vec![
                ("connect", json!({"client": client})),
                ("negotiate", json!({"client": client, "settle": false})),
                (
                    "invoke",
                    json!({"client": client, "tool": "test_slow", "arguments": {"ms": ms}, "id": number,
                        "progress": number, "recover": false, "headers": headers, "as": name}),
                ),
            ]
        }
        Deed::Drop { call } => vec![("disconnect", json!({"client": named(call).0}))],
        Deed::Cancel { call, bearer } => {
            let Some((request, session)) = calls.get(&call).copied() else { return Vec::new() };
            let message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                "params": {"requestId": request}});
            let headers = in_session(given, Some(session), bearer);
            vec![("raw", json!({"version": LEGACY, "headers": headers, "message": message}))]
        }
        Deed::Finish { call, bearer, passes, resumes } => {
            let (client, name) = named(call);
            let session = calls.get(&call).map(|(_, session)| *session);
            let mut all = vec![("wait", json!({"for": delay(passes)}))];
            if resumes {
                let headers = in_session(given, session, bearer);
                all.push(("reconnect", json!({"client": client, "resume": false})));
                all.push(("listen", json!({"client": client, "last-event-id": "latest", "headers": headers})));
            }
            all.push(("await", json!({"client": client, "call": name})));
            all
        }
        _ => Vec::new(),
    }
}

/// What the step has to see that breaks the rule.
///
/// What comes of requests at once is not ours to choose, so that a token may not be there which the fuzzer was given; its
/// place is empty then, and the request malformed.
fn expectation(broken: &Broken, raced: bool) -> Value {
    let mut expect = match broken.want {
        Want::Success => json!({"status": ["2xx", 302]}),
        Want::Status(401) if raced => json!({"status": [400, 401]}),
        Want::Status(status) => json!({"status": status}),
        Want::Error(code) => json!({"status": 400, "body": {"error": code}}),
        Want::Scope(scope) => json!({"status": 200, "body": {"scope": scope.to_string()}}),
        Want::Lifetime => json!({"status": 200, "body": {"expires_in": {"$type": "number"}}}),
        Want::Responses(0) => json!({"outcome": "silence"}),
        Want::Responses(_) => json!({"outcome": "result"}),
        Want::Else => return Value::Null,
    };
    expect["firm"] = json!(true);
    if requirements().get(broken.invariant).is_some() {
        expect["clause"] = json!(broken.invariant);
    }
    expect
}

fn body_text(value: &Value) -> String {
    // JSON is YAML; what can stand bare reads better so.
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{}: {}", word(name), body_text(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(body_text).collect::<Vec<_>>().join(", ")),
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// A text bare where YAML takes it for the same text, else in quotes.
fn word(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_/.".contains(one))
        && !matches!(text, "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain { text.to_owned() } else { json!(text).to_string() }
}

fn push(text: &mut String, step: &Step, indent: &str) {
    // Writing to a String cannot fail, here and below.
    match step {
        Step::One(name, Value::Object(members)) if members.is_empty() => {
            let _ = writeln!(text, "{indent}- {name}");
        }
        Step::One(name, body) => {
            let _ = writeln!(text, "{indent}- {name}: {}", body_text(body));
        }
        Step::Together(steps) => {
            let _ = writeln!(text, "{indent}- together:");
            for step in steps {
                push(text, step, &format!("{indent}    "));
            }
        }
    }
}

/// The name and the text of the scenario file of a failure.
///
/// `needs` is what a target has to have for it: `reference` where it uses what only the reference server has.
pub fn written(failure: &Failure, seed: u64, needs: &[&str]) -> (String, String) {
    let mut given = Given::default();
    let (mut all, mut calls, mut number) = (vec![Step::One("connect", json!({}))], BTreeMap::new(), 0);
    let last = failure.played.rounds.len().saturating_sub(1);
    for (at, round) in failure.played.rounds.iter().enumerate() {
        let broken = failure.played.broken.as_ref().filter(|_| at == last);
        let (mut group, mut after) = (Vec::new(), Vec::new());
        // What a round gives has its name only once all of it is written: none of it rests on another part.
        let before: Vec<(Vec<(&'static str, Value)>, &Seen)> = round
            .acts
            .iter()
            .map(|act| {
                number += 1;
                let own = steps(&given, &act.deed, number);
                let own = if own.is_empty() { of_call(&given, &act.deed, &act.seen, &mut calls, number) } else { own };
                (own, &act.seen)
            })
            .collect();
        for (place, ((mut own, seen), act)) in before.into_iter().zip(&round.acts).enumerate() {
            let name = given.note(seen);
            if let (Deed::Authorise { resource, .. }, Seen::Code(code)) = (&act.deed, seen) {
                given.resources.insert(*code, *resource);
            }
            if let Seen::Call(call) = seen {
                given.callers.push(format!("caller{call}"));
                // What comes of a call shows where it is waited for.
                if broken.is_some_and(|broken| broken.act == place) {
                    own.push(("await", json!({"client": format!("caller{call}"), "call": format!("call{call}")})));
                }
            }
            let same = |broken: &Broken| {
                let deed = round.acts.get(broken.act).map(|act| act.deed);
                // Of two that are the same, either may be the one that fails next time.
                broken.act == place || (broken.want == Want::Success && deed == Some(act.deed))
            };
            // Of two that are the same, either may be the one that should have been refused: no single step tells that.
            let twins = round.acts.iter().filter(|other| other.deed == act.deed).count() > 1;
            let broken = broken.filter(|broken| !twins || broken.want == Want::Success);
            if let Some((_, body)) = own.last_mut() {
                if let Some(name) = &name {
                    body["as"] = json!(name);
                }
                let raced = failure.played.rounds[..at].iter().any(|round| round.acts.len() > 1);
                let expect =
                    broken.filter(|broken| same(broken)).map_or(Value::Null, |broken| expectation(broken, raced));
                if !expect.is_null() {
                    body["expect"] = expect;
                }
            }
            if let (Deed::Open { bearer }, Seen::Session(id), None) = (&act.deed, seen, broken) {
                let headers = in_session(&given, Some(*id), *bearer);
                let message = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
                after.push(Step::One("raw", json!({"version": LEGACY, "headers": headers, "message": message})));
            }
            group.extend(own.into_iter().map(|(word, body)| Step::One(word, body)));
        }
        if round.acts.len() > 1 {
            all.push(Step::Together(group));
        } else {
            all.extend(group);
        }
        all.extend(after);
    }
    let about = INVARIANTS.iter().find(|(id, _)| *id == failure.invariant).map_or("", |(_, about)| *about);
    let slug: String = failure.invariant.replace('.', "-");
    let mut text = format!(
        "version: 1\nid: fuzz.{slug}-{seed}\ntitle: {}\nwhy: {}\n",
        json!(format!("A lifecycle that was made up and shrunk: {about}")),
        json!("The server did otherwise in the last step, when it was fuzzed."),
    );
    if requirements().get(failure.invariant).is_none() {
        let _ = writeln!(text, "field: [{}]", failure.invariant);
    }
    let _ = writeln!(text, "needs: [{}]", needs.join(", "));
    text.push_str("clients: [reference]\nrevisions: [\"2025-11-25\"]\nsteps:\n");
    for step in &all {
        push(&mut text, step, "  ");
    }
    (format!("fuzz-{slug}-{seed}.yaml"), text)
}
