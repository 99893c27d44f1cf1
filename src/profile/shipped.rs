//! The profiles that come with the program. It must not know what is in them.

use super::error::ProfileError;
use super::load::{Draft, Profile, parse};

/// File names and texts; a profile stands behind those it refers to.
const FILES: &[(&str, &str)] = &[
    ("reference.yaml", include_str!("../../fixtures/profiles/reference.yaml")),
    ("ts-sdk.yaml", include_str!("../../fixtures/profiles/ts-sdk.yaml")),
    ("py-sdk.yaml", include_str!("../../fixtures/profiles/py-sdk.yaml")),
    ("claude-code.yaml", include_str!("../../fixtures/profiles/claude-code.yaml")),
    ("cursor.yaml", include_str!("../../fixtures/profiles/cursor.yaml")),
    ("vscode.yaml", include_str!("../../fixtures/profiles/vscode.yaml")),
    ("claude-desktop.yaml", include_str!("../../fixtures/profiles/claude-desktop.yaml")),
    ("claude-desktop-sampling.yaml", include_str!("../../fixtures/profiles/claude-desktop-sampling.yaml")),
    ("claude-desktop-remote.yaml", include_str!("../../fixtures/profiles/claude-desktop-remote.yaml")),
    ("claude-connector.yaml", include_str!("../../fixtures/profiles/claude-connector.yaml")),
    ("codex-cli.yaml", include_str!("../../fixtures/profiles/codex-cli.yaml")),
    ("copilot-cli.yaml", include_str!("../../fixtures/profiles/copilot-cli.yaml")),
    ("gemini-cli.yaml", include_str!("../../fixtures/profiles/gemini-cli.yaml")),
    ("opencode.yaml", include_str!("../../fixtures/profiles/opencode.yaml")),
];

/// All shipped profiles, the neutral one first.
pub fn shipped() -> Result<Vec<Profile>, ProfileError> {
    let mut profiles = Vec::with_capacity(FILES.len());
    for (file, text) in FILES {
        let profile = parse(file, text, &profiles)?;
        profiles.push(profile);
    }
    Ok(profiles)
}

/// The shipped profile of this name; reads no more files than it needs.
pub fn find(id: &str) -> Result<Option<Profile>, ProfileError> {
    let Some((file, text)) = FILES.iter().find(|(file, _)| file.strip_suffix(".yaml") == Some(id)) else {
        return Ok(None);
    };
    let draft = Draft::read(file, text)?;
    let mut others = Vec::new();
    for name in draft.refers_to() {
        others.extend(find(name)?);
    }
    draft.resolve(&others).map(Some)
}

/// Names of the shipped profiles, the neutral one first.
pub fn ids() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(|(file, _)| file.strip_suffix(".yaml"))
}

#[cfg(test)]
mod tests;
