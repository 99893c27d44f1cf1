//! A transcript is read or refused; what was read is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_rehearsal::transcript::{read, write};

fuzz_target!(|text: &str| {
    let Ok(reading) = read(text) else { return };
    let again = read(&write(&reading.events)).expect("what was written can be read");
    assert!(again.sealed);
    assert_eq!(again.events, reading.events);
});
