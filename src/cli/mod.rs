//! The commands. The only place that knows clap, prints, or chooses an exit code.

mod bench_sessions;
mod bench_shapes;
mod bench_tokens;
mod check;
mod choice;
mod completions;
mod config;
mod derive;
mod doctor;
mod explain;
mod fuzz;
mod keep;
mod kill_nodes;
mod list;
mod opened;
mod output;
mod peer;
mod pipes;
mod proxy;
mod record;
mod region_client;
mod regions;
mod replay;
mod reports;
mod run;
mod schema;
mod serve;
mod stop;
mod target;
mod transcripts;

use clap::{Parser, Subcommand};

use output::{Color, ExitCode};

/// Rehearse a remote MCP server against the clients that will really call it.
#[derive(Debug, Parser)]
#[command(name = "mcp-rehearsal", version, about, max_term_width = 100)]
struct Cli {
    /// Colours in what is printed; `auto` means on a terminal and unless `NO_COLOR` is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay scenarios under client profiles against TARGET, or against the embedded reference server.
    Run(Box<run::RunArgs>),
    /// Walk the road of a client to TARGET, and say where it breaks and what to change.
    Doctor(doctor::DoctorArgs),
    /// Make up lifecycles of tokens and sessions, and compare a server with a model of what has to hold.
    Fuzz(Box<fuzz::FuzzArgs>),
    /// The reference server: correct by default, wrong on request.
    Serve(Box<serve::ServeArgs>),
    /// A network between any client and a server that is late, cuts, holds back or rewrites, as `--fault` says.
    Proxy(proxy::ProxyArgs),
    /// A proxy in front of a server, or a command in front of one, that keeps what a real client says as a recording.
    Record(record::RecordArgs),
    /// Judge recordings: what the server in them did wrong, and what the client did.
    Check(check::CheckArgs),
    /// Propose a client profile from a recording: what was seen is captured, the rest stays unknown.
    Derive(derive::DeriveArgs),
    /// Play the client's side of a recording against another server, and show where it departs from the recorded one.
    Replay(Box<replay::ReplayArgs>),
    /// List scenarios, clients, checks, faults or network faults.
    List(list::ListArgs),
    /// What a scenario, client, check, requirement or fault is.
    Explain(explain::ExplainArgs),
    /// Print the JSON Schema of scenario files, for completion in editors.
    Schema,
    /// Refresh tokens of a running authorization server as fast as it answers.
    #[command(hide = true)]
    BenchTokens(bench_tokens::BenchArgs),
    /// Open many sessions at a running server.
    #[command(hide = true)]
    BenchSessions(bench_sessions::BenchArgs),
    /// Judge the shapes of real messages over and over.
    #[command(hide = true)]
    BenchShapes(bench_shapes::BenchArgs),
    /// Kill nodes in the middle of calls and see what becomes of calls and sessions.
    #[command(hide = true)]
    KillNodes(kill_nodes::KillArgs),
    /// Have clients move between two regions, and measure what they meet.
    #[command(hide = true)]
    Regions(regions::RegionsArgs),
    /// Print the completion script of a shell.
    Completions(completions::CompletionsArgs),
}

/// The whole program: parses the arguments, builds the runtime, runs the command, and turns its outcome into an exit code.
///
/// It is here and not in the binary, which would compile every future and every generic that it awaits a second time.
pub fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(execute(cli));
            // What is still under way, such as a name that does not resolve, is not worth waiting for.
            runtime.shutdown_background();
            std::process::ExitCode::from(code as u8)
        }
        Err(_) => std::process::ExitCode::FAILURE,
    }
}

/// Runs the command that the arguments name.
async fn execute(cli: Cli) -> ExitCode {
    let code = match cli.command {
        Command::Run(args) => Box::pin(run::run(*args, cli.color)).await,
        Command::Doctor(args) => Box::pin(doctor::doctor(args, cli.color)).await,
        Command::Fuzz(args) => Box::pin(fuzz::fuzz(*args)).await,
        Command::Serve(args) => serve::serve(*args).await,
        Command::Proxy(args) => proxy::proxy(args).await,
        Command::Record(args) => Box::pin(record::record(args)).await,
        Command::Check(args) => check::check(&args, cli.color),
        Command::Derive(args) => derive::derive(&args),
        Command::Replay(args) => Box::pin(replay::replay(*args)).await,
        Command::List(args) => list::list(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Schema => schema::schema(),
        Command::BenchTokens(args) => bench_tokens::bench(args).await,
        Command::BenchSessions(args) => bench_sessions::bench(args).await,
        Command::BenchShapes(args) => Box::pin(bench_shapes::bench(args)).await,
        Command::KillNodes(args) => kill_nodes::kill_nodes(args).await,
        Command::Regions(args) => regions::regions(args).await,
        Command::Completions(args) => completions::completions(&args),
    };
    // Where the program was interrupted, tasks that hold a server of theirs may be left behind.
    crate::wire::kill_all();
    code
}
