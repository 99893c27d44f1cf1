//! Stories, gathered so that each is told once, and laid out in lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::paint::{Paint, sign};
use super::text::{QUOTE, WIDTH, clip, plain, width, wrap};
use crate::model::quoted;
use crate::verdict::{Case, Cell, Divergence, Story, Summary};

/// How an inference of ours is marked wherever it is shown.
pub(super) const INFERENCE: &str = "our inference, not a rule of the specification";

/// Columns of a label with the margins around it.
const LABEL: usize = 12;
/// Names in a list before the rest is only counted.
const FEW: usize = 7;

/// A story with everybody it happened to.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) story: &'a Story,
    /// The cases, in order of the run; the first is the one that is told.
    pub(super) cases: Vec<&'a Case>,
}

/// Stories that fail, or that only warn; those that are alike are one.
pub(super) fn gather(summary: &Summary, fails: bool) -> Vec<Told<'_>> {
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut seen = BTreeMap::new();
    for case in &summary.cases {
        for story in case.stories.iter().filter(|story| story.fails == fails) {
            let key = (&story.id, &story.breach.what, &story.breach.actual);
            let at = *seen.entry(key).or_insert_with(|| {
                told.push(Told { story, cases: Vec::new() });
                told.len() - 1
            });
            told[at].cases.push(case);
        }
    }
    told
}

/// The profile, with its revision where the run plays it under several.
pub(super) fn client(summary: &Summary, case: &Case) -> String {
    if several(summary, case) {
        format!("{}/{}", case.plan.profile, case.plan.revision)
    } else {
        case.plan.profile.to_string()
    }
}

fn several(summary: &Summary, case: &Case) -> bool {
    summary
        .cases
        .iter()
        .any(|other| other.plan.profile == case.plan.profile && other.plan.revision != case.plan.revision)
}

/// The names of some cases' clients, each once; a long list is cut.
pub(super) fn clients(summary: &Summary, cases: &[&Case]) -> String {
    let mut seen = BTreeSet::new();
    let names: Vec<String> =
        cases.iter().map(|case| client(summary, case)).filter(|name| seen.insert(name.clone())).collect();
    listed(&names, ", ")
}

/// The first few and how many more there are.
fn listed(names: &[String], between: &str) -> String {
    if names.len() <= FEW + 1 {
        return names.join(between);
    }
    format!("{}{between}and {} more", names[..FEW].join(between), names.len() - FEW)
}

/// Who else is hit: clients of the same scenario, then those of others.
fn also(summary: &Summary, cases: &[&Case]) -> String {
    let Some((first, rest)) = cases.split_first() else { return String::new() };
    let mut groups: Vec<(&str, Vec<&Case>)> = Vec::new();
    for case in rest {
        match groups.iter_mut().find(|(scenario, _)| **scenario == *case.plan.scenario) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((&case.plan.scenario, vec![case])),
        }
    }
    groups.sort_by_key(|(scenario, _)| **scenario != *first.plan.scenario);
    let parts: Vec<String> = groups
        .iter()
        .map(|(scenario, cases)| {
            let names = clients(summary, cases);
            if **scenario == *first.plan.scenario { names } else { format!("{scenario} @ {names}") }
        })
        .collect();
    listed(&parts, "; ")
}

/// The command that plays a case again.
pub(super) fn again(summary: &Summary, case: &Case) -> String {
    let plan = &case.plan;
    let file = plan.file.as_deref().map(|file| quoted(&plain(file)));
    let mut options = format!(" -s {} -c {}", file.as_deref().unwrap_or(&plan.scenario), plan.profile);
    if several(summary, case) {
        options.extend([" -r ", &plan.revision]);
    }
    match plan.target.as_deref().map(plain) {
        None => format!("mcp-rehearsal run{options}"),
        // A command comes last: everything behind the dashes is its own.
        Some(command) if command.starts_with("-- ") => format!("mcp-rehearsal run{options} {command}"),
        // A recording is judged, not played.
        Some(judges) if judges.starts_with("check ") => format!("mcp-rehearsal {judges}"),
        Some(faults) if faults.starts_with("--fault ") => format!("mcp-rehearsal run{options} {faults}"),
        Some(target) => format!("mcp-rehearsal run {target}{options}"),
    }
}

/// What a passing client sent instead: only the parameters that differ, where both called the same method.
pub(super) fn divergence_text(divergence: &Divergence) -> String {
    let instead = differing(divergence).unwrap_or_else(|| clip(&divergence.other_sent, 160));
    format!("{} sent {instead} and passed", plain(&divergence.other))
}

fn differing(divergence: &Divergence) -> Option<String> {
    let (method, params) = divergence.sent.split_once(' ')?;
    let (other_method, other_params) = divergence.other_sent.split_once(' ')?;
    let params: Value = serde_json::from_str(params).ok()?;
    let other: Value = serde_json::from_str(other_params).ok()?;
    let (params, other) = (params.as_object()?, other.as_object()?);
    if method != other_method {
        return None;
    }
    let mut parts: Vec<String> = other
        .iter()
        .filter(|(name, value)| params.get(*name) != Some(value))
        .map(|(name, value)| match more(params.get(name), value) {
            Some(members) => format!("{name} with {members} too"),
            None => format!("{name} {}", clip(&value.to_string(), 100)),
        })
        .collect();
    parts.extend(params.keys().filter(|name| !other.contains_key(*name)).map(|name| format!("no {name}")));
    (!parts.is_empty()).then(|| clip(&parts.join(", "), 160))
}

