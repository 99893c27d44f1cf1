//! The cast: what is known of each client, and the differences by which a server made for one of them fails another.
//!
//! `UPDATE_FIXTURES=1 cargo test --test clients` writes the tables of `docs/clients.md` anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::model::Via;
use mcp_rehearsal::profile::{self, Evidence, Profile};
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::scenario::{self, Scenario};
use mcp_rehearsal::server::faults;
use mcp_rehearsal::verdict::{Case, Cell};
use serde::Deserialize;
use serde_json::Value;

const TABLES: &str = "<!-- from here on written by tests/clients.rs -->\n";

/// How many profiles there have to be, beside the neutral one.
const AT_LEAST: usize = 40;

/// A way in which clients differ.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientDifference {
    id: String,
    /// What differs.
    title: String,
    /// Where clients do not differ before a correct server, or the transport, the fault that makes it show.
    #[serde(default)]
    planted: Vec<Planted>,
    /// Why it is not planted.
    #[serde(default)]
    unplanted: Option<String>,
}

/// A server made for one client that fails another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Planted {
    fault: String,
    scenario: String,
    /// A client that does not notice.
    passes: String,
    /// A client that fails.
    fails: String,
    #[serde(default)]
    over: Option<String>,
    /// What tells the two apart.
    #[serde(default)]
    by: By,
}

/// What tells apart a client that a fault breaks from one that it does not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    /// The verdict on the case.
    #[default]
    Verdict,
    /// Whether the client could do what the steps of the scenario are there for: the fault breaks a rule before either of
    /// them, and only one is the worse for it.
    Steps,
}

