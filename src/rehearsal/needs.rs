//! Whether a target and a client have what a scenario needs.

use serde_json::Value;

use super::Survey;
use crate::client::Entry;
use crate::model::{Era, Revision, Via};
use crate::profile::Profile;
use crate::scenario::{Action, Scenario, Step};

/// What HTTP says of a method that an address does not take (RFC 9110 section 15.5.6).
const NO_POST: u16 = 405;

/// The first need that is not met, in plain words; `None` where the scenario applies.
pub(super) fn unmet(scenario: &Scenario, profile: &Profile, revision: Revision, survey: &Survey) -> Option<String> {
    let modern = revision.facts().era == Era::Modern;
    let crosses = scenario.needs.iter().any(|need| need == "legacy-only" || need == "modern-only");
    match (modern, survey.legacy, &survey.modern) {
        (true, _, None) if !crosses => return Some(format!("the target does not speak {revision}")),
        (false, false, _) if !crosses => return Some("the target speaks only 2026-07-28".to_owned()),
        _ => {}
    }
    if survey.session && !modern && !carries_session(profile) {
        if !survey.embedded || survey.durable {
            return Some(
                "this client never sends the session id that the target assigns, and the target has to refuse it"
                    .to_owned(),
            );
        }
        // In memory the embedded server gives such a client no id, and knows it as the one that came last.
        if scenario.needs.iter().any(|need| matches!(need.as_str(), "session" | "nodes" | "restart")) {
            return Some("this client never sends a session id, and is given none".to_owned());
        }
    }
    if let Some(reason) = not_over(scenario, profile, survey) {
        return Some(reason);
    }
    if let Some(reason) = not_by_this_way(scenario, &survey.entry) {
        return Some(reason);
    }
    if !modern
        && survey.via == Via::StreamableHttp
        && profile.session_per_call.value.is_some()
        && outlasts_calls(scenario)
    {
        return Some(
            "this client opens a session for each call and ends it then, so that nothing outlives a call".to_owned(),
        );
    }
    let needed = scenario.needs.iter().find_map(|need| reason(need, profile, revision, survey));
    needed.or_else(|| called(scenario).into_iter().find_map(|tool| not_allowed(&tool, survey)))
}

/// Whether the client sends the session id that it was given.
pub(super) fn carries_session(profile: &Profile) -> bool {
    profile.headers_post.value.iter().any(|header| header.value.contains("{session}"))
}

/// Whether the scenario is about more than calls that are made one by one.
fn outlasts_calls(scenario: &Scenario) -> bool {
    let lone = |step: &&Step| match &step.action {
        Action::Connect(_) | Action::Negotiate(_) | Action::Shutdown(_) => true,
        Action::Invoke(call) => call.r#as.is_none(),
        _ => false,
    };
    let steps = scenario.all_steps();
    let ends = steps.iter().filter(|step| matches!(step.action, Action::Shutdown(_))).count();
    ends > 1 || !steps.iter().all(lone)
}

/// Why the scenario, or the client, does not go with the transport.
fn not_over(scenario: &Scenario, profile: &Profile, survey: &Survey) -> Option<String> {
    let speaks = &profile.transports.value;
    let title = survey.via.title();
    // WebSocket is nobody's own, so every client is taken to speak it.
    if survey.via != Via::WebSocket && !speaks.order.contains(&survey.via) {
        return Some(format!("this client does not speak {title}"));
    }
    if survey.via == Via::LegacySse && !survey.chosen && speaks.fallback.is_empty() && speaks.first() != survey.via {
        return Some(format!("this client speaks {title} only where it is told to (`--transport sse`)"));
    }
    let http = survey.via == Via::StreamableHttp;
    let names = |name: &str| scenario.needs.iter().any(|need| need == name);
    let own = Via::ALL.iter().any(|via| *via != Via::StreamableHttp && names(via.name()));
    if !http && scenario.is_of_http() && !own {
        return Some("what it does and looks at is there only over Streamable HTTP".to_owned());
    }
    if !http && !own && scenario.needs.iter().any(|need| need == "auth") {
        return Some("authorization is rehearsed over Streamable HTTP".to_owned());
    }
    if survey.via == Via::Stdio && scenario.has_network_faults() {
        return Some("there is no network between a client and the process that it starts".to_owned());
    }
    if !survey.resumable && scenario.outlives_connections() && !own {
        return Some(format!("a session over {title} ends with its connection"));
    }
    None
}

