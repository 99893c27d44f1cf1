//! The `mcp-rehearsal` binary: parse arguments, build the runtime, turn the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use mcp_rehearsal::cli::{Cli, execute};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(execute(cli)) as u8),
        Err(_) => ExitCode::FAILURE,
    }
}
