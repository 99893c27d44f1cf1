//! Every fault of the reference server is caught by exactly the checks that it names, and every check by some fault.
//!
//! `FAULT=text cargo test --test fault_matrix` plays the faults whose id contains the text, or one of several between
//! commas; `scripts/fault-matrix` plays all of them. By default one in ten is played.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use mcp_rehearsal::check::CHECKS;
use mcp_rehearsal::model::{Revision, requirements};
use mcp_rehearsal::profile::{self, Profile};
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::scenario::{self, Scenario};
use mcp_rehearsal::server::{Fault, faults};

/// How many faulty servers are rehearsed at once.
const AT_ONCE: usize = 4;

/// The revisions that a fault is played under: those that know what it breaks. What a fault of rules that every revision has
/// upsets besides in the newer era, as a login that fails upsets each later step, is not gone into.
fn revisions(fault: &Fault) -> Vec<Revision> {
    let only_newer = |id: &&str| {
        let requirement = requirements().get(id);
        requirement.is_some_and(|rule| !Revision::LEGACY.into_iter().any(|revision| rule.holds_in(revision)))
    };
    match (fault.is_modern(), fault.caught_by.iter().any(only_newer)) {
        (true, _) => vec![Revision::V2026_07_28],
        (false, true) => Vec::new(),
        (false, false) => Revision::LEGACY_HTTP.to_vec(),
    }
}

/// Ids of everything that was broken or not met while the server had the fault, each with a case that shows it.
async fn caught(fault: &Fault, scenarios: &[Arc<Scenario>], reference: &Arc<Profile>) -> BTreeMap<String, String> {
    let noticing = fault.before.map(|client| profile::find(client).expect("profiles load").expect("it is shipped"));
    let selection = Selection {
        scenarios: scenarios.to_vec(),
        profiles: vec![noticing.map_or_else(|| Arc::clone(reference), Arc::new)],
        revisions: revisions(fault),
        target: None,
    };
    let stage = Stage::embedded(vec![fault.id.to_owned()]);
    let rehearsal = Rehearsal {
        selection,
        stage: match fault.over {
            Some(via) => stage.over(via, env!("CARGO_BIN_EXE_mcp-rehearsal").into()),
            None => stage,
        },
        jobs: 16,
        // Sixteen unoptimized cases at once may keep each other waiting for a second or two.
        patience: Duration::from_secs(4),
        seed: 1,
        allowed_tools: Vec::new(),
        archive: None,
    };
    let summary = rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins");
    let stories = summary.cases.iter().flat_map(|case| case.stories.iter().map(move |story| (case, story)));
    stories
        .map(|(case, story)| {
            let text = format!("{} [{}] {}", case.plan.id(), story.breach.what, story.breach.actual);
            (story.id.clone(), text)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_caught_by_exactly_the_checks_it_names() {
    let only = std::env::var("FAULT").ok();
    let scenarios: Vec<_> = scenario::shipped().into_iter().map(Arc::new).collect();
    let reference = Arc::new(profile::find("reference").expect("profiles load").expect("it is shipped"));
    let chosen: Vec<&Fault> = faults()
        .enumerate()
        // All of them take longer than a test may: one in ten stands for the rest unless they are asked for.
        .filter(|(number, fault)| only.is_some() || (fault.over.is_none() && number % 10 == 3))
        .map(|(_, fault)| fault)
        .filter(|fault| only.as_deref().is_none_or(|only| only.split(',').any(|part| fault.id.contains(part))))
        .collect();
    let (scenarios, reference) = (&scenarios, &reference);
    let wrong: Vec<Option<String>> = futures_util::stream::iter(chosen.iter().copied())
        .map(|fault| async move {
            let caught = caught(fault, scenarios, reference).await;
            let missed: Vec<_> = fault.caught_by.iter().filter(|id| !caught.contains_key(**id)).collect();
            let beyond: Vec<_> = caught.iter().filter(|(id, _)| !fault.caught_by.contains(&id.as_str())).collect();
            (!missed.is_empty() || !beyond.is_empty()).then(|| {
                let beyond: Vec<_> = beyond
                    .into_iter()
                    .map(|(id, case)| format!("\n      beyond {id}: {}", case.chars().take(300).collect::<String>()))
                    .collect();
                let missed: Vec<_> = missed.into_iter().map(|id| format!("\n      missed {id}")).collect();
                format!("{}{}{}", fault.id, missed.concat(), beyond.concat())
            })
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(!chosen.is_empty(), "no fault is called so");
    assert!(wrong.is_empty(), "{} of {} faults:\n{}", wrong.len(), chosen.len(), wrong.join("\n"));
}

#[test]
fn each_check_is_triggered_by_some_fault() {
    let named: BTreeSet<&str> = faults().flat_map(|fault| fault.caught_by.iter().copied()).collect();
    let checks: BTreeSet<&str> = CHECKS.iter().flat_map(|topic| topic.iter().map(|check| check.id)).collect();
    let untriggered: Vec<_> = checks.difference(&named).collect();
    // What only a scenario's expectation stands for is judged too, though by no check.
    let shipped = scenario::shipped();
    let steps = shipped.iter().flat_map(Scenario::all_steps);
    let clauses: BTreeSet<&str> = steps.filter_map(|step| step.expect()?.clause.as_deref()).collect();
    let elsewhere: BTreeSet<&str> =
        faults().filter(|fault| fault.over.is_some()).flat_map(|fault| fault.caught_by.iter().copied()).collect();
    let unknown: Vec<_> =
        named.difference(&checks).filter(|id| !elsewhere.contains(*id)).filter(|id| !clauses.contains(**id)).collect();
    assert!(untriggered.is_empty(), "{} checks that no fault triggers: {untriggered:#?}", untriggered.len());
    assert!(unknown.is_empty(), "faults name what neither a check nor a scenario judges: {unknown:#?}");
}