/// Why the way in to the target does not let the scenario be played: some grants are there only once.
fn not_by_this_way(scenario: &Scenario, entry: &Entry) -> Option<String> {
    let of = |step: &Step| match (&step.action, entry) {
        (Action::Expire(_) | Action::Refresh(_), Entry::Token(_)) => Some(
            "the token was made beforehand, so its life cannot be played; another way in can (`login` in rehearsal.toml)",
        ),
        (Action::Refresh(_), Entry::ClientCredentials) => Some("client credentials come without a refresh token"),
        (Action::Revoke(_) | Action::OAuth(_), entry) if !entry.can_be_repeated() => Some(
            "it might end the only grant there is; a login that can be repeated plays it (`login` in rehearsal.toml)",
        ),
        _ => None,
    };
    scenario.all_steps().into_iter().find_map(of).map(str::to_owned)
}

/// Every tool that the scenario calls, however it calls it.
fn called(scenario: &Scenario) -> Vec<String> {
    let of_call = |method: Option<&str>, params: Option<&Value>| {
        let name = params.filter(|_| method == Some("tools/call"))?.get("name")?.as_str()?;
        Some(name.to_owned())
    };
    let of_message = |message: &Value| of_call(message["method"].as_str(), message.get("params"));
    let mut names = Vec::new();
    for step in scenario.all_steps() {
        match &step.action {
            Action::Invoke(invoke) => {
                names.extend(invoke.tool.clone());
                names.extend(of_call(invoke.method.as_deref(), invoke.params.as_ref()));
            }
            Action::Raw(raw) => match &raw.message {
                Some(Value::Array(messages)) => names.extend(messages.iter().filter_map(of_message)),
                Some(message) => names.extend(of_message(message)),
                None => {}
            },
            _ => {}
        }
    }
    names
}

/// Why the target's tool must not be called; a tool it does not list does nothing, and may be asked for.
fn not_allowed(tool: &str, survey: &Survey) -> Option<String> {
    (survey.tools.get(tool) == Some(&false)).then(|| {
        format!("the target's tool `{tool}` does not say that it only reads; `--allow-tool {tool}` lets it be called")
    })
}

/// Why a client does not come in where HTTP+SSE is all that there is.
fn comes_over_sse(profile: &Profile, revision: Revision) -> Option<String> {
    let transports = &profile.transports.value;
    if !transports.order.contains(&Via::LegacySse) {
        return Some("this client does not speak HTTP+SSE".to_owned());
    }
    let tries = transports.first() == Via::LegacySse || transports.falls_back_on(NO_POST, revision);
    (!tries).then(|| format!("this client does not try HTTP+SSE after status {NO_POST} to its POST"))
}

