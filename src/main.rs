//! The `mcp-rehearsal` binary: which allocator it uses, and nothing else.

use std::process::ExitCode;

// It gives back what is free, which that of glibc keeps, and takes less time (figures in docs/performance.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    mcp_rehearsal::cli::main()
}
