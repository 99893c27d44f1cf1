//! Every bound on what a server may make this program hold, in one place.
//!
//! Whatever passes a bound is told as such and never held against the server: the bound is ours.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{Text, is_known};

/// The largest head of an answer, and the longest trailers behind a body, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The most header lines of one head.
pub(super) const MAX_HEADERS: usize = 128;

/// The longest line that tells the size of a chunk, extensions included, in bytes.
pub(super) const MAX_CHUNK_LINE: usize = 1024;

/// The most informational answers (100 to 199) before the real one.
pub(super) const MAX_INTERIM: usize = 16;

/// The largest body of an answer, and the most that one stream may bring, in bytes after decompression.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// The most bytes that one simulated client takes, bodies and streams together.
pub const MAX_TOTAL: usize = 64 * 1024 * 1024;

/// The most stream events that one simulated client takes; each costs more memory than its bytes.
pub const MAX_EVENTS: usize = 10_000;

/// The most messages that one simulated client takes.
pub const MAX_MESSAGES: usize = 10_000;

/// The most requests of the server that one simulated client answers.
pub const MAX_ASKED: usize = 256;

/// The deepest nesting of JSON that is followed; the JSON reader gives up one level below.
pub(super) const MAX_DEPTH: usize = 127;

/// The most values in one JSON text; each costs many times its bytes once it is read.
pub(super) const MAX_VALUES: usize = 500_000;

/// Why a JSON text is more than this program takes in, if it is.
///
/// Looks at brackets and commas only, so it answers for any bytes and never fails.
fn too_much(text: &[u8]) -> Option<String> {
    // Nearly all texts are far below both bounds, which is seen fastest without regard to what is quoted.
    let (mut openers, mut commas) = (0, 0);
    // A byte is enough to count in, so far, and lets many bytes be compared at once.
    for piece in text.chunks(255) {
        let (of_piece, separators) = piece.iter().fold((0_u8, 0_u8), |(openers, commas), byte| {
            // `[` and `{` differ in this bit, and no other byte becomes one of them with it.
            (openers + u8::from(byte | 0x20 == b'{'), commas + u8::from(*byte == b','))
        });
        openers += usize::from(of_piece);
        commas += usize::from(separators);
    }
    if openers <= MAX_DEPTH && openers + commas < MAX_VALUES {
        return None;
    }
    let (mut depth, mut values, mut quoted, mut escaped) = (0_usize, 1_usize, false, false);
    for &byte in text {
        if quoted {
            match byte {
                _ if std::mem::take(&mut escaped) => {}
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => {
                depth += 1;
                values += 1;
                if depth > MAX_DEPTH {
                    return Some(format!("its JSON nests deeper than {MAX_DEPTH} levels"));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => {
                values += 1;
                if values > MAX_VALUES {
                    return Some(format!("its JSON has more than {MAX_VALUES} values"));
                }
            }
            _ => {}
        }
    }
    None
}

/// The value of a JSON text from a server; `None` where it is none. `Err` says why it is more than this program takes in.
pub fn read_within_bounds(text: &Text) -> Result<Option<Arc<Value>>, String> {
    // What was read before was within the bounds: the reader goes no deeper, and what it remembers is short.
    if is_known(text) {
        return Ok(text.json());
    }
    too_much(text.as_bytes()).map_or_else(|| Ok(text.json()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_reader_takes_is_let_through_and_nothing_more() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let reads = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert!(reads(&nested(MAX_DEPTH)) && too_much(nested(MAX_DEPTH).as_bytes()).is_none());
        assert!(!reads(&nested(MAX_DEPTH + 1)));
        assert!(too_much(nested(MAX_DEPTH + 1).as_bytes()).expect("too deep").contains("deeper than 127 levels"));
        let quoted = format!("\"\\\"{}\"", "[".repeat(500));
        assert_eq!(too_much(quoted.as_bytes()), None);
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(too_much(many.as_bytes()).expect("too many").contains("more than 500000 values"));
    }
}
