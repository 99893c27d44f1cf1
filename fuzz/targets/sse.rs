//! The decoder of event streams gives the same frames however the bytes are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_rehearsal::wire::Decoder;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = (usize::from(input.0).max(1), input.1);
    let (mut whole, mut cut) = (Decoder::new(), Decoder::new());
    let at_once = whole.feed(bytes);
    let in_pieces: Vec<_> = bytes.chunks(step).flat_map(|piece| cut.feed(piece)).collect();
    assert_eq!(at_once, in_pieces);
    assert_eq!(whole.is_mid_block(), cut.is_mid_block());
});
