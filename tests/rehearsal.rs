//! The whole cast against the embedded reference server.

use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::server::{AuthConfig, ServerConfig, start};
use mcp_rehearsal::verdict::{Cell, Summary};
use mcp_rehearsal::{profile, scenario};

/// On a server whose clock nobody can move, a token that lives for an hour is not waited for, and nothing is held against
/// the server, nor counted for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_cannot_expire_leaves_the_rest_open() {
    let config = ServerConfig { auth: Some(AuthConfig::default()), ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
    let ran = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["run", &server.url(), "-s", "refresh.mid-session,expire.by-itself", "-c", "ts-sdk"])
        .output()
        .await
        .expect("the program runs");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("0 passed, 0 failed") && told.contains("the token could not be expired"), "{told}");
}

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
