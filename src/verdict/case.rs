//! One case — a scenario under a profile and a revision — and what it amounts to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Judged;
use super::expectation::{Unmet, judge_expectations, left_out};
use crate::check::{Breach, Finding, Outcome, judge_exercised};
use crate::model::{Level, Members as _, requirements};
use crate::scenario::Scenario;
use crate::transcript::{Direction, End, Event, Exchange, Msg, View};

/// Names of a case; thousands of cases share them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Id of the scenario.
    pub scenario: Arc<str>,
    /// The file it stands in, if the program does not bring it along.
    pub file: Option<Arc<str>>,
    /// Its title.
    pub title: Arc<str>,
    /// Id of the profile.
    pub profile: Arc<str>,
    /// The profile's title.
    pub profile_title: Arc<str>,
    /// The revision asked for, where the profile has several.
    pub revision: Arc<str>,
    /// The target as it stands in the command that plays the case again, with the options that belong to it.
    pub target: Option<Arc<str>>,
}

impl Plan {
    /// `scenario@profile`, with the revision behind it.
    pub fn id(&self) -> String {
        format!("{}@{}/{}", self.scenario, self.profile, self.revision)
    }
}

/// What a case amounts to, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// The target or the client lacks what the scenario needs.
    NotApplicable,
    /// Everything that was exercised held.
    Passed,
    /// Our own limits kept us from seeing it.
    Inconclusive,
    /// A SHOULD, a contested point or our own inference was not kept.
    Warned,
    /// A MUST was broken, or the scenario could not go on.
    Failed,
}

/// One thing that went wrong, told whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Id of the requirement, or of the scenario's step.
    pub id: String,
    /// `MUST`, `SHOULD`, `our inference`, `scenario`.
    pub level: String,
    /// Whether it fails the case or only warns.
    pub fails: bool,
    /// What happened.
    pub breach: Breach,
    /// How often it happened in this case.
    pub times: usize,
    /// Where the clause stands.
    pub source: Option<String>,
    /// What the client sent, shortened.
    pub sent: String,
}

/// The verdict on one case.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its names.
    pub plan: Plan,
    /// What it amounts to.
    pub cell: Cell,
    /// Why it does not apply, or why it could not be told.
    pub reason: Option<String>,
    /// What went wrong, failures first.
    pub stories: Vec<Story>,
    /// Steps that could not do what they are there for because of what the stories tell, in one line each.
    pub consequences: Vec<String>,
    /// Every requirement that was exercised, with what was seen.
    pub findings: Judged,
    /// Expectations of the scenario that were met.
    pub met: u32,
    /// HTTP exchanges that took place.
    pub exchanges: usize,
    /// How long it took to play and judge, in real time.
    pub took: Duration,
    /// Whether any exchange got an answer at all.
    pub answered: bool,
    /// Whether the target let the time run out on a request without saying anything.
    pub silent: bool,
    /// Messages the client sent, shortened, without what names the client: for finding the first divergence.
    pub sent: Box<[Arc<str>]>,
}

impl Case {
    /// A case that does not apply.
    pub fn not_applicable(plan: Plan, reason: String) -> Self {
        Self {
            plan,
            cell: Cell::NotApplicable,
            reason: Some(reason),
            stories: Vec::new(),
            consequences: Vec::new(),
            findings: Judged::default(),
            met: 0,
            exchanges: 0,
            took: Duration::ZERO,
            answered: true,
            silent: false,
            sent: Box::default(),
        }
    }

    /// A case that was left out although it applies.
    pub fn left_out(plan: Plan, reason: String) -> Self {
        Self { cell: Cell::Inconclusive, ..Self::not_applicable(plan, reason) }
    }
}

