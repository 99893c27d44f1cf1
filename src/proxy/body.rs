//! Where a body ends (RFC 9112 section 6): told from its bytes as they pass, without keeping or changing them.

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// It is over.
    Done,
    /// So many bytes are left.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked(Chunk),
    /// It ends with the connection; so does one whose chunks are no chunks.
    Close,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the size, which is this much so far.
    Size(u64),
    /// Behind the size, on its line.
    Extension(u64),
    /// In the data; so many bytes are left.
    Data(u64),
    /// In the line break behind the data.
    After,
    /// In a line of trailers of which so many bytes came, line breaks not counted.
    Trailer(usize),
}

impl Framing {
    /// The beginning of a chunked body.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size(0));

    pub(super) fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Length(0))
    }

    /// Takes bytes that come next; gives how many of them belong to the body.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        self.take_with(bytes, |_| ())
    }

    /// The same; shows what of it is data.
    pub(super) fn take_with(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            let rest = (bytes.len() - at) as u64;
            let is_data = matches!(self, Self::Close | Self::Length(_) | Self::Chunked(Chunk::Data(_)));
            let pass = match self {
                Self::Done => 0,
                Self::Close => rest,
                Self::Length(left) => {
                    let pass = rest.min(*left);
                    *left -= pass;
                    pass
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let pass = rest.min(*left);
                    *left -= pass;
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::After);
                    }
                    pass
                }
                Self::Chunked(chunk) => {
                    *self = chunk.next(bytes[at]);
                    1
                }
            };
            // No more than the rest, which is a length.
            let pass = usize::try_from(pass).unwrap_or(0);
            if is_data {
                data(&bytes[at..at + pass]);
            }
            at += pass;
        }
        at
    }
}

impl Chunk {
    /// What follows a byte outside of data.
    fn next(self, byte: u8) -> Framing {
        let begun = |size: u64| if size == 0 { Self::Trailer(0) } else { Self::Data(size) };
        Framing::Chunked(match (self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') => begun(size),
            (Self::Size(size), b';' | b' ' | b'\t' | b'\r') | (Self::Extension(size), _) => Self::Extension(size),
            (Self::Size(size), byte) => {
                let digit = char::from(byte).to_digit(16).map(u64::from);
                let longer = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                let Some(longer) = longer else { return Framing::Close };
                Self::Size(longer)
            }
            (Self::After, b'\r') => Self::After,
            (Self::After, b'\n') => Self::Size(0),
            (Self::After | Self::Data(_), _) => return Framing::Close,
            (Self::Trailer(0), b'\n') => return Framing::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(length),
            (Self::Trailer(length), _) => Self::Trailer(length.saturating_add(1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_follows_a_body_is_not_taken() {
        let mut body = Framing::CHUNKED;
        let text = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nPOST";
        assert_eq!(body.take(text), text.len() - 4);
        assert!(body.is_done());
        let mut body = Framing::Length(3);
        assert_eq!((body.take(b"ab"), body.take(b"cd"), body.take(b"e")), (2, 1, 0));
        let mut body = Framing::CHUNKED;
        assert_eq!((body.take(b"no chunk"), body), (8, Framing::Close));
    }

    proptest! {
        #[test]
        fn the_end_is_the_same_however_the_bytes_come(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(1..30_usize, 1..20),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend(format!("{:x}\r\n", chunk.len()).bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\n");
            let length = text.len();
            text.extend(b"next");
            let (mut body, mut at, mut taken) = (Framing::CHUNKED, 0, 0);
            let mut data = Vec::new();
            for cut in cuts.iter().cycle() {
                let end = (at + cut).min(text.len());
                taken += body.take_with(&text[at..end], |piece| data.extend_from_slice(piece));
                at = end;
                if at == text.len() {
                    break;
                }
            }
            prop_assert!(body.is_done());
            prop_assert_eq!(taken, length);
            prop_assert_eq!(data, chunks.concat());
        }
    }
}
