//! `doctor`: the road to one server, station by station.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::output::{Color, ExitCode, out, say};
use super::target::TargetArgs;
use crate::doctor::{examine, json, terminal};
use crate::model::{Rng, WallClock};
use crate::profile::{find, ids};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Address of the server, such as `http://localhost:8080/mcp`, or its name in `rehearsal.toml`.
    target: String,
    /// The client that walks; `list clients` names them.
    #[arg(long, value_name = "NAME", default_value = "reference")]
    client: String,
    /// The longest that anything is waited for, in seconds.
    #[arg(long, default_value_t = 30)]
    patience: u64,
    #[command(flatten)]
    more: TargetArgs,
    /// The diagnosis as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn doctor(args: DoctorArgs, color: Color) -> ExitCode {
    let usage = |text: String| {
        say(&format!("error: {text}"));
        ExitCode::Usage
    };
    // What was started for the target runs as long as the value is held.
    let met = match args.more.meet(&args.target, Duration::from_secs(args.patience.max(1))).await {
        Ok(met) => met,
        Err(error) => return usage(error),
    };
    let profile = match find(&args.client) {
        Ok(Some(profile)) => profile,
        Ok(None) => {
            let known: Vec<&str> = ids().collect();
            return usage(format!("no client is called `{}`; there are: {}", args.client, known.join(", ")));
        }
        Err(error) => return usage(error.to_string()),
    };
    let diagnosis = match examine(met.target, profile, Arc::new(WallClock::new()), Rng::from_system()).await {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Internal;
        }
    };
    out(&if args.json { json(&diagnosis) } else { terminal(&diagnosis, color.on_stdout()) });
    if !diagnosis.reachable {
        ExitCode::Unreachable
    } else if diagnosis.broken().is_some() {
        ExitCode::Failures
    } else {
        ExitCode::Ok
    }
}
