//! A small run made by hand, for the tests of the reporters.

use crate::check::{Breach, Finding, Outcome};
use crate::verdict::{Case, Cell, Judged, Plan, Story, Summary};

/// Compares with a snapshot in the repository's one folder of them.
pub(super) fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    // How many checks there are is no business of these snapshots.
    settings.add_filter(r"of \d+ checks", "of [all] checks");
    settings.add_filter(r#""checks": \d+"#, r#""checks": "[all]""#);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn case(scenario: &str, profile: &str, revision: &str) -> Case {
    let title = match profile {
        "cursor" => "Cursor",
        "vscode" => "VS Code",
        "claude-code" => "Claude Code",
        other => other,
    };
    let plan = Plan {
        scenario: scenario.into(),
        file: None,
        title: format!("The scenario {scenario}").into(),
        profile: profile.into(),
        profile_title: title.into(),
        revision: revision.into(),
        target: Some("http://localhost:8080/mcp".into()),
    };
    let pass = Finding {
        requirement: "lifecycle.version-counter-offer",
        outcome: Outcome::Pass,
        passes: 1,
        breaches: Vec::new(),
    };
    let unseen = Finding { requirement: "base.jsonrpc-envelope", outcome: Outcome::NotExercised, ..pass.clone() };
    let capabilities = if profile == "vscode" { r#"{"roots":{},"sampling":{}}"# } else { "{}" };
    Case {
        cell: Cell::Passed,
        reason: None,
        findings: Judged::of(vec![pass, unseen]),
        met: 2,
        exchanges: 3,
        sent: [format!(r#"initialize {{"protocolVersion":"{revision}","capabilities":{capabilities}}}"#).into()].into(),
        ..Case::not_applicable(plan, String::new())
    }
}

fn told(mut case: Case, story: Story) -> Case {
    case.cell = case.cell.max(if story.fails { Cell::Failed } else { Cell::Warned });
    case.stories.push(story);
    case
}

fn refused() -> Story {
    Story {
        id: "lifecycle.capabilities-optional".to_owned(),
        level: "MUST".to_owned(),
        fails: true,
        breach: Breach {
            what: "The client declares no sampling capability. The server refused initialize with 400 because it \
                   requires it."
                .to_owned(),
            expected: vec![
                "a result: a server may not depend on a client capability that was not declared".to_owned(),
                "a JSON-RPC error on the call that needs it, once that call is made".to_owned(),
            ],
            actual: r#"400 {"error":{"code":-32602,"message":"sampling <capability> | required"}}"#.to_owned(),
            fix: "offer the feature only when the client declares it; answer -32602 on the call that needs it"
                .to_owned(),
            evidence: vec![4],
        },
        times: 1,
        source: Some("2025-11-25 basic/lifecycle#capability-negotiation".to_owned()),
        sent: "POST  initialize  capabilities {}".to_owned(),
    }
}

fn step() -> Story {
    Story {
        id: "invoke.echo:9".to_owned(),
        level: "scenario".to_owned(),
        source: None,
        times: 2,
        sent: format!(
            r#"POST  mcp-session-id: <session-1>  {{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{}"}}}}}}"#,
            "ab".repeat(120)
        ),
        breach: Breach {
            what: "Step `invoke` (line 9): a result was expected; an error came.".to_owned(),
            expected: vec!["result: ok".to_owned()],
            actual: format!("500 <html>\u{1b}[31m{}", "Internal Server Error ".repeat(30)),
            fix: String::new(),
            evidence: vec![9],
        },
        ..refused()
    }
}

fn warning(id: &str, level: &str, what: &str) -> Story {
    let breach = Breach { what: what.to_owned(), actual: "none".to_owned(), ..Breach::default() };
    let source = refused().source.filter(|_| level != "our inference");
    Story { id: id.to_owned(), level: level.to_owned(), fails: false, breach, source, ..refused() }
}

/// Three clients, one of them under two revisions.
pub(super) fn summary() -> Summary {
    let lacking = "the target asks for no authorization";
    let inference = || warning("session.id-entropy", "our inference", "Two session ids share a prefix of 20 letters.");
    let ending = || warning("http.delete-405", "SHOULD", "DELETE was answered with 500 rather than 405.");
    let absent = |scenario, profile| Case::not_applicable(case(scenario, profile, "2025-06-18").plan, lacking.into());
    let minimal = "negotiate.minimal-capabilities";
    let mut unclear = case("invoke.echo", "vscode", "2025-11-25");
    unclear.cell = Cell::Inconclusive;
    unclear.reason = Some("POST tools/call: the answer is too large: reading stopped after 16 MiB".to_owned());
    Summary {
        cases: vec![
            told(case(minimal, "claude-code", "2025-06-18"), refused()),
            told(case(minimal, "cursor", "2025-06-18"), refused()),
            told(case(minimal, "cursor", "2025-11-25"), refused()),
            case(minimal, "vscode", "2025-11-25"),
            told(case("invoke.echo", "claude-code", "2025-06-18"), inference()),
            told(told(case("invoke.echo", "cursor", "2025-06-18"), step()), ending()),
            told(case("invoke.echo", "cursor", "2025-11-25"), inference()),
            unclear,
            absent("refresh.mid-session", "claude-code"),
            absent("refresh.mid-session", "cursor"),
            absent("refresh.mid-session", "vscode"),
        ],
        interrupted: true,
        not_played: 5,
    }
}

/// More clients than a line has room for.
pub(super) fn many() -> Summary {
    let names: Vec<String> = (1..=24).map(|at| format!("client-number-{at}")).collect();
    let scenarios = ["connect.first-contact", "invoke.structured-content"];
    let cases = scenarios.iter().flat_map(|scenario| names.iter().map(|name| case(scenario, name, "2025-11-25")));
    Summary { cases: cases.collect(), interrupted: false, not_played: 0 }
}
