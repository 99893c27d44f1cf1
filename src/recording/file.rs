//! Recordings as files: one that grows line by line, and one that is read back.
//!
//! Knows files and days; what a recording says is not its business.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::transcript::{CodecError, Event, EventKind, Reading, Recorded, Writer, read};
use crate::wire::Sink;

/// The largest recording that is read, in bytes.
const MAX_FILE: u64 = 512 * 1024 * 1024;
/// How many names are tried for a file whose own is taken.
const MAX_NAMES: u32 = 10_000;

/// A recording that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be made.
    #[error("{}: the recording cannot be written: {source}; name a file in a folder that you may write to", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("{}: the recording cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is too large.
    #[error("{}: the recording has more than {} MiB, which is more than is read; record a shorter time", path.display(), MAX_FILE / (1024 * 1024))]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// What is in it is no recording, or not as it was written.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: CodecError,
    },
}

/// A recording file that grows; clones are hands on the same file.
#[derive(Debug, Clone)]
pub struct Shelf {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    writer: Option<Writer<File>>,
    failed: Option<io::Error>,
}

impl Shelf {
    /// Makes the file. What stands there already is kept: the next free name is taken, `x-2.jsonl` after `x.jsonl`.
    pub fn create(path: &Path, recorded: Recorded) -> Result<Self, FileError> {
        let told = |source| FileError::Create { path: path.to_owned(), source };
        let mut number = 1;
        let (path, file) = loop {
            let name = numbered(path, number);
            match options().open(&name) {
                Ok(file) => break (name, file),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => number += 1,
                Err(error) => return Err(told(error)),
            }
        };
        let writer = Some(Writer::begin(file, Some(recorded)).map_err(told)?);
        Ok(Self { path, inner: Arc::new(Mutex::new(Inner { writer, failed: None })) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the file. Nothing is added after that.
    pub fn seal(&self) -> Result<(), FileError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |source| FileError::Create { path: self.path.clone(), source };
        if let Some(error) = inner.failed.take() {
            return Err(told(error));
        }
        inner.writer.take().map_or(Ok(()), |writer| writer.seal().map(drop).map_err(told))
    }
}

impl Sink for Shelf {
    fn take(&mut self, event: &Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = inner.writer.as_mut().map(|writer| writer.add(event)) {
            // What passes is not to suffer from a full disk; it is told at the end.
            inner.writer = None;
            inner.failed = Some(error);
        }
    }
}

/// Only its owner may read what somebody's client said.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

/// Reads a recording.
pub fn load(path: &Path) -> Result<Reading, FileError> {
    let told = |source| FileError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(told)?.len() > MAX_FILE {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    let bytes = std::fs::read(path).map_err(told)?;
    // A character that was cut in two is part of the line that was.
    let text = String::from_utf8_lossy(&bytes);
    read(&text).map_err(|source| FileError::Content { path: path.to_owned(), source })
}

/// What a reader should know of a recording before it is used; nothing where it is whole.
pub fn warnings(reading: &Reading) -> Vec<String> {
    let mut told = Vec::new();
    match reading.cut_at {
        Some(line) => told.push(format!(
            "line {line} is cut; the {} events before it are used, and nothing tells whether they were changed",
            reading.events.len()
        )),
        None if !reading.sealed => told.push(format!(
            "the last line, which seals a recording, is missing: it was cut after {} events, or changed by hand",
            reading.events.len()
        )),
        None => {}
    }
    let left_out = reading.events.iter().filter(|event| matches!(&event.kind, EventKind::LeftOut { .. })).count();
    if left_out > 0 {
        told.push(format!("{left_out} parts of the traffic were not kept; the recording says why where they stood"));
    }
    told
}

/// A moment since the Unix epoch as a day, such as `2026-07-28`.
pub fn day(unix: Duration) -> String {
    // Days counted from 1 March 0000, so that a leap day is the last of its year (the civil calendar has eras of 400 years).
    let days = unix.as_secs() / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let on = |seconds: u64| day(Duration::from_secs(seconds));
        assert_eq!(on(0), "1970-01-01");
        assert_eq!(on(951_782_400), "2000-02-29");
        assert_eq!(on(1_785_196_800), "2026-07-28");
        assert_eq!(on(1_798_761_599), "2026-12-31");
        assert_eq!(on(4_107_542_400), "2100-03-01");
    }

    #[test]
    fn no_recording_is_written_over_another() {
        let folder = std::env::temp_dir().join(format!("mcp-rehearsal-shelf-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let recorded = || Recorded { on: day(Duration::ZERO), by: "0".to_owned(), server: "s".to_owned() };
        let names: Vec<PathBuf> = (0..3)
            .map(|_| Shelf::create(&folder.join("x.jsonl"), recorded()).expect("made").path().to_owned())
            .collect();
        let wanted: Vec<PathBuf> = ["x.jsonl", "x-2.jsonl", "x-3.jsonl"].map(|name| folder.join(name)).into();
        assert_eq!(names, wanted);
        let mut shelf = Shelf::create(&folder.join("y"), recorded()).expect("made");
        let event =
            Event { seq: 0, at: 0, client: "a".into(), step: None, kind: EventKind::Note { text: "n".to_owned() } };
        shelf.take(&event);
        let reading = load(shelf.path()).expect("readable");
        assert_eq!((reading.events.len(), reading.sealed, warnings(&reading).len()), (1, false, 1));
        shelf.seal().expect("sealed");
        let reading = load(shelf.path()).expect("readable");
        assert!(reading.sealed && warnings(&reading).is_empty());
        assert_eq!(reading.recorded, Some(recorded()));
        std::fs::remove_dir_all(&folder).expect("removed");
        let missing = Shelf::create(&folder.join("x"), recorded()).expect_err("no folder").to_string();
        assert!(missing.contains("name a file in a folder"), "{missing}");
    }
}
