//! `schema`: the JSON Schema of scenario files, for completion in editors.

use super::output::{ExitCode, out};
use crate::scenario::EDITOR_SCHEMA;

pub(super) fn schema() -> ExitCode {
    out(EDITOR_SCHEMA.trim_end());
    ExitCode::Ok
}
