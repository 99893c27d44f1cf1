//! `list`: what there is.

use clap::{Args, ValueEnum};

use super::output::{ExitCode, out, say};
use crate::check::{CHECKS, CLIENT_CHECKS};
use crate::model::{NETWORK_FAULTS, requirements};
use crate::server::faults;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Of what.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Scenarios,
    Clients,
    Checks,
    Faults,
    NetworkFaults,
}

pub(super) fn list(args: &ListArgs) -> ExitCode {
    let rows: Vec<(String, String)> = match args.kind {
        Kind::Scenarios => {
            crate::scenario::shipped().into_iter().map(|scenario| (scenario.id, scenario.title)).collect()
        }
        Kind::Clients => match crate::profile::shipped() {
            Ok(profiles) => {
                profiles.into_iter().map(|profile| (profile.id().to_owned(), profile.about.title.clone())).collect()
            }
            Err(error) => {
                say(&format!("error: {error}"));
                return ExitCode::BadInput;
            }
        },
        Kind::Checks => CHECKS
            .iter()
            .chain(CLIENT_CHECKS)
            .flat_map(|topic| topic.iter())
            .map(|check| {
                let text = requirements().get(check.id).map(|requirement| requirement.text.to_string());
                (check.id.to_owned(), text.unwrap_or_default())
            })
            .collect(),
        Kind::NetworkFaults => NETWORK_FAULTS
            .iter()
            .map(|kind| (kind.name.to_owned(), format!("{}: {}", kind.example, kind.summary)))
            .collect(),
        Kind::Faults => faults()
            .map(|fault| {
                let over = fault.over.map(|via| format!(" ({via})")).unwrap_or_default();
                (fault.id.to_owned(), format!("{}{over}", fault.summary))
            })
            .collect(),
    };
    let width = rows.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
    let lines: Vec<String> = rows.iter().map(|(id, text)| format!("{id:width$}  {text}")).collect();
    out(&lines.join("\n"));
    ExitCode::Ok
}
