//! `run`: the rehearsal, its reports, its exit code.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::choice::{POPULAR, Stopped, profiles, safe_call, scenarios};
use super::output::{Color, ExitCode, out, say};
use super::reports::{known_formats, write_report};
use super::target::TargetArgs;
use super::transcripts::InFolder;
use crate::client::{Entry, TimeControl};
use crate::model::{Revision, Via, quoted};
use crate::rehearsal::{Archive, Rehearsal, RehearsalError, Selection, Stage, SurveyError, rehearse};
use crate::report;
use crate::server::{RunningServer, StoreConfig};
use crate::verdict::{Cell, Summary};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Address of the server, such as `http://localhost:8080/mcp`, or its name in `rehearsal.toml`; without it, the
    /// embedded reference server.
    target: Option<String>,
    /// A command that starts a server to speak with over stdio, in place of TARGET.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "target")]
    command: Vec<String>,
    /// A node of TARGET, by its URL; may be repeated. Clients connect to the first, and some scenarios move them to
    /// another, while they go on calling the server TARGET; without TARGET, by the URL of the node.
    #[arg(long = "node", value_name = "URL", conflicts_with = "command")]
    node: Vec<String>,
    #[command(flatten)]
    more: TargetArgs,
    /// Scenario ids, comma-separated, `*` allowed; or a folder of your own scenario files; may be repeated.
    #[arg(short, long)]
    scenarios: Vec<String>,
    /// Clients: `all`, `popular` (with the neutral one), or names, comma-separated, `*` allowed; may be repeated.
    #[arg(short, long, default_value = POPULAR)]
    clients: Vec<String>,
    /// Profiles of your own: a file, or a folder of them. `derive` makes one of a recording.
    #[arg(long, value_name = "PATH")]
    profiles: Option<PathBuf>,
    /// Revisions to ask for instead of each client's own, comma-separated.
    #[arg(short, long, value_delimiter = ',')]
    revisions: Vec<Revision>,
    /// Cases at once: 8 on the embedded server, 4 on others.
    #[arg(short, long)]
    jobs: Option<usize>,
    /// The longest that anything is waited for, in seconds.
    #[arg(long, default_value_t = 30)]
    patience: u64,
    /// A tool that may be called although it does not say that it only reads (`readOnlyHint`); `*` allowed; may be
    /// repeated.
    #[arg(long, value_name = "PATTERN")]
    allow_tool: Vec<String>,
    /// The call to make where a scenario names none: a tool, or `TOOL={…}` with its arguments. Without it, a tool that
    /// only reads and needs no arguments, else a list.
    #[arg(long, value_name = "TOOL[=ARGUMENTS]")]
    call: Option<String>,
    /// Seed of made-up ids.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A fault of the embedded server; may be repeated.
    #[arg(long)]
    fault: Vec<String>,
    /// Where the embedded server keeps its sessions: `memory`, or `redis://…`.
    #[arg(long, default_value = "memory", value_parser = super::serve::store)]
    #[arg(conflicts_with_all = ["target", "command", "node"])]
    store: StoreConfig,
    /// How many nodes the embedded server has: they answer in turn, and have addresses of their own where a scenario asks
    /// for that.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    #[arg(conflicts_with_all = ["target", "command", "node"])]
    nodes: u8,
    /// Control endpoint of a reference server elsewhere, such as `http://127.0.0.1:8080/control`.
    #[arg(long)]
    control: Option<String>,
    /// A report as FORMAT=PATH (json, junit, markdown); may be repeated. `-` is standard output.
    #[arg(long)]
    report: Vec<String>,
    /// A folder for what was said in each case, a transcript file each: what `check` reads.
    #[arg(long, value_name = "FOLDER")]
    transcripts: Option<PathBuf>,
    /// No progress on standard error.
    #[arg(short, long)]
    quiet: bool,
}

/// The target with what belongs to it, for a command that is to play a case again. Headers may be secret, and stay out.
fn in_command(args: &RunArgs) -> Option<String> {
    let mut command = match &args.target {
        Some(target) => quoted(target),
        None if args.command.is_empty() && args.node.is_empty() => return None,
        None => String::new(),
    };
    for node in &args.node {
        command.extend([" --node ", &quoted(node)]);
    }
    let config = args.more.config().map(|path| path.display().to_string());
    let transport = args.more.transport().map(|via| via.name().to_owned());
    let ca = args.more.ca().map(|path| path.display().to_string());
    let profiles = args.profiles.as_ref().map(|path| path.display().to_string());
    let options = [
        ("--config", &config),
        ("--profiles", &profiles),
        ("--transport", &transport),
        ("--ca", &ca),
        ("--control", &args.control),
        ("--call", &args.call),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            command.extend([" ", option, " ", &quoted(value)]);
        }
    }
    for tool in &args.allow_tool {
        command.extend([" --allow-tool ", &quoted(tool)]);
    }
    if !args.command.is_empty() {
        let words: Vec<String> = args.command.iter().map(|word| quoted(word)).collect();
        command.extend([" -- ", &words.join(" ")]);
    }
    Some(command.trim_start().to_owned())
}