/// Judges a transcript as a case of this scenario.
pub fn judge_case(plan: Plan, scenario: &Scenario, events: &[Event]) -> Case {
    let view = View::new(events);
    let findings = judge_exercised(&view);
    let (met, unmet_steps) = judge_expectations(scenario, &view);
    let mut stories: Vec<Story> = findings.iter().filter_map(|finding| story_of(finding, &view)).collect();
    // A broken clause tells more than the step that stumbled over it; the step is told where no clause is.
    // After a failed opening every later step stumbles over the same thing.
    let opening = unmet_steps.iter().position(|unmet| unmet.word == "negotiate").unwrap_or(usize::MAX);
    let mut consequences = Vec::new();
    // Nor can a step be held against the server where our own limit kept us from reading the answer, or from playing it.
    let own = |unmet: &Unmet| view.exchanges.iter().find(|exchange| Some(exchange.number) == unmet.exchange);
    let ended_by_us = |unmet: &Unmet| own(unmet).is_some_and(Exchange::passed_our_limit);
    let amiss = |unmet: &Unmet| own(unmet).and_then(Exchange::amiss);
    let limit = unmet_steps.iter().position(ended_by_us).unwrap_or(usize::MAX);
    for (index, unmet) in unmet_steps.iter().enumerate() {
        let unplayed = index > limit && unmet.exchange.is_none();
        // Several steps may look at one exchange; the first that stumbles tells it.
        let again =
            unmet.exchange.is_some() && unmet_steps[..index].iter().any(|earlier| earlier.exchange == unmet.exchange);
        let follows = index > opening || unplayed || again || ended_by_us(unmet);
        if !unmet.firm && (follows || explained(unmet, &findings, &stories, &view)) {
            let wanted = unmet.breach.expected.join(" or ");
            let why = amiss(unmet).map(|words| format!(": {words}")).unwrap_or_default();
            consequences.push(format!("step `{}` (line {}) did not see {wanted}{why}", unmet.word, unmet.line));
        } else {
            stories.push(story_of_step(scenario, unmet, &view));
        }
    }
    stories.sort_by_key(|story| !story.fails);
    // A connection that the scenario cut on purpose leaves checks undecided too; that is no limit of ours.
    let timed_out = |exchange: &Exchange| exchange.end == Some(End::TimedOut) && exchange.disturbed.is_empty();
    let silent = view.exchanges.iter().any(timed_out);
    let mute = |(index, exchange): (usize, &Exchange)| {
        timed_out(exchange) && exchange.carries_message() && !view.messages_in(index).any(Msg::received)
    };
    let left_out = left_out(&view).map(|(_, why)| why.to_owned());
    let limited = left_out.is_some() || view.exchanges.iter().any(Exchange::passed_our_limit);
    let worst = findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::NotExercised);
    let nothing_seen = worst == Outcome::NotExercised && met == 0;
    let cell = if stories.iter().any(|story| story.fails) {
        Cell::Failed
    } else if limited || nothing_seen || (silent && worst == Outcome::Inconclusive) {
        Cell::Inconclusive
    } else if stories.is_empty() {
        Cell::Passed
    } else {
        Cell::Warned
    };
    Case {
        plan,
        cell,
        reason: (cell == Cell::Inconclusive).then(|| left_out.unwrap_or_else(|| why_unclear(&view))),
        stories,
        consequences,
        met,
        exchanges: view.exchanges.len(),
        took: Duration::ZERO,
        answered: view.exchanges.iter().any(Exchange::answered)
            || !view.exchanges.iter().any(|exchange| matches!(exchange.end, Some(End::Failed(_)))),
        silent: cell > Cell::Passed && view.exchanges.iter().enumerate().any(mute),
        sent: sent(&view),
        findings: Judged::of(findings),
    }
}

/// Why a case could not be told: the first exchange that did not come to its end.
pub(super) fn why_unclear(view: &View<'_>) -> String {
    let amiss = |exchange: &Exchange| {
        let words = exchange.amiss()?;
        let method = exchange.sent_json().and_then(|body| body.at("method").as_str()).unwrap_or_default();
        Some(format!("{} {method}: {words}", exchange.method).replace(" :", ":"))
    };
    let limits = view.exchanges.iter().filter(|exchange| exchange.passed_our_limit());
    limits.chain(&view.exchanges).find_map(amiss).unwrap_or_else(|| "nothing came back that could be judged".to_owned())
}