/// The names of the members that the other object has and this one lacks: mostly they are what made the difference.
fn more(own: Option<&Value>, other: &Value) -> Option<String> {
    let (own, other) = (own?.as_object()?, other.as_object()?);
    let names: Vec<&str> = other.keys().filter(|name| !own.contains_key(*name)).map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// A story in lines.
pub(super) fn lines(summary: &Summary, told: &Told<'_>, paint: Paint) -> Vec<String> {
    let Some(case) = told.cases.first() else { return Vec::new() };
    let story = told.story;
    let mut out = head(summary, case, story, paint);
    let mut what = plain(&story.breach.what);
    if story.times > 1 {
        what = format!("{what} ({} times)", story.times);
    }
    out.extend(wrap(&what, WIDTH - 2).into_iter().map(|line| format!("  {line}")));
    for (at, expected) in story.breach.expected.iter().enumerate() {
        row(&mut out, if at == 0 { "Expected" } else { "or" }, &clip(expected, QUOTE), paint);
    }
    row(&mut out, "Actual", &clip(&story.breach.actual, QUOTE), paint);
    let divergence = summary.divergence(case);
    let sent = match &divergence {
        Some(divergence) if story.sent.is_empty() => &divergence.sent,
        _ => &story.sent,
    };
    row(&mut out, "Sent", &clip(sent, QUOTE), paint);
    if let Some(divergence) = &divergence {
        beside(&mut out, &clip(sent, QUOTE), &divergence_text(divergence), paint);
    }
    if case.stories.first() == Some(story) {
        row(&mut out, "Then", &clip(&listed(&case.consequences, "; "), QUOTE), paint);
    }
    row(&mut out, "Spec", story.source.as_deref().unwrap_or_default(), paint);
    row(&mut out, "Fix", &plain(&story.breach.fix), paint);
    row(&mut out, "Also", &also(summary, &told.cases), paint);
    // Not wrapped: it is there to be copied.
    out.push(format!("  {}{}", paint.dim(&format!("{:<1$}", "Again", LABEL - 2)), again(summary, case)));
    out
}

fn head(summary: &Summary, case: &Case, story: &Story, paint: Paint) -> Vec<String> {
    let cell = if story.fails { Cell::Failed } else { Cell::Warned };
    let name = format!("{} @ {}", case.plan.scenario, client(summary, case));
    let level = if story.level == "our inference" { INFERENCE } else { &story.level };
    let rule = format!("{}  {level}", story.id);
    let start = format!("{} {}", paint.cell(cell, sign(cell)), paint.bold(&name));
    let used = 2 + width(&name) + width(&rule);
    if used + 2 <= WIDTH {
        vec![format!("{start}{}{}", " ".repeat(WIDTH - used), paint.dim(&rule))]
    } else {
        let indent = WIDTH.saturating_sub(width(&rule)).max(2);
        vec![start, format!("{}{}", " ".repeat(indent), paint.dim(&rule))]
    }
}

fn row(out: &mut Vec<String>, label: &str, text: &str, paint: Paint) {
    for (at, line) in wrap(text, WIDTH - LABEL).into_iter().enumerate() {
        let label = format!("{:<1$}", if at == 0 { label } else { "" }, LABEL - 2);
        out.push(format!("  {}{line}", paint.dim(&label)));
    }
}

/// The divergence stands at the right of what was sent if there is room, else below.
fn beside(out: &mut Vec<String>, sent: &str, text: &str, paint: Paint) {
    let used = LABEL + width(sent) + width(text);
    match out.last_mut() {
        Some(last) if !sent.is_empty() && used + 3 <= WIDTH => {
            last.push_str(&" ".repeat(WIDTH - used));
            last.push_str(&paint.bold(text));
        }
        _ => {
            let lines = wrap(text, WIDTH - LABEL);
            out.extend(lines.iter().map(|line| format!("{}{}", " ".repeat(LABEL), paint.bold(line))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn command(target: &str) -> String {
        let mut summary = fixture::summary();
        summary.cases[0].plan.target = Some(target.into());
        again(&summary, &summary.cases[0])
    }

    #[test]
    fn the_command_plays_the_case_again() {
        let options = "-s negotiate.minimal-capabilities -c claude-code";
        assert_eq!(
            command("http://h/mcp --control c"),
            format!("mcp-rehearsal run http://h/mcp --control c {options}")
        );
        assert_eq!(command("--fault cap.require"), format!("mcp-rehearsal run {options} --fault cap.require"));
        assert_eq!(command("-- node server.js"), format!("mcp-rehearsal run {options} -- node server.js"));
    }

    #[test]
    fn alike_stories_are_told_once() {
        let summary = fixture::summary();
        let told = gather(&summary, true);
        assert_eq!(told.iter().map(|told| told.cases.len()).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn only_what_differs_is_shown() {
        let divergence = Divergence {
            other: "VS Code".to_owned(),
            sent: r#"initialize {"protocolVersion":"x","extra":1}"#.to_owned(),
            other_sent: r#"initialize {"protocolVersion":"x","capabilities":{}}"#.to_owned(),
        };
        assert_eq!(divergence_text(&divergence), "VS Code sent capabilities {}, no extra and passed");
        let divergence = Divergence {
            sent: r#"initialize {"capabilities":{"roots":{}}}"#.to_owned(),
            other_sent: r#"initialize {"capabilities":{"roots":{"listChanged":true},"sampling":{}}}"#.to_owned(),
            ..divergence
        };
        assert_eq!(divergence_text(&divergence), "VS Code sent capabilities with sampling too and passed");
    }
}
