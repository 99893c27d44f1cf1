//! A transcript as JSON Lines: a header line with the format version, then one event a line.

use serde::{Deserialize, Serialize};

use super::Event;

/// The version that this build writes. It reads the same major version.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    mcp_rehearsal_transcript: u32,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The first line is no header.
    #[error("line 1: this is no transcript of mcp-rehearsal (the first line has to name the format version): {0}")]
    NoHeader(String),
    /// Written by another version.
    #[error(
        "line 1: the transcript has format version {found}, this build reads {FORMAT_VERSION}; use the version that wrote it"
    )]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// A line is no event.
    #[error("line {line}: not an event: {reason}; the file was cut or changed from here on")]
    Line {
        /// Line number from 1.
        line: usize,
        /// What the JSON reader says.
        reason: String,
    },
}

/// The events as JSON Lines.
pub fn write(events: &[Event]) -> String {
    let mut text = format!("{{\"mcp_rehearsal_transcript\":{FORMAT_VERSION}}}\n");
    for event in events {
        // An event holds only strings and numbers, which always serialise.
        if let Ok(line) = serde_json::to_string(event) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Reads JSON Lines back.
pub fn read(text: &str) -> Result<Vec<Event>, CodecError> {
    let mut lines = text.lines().enumerate();
    let first = lines.next().map(|(_, line)| line).unwrap_or_default();
    let header: Header = serde_json::from_str(first).map_err(|error| CodecError::NoHeader(error.to_string()))?;
    if header.mcp_rehearsal_transcript != FORMAT_VERSION {
        return Err(CodecError::Version { found: header.mcp_rehearsal_transcript });
    }
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| CodecError::Line { line: index + 1, reason: error.to_string() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;

    #[test]
    fn a_transcript_reads_back_as_it_was_written() {
        let events = Builder::new().initialize("2025-06-18").finish();
        assert_eq!(read(&write(&events)).expect("readable"), events);
    }

    #[test]
    fn damage_is_named_by_line() {
        let mut text = write(&Builder::new().initialize("2025-06-18").finish());
        text.truncate(text.len() - 10);
        assert!(matches!(read(&text), Err(CodecError::Line { .. })));
        assert!(matches!(read("{}"), Err(CodecError::NoHeader(_))));
        assert!(matches!(read("{\"mcp_rehearsal_transcript\":9}"), Err(CodecError::Version { found: 9 })));
    }
}
