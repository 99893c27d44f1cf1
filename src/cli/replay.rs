//! `replay`: the client's side of a recording, played against another server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::opened::opened;
use super::output::{ExitCode, out, say};
use super::target::TargetArgs;
use crate::client::Entry;
use crate::model::{Rng, WallClock};
use crate::recording::{Divergence, Stage, divergences, over_transports, play_http, play_lines, playable};
use crate::transcript::{End, View, header, write};

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A recording, as `record` writes it.
    file: PathBuf,
    /// Address of the server, such as `http://localhost:8080/mcp`, or its name in `rehearsal.toml`.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    target: Option<String>,
    /// A command that starts a server on standard input and output.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    more: TargetArgs,
    /// The longest that anything is waited for, in seconds.
    #[arg(long, default_value_t = 10)]
    patience: u64,
    /// Also write what happened now as a recording.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show every divergence, not the first alone.
    #[arg(long)]
    all: bool,
}

pub(super) async fn replay(args: ReplayArgs) -> ExitCode {
    let shown = args.file.display();
    let reading = match opened(&args.file) {
        Ok(reading) => reading,
        Err(code) => return code,
    };
    let patience = Duration::from_secs(args.patience.max(1));
    let met = match &args.target {
        Some(target) => args.more.meet(target, patience).await,
        None => args.more.meet_command(&args.command, patience),
    };
    let met = match met {
        Ok(met) => met,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    let target = met.target;
    let mut headers = target.headers.clone();
    if let Entry::Token(token) = &target.entry
        && header(&headers, "authorization").is_none()
    {
        headers.push(("authorization".into(), format!("Bearer {}", token.0).into()));
    }
    let stage = Stage {
        place: target.place.clone(),
        trust: target.trust.clone(),
        host: target.host.clone(),
        path: target.path.clone(),
        headers,
        command: target.command.clone(),
        patience,
    };
    let events = over_transports(reading.events);
    let recorded = View::new(&events);
    if let Err(error) = playable(&recorded, &stage) {
        say(&format!("error: {shown}: {error}"));
        return if recorded.exchanges.is_empty() { ExitCode::NothingRan } else { ExitCode::Usage };
    }
    let clock = Arc::new(WallClock::new());
    let came = match &stage.command {
        Some(command) => play_lines(&recorded, &stage, command, clock).await,
        None => play_http(&recorded, &stage, clock, &Rng::from_system()).await,
    };
    if let Some(path) = &args.out
        && let Err(error) = std::fs::write(path, write(&came))
    {
        say(&format!("error: {}: cannot be written: {error}", path.display()));
        return ExitCode::ReportNotWritten;
    }
    let came = over_transports(came);
    tell(&recorded, &View::new(&came), &target.name, args.all)
}

fn tell(recorded: &View<'_>, came: &View<'_>, name: &str, all: bool) -> ExitCode {
    let answered = came.exchanges.iter().any(|exchange| exchange.answered() || !exchange.texts.is_empty());
    let failed = came.exchanges.iter().find_map(|exchange| match &exchange.end {
        Some(End::Failed(reason)) => Some(reason.clone()),
        _ => None,
    });
    if let (false, Some(reason)) = (answered, failed) {
        say(&format!("error: {reason}"));
        return ExitCode::Unreachable;
    }
    let found = divergences(recorded, came);
    let played = came.exchanges.len();
    let Some(first) = found.first() else {
        out(&format!("✓ {played} requests played against {name}: answered as in the recording"));
        return ExitCode::Ok;
    };
    let shown = if all { &found[..] } else { std::slice::from_ref(first) };
    for divergence in shown {
        out(&story(divergence, recorded.exchanges.len()));
    }
    let more = found.len() - shown.len();
    let rest = if more > 0 { format!("; {more} more follow (--all)") } else { String::new() };
    out(&format!("{played} requests played against {name}, {} answered otherwise{rest}", found.len()));
    ExitCode::Failures
}

fn story(told: &Divergence, of: usize) -> String {
    let mut lines = vec![format!("✗ request {} of {of}  {}", told.request, told.what)];
    let rows = [("Sent", &told.sent), ("Recorded", &told.recorded), ("Came", &told.came)];
    lines.extend(rows.iter().map(|(label, text)| format!("  {label:<10}{}", plain(text))));
    lines.extend(told.hint.map(|hint| format!("  {:<10}{hint}", "Perhaps")));
    lines.join("\n") + "\n"
}

/// One line without anything that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
