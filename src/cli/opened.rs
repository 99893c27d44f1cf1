//! A recording that a command is given: read, with what is odd about it told. It does not know what is done with it.

use std::path::Path;

use super::output::{ExitCode, say};
use crate::recording::{load, warnings};
use crate::transcript::Reading;

/// The recording, or the code with which a command ends that was given something else; why is told.
pub(super) fn opened(file: &Path) -> Result<Reading, ExitCode> {
    let reading = load(file).map_err(|error| {
        say(&format!("error: {error}"));
        ExitCode::BadInput
    })?;
    for warning in warnings(&reading) {
        say(&format!("warning: {}: {warning}", file.display()));
    }
    Ok(reading)
}
