//! The verdicts on a recording: one on the server, one on the client that was recorded.
//!
//! There is no scenario, so nothing was expected but what the requirements say.

use std::time::Duration;

use super::Judged;
use super::case::{Case, Cell, Plan, story_of, why_unclear};
use super::pieces::{pieces, together};
use crate::check::{Finding, Outcome, judge_all, judge_client};
use crate::model::Members as _;
use crate::transcript::{Event, Exchange, META_CLIENT, View};

/// Judges both parties of a recording; `name` is what it is called, and `again` the arguments that judge it again.
pub fn judge_recording(name: &str, again: &str, events: &[Event]) -> [Case; 2] {
    let view = View::new(events);
    let who = client(&view);
    let cut = pieces(&view);
    let judge =
        |judge: fn(&View<'_>) -> Vec<Finding>| together(cut.iter().map(|piece| judge(&View::new(piece))).collect());
    let server = case(name, again, ("server", "the server"), &view, judge(judge_all));
    let client = case(name, again, ("client", &who), &view, judge(judge_client));
    [server, client]
}

/// Judges the server in the transcript of a case of `run`, as the case was judged, but for what its scenario expects. The
/// client in it is a simulated one, which breaks rules on purpose.
pub fn judge_transcript(name: &str, again: &str, events: &[Event]) -> Case {
    let view = View::new(events);
    case(name, again, ("server", "the server"), &view, judge_all(&view))
}

/// What the client calls itself, with its version.
pub fn client(view: &View<'_>) -> String {
    let info = view.messages.iter().filter(|msg| !msg.received()).find_map(|msg| {
        let params = msg.value.at("params");
        let info = params.member("clientInfo").or_else(|| params.at("_meta").get(META_CLIENT))?;
        let text = |name: &str| info[name].as_str().unwrap_or_default().to_owned();
        Some(format!("{} {}", text("name"), text("version")).trim().to_owned())
    });
    info.filter(|name| !name.is_empty()).unwrap_or_else(|| "the client".to_owned())
}

fn case(name: &str, again: &str, party: (&str, &str), view: &View<'_>, findings: Vec<Finding>) -> Case {
    let mut stories: Vec<_> = findings.iter().filter_map(|finding| story_of(finding, view)).collect();
    stories.sort_by_key(|story| !story.fails);
    let revision = view.conversations.last().map_or("?", |conversation| conversation.answered.as_str());
    let worst = findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::NotExercised);
    let cell = if stories.iter().any(|story| story.fails) {
        Cell::Failed
    } else if worst == Outcome::NotExercised {
        Cell::Inconclusive
    } else if stories.is_empty() {
        Cell::Passed
    } else {
        Cell::Warned
    };
    Case {
        plan: Plan {
            scenario: name.into(),
            file: None,
            title: "A recording".into(),
            profile: party.0.into(),
            profile_title: party.1.into(),
            revision: revision.into(),
            target: Some(again.into()),
        },
        cell,
        reason: (cell == Cell::Inconclusive).then(|| why_unclear(view)),
        stories,
        consequences: Vec::new(),
        met: 0,
        exchanges: view.exchanges.len(),
        took: Duration::ZERO,
        answered: view.exchanges.iter().any(Exchange::answered),
        silent: false,
        // The two parties are not to be compared with each other.
        sent: Box::default(),
        findings: Judged::of(findings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Builder;
    use serde_json::json;

    #[test]
    fn each_party_answers_for_itself() {
        let start = Builder::new().initialize("2025-06-18");
        let [server, client] = judge_recording("x.jsonl", "check x.jsonl", &start.clone().finish());
        assert_eq!((server.cell, client.cell), (Cell::Passed, Cell::Passed), "{:?}", client.stories);
        assert_eq!(&*client.plan.profile_title, "test 1");
        let odd = start.call("ping", json!({}), json!({})).request("POST", &[("accept", "text/plain")], Some("{}"));
        let [_, client] = judge_recording("x.jsonl", "check x.jsonl", &odd.answer(406, &[], "").finish());
        assert_eq!(client.cell, Cell::Failed);
        assert!(client.stories.iter().any(|story| story.id == "transport.http.client-accept"));
        let [server, client] = judge_recording("x.jsonl", "check x.jsonl", &[]);
        assert_eq!((server.cell, client.cell), (Cell::Inconclusive, Cell::Inconclusive));
    }

    #[test]
    fn a_simulated_client_is_not_judged() {
        let odd = Builder::new().initialize("2025-06-18").request("POST", &[("accept", "text/plain")], Some("{}"));
        let events = odd.answer(406, &[], "").call_error("ping", json!({}), -32601).finish();
        let case = judge_transcript("x.jsonl", "check x.jsonl", &events);
        assert_eq!((case.cell, &*case.plan.profile), (Cell::Failed, "server"));
        let told: Vec<&str> = case.stories.iter().map(|story| story.id.as_str()).collect();
        assert!(
            told.contains(&"utilities.ping.respond") && !told.contains(&"transport.http.client-accept"),
            "{told:?}"
        );
    }
}
