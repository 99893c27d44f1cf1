//! A failure as people read it: the rule, and what the server did beside what the model allows. Pure text.

use std::fmt::Write as _;

use super::campaign::Failure;
use super::deed::span;
use super::model::INVARIANTS;
use crate::model::requirements;

/// The widest that a column may be.
const WIDE: usize = 64;

/// One line of the two histories.
struct Line {
    at: String,
    done: String,
    server: String,
    model: String,
    marked: bool,
}

fn lines(failure: &Failure) -> Vec<Line> {
    let mut lines = Vec::new();
    let last = failure.played.rounds.len().saturating_sub(1);
    for (number, round) in failure.played.rounds.iter().enumerate() {
        for (place, act) in round.acts.iter().enumerate() {
            let broken = failure.played.broken.as_ref().filter(|broken| number == last && broken.act == place);
            let at = if place == 0 { span(round.at) } else { "at once".to_owned() };
            let model = broken.map_or_else(|| "the same".to_owned(), |broken| broken.expected.clone());
            lines.push(Line {
                at: if round.at.is_zero() && place == 0 { "0s".to_owned() } else { at },
                done: act.deed.to_string(),
                server: act.seen.to_string(),
                model,
                marked: broken.is_some(),
            });
        }
    }
    lines
}

/// The story of a failure, with the lifecycle as a table.
pub fn story(failure: &Failure, seed: u64) -> String {
    let level = requirements().get(failure.invariant).map(|requirement| serde_json::json!(requirement.level));
    let level = level.as_ref().and_then(serde_json::Value::as_str).unwrap_or("reported from the field");
    let about = INVARIANTS.iter().find(|(id, _)| *id == failure.invariant).map_or("", |(_, about)| *about);
    let (left, before) = failure.operations;
    let mut text = format!(
        "✗ {}  {level}\n  What has to hold: {about}.\n  Lifecycle {} of seed {seed}, shrunk from {before} operation{} to {left}. {}\n\n",
        failure.invariant,
        failure.case,
        if before == 1 { "" } else { "s" },
        if failure.logs_in() {
            "The first four lines begin every lifecycle."
        } else {
            "The first line begins every lifecycle."
        },
    );
    let lines = lines(failure);
    let width = |of: fn(&Line) -> &str, title: &str| {
        let longest = lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0);
        longest.max(title.len()).min(WIDE)
    };
    let (at, done, server) =
        (width(|line| &line.at, "at"), width(|line| &line.done, "done"), width(|line| &line.server, "server"));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "    {:<at$}  {:<done$}  {:<server$}  model", "at", "done", "server");
    for line in &lines {
        let mark = if line.marked { "▶" } else { " " };
        let row = format!("  {mark} {:<at$}  {:<done$}  {:<server$}  {}", line.at, line.done, line.server, line.model);
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
