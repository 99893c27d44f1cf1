//! `fuzz`: lifecycles that nobody thought of, against the reference server or another.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{ExitCode, out, say};
use crate::fuzz::{
    Campaign, Foreign, ForeignError, Ground, Outcome, Progress, Stage, Travel, Weights, invariants, story, unreached,
    written,
};
use crate::model::{Clock as _, WallClock, duration, quoted};
use crate::server::StoreConfig;

/// Lifecycles that are played where nothing ends the campaign earlier.
const CASES: u64 = 2_000;
/// The same at a server of somebody else's.
const FOREIGN_CASES: u64 = 100;

/// How requests get to the embedded server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// HTTP over loopback.
    Loopback,
    /// Its front door, without a network.
    InProcess,
}

/// Arguments of `fuzz`.
#[derive(Debug, Args)]
pub(super) struct FuzzArgs {
    /// Address of a server, such as `http://localhost:8080/mcp`; without it, the embedded reference server. Only what the
    /// server allows is done there, and what cannot be shown there is told.
    #[arg(conflicts_with_all = ["fault", "store", "nodes", "by"])]
    target: Option<String>,
    /// What all lifecycles are made from; the same seed makes the same ones.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many lifecycles at most; 2000 where no limit is given.
    #[arg(long)]
    cases: Option<u64>,
    /// How long at most, such as `30s` or `5m`.
    #[arg(long, value_name = "DURATION", value_parser = length_of_time)]
    time: Option<Duration>,
    /// How many operations at most.
    #[arg(long)]
    ops: Option<u64>,
    /// The longest lifecycle, in operations.
    #[arg(long, default_value_t = 40)]
    length: usize,
    /// How often a kind of operation comes beside the others, as KIND=NUMBER; 0 leaves it out; may be repeated. A wrong KIND
    /// names them all.
    #[arg(long, value_name = "KIND=NUMBER")]
    weight: Vec<String>,
    /// A rule that is known to be broken, by its id: lifecycles that come upon it end there, and what else there is to
    /// find is found; may be repeated.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    except: Vec<String>,
    /// How long after its end TARGET may still take an access token, for clocks that differ. Where tokens live for seconds, their
    /// end is waited for.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = length_of_time)]
    leeway: Duration,
    /// Lifecycles under way at once.
    #[arg(short, long, default_value_t = 16)]
    jobs: usize,
    /// How requests get to the embedded server.
    #[arg(long, value_enum, default_value = "loopback")]
    by: By,
    /// A fault of the embedded server; may be repeated.
    #[arg(long)]
    fault: Vec<String>,
    /// Where the embedded server keeps its sessions: `memory`, or `redis://…`.
    #[arg(long, default_value = "memory", value_parser = super::serve::store)]
    store: StoreConfig,
    /// How many nodes of the embedded server answer in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    nodes: u8,
    /// The folder for the scenario file of a failure.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    write: PathBuf,
    /// List every transition of the model that was seen.
    #[arg(long)]
    coverage: bool,
    /// No progress on standard error.
    #[arg(short, long)]
    quiet: bool,
}

fn length_of_time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("`{text}` is no duration; write a number and a unit: 30s, 5m, 1h"))
}

fn weights(wanted: &[String]) -> Result<Weights, String> {
    let mut weights = Weights::default();
    for text in wanted {
        let (kind, number) = text.split_once('=').unwrap_or((text, ""));
        let number = number.parse().map_err(|_| format!("`{text}` is no weight; write it like refresh=20"))?;
        if !weights.set(kind, number) {
            let all: Vec<&str> = weights.names().collect();
            return Err(format!("no kind of operation is called `{kind}`; there are {}", all.join(", ")));
        }
    }
    Ok(weights)
}

