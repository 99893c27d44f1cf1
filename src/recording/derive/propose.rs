//! The profile that a recording speaks for: each field that was seen, with its evidence; what was not seen stays unknown.

use serde_json::{Value, json};

use super::headers::templates;
use super::seen::Seen;
use crate::model::Via;
use crate::profile::{Profile, ProfileError, find, ids, parse, shipped};
use crate::transcript::{META_CAPABILITIES, META_CLIENT, View};

/// A value with the reason to believe it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) evidence: &'static str,
    pub(super) reference: String,
}

/// A profile that is proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its name.
    pub id: String,
    pub(super) title: String,
    pub(super) client: String,
    pub(super) version: Option<String>,
    pub(super) sdk: String,
    pub(super) seen: String,
    pub(super) note: String,
    pub(super) fields: Vec<(&'static str, Option<Found>)>,
}

/// Where a recording is from, for who reads the profile.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the file.
    pub file: String,
    /// The day of the recording, where it says.
    pub on: Option<String>,
    /// The name that the profile is to have, where it is not to be made of the client's.
    pub id: Option<String>,
}

/// No profile can be made.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// Nobody said anything.
    #[error(
        "there is no initialize in it and no request of 2026-07-28, so nobody says who the client is; record it while it connects"
    )]
    NoClient,
    /// What was seen does not make a profile.
    #[error("what was seen contradicts itself as a profile: {0}; please report it with the recording")]
    Contradiction(#[from] ProfileError),
}

/// Makes the profile.
pub fn propose(view: &View<'_>, source: &Source) -> Result<Proposal, DeriveError> {
    let seen = Seen::new(view);
    let info = seen.says("clientInfo", META_CLIENT).filter(|info| info.is_object()).ok_or(DeriveError::NoClient)?;
    let text = |name: &str| info[name].as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let client = text("name").unwrap_or_else(|| "client".to_owned());
    let version = text("version");
    let sdk = sdk_of(seen.agent());
    let base = find(sdk)?.or(find("reference")?).ok_or(DeriveError::NoClient)?;
    let of = format!("recording {}", source.file);
    let mut proposal = Proposal {
        id: source.id.clone().unwrap_or_else(|| slug(&client)),
        title: text("title").unwrap_or_else(|| client.clone()),
        client,
        version,
        sdk: base.id().to_owned(),
        seen: source.on.clone().unwrap_or_else(|| "undated".to_owned()),
        note: format!("Proposed from {}. What is null was not seen, and is taken from {}.", source.file, base.id()),
        fields: Vec::new(),
    };
    fill(&mut proposal, &seen, &base, &of);
    let others = shipped()?;
    parse(&format!("{}.yaml", proposal.id), &proposal.yaml(), &others)?;
    Ok(proposal)
}

/// The SDK that a client seems to ship.
fn sdk_of(agent: Option<&str>) -> &'static str {
    match agent {
        Some(agent) if agent.starts_with("python-httpx") => "py-sdk",
        Some("node" | "undici") => "ts-sdk",
        _ => "reference",
    }
}

/// A name as an id.
fn slug(name: &str) -> String {
    let words: Vec<String> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let id = if words.is_empty() { "client".to_owned() } else { words.join("-") };
    // Both are to be played beside each other.
    if ids().any(|known| known == id) { format!("{id}-recorded") } else { id }
}

