//! Every reported failure of authorization is played by a scenario, and by that scenario its faults are caught.
//!
//! `UPDATE_FIXTURES=1 cargo test --test field_failures` writes the table of `docs/field-failures.md` anew.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::profile;
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::scenario::{self, FieldFailure, Scenario, field_failures};
use mcp_rehearsal::server::faults;

const TABLE: &str = "<!-- from here on written by tests/field_failures.rs -->\n";

/// The failures that this version takes on.
fn taken_on() -> impl Iterator<Item = &'static FieldFailure> {
    field_failures().iter().filter(|failure| failure.area == "oauth")
}

/// The scenarios that name a failure.
fn naming<'s>(shipped: &'s [Arc<Scenario>], failure: &FieldFailure) -> Vec<&'s Arc<Scenario>> {
    shipped.iter().filter(|scenario| scenario.field.contains(&failure.id)).collect()
}

fn shipped() -> Vec<Arc<Scenario>> {
    scenario::shipped().into_iter().map(Arc::new).collect()
}

#[test]
fn scenarios_name_failures_that_are_known() {
    for scenario in shipped() {
        for id in &scenario.field {
            assert!(field_failures().iter().any(|failure| failure.id == *id), "{}: {id}", scenario.id);
        }
    }
}

#[test]
fn each_failure_of_authorization_is_played_or_says_why_not() {
    let shipped = shipped();
    for failure in taken_on() {
        let played = !naming(&shipped, failure).is_empty();
        assert_eq!(played, failure.unplayed.is_none(), "{} has a scenario or a reason, and not both", failure.id);
        assert_eq!(played, !failure.faults.is_empty(), "{} has a fault by which it shows", failure.id);
        for id in &failure.faults {
            assert!(faults().any(|fault| fault.id == id), "{}: there is no fault {id}", failure.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scenarios_of_a_failure_catch_its_faults() {
    let shipped = shipped();
    let reference = Arc::new(profile::find("reference").expect("profiles load").expect("it is shipped"));
    let mut unseen = Vec::new();
    for failure in taken_on() {
        let scenarios: Vec<Arc<Scenario>> = naming(&shipped, failure).into_iter().cloned().collect();
        for fault in &failure.faults {
            let rehearsal = Rehearsal {
                selection: Selection {
                    scenarios: scenarios.clone(),
                    profiles: vec![Arc::clone(&reference)],
                    revisions: Vec::new(),
                    target: None,
                },
                stage: Stage::embedded(vec![fault.clone()]),
                jobs: 8,
                patience: Duration::from_secs(2),
                seed: 1,
                allowed_tools: Vec::new(),
                archive: None,
            };
            let summary = rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins");
            if summary.cases.iter().all(|case| case.stories.is_empty()) {
                unseen.push(format!("{}: {fault}", failure.id));
            }
        }
    }
    assert!(unseen.is_empty(), "faults that the failure's own scenarios do not see: {unseen:#?}");
}

/// The table of the document.
fn table() -> String {
    let shipped = shipped();
    let code = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut text = "\n| failure | what goes wrong | played by | planted by |\n|---|---|---|---|\n".to_owned();
    for failure in taken_on() {
        let scenarios = naming(&shipped, failure).into_iter().map(|scenario| scenario.id.as_str()).collect();
        let faults = failure.faults.iter().map(String::as_str).collect();
        let played = failure.unplayed.clone().unwrap_or_else(|| code(scenarios));
        writeln!(text, "| `{}` | {} | {played} | {} |", failure.id, failure.title, code(faults)).expect("a text");
    }
    text.push_str("\n## What cannot be seen from the server's side\n\n| failure | limit |\n|---|---|\n");
    for failure in taken_on() {
        if let Some(limits) = &failure.limits {
            writeln!(text, "| `{}` | {limits} |", failure.id).expect("a text");
        }
    }
    text
}

#[test]
fn the_document_lists_them_all() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/field-failures.md");
    let written = std::fs::read_to_string(&file).expect("the document is there");
    let (prose, listed) = written.split_once(TABLE).expect("the document says where its table begins");
    let wanted = table();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&file, format!("{prose}{TABLE}{wanted}")).expect("the document can be written");
        return;
    }
    assert!(listed == wanted, "docs/field-failures.md is stale; run this test once with UPDATE_FIXTURES=1");
}
