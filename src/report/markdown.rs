//! A table to publish: clients against the steps of a connection's life, with a reason for each red cell.

use super::matrix::distinct;
use super::paint::sign;
use super::text::{clip, plain};
use crate::verdict::{Case, Cell, Summary};

const REASON: usize = 300;

/// The table, its legend and its footnotes.
pub fn markdown(summary: &Summary) -> String {
    let stages = distinct(summary.cases.iter().map(stage));
    let profiles = distinct(summary.cases.iter().map(|case| &*case.plan.profile));
    let mut notes: Vec<String> = Vec::new();
    let mut out = String::from("| Client |");
    for stage in &stages {
        out.extend([" ", &escape(stage), " |"]);
    }
    out.push_str("\n|---|");
    out.push_str(&":---:|".repeat(stages.len()));
    out.push('\n');
    for profile in profiles {
        let cases: Vec<&Case> = summary.cases.iter().filter(|case| *case.plan.profile == *profile).collect();
        let title = cases.first().map_or(profile, |case| &case.plan.profile_title);
        out.extend(["| ", &escape(title), " |"]);
        for stage_name in &stages {
            let cell: Vec<&Case> = cases.iter().copied().filter(|case| stage(case) == *stage_name).collect();
            out.extend([" ", &cell_text(&cell, &mut notes), " |"]);
        }
        out.push('\n');
    }
    out.push_str("\n✓ passed, ✗ failed, ! warned, · not applicable, ? could not be told. ");
    out.push_str("A number pair is cases passed (warnings included) of cases that applied.\n");
    if summary.interrupted {
        let text = "\nThe run was interrupted; what was not played is blank or missing";
        out.extend([text, &format!(" ({} cases).\n", summary.not_played)]);
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for (at, note) in notes.iter().enumerate() {
        out.extend(["[^", &(at + 1).to_string(), "]: ", note, "\n"]);
    }
    out
}

/// The transition a scenario is about: the first word of its id.
fn stage(case: &Case) -> &str {
    let id = &*case.plan.scenario;
    id.split_once('.').map_or(id, |(stage, _)| stage)
}

fn cell_text(cases: &[&Case], notes: &mut Vec<String>) -> String {
    let Some(worst) = cases.iter().map(|case| case.cell).max() else { return String::new() };
    if worst == Cell::NotApplicable {
        return sign(worst).to_owned();
    }
    let applied = cases.iter().filter(|case| case.cell != Cell::NotApplicable).count();
    let passed = cases.iter().filter(|case| matches!(case.cell, Cell::Passed | Cell::Warned)).count();
    let text = format!("{} {passed}/{applied}", sign(worst));
    if worst != Cell::Failed {
        return text;
    }
    let note = reasons(cases);
    let at = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("{text}[^{}]", at + 1)
}

fn reasons(cases: &[&Case]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for case in cases.iter().filter(|case| case.cell == Cell::Failed) {
        for story in case.stories.iter().filter(|story| story.fails) {
            let what = escape(&clip(&story.breach.what, REASON));
            let part = format!("{}: {what} ({})", escape(&case.plan.scenario), escape(&story.id));
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    parts.join(" ")
}

/// Text that means nothing to Markdown or HTML.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for letter in plain(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn red_cells_have_reasons() {
        fixture::snapshot("report_markdown", &markdown(&fixture::summary()));
    }

    #[test]
    fn wire_text_cannot_break_the_table() {
        assert_eq!(escape("a|b <script>\n[x](y)"), r"a\|b &lt;script&gt; \[x\](y)");
    }
}