fn fill(proposal: &mut Proposal, seen: &Seen<'_>, base: &Profile, of: &str) {
    let captured = |value: Value| Some(Found { value, evidence: "captured", reference: of.to_owned() });
    let but = |value: Value, evidence: &'static str, more: &str| {
        Some(Found { value, evidence, reference: format!("{of}; {more}") })
    };
    let hello = seen.hello().filter(|_| !seen.is_modern() || seen.main.is_some());
    let modern = modern(seen);
    let posts = seen.later_post().map(|exchange| templates(exchange, true));
    let carries_version = seen.later_post().map(|exchange| exchange.sent_header("mcp-protocol-version").is_some());
    let deletes = seen.delete_on_exit();
    let requested = hello.and_then(|msg| msg.value["params"]["protocolVersion"].as_str());
    let requested = requested.filter(|version| version.parse::<crate::model::Revision>().is_ok());
    let capabilities = seen.says("capabilities", META_CAPABILITIES).filter(|value| value.is_object()).cloned();
    let info = seen.says("clientInfo", META_CLIENT).cloned().unwrap_or_default();
    let mut put = |name: &'static str, found: Option<Found>| proposal.fields.push((name, found));

    put("opens_with", requested.and_then(|version| captured(json!([version]))));
    put("transports", transports(seen, base).and_then(|value| but(value, "captured", "others were not tried")));
    put("client_info", captured(info));
    put("capabilities", capabilities.clone().and_then(captured));
    put("first_request_id", hello.and_then(|msg| captured(msg.value["id"].clone())));
    put("probe", captured(probe(seen)));
    put("modern", modern);
    put("probe_session", captured(probe_session(seen)));
    put("user_agent", seen.agent().and_then(|agent| captured(json!(agent))));
    put("headers_initialize", seen.first_post().and_then(|one| captured(templates(one, false))));
    put("headers_post", posts.clone().and_then(captured));
    put("headers_get", seen.get().and_then(|one| captured(templates(one, true))));
    let delete = seen.delete().map(|one| templates(one, true));
    put("headers_delete", delete.or_else(|| (deletes == Some(false)).then(|| json!([]))).and_then(captured));
    put("authorization", seen.authorization().map_or_else(|| placed(posts.as_ref(), base, of), captured));
    put(
        "oauth",
        seen.login(base).and_then(|login| {
            but(login.value, "captured", &format!("not seen, and as {}: {}", base.id(), login.unseen.join(", ")))
        }),
    );
    put("key_order", key_order(seen).and_then(|order| captured(json!(order))));
    put("accepts_versions", accepts(seen).and_then(|accepts| captured(json!(accepts))));
    put("version_header", carries_version.and_then(|sends| captured(json!(sends))));
    put("get_stream", seen.get_stream(base).and_then(captured));
    let lists = !seen.requests().is_empty() && !seen.is_modern();
    put("listing", lists.then(|| seen.listing()).and_then(|listing| captured(json!(listing))));
    put("parallel_listing", seen.parallel().and_then(|parallel| captured(json!(parallel))));
    put("follows_cursor", seen.follows_cursor().and_then(|follows| captured(json!(follows))));
    put("reconnect_ms", seen.reconnect_ms().and_then(|pause| captured(json!(pause))));
    put("last_event_id", seen.last_event_id().and_then(|sends| captured(json!(sends))));
    put("delete_on_exit", deletes.and_then(|deletes| captured(json!(deletes))));
    put("on_session_404", seen.on_session_404().and_then(|does| captured(json!(does))));
    put("answers", answers(seen, base, capabilities.as_ref(), of));
    put("pre_requests", seen.over_http().then(|| seen.pre_requests()).and_then(|all| captured(json!(all))));
}

/// The transports that were seen, where the client that stands in does not have them.
fn transports(seen: &Seen<'_>, base: &Profile) -> Option<Value> {
    let mut spoken: Vec<Via> = Vec::new();
    for exchange in &seen.view.exchanges {
        if exchange.conversation.is_some() && !spoken.contains(&exchange.via) {
            spoken.push(exchange.via);
        }
    }
    let known = &base.transports.value;
    let other = spoken.iter().any(|via| !known.order.contains(via))
        || spoken.first().is_some_and(|via| !via.is_channel() && known.first() != *via);
    other.then(|| json!({"order": spoken.iter().map(|via| via.name()).collect::<Vec<_>>(), "fallback": []}))
}

fn probe(seen: &Seen<'_>) -> Value {
    let request = seen.probe_request().filter(|msg| seen.exchange(msg).via == Via::StreamableHttp);
    request.map_or(Value::Null, |msg| {
        json!({"id": msg.value["id"], "method": "server/discover", "headers": templates(seen.exchange(msg), false)})
    })
}

fn modern(seen: &Seen<'_>) -> Option<Found> {
    let of_probe = "how it goes on in that era was not seen";
    let post = seen.modern_post()?;
    let mut headers = templates(post, true);
    let named = post.sent_header("mcp-name").is_some();
    if let Some(list) = headers.as_array_mut().filter(|_| !named) {
        let at = list.iter().position(|one| one[1] == "{method}").map_or(list.len(), |at| at + 1);
        list.insert(at, json!(["mcp-name", "{name}"]));
    }
    let requests = seen.requests();
    let listen = requests.iter().find(|msg| msg.method() == Some("subscriptions/listen"));
    let listen =
        listen.map_or(Value::Null, |msg| json!({"id": null, "notifications": msg.value["params"]["notifications"]}));
    let token = |msg: &&&crate::transcript::Msg| msg.value["params"]["_meta"].get("progressToken").is_some();
    let tokens = match requests.iter().filter(token).count() {
        0 => "never",
        count if count == requests.len() => "always",
        _ => "calls",
    };
    let first = requests.first().map_or_else(|| json!(1), |msg| msg.value["id"].clone());
    let value = json!({
        "headers": headers, "first_request_id": first, "listen": listen, "listing": seen.listing(),
        "progress_tokens": tokens,
    });
    let place = if named { "" } else { "; the place of Mcp-Name is assumed" };
    let reference = format!("the same recording{place}");
    (!requests.is_empty())
        .then_some(Found { value, evidence: "captured", reference })
        .or_else(|| Some(Found { value: Value::Null, evidence: "assumed", reference: of_probe.to_owned() }))
}

fn probe_session(seen: &Seen<'_>) -> Value {
    let hello = seen.probe.and_then(|index| {
        let opened = seen.view.conversations[index].opened;
        seen.view.messages_in(opened).find(|msg| msg.method() == Some("initialize"))
    });
    hello.map_or(Value::Null, |msg| {
        let params = &msg.value["params"];
        json!({
            "client_info": params["clientInfo"], "capabilities": params["capabilities"],
            "opens_with": [params["protocolVersion"]],
        })
    })
}

