//! `explain`: one thing, whole.

use clap::Args;

use super::output::{ExitCode, out, say};
use crate::check::{CHECKS, CLIENT_CHECKS, Check};
use crate::model::{Basis, requirements};
use crate::server::faults;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Id of a requirement, check, scenario, client or fault.
    id: String,
}

pub(super) fn explain(args: &ExplainArgs) -> ExitCode {
    let id = args.id.as_str();
    let mut text = String::new();
    if let Some(requirement) = requirements().get(id) {
        let among = |checks: &[&[Check]]| checks.iter().flat_map(|topic| topic.iter()).any(|check| check.id == id);
        let judged = match (among(CHECKS), among(CLIENT_CHECKS)) {
            (true, _) => "yes",
            (_, true) => "in recordings of clients (`record`, `check`)",
            _ => "no check yet",
        };
        let revisions: Vec<&str> = requirement.revisions.iter().map(|revision| revision.name()).collect();
        let source = match requirement.basis {
            Basis::Derived => "our inference, not a rule of the specification; reported as a warning".to_owned(),
            _ => requirement.source.to_string(),
        };
        let faults: Vec<&str> = faults().filter(|fault| fault.caught_by.contains(&id)).map(|fault| fault.id).collect();
        text = format!(
            "requirement {id}\n\n  {}\n\n  level      {:?}\n  revisions  {}\n  source     {source}\n  judged     {}\n",
            requirement.text,
            requirement.level,
            revisions.join(", "),
            judged,
        );
        if !faults.is_empty() {
            text.extend([format!("  see it     mcp-rehearsal run --fault {}\n", faults.join("\n             or "))]);
        }
    }
    if let Some(fault) = faults().find(|fault| fault.id == id) {
        text.extend([format!(
            "fault {id}\n\n  {}\n\n  breaks     {}\n  see it     mcp-rehearsal run --fault {id}{}{}\n",
            fault.summary,
            fault.caught_by.join("\n             "),
            fault.over.map(|via| format!(" --transport {via}")).unwrap_or_default(),
            fault.before.map(|client| format!(" -c {client}")).unwrap_or_default(),
        )]);
    }
    if let Some(scenario) = crate::scenario::shipped().into_iter().find(|scenario| scenario.id == id) {
        let steps: Vec<&str> = scenario.steps.iter().map(|step| step.action.word()).collect();
        text.extend([format!(
            "scenario {id}\n\n  {}\n  {}\n\n  steps      {}\n  play it    mcp-rehearsal run -s {id}\n",
            scenario.title,
            scenario.why,
            steps.join(" → ")
        )]);
        let reported = crate::scenario::field_failures().iter().filter(|failure| scenario.field.contains(&failure.id));
        text.extend(reported.map(|failure| format!("  reported   {} ({})\n", failure.title, failure.id)));
    }
    if let Ok(Some(profile)) = crate::profile::find(id) {
        text.extend([format!(
            "client {id}\n\n  {} {}\n\n  asks for      {}\n  capabilities  {}\n  evidence      {:?}, {} ({})\n",
            profile.about.title,
            profile.about.version.as_deref().unwrap_or_default(),
            profile.opens_with.value.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            serde_json::Value::Object(profile.capabilities.value.clone()),
            profile.capabilities.evidence,
            profile.capabilities.date,
            profile.capabilities.reference,
        )]);
        if let Some(note) = &profile.about.note {
            text.extend([format!("  note          {note}\n")]);
        }
    }
    if text.is_empty() {
        say(&format!("error: nothing is called `{id}`; `list scenarios|clients|checks|faults` names what there is"));
        return ExitCode::Usage;
    }
    out(&text);
    ExitCode::Ok
}