fn reason(need: &str, profile: &Profile, revision: Revision, survey: &Survey) -> Option<String> {
    let modern = revision.facts().era == Era::Modern;
    let offered = survey.modern.as_ref().filter(|_| modern).unwrap_or(&survey.capabilities);
    let server = |path: &[&str]| path.iter().try_fold(offered, |value, key| value.get(key)).is_some();
    let missing = |holds: bool, why: &str| (!holds).then(|| why.to_owned());
    if let Some(tool) = need.strip_prefix("tool:") {
        let listed = survey.tools.contains_key(tool);
        return not_allowed(tool, survey).or_else(|| missing(listed, &format!("the target has no tool `{tool}`")));
    }
    if let Some(prompt) = need.strip_prefix("prompt:") {
        return missing(survey.prompts.contains(prompt), &format!("the target has no prompt `{prompt}`"));
    }
    if let Some(uri) = need.strip_prefix("resource:") {
        return missing(survey.resources.contains(uri), &format!("the target has no resource `{uri}`"));
    }
    if let Some(capability) = need.strip_prefix("client.") {
        if capability == "listen" && (modern || survey.via.has_one_stream()) {
            return None;
        }
        if capability == "listen" {
            return missing(profile.get_stream.value.opens, "this client opens no stream for the server");
        }
        if capability == "refresh-token" {
            let asked = profile.oauth.value.registers_with.get("grant_types").and_then(|types| types.as_array());
            let asks = asked.is_none_or(|types| types.iter().any(|kind| kind == "refresh_token"));
            return missing(asks, "this client does not register for refresh tokens");
        }
        if capability == "cancels" {
            // Nothing with an id is a notification (JSON-RPC 2.0 section 4.1), and null is no id of a request either.
            let whole = modern || !profile.extras.value.null_ids;
            return missing(
                whole,
                "this client gives its notifications the id null, so that no server has to heed its cancellations",
            );
        }
        if capability == "refresh" {
            let own = profile.oauth.value.refreshes_as.is_none();
            return missing(
                own,
                "this client refreshes as another that it has just registered, which a server has to refuse",
            );
        }
        if capability == "elicitation" && !revision.facts().elicitation {
            return Some(format!("{revision} has no elicitation"));
        }
        return missing(
            profile.capabilities.value.contains_key(capability),
            &format!("this client does not declare `{capability}`"),
        );
    }
    match need {
        "http" => missing(survey.via == Via::StreamableHttp, "it is about Streamable HTTP"),
        "sse" => missing(survey.via == Via::LegacySse, "it is about HTTP+SSE"),
        "stdio" => missing(survey.via == Via::Stdio, "it is about stdio"),
        "websocket" => missing(survey.via == Via::WebSocket, "it is about WebSocket"),
        "session" if modern => Some(format!("{revision} has no sessions")),
        "session" => missing(survey.session, "the target assigns no session ids"),
        "older-transport" if survey.embedded && survey.via == Via::StreamableHttp => comes_over_sse(profile, revision),
        "older-transport" => missing(
            survey.via == Via::LegacySse && !survey.chosen,
            "the target is not an address of which clients have to find out that it speaks HTTP+SSE",
        ),
        // The embedded server is made as the case needs it.
        "legacy-only" if survey.embedded => None,
        "modern-only" if survey.embedded => {
            missing(survey.via != Via::LegacySse, "over HTTP+SSE there is only the older era")
        }
        "legacy-only" => missing(survey.modern.is_none(), "the target speaks 2026-07-28"),
        "modern-only" => missing(!survey.legacy, "the target also speaks revisions with `initialize`"),
        "both-eras" => missing(
            survey.legacy && survey.modern.is_some(),
            "the target does not speak both eras, with `initialize` and without",
        ),
        "clock" => missing(survey.clock, "the target's clock cannot be moved (--control names its control endpoint)"),
        "reference" => missing(survey.reference, "only the reference server has the fixtures for this"),
        "auth" if survey.auth && profile.oauth.value.registration.is_empty() => {
            Some("this client knows no login; it can be given a token by hand at most".to_owned())
        }
        "auth" => missing(survey.auth, "the target asks for no authorization"),
        "mint" => missing(
            survey.mint,
            "nobody signs tokens to order for the target (--control names a control endpoint that does)",
        ),
        "documents" => missing(survey.documents, "the target is elsewhere, and cannot read documents of this machine"),
        "restart" if survey.embedded => {
            missing(survey.restart, "the embedded server is restarted only where its sessions outlive that (--store redis://…)")
        }
        "restart" => missing(survey.restart, "the target cannot be restarted from here (`restart` in rehearsal.toml says how)"),
        "restart-store" if survey.embedded => Some("the store of the embedded server is not its own to restart (`restart-store` of a target in rehearsal.toml)".to_owned()),
        "restart-store" => missing(
            survey.restart_store,
            "the target's store cannot be restarted from here (`restart-store` in rehearsal.toml says how)",
        ),
        "nodes" if survey.embedded => missing(
            survey.nodes > 1,
            "the embedded server has a single node, or nodes that share no sessions (--store redis://… --nodes 3)",
        ),
        "nodes" => missing(survey.nodes > 1, "the target has a single address (--node URL names its nodes, each one)"),
        "durable-sessions" if survey.embedded => {
            missing(survey.durable, "the embedded server keeps its sessions in its memory (--store redis://…)")
        }
        "durable-sessions" => missing(
            survey.durable,
            "nobody says that sessions outlive the target's process (`durable-sessions = true` in rehearsal.toml)",
        ),
        other => {
            let path: Vec<&str> = other.split('.').collect();
            missing(server(&path), &format!("the target does not declare `{other}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_notifications_are_none_cannot_cancel() {
        let why = |profile: &str, revision: Revision| {
            let profile = crate::profile::find(profile).expect("profiles load").expect("it is shipped");
            reason("client.cancels", &profile, revision, &Survey::default())
        };
        let told = why("copilot-studio", Revision::V2024_11_05).expect("not applicable");
        assert!(told.contains("the id null"), "{told}");
        assert_eq!(why("ts-sdk", Revision::V2025_06_18), None);
    }
}