/// Whether a broken clause tells why a step did not see what it expects: it was broken in the step's own exchange or on
/// the way to its token, or it is the step's own clause, or something that fails was found elsewhere in the case and the step names no clause, or it
/// comes after an opening that never gave its client a conversation or has no exchange at all, and anything
/// was found.
fn explained(unmet: &Unmet, findings: &[Finding], stories: &[Story], view: &View<'_>) -> bool {
    let holder = |seq: u32| {
        let carried = view.messages.iter().find(|msg| msg.seq == seq).map(|msg| msg.exchange);
        carried.or_else(|| view.exchanges.iter().position(|exchange| touches(exchange, seq)))
    };
    let own = unmet.exchange.and_then(|number| view.exchanges.iter().position(|exchange| exchange.number == number));
    let breaches = || findings.iter().flat_map(|finding| &finding.breaches);
    // On a channel, what came meanwhile may belong to the exchange as well.
    let meanwhile = |seq: u32| {
        own.map(|own| &view.exchanges[own]).is_some_and(|exchange| {
            let open = exchange.seq <= seq && exchange.end_seq.is_none_or(|end| seq <= end);
            exchange.via.has_one_stream() && exchange.carries_message() && open
        })
    };
    let of_own = |seq: &u32| holder(*seq) == own || meanwhile(*seq);
    let same_exchange = own.is_some() && breaches().any(|breach| breach.evidence.iter().any(of_own));
    // A client that met a broken rule on its way to a token comes without the token that the step needs.
    let refused = own.is_some_and(|own| matches!(view.exchanges[own].status, Some(401 | 403)));
    let of_step = |seq: u32| {
        holder(seq).is_some_and(|at| own.is_some_and(|own| view.exchanges[at].step == view.exchanges[own].step))
    };
    let on_the_way = refused
        && findings
            .iter()
            .filter(|finding| finding.requirement.starts_with("auth."))
            .any(|finding| finding.breaches.iter().any(|breach| breach.evidence.iter().any(|seq| of_step(*seq))));
    let told = unmet.clause.as_ref().is_some_and(|clause| stories.iter().any(|story| story.id == *clause));
    let loose = unmet.clause.is_none() && stories.iter().any(|story| story.fails);
    let locked_out = own.is_some_and(|own| outside(own, view)) && !stories.is_empty();
    // A step without an exchange says nothing by itself.
    let nothing_seen = own.is_none() && !stories.is_empty();
    same_exchange || on_the_way || told || nothing_seen || locked_out || loose
}

/// Whether the client of an exchange was never let in: its latest `initialize` before it got no result under its id.
fn outside(own: usize, view: &View<'_>) -> bool {
    let exchange = &view.exchanges[own];
    let before = |msg: &&Msg| msg.client == exchange.client && msg.exchange != own && msg.seq < exchange.seq;
    let openings = view.calls_to("initialize").filter(|(request, _)| before(request));
    openings.last().is_some_and(|(_, response)| response.is_none_or(|msg| msg.value.member("result").is_none()))
}

/// Whether an event of this position belongs to the exchange.
fn touches(exchange: &Exchange, seq: u32) -> bool {
    exchange.seq == seq
        || exchange.response_seq == Some(seq)
        || exchange.end_seq.is_some_and(|end| seq == end || (exchange.response_body.is_some() && seq + 1 == end))
        || exchange.events.iter().any(|event| event.seq == seq)
        || exchange.texts.iter().any(|text| text.seq == seq)
}

fn level_text(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::MustNot => "MUST NOT",
        Level::Should => "SHOULD",
        Level::ShouldNot => "SHOULD NOT",
        Level::May => "MAY",
    }
}

pub(super) fn story_of(finding: &Finding, view: &View<'_>) -> Option<Story> {
    let breach = finding.breaches.first()?.clone();
    let requirement = requirements().get(finding.requirement)?;
    let inferred = requirement.basis == crate::model::Basis::Derived;
    Some(Story {
        id: finding.requirement.to_owned(),
        level: if inferred { "our inference".to_owned() } else { level_text(requirement.level).to_owned() },
        fails: finding.outcome == Outcome::Fail,
        times: finding.breaches.len(),
        source: (!inferred).then(|| requirement.source.to_string()),
        sent: sent_at(&breach, view),
        breach,
    })
}

