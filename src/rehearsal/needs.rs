//! Whether a target and a client have what a scenario needs.

use super::Survey;
use crate::model::Revision;
use crate::profile::Profile;
use crate::scenario::Scenario;

/// The first need that is not met, in plain words; `None` where the scenario applies.
pub(super) fn unmet(scenario: &Scenario, profile: &Profile, revision: Revision, survey: &Survey) -> Option<String> {
    let carries = profile.headers_post.value.iter().any(|header| header.value.contains("{session}"));
    if survey.session && !carries {
        return Some(
            "this client never sends the session id that the target assigns, and the target has to refuse it"
                .to_owned(),
        );
    }
    scenario.needs.iter().find_map(|need| reason(need, profile, revision, survey))
}

fn reason(need: &str, profile: &Profile, revision: Revision, survey: &Survey) -> Option<String> {
    let server = |path: &[&str]| path.iter().try_fold(&survey.capabilities, |value, key| value.get(key)).is_some();
    let missing = |holds: bool, why: &str| (!holds).then(|| why.to_owned());
    if let Some(tool) = need.strip_prefix("tool:") {
        return match survey.tools.get(tool) {
            Some(true) => None,
            Some(false) => Some(format!(
                "the target's tool `{tool}` does not say that it only reads; `--allow-tool {tool}` lets it be called"
            )),
            None => Some(format!("the target has no tool `{tool}`")),
        };
    }
    if let Some(capability) = need.strip_prefix("client.") {
        if capability == "listen" {
            return missing(profile.get_stream.value.opens, "this client opens no stream for the server");
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
        "session" => missing(survey.session, "the target assigns no session ids"),
        "clock" => missing(survey.clock, "the target's clock cannot be moved (--control names its control endpoint)"),
        "reference" => missing(survey.reference, "only the reference server has the fixtures for this"),
        "auth" => missing(survey.auth, "the target asks for no authorization"),
        "restart" => Some("the target cannot be restarted from here".to_owned()),
        "nodes" => Some("the target has a single address".to_owned()),
        other => {
            let path: Vec<&str> = other.split('.').collect();
            missing(server(&path), &format!("the target does not declare `{other}`"))
        }
    }
}