impl By {
    fn holds(self, case: &Case) -> bool {
        match self {
            Self::Verdict => case.cell == Cell::Passed,
            Self::Steps => case.consequences.is_empty() && case.stories.iter().all(|story| story.level != "scenario"),
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn differences() -> Vec<ClientDifference> {
    let text = std::fs::read_to_string(root().join("fixtures/client-differences.yaml")).expect("readable");
    serde_saphyr::from_str(&text).expect("differences as they have to be")
}

fn cast() -> Vec<Profile> {
    profile::shipped().expect("profiles load")
}

/// Cases of one scenario before a faulty server, client by client: how many of them held, and how many did not.
async fn cells(planted: &Planted) -> BTreeMap<String, (usize, usize)> {
    let scenarios: Vec<Arc<Scenario>> =
        scenario::shipped().into_iter().filter(|one| one.id == planted.scenario).map(Arc::new).collect();
    assert!(!scenarios.is_empty(), "there is no scenario {}", planted.scenario);
    let names = [&planted.passes, &planted.fails];
    let profiles: Vec<Arc<Profile>> =
        cast().into_iter().filter(|one| names.iter().any(|name| *name == one.id())).map(Arc::new).collect();
    let stage = Stage::embedded(vec![planted.fault.clone()]);
    let via = planted.over.as_deref().and_then(|name| Via::ALL.iter().copied().find(|via| via.name() == name));
    let rehearsal = Rehearsal {
        selection: Selection { scenarios, profiles, revisions: Vec::new(), target: None },
        stage: match via {
            Some(via) => stage.over(via, env!("CARGO_BIN_EXE_mcp-rehearsal").into()),
            None => stage,
        },
        jobs: 4,
        patience: Duration::from_secs(3),
        seed: 1,
        allowed_tools: Vec::new(),
        archive: None,
    };
    let summary = rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins");
    let mut cells: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in &summary.cases {
        let (passed, not) = cells.entry(case.plan.profile.to_string()).or_default();
        match case.cell {
            Cell::NotApplicable => {}
            _ if planted.by.holds(case) => *passed += 1,
            _ => *not += 1,
        }
    }
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_made_for_one_client_fails_another() {
    let mut wrong = Vec::new();
    for difference in differences() {
        assert_eq!(
            difference.planted.is_empty(),
            difference.unplanted.is_some(),
            "{} is planted or says why not, and not both",
            difference.id
        );
        for planted in &difference.planted {
            assert!(faults().any(|fault| fault.id == planted.fault), "{}: no fault {}", difference.id, planted.fault);
            let cells = cells(planted).await;
            let of = |name: &str| cells.get(name).copied().unwrap_or_default();
            let (passes, fails) = (of(&planted.passes), of(&planted.fails));
            if passes.0 == 0 || passes.1 > 0 || fails.1 == 0 {
                wrong.push(format!(
                    "{}: {} in {}: {} passed {} and not {}, {} passed {} and not {}",
                    difference.id,
                    planted.fault,
                    planted.scenario,
                    planted.passes,
                    passes.0,
                    passes.1,
                    planted.fails,
                    fails.0,
                    fails.1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The fields of a profile with what is said about each.
fn fields(profile: &Profile) -> Vec<(String, Evidence, String)> {
    let value = serde_json::to_value(profile).expect("a profile is JSON");
    let members = value.as_object().cloned().unwrap_or_default();
    let known = |(name, field): (String, Value)| {
        let evidence = serde_json::from_value(field.get("evidence")?.clone()).ok()?;
        Some((name, evidence, field["ref"].as_str().unwrap_or_default().to_owned()))
    };
    members.into_iter().filter_map(known).collect()
}

/// The fields that nobody has seen, which are taken from an SDK.
fn unknown(profile: &Profile) -> Vec<String> {
    let taken = |(_, evidence, reference): &(String, Evidence, String)| {
        *evidence == Evidence::Assumed && reference.starts_with("as ") && reference.contains(": ")
    };
    fields(profile).into_iter().filter(taken).map(|(name, ..)| name).collect()
}

#[test]
fn the_cast_is_large_and_says_where_it_knows_things_from() {
    let cast = cast();
    let real: Vec<&Profile> = cast.iter().filter(|profile| !profile.is_neutral()).collect();
    assert!(real.len() >= AT_LEAST, "only {} profiles", real.len());
    let captured = |profile: &&&Profile| profile.client_info.evidence == Evidence::Captured;
    let captured = real.iter().filter(captured).count();
    assert!(captured >= 22, "only {captured} profiles are captured");
    for profile in cast {
        for (name, _, reference) in fields(&profile) {
            assert!(!reference.trim().is_empty(), "{}: {name} has no reference", profile.id());
        }
    }
}

fn tables() -> String {
    let words = [
        (Evidence::Captured, "captured"),
        (Evidence::Source, "source"),
        (Evidence::Vendor, "vendor"),
        (Evidence::Reported, "reported"),
        (Evidence::Assumed, "assumed"),
    ];
    let mut text = String::from(
        "\n## The cast\n\nThe numbers say how many fields of a profile rest on which evidence. What is unknown is taken from the \
         SDK that the client ships, and counts as assumed.\n\n\
         | profile | client | version | looked at | evidence | unknown |\n|---|---|---|---|---|---|\n",
    );
    for profile in cast().iter().filter(|profile| !profile.is_neutral()) {
        let about = &profile.about;
        let known = fields(profile);
        let counts: Vec<String> = words
            .iter()
            .map(|(kind, word)| (known.iter().filter(|(_, evidence, _)| evidence == kind).count(), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let unknown = unknown(profile);
        let unknown = match unknown.len() {
            0 => "–".to_owned(),
            1..=6 => unknown.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            count => format!("{count} fields"),
        };
        let variant = about.variant_of.as_ref().map(|base| format!(" (as `{base}` but for a few)")).unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{}` | {}{variant} | {} | {} | {} | {unknown} |",
            profile.id(),
            about.title.replace('|', "/"),
            about.version.as_deref().unwrap_or("–"),
            about.seen,
            counts.join(", ")
        );
    }
    text.push_str(
        "\n## Differences that break servers\n\nBefore a server with the fault, the first client passes the scenario and the \
         second does not. Where the fault breaks a rule before both, their steps tell them apart: the first client could do what \
         the scenario is about, the second could not.\n\n| difference | what differs | fault | scenario | passes | fails |\n|---|---|---|---|---|---|\n",
    );
    for difference in differences() {
        for planted in &difference.planted {
            let over = planted.over.as_ref().map(|over| format!(" over {over}")).unwrap_or_default();
            let by = if planted.by == By::Steps { " (its steps)" } else { "" };
            let _ = writeln!(
                text,
                "| {} | {} | `{}`{over} | `{}`{by} | `{}` | `{}` |",
                difference.id, difference.title, planted.fault, planted.scenario, planted.passes, planted.fails
            );
        }
    }
    text.push_str("\nNot planted:\n\n");
    for difference in differences() {
        if let Some(why) = &difference.unplanted {
            let _ = writeln!(text, "- {}: {}. {why}", difference.id, difference.title);
        }
    }
    text
}

#[test]
fn the_tables_are_those_of_the_cast() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let page = std::fs::read_to_string(&path).expect("readable");
    let (head, known) = page.split_once(TABLES).expect("the page says where the tables begin");
    let tables = tables();
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, format!("{head}{TABLES}{tables}")).expect("written");
        return;
    }
    assert!(known == tables, "docs/clients.md is old: UPDATE_FIXTURES=1 cargo test --test clients");
}
