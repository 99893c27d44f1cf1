//! The `mcp-rehearsal` binary: parse arguments, run a command, turn its outcome into an exit code.
fn main() {}
