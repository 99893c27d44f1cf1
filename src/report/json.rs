//! The report a program reads. Its field names are stable within a `format_version`.
//!
//! Top level: `format_version`, `interrupted`, `counts` (with `not_played`: planned, but cut off by an interruption),
//! `coverage`, `cases`. A case has `id`, `scenario`, `title`,
//! `profile`, `profile_title`, `revision`, `outcome` (`passed`, `failed`, `warned`, `inconclusive`,
//! `not-applicable`), `reason`, `expectations_met`, `exchanges`, `again`, `divergence`, `took_ms` (real time),
//! `consequences`, `stories`, and `findings`: the requirements that were exercised, with `outcome` (`pass`, `warn`,
//! `fail`, `inconclusive`).

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::story::again;
use crate::check::{Breach, Finding, Outcome};
use crate::verdict::{Case, Cell, Story, Summary};

/// The whole run as one JSON document.
pub fn json(summary: &Summary) -> String {
    let (exercised, checks) = summary.coverage();
    let report = Report {
        format_version: 1,
        interrupted: summary.interrupted,
        counts: json!({
            "cases": summary.cases.len(),
            "passed": summary.count(Cell::Passed),
            "failed": summary.count(Cell::Failed),
            "warned": summary.count(Cell::Warned),
            "inconclusive": summary.count(Cell::Inconclusive),
            "not_applicable": summary.count(Cell::NotApplicable),
            "not_played": summary.not_played,
        }),
        coverage: json!({ "exercised": exercised, "checks": checks }),
        cases: Cases(summary),
    };
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Report<'s> {
    format_version: u32,
    interrupted: bool,
    counts: Value,
    coverage: Value,
    cases: Cases<'s>,
}

/// The cases, made one by one: all at once they would take many times the room of their text.
struct Cases<'s>(&'s Summary);

impl Serialize for Cases<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.cases.iter().map(|case| case_value(self.0, case)))
    }
}

fn case_value(summary: &Summary, case: &Case) -> Value {
    let failed = matches!(case.cell, Cell::Failed | Cell::Warned);
    let divergence = summary.divergence(case).filter(|_| failed);
    json!({
        "id": case.plan.id(),
        "scenario": case.plan.scenario,
        "title": case.plan.title,
        "profile": case.plan.profile,
        "profile_title": case.plan.profile_title,
        "revision": case.plan.revision,
        "outcome": cell_text(case.cell),
        "reason": case.reason,
        "expectations_met": case.met,
        "exchanges": case.exchanges,
        "again": again(summary, case),
        "divergence": divergence.map(|found| json!({
            "passed": found.other,
            "sent": found.sent,
            "passed_sent": found.other_sent,
        })),
        "took_ms": case.took.as_millis(),
        "consequences": case.consequences,
        "stories": case.stories.iter().map(story_value).collect::<Vec<_>>(),
        "findings": case.findings.iter().map(|finding| finding_value(&finding)).collect::<Vec<_>>(),
    })
}

fn story_value(story: &Story) -> Value {
    json!({
        "id": story.id,
        "level": story.level,
        "fails": story.fails,
        "times": story.times,
        "source": story.source,
        "sent": story.sent,
        "breach": breach_value(&story.breach),
    })
}

fn finding_value(finding: &Finding) -> Value {
    json!({
        "requirement": finding.requirement,
        "outcome": outcome_text(finding.outcome),
        "passes": finding.passes,
        "breaches": finding.breaches.iter().map(breach_value).collect::<Vec<_>>(),
    })
}

fn breach_value(breach: &Breach) -> Value {
    json!({
        "what": breach.what,
        "expected": breach.expected,
        "actual": breach.actual,
        "fix": breach.fix,
        "evidence": breach.evidence,
    })
}

fn cell_text(cell: Cell) -> &'static str {
    match cell {
        Cell::NotApplicable => "not-applicable",
        Cell::Passed => "passed",
        Cell::Inconclusive => "inconclusive",
        Cell::Warned => "warned",
        Cell::Failed => "failed",
    }
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotExercised => "not-exercised",
        Outcome::Pass => "pass",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn field_names_are_stable() {
        let text = json(&fixture::summary());
        assert!(serde_json::from_str::<Value>(&text).is_ok());
        fixture::snapshot("report_json", &text);
    }
}
