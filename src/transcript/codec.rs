//! A transcript as JSON Lines: a header line with the format version, one event a line, and a last line that seals it.
//!
//! The last line holds the digest of all lines before it, so that what was cut or changed is told from what is whole.

use std::io::{self, Write};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::Event;
use crate::model::Members as _;

/// The version that this build writes. It reads the same major version.
pub const FORMAT_VERSION: u32 = 1;

/// Where a recording comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The day, as `2026-07-28`.
    pub on: String,
    /// Version of the program that wrote it.
    pub by: String,
    /// The server that the client spoke with.
    pub server: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    mcp_rehearsal_transcript: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    recorded: Option<Recorded>,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    end_of_transcript: u32,
    sha256: String,
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
    #[error("line {line}: not an event: {reason}; the file was changed here: take it as it was recorded")]
    Line {
        /// Line number from 1.
        line: usize,
        /// What the JSON reader says.
        reason: String,
    },
    /// A line is missing, or stands elsewhere.
    #[error(
        "line {line}: event {found} stands where {wanted} is due; lines were moved or taken out: take the file as it was recorded"
    )]
    Order {
        /// Line number from 1.
        line: usize,
        /// Number of the event.
        found: u32,
        /// The number that is due.
        wanted: usize,
    },
    /// Something follows the last line.
    #[error("line {line}: something follows the end of the transcript; take out what was added")]
    Beyond {
        /// Line number from 1.
        line: usize,
    },
    /// The seal is of another text.
    #[error(
        "line {line}: the digest is not that of the lines before it: something in them was changed after they were \
         written; take the file as it was recorded, or, if you changed it yourself, delete this last line"
    )]
    Seal {
        /// Line number from 1.
        line: usize,
    },
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Where it comes from, where it says.
    pub recorded: Option<Recorded>,
    /// The events.
    pub events: Vec<Event>,
    /// Whether the last line is there, so that the events are all there were, unchanged.
    pub sealed: bool,
    /// The line in the middle of which the file ends, where it was cut there.
    pub cut_at: Option<usize>,
}

/// Writes events as they come, each line at once.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    digest: Digest,
    events: u32,
}