/// What names the embedded server in a command that is to play a case again: its transport, nodes and faults, if it has
/// any. The address of a store may hold a password, and is left to who reads it.
fn embedded_target(args: &RunArgs) -> Option<String> {
    let transport = args.more.transport().map(|via| format!("--transport {via}"));
    let store = match &args.store {
        StoreConfig::Memory => None,
        StoreConfig::Redis(url) if url.contains('@') => Some("--store redis://…".to_owned()),
        StoreConfig::Redis(url) => Some(format!("--store {}", quoted(url))),
    };
    let nodes = (args.nodes > 1).then(|| format!("--nodes {}", args.nodes));
    let faults = args.fault.iter().map(|fault| format!("--fault {fault}"));
    let profiles = args.profiles.as_ref().map(|path| format!("--profiles {}", quoted(&path.display().to_string())));
    let named: Vec<String> = transport.into_iter().chain(store).chain(nodes).chain(profiles).chain(faults).collect();
    (!named.is_empty()).then(|| named.join(" "))
}

/// The embedded servers, over the transport that was asked for.
fn embedded(args: &RunArgs) -> Result<Stage, Stopped> {
    let stage = Stage::embedded(args.fault.clone()).on(args.store.clone(), usize::from(args.nodes));
    match args.more.transport() {
        None | Some(Via::StreamableHttp) => Ok(stage),
        Some(via) => {
            let here = std::env::current_exe();
            let program = here.map_err(|error| Stopped::Usage(format!("this program cannot find itself: {error}")))?;
            Ok(stage.over(via, program))
        }
    }
}

pub(super) async fn run(args: RunArgs, color: Color) -> ExitCode {
    let folder = match args.transcripts.as_deref().map(InFolder::made).transpose() {
        Ok(folder) => folder.map(Arc::new),
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::ReportNotWritten;
        }
    };
    let (rehearsal, _issuer) = match prepare(&args, color).await {
        Ok(rehearsal) => rehearsal,
        Err(Stopped::Usage(text)) => {
            say(&format!("error: {text}"));
            return ExitCode::Usage;
        }
        Err(Stopped::Input(text)) => {
            say(&text);
            return ExitCode::BadInput;
        }
        Err(Stopped::Nothing(text)) => {
            say(&format!("error: {text}"));
            return ExitCode::NothingRan;
        }
    };
    let archive = folder.clone().map(|folder| folder as Arc<dyn Archive>);
    let rehearsal = Rehearsal { archive, ..rehearsal };
    let bar = if args.quiet || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cases {elapsed}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    };
    let interrupt = interrupted(interrupts());
    let tell = |progress: crate::rehearsal::Progress| {
        bar.set_length(progress.all as u64);
        bar.set_position(progress.done as u64);
    };
    let played = rehearsal.selection.profiles.len();
    let summary = match rehearse(rehearsal, tell, interrupt).await {
        Ok(summary) => summary,
        Err(error) => {
            bar.finish_and_clear();
            say(&format!("error: {error}"));
            return match error {
                RehearsalError::Survey(SurveyError::Unreachable { .. }) => ExitCode::Unreachable,
                RehearsalError::Server(_) | RehearsalError::NoClients => ExitCode::Usage,
                _ => ExitCode::Internal,
            };
        }
    };
    bar.finish_and_clear();
    let code = finish(&args, color, &summary, folder.as_deref());
    tell_of_the_others(&args, played);
    code
}

#[cfg(unix)]
pub(super) type Interrupts = tokio::signal::unix::Signal;
#[cfg(windows)]
pub(super) type Interrupts = tokio::signal::windows::CtrlC;

/// Listens to Ctrl-C from now on; `None` where the system does not let us, and the run cannot be interrupted early.
pub(super) fn interrupts() -> Option<Interrupts> {
    #[cfg(unix)]
    let signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    #[cfg(windows)]
    let signals = tokio::signal::windows::ctrl_c();
    signals.ok()
}

/// Waits for Ctrl-C. From then on another one ends the program at once, whatever it is doing.
pub(super) async fn interrupted(signals: Option<Interrupts>) {
    let Some(mut signals) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = signals.recv() => {}
        () = asked_to_end() => {}
    }
    say("Interrupted; what is known by now is written. Ctrl-C again ends at once.");
    tokio::spawn(async move {
        signals.recv().await;
        end_at_once();
    });
}

