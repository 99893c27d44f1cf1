//! `schema`: the JSON Schema of scenario files, for completion in editors.

use super::output::{ExitCode, out, say};

pub(super) fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&crate::scenario::editor_schema()) {
        Ok(text) => {
            out(&text);
            ExitCode::Ok
        }
        Err(error) => {
            say(&format!("error: the schema cannot be written as JSON: {error}"));
            ExitCode::Internal
        }
    }
}
