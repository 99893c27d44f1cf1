//! The report a person reads: matrix, failures as stories, warnings, totals.

use super::paint::{Paint, sign};
use super::story::{self, INFERENCE, Told};
use super::text::{WIDTH, plain, wrap};
use super::{matrix, matrix::distinct};
use crate::verdict::{Case, Cell, Summary};

/// The whole report, with a newline at its end.
pub fn terminal(summary: &Summary, colored: bool) -> String {
    let paint = Paint(colored);
    let mut out = Vec::new();
    if summary.cases.is_empty() {
        out.push("No case was played.".to_owned());
    } else {
        out.extend(matrix::lines(summary, paint));
    }
    for told in story::gather(summary, true) {
        out.push(String::new());
        out.extend(story::lines(summary, &told, paint));
    }
    warnings(&mut out, summary, paint);
    by_reason(&mut out, summary, paint, Cell::Inconclusive, "Could not be told");
    by_reason(&mut out, summary, paint, Cell::NotApplicable, "Not applicable");
    out.push(String::new());
    totals(&mut out, summary, paint);
    out.push(String::new());
    out.join("\n")
}

fn warnings(out: &mut Vec<String>, summary: &Summary, paint: Paint) {
    let told = story::gather(summary, false);
    if told.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(paint.bold("Warnings"));
    for id in distinct(told.iter().map(|told| told.story.id.as_str())) {
        let group: Vec<&Told<'_>> = told.iter().filter(|told| told.story.id == id).collect();
        let Some(first) = group.first() else { continue };
        let level = if first.story.level == "our inference" { INFERENCE } else { &first.story.level };
        out.push(format!("{} {}  {}", paint.cell(Cell::Warned, sign(Cell::Warned)), paint.bold(id), paint.dim(level)));
        // Told once, however many bodies showed it.
        for what in distinct(group.iter().map(|told| told.story.breach.what.as_str())) {
            let alike = group.iter().filter(|told| told.story.breach.what == what);
            let cases: Vec<&Case> = alike.flat_map(|told| told.cases.iter().copied()).collect();
            let text = format!("{} — {}", plain(what), story::clients(summary, &cases));
            out.extend(wrap(&text, WIDTH - 2).into_iter().map(|line| format!("  {line}")));
        }
    }
}

/// Cases that amount to neither good nor bad, by the reason for it.
fn by_reason(out: &mut Vec<String>, summary: &Summary, paint: Paint, cell: Cell, title: &str) {
    let cases: Vec<&Case> = summary.cases.iter().filter(|case| case.cell == cell).collect();
    if cases.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(paint.bold(title));
    for reason in distinct(cases.iter().map(|case| case.reason.as_deref().unwrap_or("no reason given"))) {
        let alike = cases.iter().filter(|case| case.reason.as_deref().unwrap_or("no reason given") == reason);
        let scenarios = distinct(alike.clone().map(|case| &*case.plan.scenario));
        let names = match scenarios.as_slice() {
            [first, second, third, _, ..] => {
                format!("{first}, {second}, {third} and {} more scenarios", scenarios.len() - 3)
            }
            few => few.join(", "),
        };
        let text = format!("{} — {} in {names}", plain(reason), cases_text(alike.count()));
        let lines = wrap(&text, WIDTH - 2);
        let signed = |at| if at == 0 { sign(cell) } else { " " };
        out.extend(lines.iter().enumerate().map(|(at, line)| format!("{} {line}", signed(at))));
    }
}

fn cases_text(count: usize) -> String {
    if count == 1 { "1 case".to_owned() } else { format!("{count} cases") }
}

fn totals(out: &mut Vec<String>, summary: &Summary, paint: Paint) {
    if summary.interrupted {
        let text = "Interrupted: this is what was known by then;";
        let rest = format!("{text} {} not played to the end.", cases_text(summary.not_played));
        out.push(paint.cell(Cell::Warned, &rest));
    }
    let part = |cell, word: &str| {
        let count = summary.count(cell);
        let text = format!("{count} {word}");
        if count == 0 { text } else { paint.cell(cell, &text) }
    };
    let mut parts = vec![
        part(Cell::Passed, "passed"),
        part(Cell::Failed, "failed"),
        part(Cell::Warned, "warned"),
        part(Cell::NotApplicable, "not applicable"),
    ];
    if summary.count(Cell::Inconclusive) > 0 {
        parts.push(part(Cell::Inconclusive, "could not be told"));
    }
    out.push(format!("{}: {}", cases_text(summary.cases.len()), parts.join(", ")));
    let (exercised, checks) = summary.coverage();
    out.push(format!("exercised {exercised} of {checks} checks; the rest were never triggered"));
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::report::text::width;

    #[test]
    fn the_report_reads_well() {
        fixture::snapshot("report_terminal", &terminal(&fixture::summary(), false));
    }

    #[test]
    fn colours_change_nothing_but_colour() {
        let plain = terminal(&fixture::summary(), false);
        let painted = terminal(&fixture::summary(), true);
        let codes = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
        assert!(!plain.contains('\u{1b}'));
        assert_ne!(painted, plain);
        assert_eq!(codes.replace_all(&painted, ""), plain);
    }

    #[test]
    fn many_clients_are_numbered() {
        let text = terminal(&fixture::many(), false);
        assert!(text.lines().all(|line| width(line) <= 120), "{text}");
        fixture::snapshot("report_terminal_many", &text);
    }
}