fn story_of_step(scenario: &Scenario, unmet: &Unmet, view: &View<'_>) -> Story {
    let requirement = unmet.clause.as_deref().and_then(|clause| requirements().get(clause));
    let fails = unmet.firm || requirement.is_none_or(crate::model::Requirement::may_fail);
    Story {
        id: unmet.clause.clone().unwrap_or_else(|| format!("{}:{}", scenario.id, unmet.line)),
        level: match requirement {
            None => "scenario".to_owned(),
            Some(requirement) if requirement.basis == crate::model::Basis::Derived => "our inference".to_owned(),
            Some(requirement) => level_text(requirement.level).to_owned(),
        },
        fails,
        times: 1,
        source: requirement
            .filter(|requirement| requirement.basis != crate::model::Basis::Derived)
            .map(|requirement| requirement.source.to_string()),
        sent: sent_at(&unmet.breach, view),
        breach: Breach {
            what: format!(
                "Step `{}` (line {}): {}{}",
                unmet.word,
                unmet.line,
                unmet.breach.what,
                meanwhile(unmet, view)
            ),
            ..unmet.breach.clone()
        },
    }
}

/// What was done to the exchange of a step while it was under way.
fn meanwhile(unmet: &Unmet, view: &View<'_>) -> String {
    let own = view.exchanges.iter().find(|exchange| Some(exchange.number) == unmet.exchange);
    own.filter(|exchange| !exchange.disturbed.is_empty())
        .map(|exchange| format!(" Meanwhile this was done to it on purpose: {}.", exchange.disturbed.join(", ")))
        .unwrap_or_default()
}

/// The request that the evidence points at, in one line.
fn sent_at(breach: &Breach, view: &View<'_>) -> String {
    let Some(exchange) =
        breach.evidence.iter().find_map(|seq| view.exchanges.iter().rev().find(|exchange| exchange.seq <= *seq))
    else {
        return String::new();
    };
    let mut text = exchange.method.clone();
    if let Some(node) = &exchange.node {
        text.extend(["  at ", &node.to_string()]);
    }
    for name in ["origin", "mcp-session-id", "mcp-protocol-version", "last-event-id"] {
        if let Some(value) = exchange.sent_header(name) {
            text.extend(["  ", name, ": ", value]);
        }
    }
    if let Some(body) = &exchange.body {
        text.push_str("  ");
        text.extend(body.chars().take(240));
    }
    text
}

fn sent(view: &View<'_>) -> Box<[Arc<str>]> {
    view.messages
        .iter()
        .filter(|msg| msg.direction == Direction::Sent && msg.method().is_some())
        .take(12)
        .map(|msg| {
            let method = msg.method().unwrap_or_default();
            let mut params = msg.value.member("params").cloned().unwrap_or(Value::Null);
            if let Some(object) = params.as_object_mut() {
                object.remove("clientInfo");
                object.remove("_meta");
            }
            if params.is_null() { method.into() } else { format!("{method} {params}").into() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use crate::transcript::Builder;
    use serde_json::json;

    fn plan() -> Plan {
        Plan {
            scenario: "negotiate.x".into(),
            file: None,
            title: "t".into(),
            profile: "p".into(),
            profile_title: "P".into(),
            revision: "2025-06-18".into(),
            target: None,
        }
    }

    fn scenario() -> Scenario {
        let text = "version: 1\nid: negotiate.x\ntitle: t\nwhy: w\nsteps:\n  - connect\n  - negotiate\n";
        parse("x.yaml", text).unwrap_or_else(|error| panic!("{}", error.render(false)))
    }

    #[test]
    fn a_broken_must_fails_the_case_with_a_story() {
        let events = Builder::new().initialize_with("1999-01-01", "1999-01-01", json!({}), json!({})).finish();
        let case = judge_case(plan(), &scenario(), &events);
        assert_eq!(case.cell, Cell::Failed);
        assert_eq!(case.stories[0].id, "lifecycle.version-counter-offer");
        assert!(case.stories[0].sent.contains("1999-01-01"));
    }

    #[test]
    fn a_clean_conversation_passes() {
        let events = Builder::new().initialize("2025-06-18").finish();
        assert_eq!(judge_case(plan(), &scenario(), &events).cell, Cell::Passed);
    }
}
