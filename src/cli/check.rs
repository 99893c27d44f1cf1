//! `check`: judges recordings, both the server and the client in them, and transcripts of `run`, the server alone.

use std::path::PathBuf;

use clap::Args;

use super::opened::opened;
use super::output::{Color, ExitCode, out, say};
use super::reports::{known_formats, write_report};
use crate::model::quoted;
use crate::recording::over_transports;
use crate::report;
use crate::verdict::{Cell, Summary, judge_recording, judge_transcript};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Recordings, as `record` writes them, or transcripts, as `run --transcripts` does.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A report as FORMAT=PATH (json, junit, markdown); may be repeated. `-` is standard output.
    #[arg(long)]
    report: Vec<String>,
}

pub(super) fn check(args: &CheckArgs, color: Color) -> ExitCode {
    if let Err(error) = known_formats(&args.report) {
        say(&format!("error: {error}"));
        return ExitCode::Usage;
    }
    let mut cases = Vec::new();
    for file in &args.files {
        let reading = match opened(file) {
            Ok(reading) => reading,
            Err(code) => return code,
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let again = format!("check {}", quoted(&file.display().to_string()));
        if reading.recorded.is_some() {
            cases.extend(judge_recording(&name, &again, &over_transports(reading.events)));
        } else {
            cases.push(judge_transcript(&name, &again, &reading.events));
        }
    }
    let summary = Summary { cases, interrupted: false, not_played: 0 };
    out(&report::terminal(&summary, color.on_stdout()));
    let mut written = true;
    for wanted in &args.report {
        if let Err(text) = write_report(wanted, &summary) {
            say(&format!("error: {text}"));
            written = false;
        }
    }
    if !written {
        ExitCode::ReportNotWritten
    } else if summary.count(Cell::Failed) > 0 {
        ExitCode::Failures
    } else if summary.cases.iter().all(|case| case.cell == Cell::Inconclusive) {
        say("error: nothing in it could be judged; does the client speak with the server through `record`?");
        ExitCode::NothingRan
    } else {
        ExitCode::Ok
    }
}
