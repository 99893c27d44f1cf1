//! Plays a captured situation with a profile, and reads what the real client sent in it.

mod known;
mod played;
mod wanted;

pub(crate) use known::known;

use std::path::{Path, PathBuf};

use mcp_rehearsal::recording::fidelity::{Comparison, compare};

/// A captured situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// A server of the older era that lets everybody in.
    Open,
    /// A server of both eras.
    Modern,
}

impl Run {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::Open, Self::Modern];

    /// Its name in the captures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Modern => "modern",
        }
    }
}

/// The folder of the captures, where there is one.
pub(crate) fn captures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("REHEARSAL_SHARED").map_or_else(beside, PathBuf::from).join("clients/captures/raw");
    folder.is_dir().then_some(folder)
}

/// Compares a run of a client with what its profile does in it; `None` where there is no such capture.
pub(crate) async fn compared(folder: &Path, client: &str, profile: &str, run: Run) -> Option<Comparison> {
    let wanted = wanted::read(&folder.join(format!("{client}.{}.jsonl", run.name())))?;
    let played = played::play(profile, run, &wanted).await;
    let came = played::sent(&played.events);
    Some(compare(&wanted.sent, &came, &mcp_rehearsal::recording::fidelity::Sameness {
        wanted: wanted.words,
        came: played.words,
    }))
}
