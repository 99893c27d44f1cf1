//! `run --transcripts`: a folder with a file for each case that was played.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::keep::write_private;
use super::output::say;
use crate::model::quoted;
use crate::rehearsal::Archive;
use crate::transcript::{self, Event};
use crate::verdict::Plan;

/// A folder of transcripts.
#[derive(Debug)]
pub(super) struct InFolder {
    folder: PathBuf,
    /// How many were written, and why the first one that was not could not be.
    state: Mutex<(usize, Option<String>)>,
}

impl InFolder {
    /// The folder, made where it is missing; an error says why it cannot be.
    pub(super) fn made(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("the folder {} cannot be made: {error}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), state: Mutex::default() })
    }

    /// Says what is there now. False where something is missing.
    pub(super) fn tell(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, folder) = (state.0, self.folder.display().to_string());
        if let Some(error) = &state.1 {
            say(&format!("error: {error}"));
            return false;
        }
        let files = if count == 1 { "transcript was" } else { "transcripts were" };
        say(&format!("{count} {files} written to {}; `mcp-rehearsal check FILE` judges one.", quoted(&folder)));
        true
    }
}

impl Archive for InFolder {
    fn keep(&self, plan: &Plan, events: &[Event]) {
        let path = self.folder.join(file_name(plan));
        let written = write_private(&path, &transcript::write(events));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(()) => state.0 += 1,
            Err(error) => {
                let told = || format!("the transcript cannot be written to {}: {error}", path.display());
                state.1.get_or_insert_with(told);
            }
        }
    }
}

/// `scenario@client@revision.jsonl`, with nothing in it that a file system takes for more than a name.
fn file_name(plan: &Plan) -> String {
    let name = format!("{}@{}@{}", plan.scenario, plan.profile, plan.revision);
    let kept = |c: char| if c.is_ascii_alphanumeric() || "@.-_".contains(c) { c } else { '-' };
    format!("{}.jsonl", name.chars().map(kept).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(scenario: &str) -> Plan {
        Plan { scenario: scenario.into(), profile: "cursor".into(), revision: "2025-11-25".into(), ..Plan::default() }
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(file_name(&plan("refresh.at-once")), "refresh.at-once@cursor@2025-11-25.jsonl");
        assert_eq!(file_name(&plan("../../etc/x y")), "..-..-etc-x-y@cursor@2025-11-25.jsonl");
    }
}