fn bar(args: &FuzzArgs) -> ProgressBar {
    if args.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn ground(args: &FuzzArgs) -> Ground {
    Ground {
        faults: args.fault.clone(),
        store: args.store.clone(),
        nodes: usize::from(args.nodes),
        travel: if args.by == By::InProcess { Travel::InProcess } else { Travel::Loopback },
    }
}

/// What cannot be shown at a target, and why.
fn tell_of(foreign: &Foreign) {
    let unreached = unreached(foreign);
    out(&format!("{} lacks {}.", foreign.name, foreign.lacks.join(", ")));
    out(&format!("{} invariants cannot be reached there:", unreached.len()));
    for (id, need) in unreached {
        out(&format!("  {id:<52} needs {need}"));
    }
}

pub(super) async fn fuzz(args: FuzzArgs) -> ExitCode {
    let weights = match weights(&args.weight) {
        Ok(weights) => weights,
        Err(text) => {
            say(&format!("error: {text}"));
            return ExitCode::Usage;
        }
    };
    if let Some(unknown) = args.except.iter().find(|id| !invariants().any(|known| known == id.as_str())) {
        say(&format!("error: no rule of the fuzzer is called `{unknown}`; docs/fuzzing.md and each finding name them"));
        return ExitCode::Usage;
    }
    let (stage, weights) = match &args.target {
        None => (Stage::Embedded(ground(&args)), weights),
        Some(target) => match Foreign::meet(target, args.leeway).await {
            Ok(foreign) => {
                tell_of(&foreign);
                let weights = weights.without(&foreign.without());
                (Stage::Foreign(Box::new(foreign)), weights)
            }
            Err(error) => {
                say(&format!("error: {error}"));
                return match error {
                    ForeignError::Address(..) => ExitCode::Usage,
                    ForeignError::Unreachable(..) => ExitCode::Unreachable,
                    ForeignError::NoWayIn(..) => ExitCode::NothingRan,
                };
            }
        },
    };
    let unlimited = args.cases.is_none() && args.time.is_none() && args.ops.is_none();
    let campaign = Campaign {
        stage,
        seed: args.seed,
        cases: if unlimited { Some(if args.target.is_some() { FOREIGN_CASES } else { CASES }) } else { args.cases },
        time: args.time,
        operations: args.ops,
        length: args.length,
        weights,
        jobs: args.jobs,
        except: args.except.clone(),
    };
    let (bar, clock) = (bar(&args), WallClock::new());
    let tell = |progress: Progress| {
        let seconds = clock.elapsed().as_secs_f64().max(0.001);
        let what = if progress.shrinking { "shrinking" } else { "lifecycles" };
        // Whoever looks at a rate does not need its last digit.
        #[expect(clippy::cast_precision_loss, reason = "it is shown as a whole number")]
        let rate = progress.operations as f64 / seconds;
        bar.set_message(format!(
            "{} {what}  {} operations  {rate:.0}/s  {} states  {} transitions",
            progress.cases, progress.operations, progress.states, progress.transitions
        ));
    };
    let interrupt = super::run::interrupted(super::run::interrupts());
    let outcome = campaign.run(&clock, tell, interrupt).await;
    bar.finish_and_clear();
    match outcome {
        Ok(outcome) => finish(&args, &outcome),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Usage
        }
    }
}

fn finish(args: &FuzzArgs, outcome: &Outcome) -> ExitCode {
    if args.coverage {
        out(&outcome.coverage.lines().join("\n"));
    }
    for (id, count) in &outcome.excepted {
        out(&format!("  {count} lifecycles ended at {id}, which was excepted"));
    }
    let Some(failure) = &outcome.failure else {
        let lost = if outcome.lost > 0 {
            format!("; {} could not be followed to their end", outcome.lost)
        } else {
            String::new()
        };
        out(&format!(
            "✓ {} lifecycles, {} operations ({} requests), no rule broken; {} a second; {} states and {} transitions of the model{lost}",
            outcome.cases,
            outcome.operations,
            outcome.requests,
            outcome.rate(),
            outcome.coverage.states(),
            outcome.coverage.transitions(),
        ));
        return if outcome.operations == 0 { ExitCode::NothingRan } else { ExitCode::Ok };
    };
    out(&story(failure, args.seed));
    let needs: &[&str] = match (&args.target, failure.logs_in()) {
        (None, _) => &["auth", "reference"],
        (Some(_), true) => &["auth"],
        (Some(_), false) => &[],
    };
    let (name, text) = written(failure, args.seed, needs);
    let path = args.write.join(name);
    if let Err(error) = std::fs::write(&path, text) {
        say(&format!("error: the scenario cannot be written to {}: {error}", path.display()));
        return ExitCode::ReportNotWritten;
    }
    let faults: Vec<String> = args.fault.iter().map(|fault| format!(" --fault {}", quoted(fault))).collect();
    let path = path.display().to_string();
    let target = args.target.as_ref().map(|target| format!(" {}", quoted(target))).unwrap_or_default();
    out(&format!("  Again     mcp-rehearsal run{target}{} -s {}", faults.concat(), quoted(&path)));
    ExitCode::Failures
}
