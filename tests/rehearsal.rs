//! The whole cast against the embedded reference server.

use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::verdict::{Cell, Summary};
use mcp_rehearsal::{profile, scenario};

async fn run(faults: &[&str]) -> Summary {
    let selection = Selection {
        scenarios: scenario::shipped().into_iter().map(Arc::new).collect(),
        profiles: profile::shipped().expect("profiles load").into_iter().map(Arc::new).collect(),
        revisions: Vec::new(),
        target: None,
    };
    let rehearsal = Rehearsal {
        selection,
        stage: Stage::embedded(faults.iter().map(|fault| (*fault).to_owned()).collect()),
        jobs: 16,
        patience: Duration::from_secs(5),
        seed: 1,
        allowed_tools: Vec::new(),
    };
    rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes_every_case() {
    let summary = run(&[]).await;
    let mut lines = Vec::new();
    for case in summary.cases.iter().filter(|case| !matches!(case.cell, Cell::Passed | Cell::NotApplicable)) {
        for story in &case.stories {
            lines.push(format!(
                "{} {:?} {}: {} | expected {:?} | actual {} | sent {}",
                case.plan.id(),
                case.cell,
                story.id,
                story.breach.what,
                story.breach.expected,
                story.breach.actual,
                story.sent
            ));
        }
    }
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    assert!(summary.count(Cell::Passed) > 100, "only {} cases passed", summary.count(Cell::Passed));
}
