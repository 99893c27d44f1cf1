//! Lines of a byte stream, each within a bound. It must not know what they say.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Vec<u8>),
    /// Longer than allowed; what there was of it is dropped.
    TooLong,
}

/// Reads lines. A line that is begun is kept where the reading is broken off.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    most: usize,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of at most `most` bytes.
    pub(crate) fn new(from: R, most: usize) -> Self {
        Self { from, most, line: Vec::new(), too_long: false }
    }

    /// The next line; `None` at the end. What stands there without a line end counts as a line. Dropping the future
    /// loses nothing.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let bytes = self.from.fill_buf().await?;
            if bytes.is_empty() {
                return Ok((self.too_long || !self.line.is_empty()).then(|| self.whole()));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + piece.len() > self.most {
                self.too_long = true;
                self.line = Vec::new();
            }
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.from.consume(taken);
            if end.is_some() {
                return Ok(Some(self.whole()));
            }
        }
    }

    fn whole(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Line::TooLong;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Line::Text(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::BufReader;

    async fn read(bytes: &[u8], most: usize, capacity: usize) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, bytes), most);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.expect("memory") {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn line_ends_and_bounds() {
        let text = |text: &str| Line::Text(text.as_bytes().to_vec());
        assert_eq!(
            read(b"a\r\n\nbcd\nabcde\nend", 4, 3).await,
            [text("a"), text(""), text("bcd"), Line::TooLong, text("end")]
        );
        assert_eq!(read(b"", 4, 3).await, []);
    }

    proptest! {
        /// However the bytes come, the lines are the same as those of the whole.
        #[test]
        fn lines_do_not_depend_on_pieces(
            lines in proptest::collection::vec("[a-c]{0,9}", 0..9), capacity in 1_usize..20, most in 1_usize..9,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let bytes: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let expected: Vec<Line> = lines
                .iter()
                .map(|line| if line.len() > most { Line::TooLong } else { Line::Text(line.as_bytes().to_vec()) })
                .collect();
            prop_assert_eq!(runtime.block_on(read(bytes.as_bytes(), most, capacity)), expected);
        }
    }
}