/// A digest as it grows.
struct Digest(Context);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl Digest {
    fn hex(self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        self.0.finish().as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

impl<W: Write> Writer<W> {
    /// Begins with the header line.
    pub fn begin(to: W, recorded: Option<Recorded>) -> io::Result<Self> {
        let mut writer = Self { to, digest: Digest(Context::new(&SHA256)), events: 0 };
        writer.line(&Header { mcp_rehearsal_transcript: FORMAT_VERSION, recorded })?;
        Ok(writer)
    }

    /// Adds an event.
    pub fn add(&mut self, event: &Event) -> io::Result<()> {
        self.events = self.events.saturating_add(1);
        self.line(event)
    }

    /// Ends with the seal, and gives back what was written to.
    pub fn seal(mut self) -> io::Result<W> {
        let seal = Seal { end_of_transcript: self.events, sha256: self.digest.hex() };
        self.to.write_all(format!("{}\n", serde_json::to_string(&seal)?).as_bytes())?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(value)?;
        line.push('\n');
        self.digest.0.update(line.as_bytes());
        // In one write, so that a line is there whole or not at all.
        self.to.write_all(line.as_bytes())?;
        self.to.flush()
    }
}

/// The events as JSON Lines.
pub fn write(events: &[Event]) -> String {
    let written = Writer::begin(Vec::new(), None).and_then(|mut writer| {
        events.iter().try_for_each(|event| writer.add(event))?;
        writer.seal()
    });
    // An event holds only strings and numbers, which always serialise, and memory is always written to.
    written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Reads JSON Lines back. A file that was cut gives what it still holds.
pub fn read(text: &str) -> Result<Reading, CodecError> {
    let mut digest = Digest(Context::new(&SHA256));
    let mut lines = text.split_inclusive('\n').enumerate();
    let (_, first) = lines.next().unwrap_or_default();
    digest.0.update(first.as_bytes());
    let version: serde_json::Value =
        serde_json::from_str(first).map_err(|error| CodecError::NoHeader(error.to_string()))?;
    // A later version may say more in its header; that it is another version is what counts.
    if let Some(found) =
        version.at("mcp_rehearsal_transcript").as_u64().filter(|found| *found != u64::from(FORMAT_VERSION))
    {
        return Err(CodecError::Version { found: u32::try_from(found).unwrap_or(u32::MAX) });
    }
    let header: Header = serde_json::from_str(first).map_err(|error| CodecError::NoHeader(error.to_string()))?;
    let mut reading = Reading { recorded: header.recorded, events: Vec::new(), sealed: false, cut_at: None };
    while let Some((index, whole)) = lines.next() {
        let (number, line) = (index + 1, whole.trim());
        if line.is_empty() {
            digest.0.update(whole.as_bytes());
            continue;
        }
        if reading.sealed {
            return Err(CodecError::Beyond { line: number });
        }
        if let Ok(seal) = serde_json::from_str::<Seal>(line) {
            let found = std::mem::replace(&mut digest, Digest(Context::new(&SHA256))).hex();
            if found != seal.sha256 || usize::try_from(seal.end_of_transcript) != Ok(reading.events.len()) {
                return Err(CodecError::Seal { line: number });
            }
            reading.sealed = true;
            continue;
        }
        digest.0.update(whole.as_bytes());
        match serde_json::from_str::<Event>(line) {
            Ok(event) if usize::try_from(event.seq) == Ok(reading.events.len()) => reading.events.push(event),
            Ok(event) => {
                return Err(CodecError::Order { line: number, found: event.seq, wanted: reading.events.len() });
            }
            // A line without its end is what is left of one that was being written.
            Err(_) if !whole.ends_with('\n') && lines.next().is_none() => reading.cut_at = Some(number),
            Err(error) => return Err(CodecError::Line { line: number, reason: error.to_string() }),
        }
    }
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::super::Builder;
    use super::*;
    use proptest::prelude::*;

    fn text() -> String {
        write(&Builder::new().initialize("2025-06-18").finish())
    }

    #[test]
    fn a_transcript_reads_back_as_it_was_written() {
        let events = Builder::new().initialize("2025-06-18").finish();
        let recorded = Recorded { on: "2026-07-28".to_owned(), by: "0.1.0".to_owned(), server: "s".to_owned() };
        let mut writer = Writer::begin(Vec::new(), Some(recorded.clone())).expect("memory");
        for event in &events {
            writer.add(event).expect("memory");
        }
        let text = String::from_utf8(writer.seal().expect("memory")).expect("text");
        let reading = read(&text).expect("readable");
        assert_eq!(reading, Reading { recorded: Some(recorded), events, sealed: true, cut_at: None });
    }

    #[test]
    fn what_is_left_of_a_file_that_was_cut_is_kept() {
        let text = text();
        let lines = text.lines().count();
        let without_seal: String = text.split_inclusive('\n').take(lines - 1).collect();
        let reading = read(&without_seal).expect("readable");
        assert_eq!((reading.events.len(), reading.sealed, reading.cut_at), (lines - 2, false, None));
        let reading = read(&without_seal[..without_seal.len() - 10]).expect("readable");
        assert_eq!((reading.events.len(), reading.sealed, reading.cut_at), (lines - 3, false, Some(lines - 1)));
    }

    #[test]
    fn damage_is_named_by_line() {
        let text = text();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let without = |at: usize| -> String {
            lines.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, line)| *line).collect()
        };
        assert!(matches!(read(&without(2)), Err(CodecError::Order { line: 3, found: 2, wanted: 1 })));
        assert!(matches!(read(&text.replacen("2025-06-18", "2025-03-26", 1)), Err(CodecError::Seal { .. })));
        assert!(matches!(read(&format!("{text}{}", lines[1])), Err(CodecError::Beyond { .. })));
        assert!(matches!(read(&text.replacen("\"seq\":1", "\"seq\":", 1)), Err(CodecError::Line { line: 3, .. })));
        assert!(matches!(read("{}"), Err(CodecError::NoHeader(_))));
        assert!(matches!(read(""), Err(CodecError::NoHeader(_))));
        let foreign = "{\"mcp_rehearsal_transcript\":9,\"more\":1}";
        assert!(matches!(read(foreign), Err(CodecError::Version { found: 9 })));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_stumble_or_pass_for_whole(at in 0_usize..4000, byte in any::<u8>(), cut in any::<bool>()) {
            let text = text();
            let at = at % text.len();
            let mut bytes = text.clone().into_bytes();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            let damaged = String::from_utf8_lossy(&bytes).into_owned();
            if let Ok(reading) = read(&damaged) {
                prop_assert!(!reading.sealed || damaged == text || damaged.trim_end() == text.trim_end());
            }
        }
    }
}
