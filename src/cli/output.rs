//! Printing and exit codes.

use std::io::{IsTerminal as _, Write as _};

/// How the process ends. The numbers are documented and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitCode {
    /// All as expected.
    Ok = 0,
    /// A fault of this program.
    Internal = 1,
    /// Wrong arguments.
    Usage = 2,
    /// A scenario or profile does not parse.
    BadInput = 3,
    /// Nothing was exercised, or nothing of it could be told.
    NothingRan = 4,
    /// Requirements were broken.
    Failures = 10,
    /// The target cannot be reached.
    Unreachable = 12,
    /// A report could not be written.
    ReportNotWritten = 13,
    /// Interrupted; what was known was written.
    Interrupted = 130,
}

/// Writes the result to standard output. A closed pipe is no reason to fail.
pub(super) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = stdout.write_all(b"\n");
    }
    let _ = stdout.flush();
}

/// Writes a message to standard error.
pub(super) fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.trim_end().as_bytes());
    let _ = stderr.write_all(b"\n");
}

/// When to paint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether standard output takes colours.
    pub(super) fn on_stdout(self) -> bool {
        self.on(std::io::stdout().is_terminal())
    }

    /// Whether standard error takes colours.
    pub(super) fn on_stderr(self) -> bool {
        self.on(std::io::stderr().is_terminal())
    }

    /// An empty `NO_COLOR` counts as not set (no-color.org).
    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}
