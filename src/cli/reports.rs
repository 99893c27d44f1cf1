//! Reports that were asked for as FORMAT=PATH.

use super::output::out;
use crate::report;
use crate::verdict::Summary;

fn unknown(format: &str) -> String {
    let names: Vec<&str> = report::FORMATS.iter().map(|(name, _)| *name).collect();
    format!("there is no report format `{format}`; there are: {}", names.join(", "))
}

/// Whether each of these can be written, as far as its format tells.
pub(super) fn known_formats(wanted: &[String]) -> Result<(), String> {
    let format = |wanted: &String| wanted.split('=').next().unwrap_or_default().to_owned();
    let strange = wanted.iter().map(format).find(|format| !report::FORMATS.iter().any(|(name, _)| name == format));
    strange.map_or(Ok(()), |format| Err(unknown(&format)))
}

/// Writes one of them.
pub(super) fn write_report(wanted: &str, summary: &Summary) -> Result<(), String> {
    let (format, path) = wanted.split_once('=').unwrap_or((wanted, "-"));
    let make = report::FORMATS.iter().find(|(name, _)| *name == format).map(|(_, make)| make);
    let text = make.ok_or_else(|| unknown(format))?(summary);
    if path == "-" {
        out(&text);
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| format!("the report cannot be written to {path}: {error}"))
}
