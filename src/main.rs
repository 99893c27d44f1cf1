//! The `mcp-rehearsal` binary: parse arguments, build the runtime, turn the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use mcp_rehearsal::cli::{Cli, execute};

// It gives back what is free, which that of glibc keeps, and takes less time (figures in docs/performance.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(execute(cli));
            // What is still under way, such as a name that does not resolve, is not worth waiting for.
            runtime.shutdown_background();
            ExitCode::from(code as u8)
        }
        Err(_) => ExitCode::FAILURE,
    }
}
