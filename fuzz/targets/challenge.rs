//! Challenges are read from any header value; nothing of it comes twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_rehearsal::model::challenges;

fuzz_target!(|text: &str| {
    let found = challenges(text);
    assert!(found.len() <= text.len());
});
