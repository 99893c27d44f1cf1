//! The whole cast against the embedded reference server.

use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng, Via};
use mcp_rehearsal::profile::Profile;
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::server::{AuthConfig, ServerConfig, start};
use mcp_rehearsal::verdict::{Cell, Summary};
use mcp_rehearsal::{profile, scenario};

/// Each profile has cases that apply over one transport at least.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_the_cast_only_looks_on() {
    let profiles = profile::shipped().expect("profiles load");
    assert!(profiles.len() > 40, "only {} profiles", profiles.len());
    let survey = mcp_rehearsal::rehearsal::Survey::default();
    for profile in profiles {
        let selection = Selection {
            scenarios: scenario::shipped().into_iter().map(Arc::new).collect(),
            profiles: vec![Arc::new(profile.clone())],
            revisions: Vec::new(),
            target: None,
        };
        let any = Via::ALL.iter().any(|via| {
            let survey = mcp_rehearsal::rehearsal::Survey { via: *via, chosen: true, legacy: true, ..survey.clone() };
            mcp_rehearsal::rehearsal::plans(&selection, &survey).iter().any(|planned| planned.skip.is_none())
        });
        assert!(any, "{} plays in no scenario", profile.id());
    }
}

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

/// Everybody over Streamable HTTP; over the other transports, where most differences between clients do not show, those
/// that many people use.
fn cast(via: Via) -> Vec<Arc<Profile>> {
    let mut profiles = profile::shipped().expect("profiles load");
    let everybody = via == Via::StreamableHttp;
    profiles.retain(|profile| everybody || profile.is_neutral() || profile.about.popular);
    profiles.into_iter().map(Arc::new).collect()
}

async fn run(via: Via) -> Summary {
    let selection = Selection {
        scenarios: scenario::shipped().into_iter().map(Arc::new).collect(),
        profiles: cast(via),
        revisions: Vec::new(),
        target: None,
    };
    let rehearsal = Rehearsal {
        selection,
        stage: Stage::embedded(Vec::new()).over(via, env!("CARGO_BIN_EXE_mcp-rehearsal").into()),
        jobs: 16,
        patience: Duration::from_secs(5),
        seed: 1,
        allowed_tools: Vec::new(),
        archive: None,
    };
    rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes_every_case() {
    passes(Via::StreamableHttp, 2000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes_every_case_over_http_and_sse() {
    passes(Via::LegacySse, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes_every_case_over_websockets() {
    passes(Via::WebSocket, 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correct_server_passes_every_case_over_its_pipes() {
    passes(Via::Stdio, 100).await;
}

async fn passes(via: Via, at_least: usize) {
    let summary = run(via).await;
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
    let passed = summary.count(Cell::Passed);
    assert!(passed >= at_least, "only {passed} cases passed over {via}");
}
