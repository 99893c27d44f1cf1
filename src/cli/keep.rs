//! What a login needs of the machine: a browser to show a page, a file to keep a refresh token in.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::output::say;
use crate::client::{Keep, Person};

/// The person at this machine's browser.
#[derive(Debug)]
pub(super) struct AtBrowser;

impl Person for AtBrowser {
    fn ask(&self, url: &str) {
        say(&format!("Log in at the browser, once for the whole rehearsal:\n  {url}"));
        // The address is on the terminal in any case.
        match std::env::var("BROWSER") {
            Ok(program) if !program.is_empty() => {
                let quiet = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
                drop(quiet);
            }
            _ => drop(open::that_detached(url)),
        }
    }
}

/// A file that only its owner can read.
#[derive(Debug)]
pub(super) struct InFile(pub(super) PathBuf);

impl Keep for InFile {
    fn keep(&self, refresh: &str) {
        if let Err(error) = write_private(&self.0, &format!("{refresh}\n")) {
            let path = self.0.display();
            say(&format!("warning: the newest refresh token could not be written to {path}: {error}"));
        }
    }
}

/// Writes a file anew; where it is not there yet, for its owner alone.
pub(super) fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