/// Waits for SIGTERM, which ends a run as Ctrl-C does, so that no server that was started is left behind.
async fn asked_to_end() {
    #[cfg(unix)]
    if let Ok(mut asked) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        asked.recv().await;
        return;
    }
    std::future::pending::<()>().await;
}

#[expect(clippy::disallowed_methods, reason = "main may be held up by the very thing that the user wants to leave")]
fn end_at_once() {
    crate::wire::kill_all();
    std::process::exit(ExitCode::Interrupted as i32);
}

fn finish(args: &RunArgs, color: Color, summary: &Summary, folder: Option<&InFolder>) -> ExitCode {
    out(&report::terminal(summary, color.on_stdout()));
    let mut written = folder.is_none_or(InFolder::tell);
    for wanted in &args.report {
        // One that cannot be written is no reason to lose the others.
        if let Err(text) = write_report(wanted, summary) {
            say(&format!("error: {text}"));
            written = false;
        }
    }
    if !written {
        return ExitCode::ReportNotWritten;
    }
    if summary.interrupted {
        return ExitCode::Interrupted;
    }
    if summary.not_played > 0 {
        say(&format!("error: {} cases broke off by a fault of this program; please report it", summary.not_played));
        return ExitCode::Internal;
    }
    let judged = || summary.cases.iter().filter(|case| case.cell != Cell::NotApplicable);
    if judged().count() == 0 {
        say("error: nothing was exercised; `list scenarios` and `list clients` name what there is");
        ExitCode::NothingRan
    } else if judged().all(|case| !case.answered) {
        say("error: the target could not be reached in any case, although it answered before");
        ExitCode::Unreachable
    } else if summary.count(Cell::Failed) > 0 {
        ExitCode::Failures
    } else if judged().all(|case| case.cell == Cell::Inconclusive) {
        say("error: nothing could be told; the reasons are in the report");
        ExitCode::NothingRan
    } else {
        ExitCode::Ok
    }
}

/// What is to be played, and the authorization server that runs as long as it is held.
async fn prepare(args: &RunArgs, color: Color) -> Result<(Rehearsal, Option<RunningServer>), Stopped> {
    known_formats(&args.report).map_err(Stopped::Usage)?;
    let patience = Duration::from_secs(args.patience.max(1));
    let (mut allowed, mut jobs, mut issuer) = (args.allow_tool.clone(), args.jobs, None);
    let met = match &args.target {
        Some(text) => Some(args.more.meet(text, patience).await.map_err(Stopped::Usage)?),
        None if !args.node.is_empty() => Some(args.more.meet(&args.node[0], patience).await.map_err(Stopped::Usage)?),
        None if !args.command.is_empty() => {
            Some(args.more.meet_command(&args.command, patience).map_err(Stopped::Usage)?)
        }
        None => None,
    };
    let elsewhere = met.is_some();
    let stage = match met {
        None => embedded(args)?,
        Some(met) => {
            let mut target = met.target;
            if !args.node.is_empty() {
                let named = args.target.is_some();
                let with = target.with_nodes(&args.node, named);
                target = with.map_err(|error| Stopped::Usage(format!("--node: {error}")))?;
            }
            allowed.extend(met.allowed);
            // A grant that is shared cannot be used by several at once, whatever was asked for.
            jobs = if matches!(target.entry, Entry::Grant(_)) { Some(1) } else { jobs.or(met.jobs) };
            issuer = met.issuer;
            if let Some(control) = &args.control {
                target.time = TimeControl::Endpoint(control.trim_end_matches('/').to_owned());
            }
            if let Some(call) = &args.call {
                target.safe_call = safe_call(call)?;
            }
            Stage::Foreign(Arc::new(target))
        }
    };
    // Half of what happens before the first case, on either side.
    let (scenarios, profiles) = std::thread::scope(|threads| {
        let scenarios = threads.spawn(|| scenarios(&args.scenarios, color));
        let profiles = profiles(&args.clients, args.profiles.as_deref());
        (scenarios.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), profiles)
    });
    let rehearsal = Rehearsal {
        selection: Selection {
            scenarios: scenarios?,
            profiles: profiles?,
            revisions: args.revisions.clone(),
            target: in_command(args).or_else(|| embedded_target(args)),
        },
        jobs: jobs.unwrap_or(if elsewhere { 4 } else { 8 }),
        stage,
        patience,
        seed: args.seed,
        allowed_tools: allowed,
        archive: None,
    };
    Ok((rehearsal, issuer))
}

/// Says which clients were left out, where nobody chose.
fn tell_of_the_others(args: &RunArgs, played: usize) {
    let others = crate::profile::ids().count().saturating_sub(played);
    if args.clients == [POPULAR] && others > 0 && !args.quiet {
        say(&format!(
            "Played {played} clients; {others} more, and variants, are known: `--clients all` plays them too."
        ));
    }
}
