//! A push decoder for `text/event-stream` (WHATWG HTML, section "Server-sent events") that hides nothing:
//! comments, blocks without data and an unterminated last block are all told.

/// What a block of the stream held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A block that ended with a blank line.
    Event {
        /// The `id` field of this block.
        id: Option<String>,
        /// The `event` field.
        event: Option<String>,
        /// The `data` lines joined with line feeds; `None` where the block had none.
        data: Option<String>,
        /// The `retry` field in milliseconds.
        retry: Option<u64>,
    },
    /// A line that starts with a colon.
    Comment(String),
}

#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
    retry: Option<u64>,
    any: bool,
}

/// Decodes whatever way the bytes were cut into pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    block: Block,
    after_cr: bool,
    started: bool,
}

impl Decoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and gives the frames that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        if !rest.is_empty() && std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
            rest = &rest[1..];
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            if self.line.is_empty() {
                self.end_line(&rest[..end], &mut frames);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest[..end]);
                self.end_line(&line, &mut frames);
            }
            let skip = match &rest[end..] {
                [b'\r', b'\n', ..] => 2,
                [b'\r'] => {
                    self.after_cr = true;
                    1
                }
                _ => 1,
            };
            rest = &rest[end + skip..];
        }
        self.line.extend_from_slice(rest);
        frames
    }

    /// Whether the stream stands in the middle of a block.
    pub fn is_mid_block(&self) -> bool {
        self.block.any || !self.line.is_empty()
    }

    fn end_line(&mut self, line: &[u8], frames: &mut Vec<Frame>) {
        let text = String::from_utf8_lossy(line);
        let mut text = text.as_ref();
        if !std::mem::replace(&mut self.started, true) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        if text.is_empty() {
            let block = std::mem::take(&mut self.block);
            if block.any {
                frames.push(Frame::Event { id: block.id, event: block.event, data: block.data, retry: block.retry });
            }
            return;
        }
        if let Some(comment) = text.strip_prefix(':') {
            frames.push(Frame::Comment(comment.to_owned()));
            return;
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.block.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "event" => self.block.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.block.retry = value.parse().ok();
            }
            _ => return,
        }
        self.block.any = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;
    use proptest::prelude::*;

    fn event(id: Option<&str>, data: Option<&str>, retry: Option<u64>) -> Frame {
        Frame::Event { id: id.map(str::to_owned), event: None, data: data.map(str::to_owned), retry }
    }

    #[test]
    fn every_line_ending_and_field_is_understood() {
        let mut decoder = Decoder::new();
        let frames = decoder
            .feed("\u{feff}id: 1\r\ndata:a\rdata: b\n\n:keep\nid: 2\ndata:\n\nretry: 500\n\ndata: cut".as_bytes());
        assert_eq!(
            frames,
            [
                event(Some("1"), Some("a\nb"), None),
                Frame::Comment("keep".to_owned()),
                event(Some("2"), Some(""), None),
                event(None, None, Some(500)),
            ]
        );
        assert!(decoder.is_mid_block());
    }

    fn stream_text() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            "data: ?[a-z{}:]{0,6}".prop_map(|line| line),
            "id: ?[a-z0-9]{0,4}".prop_map(|line| line),
            "retry: [0-9]{1,3}".prop_map(|line| line),
            ": [a-z]{0,4}".prop_map(|line| line),
            Just(String::new()),
        ];
        let ending = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        prop::collection::vec((line, ending), 0..24)
            .prop_map(|lines| lines.into_iter().map(|(line, ending)| line + ending).collect())
    }

    proptest! {
        #[test]
        fn prop_pieces_do_not_matter(text in stream_text(), cut in 0usize..64) {
            let whole = Decoder::new().feed(text.as_bytes());
            let cut = cut.min(text.len());
            let mut decoder = Decoder::new();
            let mut frames = decoder.feed(&text.as_bytes()[..cut]);
            frames.extend(decoder.feed(&text.as_bytes()[cut..]));
            prop_assert_eq!(frames, whole);
        }

        #[test]
        fn prop_agrees_with_an_independent_decoder(text in stream_text()) {
            let ours: Vec<Option<String>> = Decoder::new()
                .feed(text.as_bytes())
                .into_iter()
                .filter_map(|frame| match frame {
                    Frame::Event { data: data @ Some(_), .. } => Some(data),
                    _ => None,
                })
                .collect();
            let bytes = bytes::Bytes::from(text.clone().into_bytes());
            let theirs: Vec<Option<String>> = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("runtime")
                .block_on(
                    sse_stream::SseStream::from_bytes_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]))
                        .filter_map(|item| async { item.ok() })
                        .filter_map(|item| async { item.data.map(Some) })
                        .collect(),
                );
            prop_assert_eq!(ours, theirs);
        }
    }
}
