//! The commands. The only place that knows clap, prints, or chooses an exit code.

mod explain;
mod list;
mod output;
mod run;
mod serve;

use clap::{Parser, Subcommand};

pub use output::ExitCode;

/// Rehearse a remote MCP server against the clients that will really call it.
#[derive(Debug, Parser)]
#[command(name = "mcp-rehearsal", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay scenarios under client profiles against TARGET, or against the embedded reference server.
    Run(run::RunArgs),
    /// The reference server: correct by default, wrong on request.
    Serve(serve::ServeArgs),
    /// List scenarios, clients, checks or faults.
    List(list::ListArgs),
    /// What a scenario, client, check, requirement or fault is.
    Explain(explain::ExplainArgs),
}

/// Runs the command that the arguments name.
pub async fn execute(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(args) => run::run(args).await,
        Command::Serve(args) => serve::serve(args).await,
        Command::List(args) => list::list(&args),
        Command::Explain(args) => explain::explain(&args),
    }
}
