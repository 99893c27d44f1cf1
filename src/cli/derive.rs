//! `derive`: a client profile out of a recording.

use std::path::PathBuf;

use clap::Args;

use super::opened::opened;
use super::output::{ExitCode, out, say};
use crate::recording::{Source, over_transports, propose, situation};
use crate::transcript::View;

/// Arguments of `derive`.
#[derive(Debug, Args)]
pub(super) struct DeriveArgs {
    /// A recording, as `record` writes it.
    file: PathBuf,
    /// The file to write the profile to; standard output without it.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The name of the profile; made of the client's own name without it.
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// Also write what the client did, as a scenario in which its profile does the same.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

pub(super) fn derive(args: &DeriveArgs) -> ExitCode {
    let shown = args.file.display();
    let reading = match opened(&args.file) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let source = Source {
        file: args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        on: reading.recorded.map(|recorded| recorded.on),
        id: args.id.clone(),
    };
    let events = over_transports(reading.events);
    let view = View::new(&events);
    let proposal = match propose(&view, &source) {
        Ok(proposal) => proposal,
        Err(error) => {
            say(&format!("error: {shown}: {error}"));
            return ExitCode::BadInput;
        }
    };
    let write = |path: &PathBuf, text: &str| {
        let written = std::fs::write(path, text);
        written.map_err(|error| say(&format!("error: {}: cannot be written: {error}", path.display()))).is_ok()
    };
    let profile = proposal.yaml();
    let mut written = true;
    if let Some(path) = &args.out {
        written &= write(path, &profile);
    } else {
        out(&profile);
    }
    if let Some(path) = &args.scenario {
        written &= write(path, &situation(&view));
    }
    if written { ExitCode::Ok } else { ExitCode::ReportNotWritten }
}
