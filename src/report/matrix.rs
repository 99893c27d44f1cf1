//! One row for each scenario, one column for each profile.

use std::collections::{HashMap, HashSet};

use super::paint::{Paint, sign};
use super::text::{plain, width};
use crate::verdict::{Cell, Summary};

/// Columns of the whole matrix; it may be wider than prose.
const MOST: usize = 120;

/// Values in order of their first appearance, each once.
pub(super) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// The matrix in lines; columns are numbered, with a legend, where their names do not fit.
pub(super) fn lines(summary: &Summary, paint: Paint) -> Vec<String> {
    let scenarios = distinct(summary.cases.iter().map(|case| &*case.plan.scenario));
    let profiles = distinct(summary.cases.iter().map(|case| &*case.plan.profile));
    let first = scenarios.iter().map(|name| width(name)).max().unwrap_or(0);
    let named = first + profiles.iter().map(|name| width(name) + 2).sum::<usize>() <= MOST;
    let mut out = Vec::new();
    let titles: Vec<String> = profiles
        .iter()
        .enumerate()
        .map(|(at, name)| if named { plain(name) } else { format!("{:>2}", at + 1) })
        .collect();
    if !named {
        legend(&mut out, &titles, &profiles);
    }
    let gap = if named { "  " } else { " " };
    let widest = titles.iter().map(|title| width(title) + gap.len()).max().unwrap_or(2);
    let block = if named { profiles.len() } else { MOST.saturating_sub(first) / widest };
    let worst = worst(summary);
    let columns: Vec<(&str, &String)> = profiles.iter().copied().zip(&titles).collect();
    for columns in columns.chunks(block.max(1)) {
        let heads: Vec<&str> = columns.iter().map(|(_, title)| title.as_str()).collect();
        out.push(format!("{}{gap}{}", " ".repeat(first), paint.dim(&heads.join(gap))));
        for scenario in &scenarios {
            let mut line = format!("{scenario:<first$}");
            for (profile, title) in columns {
                let room = width(title);
                // Under a name in its middle, under a number at its last digit.
                let left = if named { (room - 1) / 2 } else { room - 1 };
                let cell = worst.get(&(*scenario, *profile));
                line.push_str(&" ".repeat(gap.len() + left));
                line.push_str(&cell.map_or_else(|| " ".to_owned(), |cell| paint.cell(*cell, sign(*cell))));
                line.push_str(&" ".repeat(room - 1 - left));
            }
            out.push(line.trim_end().to_owned());
        }
        out.push(String::new());
    }
    out.push(paint.dim("✓ passed   ✗ failed   ! warned   · not applicable   ? could not be told"));
    out
}

/// What each field of the matrix shows: the worst of the cases of a scenario and a profile.
fn worst(summary: &Summary) -> HashMap<(&str, &str), Cell> {
    let mut worst = HashMap::new();
    for case in &summary.cases {
        let known = worst.entry((&*case.plan.scenario, &*case.plan.profile)).or_insert(case.cell);
        *known = case.cell.max(*known);
    }
    worst
}

fn legend(out: &mut Vec<String>, titles: &[String], profiles: &[&str]) {
    let cells: Vec<String> =
        titles.iter().zip(profiles).map(|(title, name)| format!("{title:>3} {}", plain(name))).collect();
    let room = cells.iter().map(|cell| width(cell)).max().unwrap_or(0) + 2;
    for row in cells.chunks((MOST / room).max(1)) {
        let cells: Vec<String> = row.iter().map(|cell| format!("{cell:<room$}")).collect();
        out.push(cells.concat().trim_end().to_owned());
    }
    out.push(String::new());
}
