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
    /// A server of the older era that asks for a token.
    Login,
}

impl Run {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::Open, Self::Modern, Self::Login];

    /// Its name in the captures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Modern => "modern",
            Self::Login => "login",
        }
    }
}

/// The log of a client in a situation, where there is one that fits.
fn log_of(client: &str, run: Run) -> Option<String> {
    Some(match (client, run) {
        // Not all logins came to an end, and one client was driven only in its later life.
        ("mcp-remote", Run::Login) => "mcp-remote.oauth-skew400".to_owned(),
        ("qwen-code", Run::Login) => "qwen-code.oauth-noprm".to_owned(),
        ("cline" | "mcp-inspector-cli" | "openai-agents" | "langchain", Run::Login) => return None,
        ("ts-client-v2", Run::Modern) => "ts-client-v2.modern-default".to_owned(),
        ("ts-client-v2-auto", Run::Open) => "ts-client-v2.open-auto".to_owned(),
        ("ts-client-v2-auto", Run::Modern) => "ts-client-v2.modern".to_owned(),
        (_, Run::Login) => format!("{client}.oauth"),
        _ => format!("{client}.{}", run.name()),
    })
}

/// The folder of the captures, where there is one.
pub(crate) fn captures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("REHEARSAL_SHARED").map_or_else(beside, PathBuf::from).join("clients/captures/raw");
    folder.is_dir().then_some(folder)
}

/// Compares a run of a client with what its profile does in it; `None` where there is no such capture.
pub(crate) async fn compared(folder: &Path, client: &str, profile: &str, run: Run) -> Option<Comparison> {
    let wanted = wanted::read(&folder.join(format!("{}.jsonl", log_of(client, run)?)))?;
    let played = played::play(profile, run, &wanted).await;
    let came = played::sent(&played.events);
    Some(compare(
        &wanted.sent,
        &came,
        &mcp_rehearsal::recording::fidelity::Sameness { wanted: wanted.words, came: played.words },
    ))
}
