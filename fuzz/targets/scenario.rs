//! A scenario file is read, or its mistakes are told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_rehearsal::scenario::parse;

fuzz_target!(|text: &str| {
    if let Err(mistakes) = parse("any.yaml", text) {
        assert!(!mistakes.items.is_empty());
        assert!(!mistakes.render(false).is_empty());
    }
});