/// Where the token would go: after what it follows in the client that stands in or, where that is not sent, at the end.
fn placed(posts: Option<&Value>, base: &Profile, of: &str) -> Option<Found> {
    let names: Vec<&str> = posts?.as_array()?.iter().filter_map(|header| header[0].as_str()).collect();
    let known = &base.authorization.value;
    if names.iter().any(|name| name.eq_ignore_ascii_case(&known.after)) {
        return None;
    }
    let value = json!({"name": known.name, "after": names.last()?});
    Some(Found { value, evidence: "assumed", reference: format!("{of}; no token was seen") })
}

fn key_order(seen: &Seen<'_>) -> Option<&'static str> {
    let request = seen.hello().or_else(|| seen.requests().into_iter().next())?;
    let first = request.value.as_object()?.keys().next()?;
    Some(if first == "method" { "method-first" } else { "jsonrpc-first" })
}

/// Whether the client goes on with a version that nobody knows; nothing where the server named no such version.
fn accepts(seen: &Seen<'_>) -> Option<&'static str> {
    let conversation = seen.conversation().filter(|conversation| conversation.revision.is_none())?;
    Some(if conversation.initialized.is_some() { "any" } else { "known" })
}

fn answers(seen: &Seen<'_>, base: &Profile, capabilities: Option<&Value>, of: &str) -> Option<Found> {
    let (mut all, missing) = seen.answers();
    let plausible = [
        ("roots", json!({"result": {"roots": []}})),
        ("sampling", json!({"error": {"code": -1, "message": "User rejected sampling request"}})),
        ("elicitation", json!({"result": {"action": "decline"}})),
    ];
    let declared = |name: &str| capabilities.is_some_and(|all| all.get(name).is_some());
    // What the client that stands in would answer may contradict what this one declares.
    let contradicts = plausible.iter().any(|(name, _)| declared(name) && !all.contains_key(*name));
    if all.is_empty() && !contradicts {
        return None;
    }
    let evidence = if all.is_empty() { "assumed" } else { "captured" };
    let known = serde_json::to_value(&base.answers.value).unwrap_or_default();
    for name in &missing {
        let own = plausible.iter().find(|(known, _)| known == name).filter(|_| declared(name));
        all.insert((*name).to_owned(), own.map_or_else(|| known[*name].clone(), |(_, answer)| answer.clone()));
    }
    let ordered: serde_json::Map<String, Value> = ["ping", "roots", "sampling", "elicitation", "unknown"]
        .iter()
        .map(|name| ((*name).to_owned(), all.get(*name).cloned().unwrap_or_default()))
        .collect();
    let rest = if missing.is_empty() {
        String::new()
    } else {
        format!("; not asked for, and assumed: {}", missing.join(", "))
    };
    Some(Found { value: Value::Object(ordered), evidence, reference: format!("{of}{rest}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Evidence;
    use crate::transcript::{Builder, Event};

    fn source() -> Source {
        Source { file: "x.jsonl".to_owned(), on: Some("2026-11-29".to_owned()), id: None }
    }

    fn profile(events: &[Event]) -> (String, Profile) {
        let view = View::new(events);
        let proposal = propose(&view, &source()).expect("a proposal");
        let text = proposal.yaml();
        let profile =
            parse("x.yaml", &text, &shipped().expect("shipped")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        (text, profile)
    }

    #[test]
    fn what_was_seen_is_captured_and_the_rest_stays_unknown() {
        let start =
            Builder::new().initialize_with("2025-06-18", "2025-06-18", json!({"roots": {}}), json!({"tools": {}}));
        let listed = start.call("tools/list", json!({}), json!({"tools": []})).delete(200);
        let (text, profile) = profile(&listed.finish());
        assert_eq!(profile.id(), "test");
        assert_eq!(
            (profile.listing.evidence, &profile.listing.value),
            (Evidence::Captured, &vec!["tools/list".to_owned()])
        );
        assert!(profile.delete_on_exit.value && profile.version_header.value);
        assert_eq!(profile.headers_post.value[0].value, "{host}");
        assert_eq!(profile.last_event_id.evidence, Evidence::Assumed);
        assert!(
            text.contains("  last_event_id: null\n")
                && text.contains("  probe_session: { value: null, evidence: captured")
        );
        assert_eq!(profile.answers.evidence, Evidence::Assumed);
    }

    #[test]
    fn nobody_makes_no_profile() {
        assert!(matches!(propose(&View::new(&[]), &source()), Err(DeriveError::NoClient)));
        let refused = Builder::new().request("POST", &[], Some("{}")).answer(400, &[], "").finish();
        assert!(matches!(propose(&View::new(&refused), &source()), Err(DeriveError::NoClient)));
    }

    #[test]
    fn names_become_ids() {
        assert_eq!(slug("Claude Code (via mcp-remote 0.1)"), "claude-code-via-mcp-remote-0-1");
        assert_eq!(slug("…"), "client");
    }
}
