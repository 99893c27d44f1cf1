//! Content codings of answers (RFC 9110 section 8.4): what the client asked for is decoded as it arrives.
//!
//! Must not know what the bytes mean.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::write::{GzDecoder, ZlibDecoder};

use crate::transcript::{Headers, header};

/// Turns the bytes of a body into what they stand for.
#[derive(Debug)]
pub enum Coding {
    /// As they are.
    Plain,
    /// `gzip`.
    Gzip(GzDecoder<Vec<u8>>),
    /// `deflate`, which is the zlib format.
    Deflate(ZlibDecoder<Vec<u8>>),
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// The client said nothing of this coding, so it cannot read it either.
    #[error("the answer is compressed ({0}), which this client did not ask for and cannot read")]
    Unasked(String),
    /// The client reads it; this program does not.
    #[error("the answer is compressed as {0}, which this program does not read")]
    Unknown(String),
    /// The bytes are not what the header says.
    #[error("the answer says that it is compressed ({0}), but its bytes are not")]
    Broken(&'static str),
}

impl Coding {
    /// The coding of an answer to a request with these headers.
    pub fn of(answer: &Headers, request: &Headers) -> Result<Self, CodingError> {
        let name = header(answer, "content-encoding").unwrap_or("identity").trim().to_ascii_lowercase();
        if name.is_empty() || name == "identity" {
            return Ok(Self::Plain);
        }
        let accepted = header(request, "accept-encoding").unwrap_or_default().to_ascii_lowercase();
        let asked = accepted.split(',').any(|item| {
            let item = item.split(';').next().unwrap_or_default().trim();
            item == "*" || item == name.trim_start_matches("x-")
        });
        match name.as_str() {
            _ if !asked => Err(CodingError::Unasked(name)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(GzDecoder::new(Vec::new()))),
            "deflate" => Ok(Self::Deflate(ZlibDecoder::new(Vec::new()))),
            _ => Err(CodingError::Unknown(name)),
        }
    }

    /// What the next bytes stand for, as far as they tell.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, CodingError> {
        match self {
            Self::Plain => Ok(Cow::Borrowed(bytes)),
            Self::Gzip(decoder) => match decoder.write_all(bytes).and_then(|()| decoder.flush()) {
                Ok(()) => Ok(Cow::Owned(std::mem::take(decoder.get_mut()))),
                Err(_) => Err(CodingError::Broken("gzip")),
            },
            Self::Deflate(decoder) => match decoder.write_all(bytes).and_then(|()| decoder.flush()) {
                Ok(()) => Ok(Cow::Owned(std::mem::take(decoder.get_mut()))),
                Err(_) => Err(CodingError::Broken("deflate")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    fn headers(name: &str, value: &str) -> Headers {
        vec![(name.into(), value.into())]
    }

    #[test]
    fn what_was_asked_for_is_decoded_wherever_it_is_cut() {
        let text = "event streams and bodies alike ".repeat(40);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).expect("in memory");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text.as_bytes()).expect("in memory");
        let asked = headers("Accept-Encoding", "gzip;q=1.0, deflate");
        for (name, bytes) in [("gzip", gzip.finish()), ("deflate", zlib.finish())] {
            let mut coding = Coding::of(&headers("Content-Encoding", name), &asked).expect("asked for");
            let mut decoded = Vec::new();
            for piece in bytes.expect("in memory").chunks(7) {
                decoded.extend_from_slice(&coding.decode(piece).expect("valid"));
            }
            assert_eq!(String::from_utf8_lossy(&decoded), text, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let gzip = headers("content-encoding", "gzip");
        let refused = Coding::of(&gzip, &headers("accept-encoding", "identity")).expect_err("not asked for");
        assert_eq!(refused, CodingError::Unasked("gzip".to_owned()));
        let unknown = Coding::of(&headers("content-encoding", "br"), &headers("accept-encoding", "br"));
        assert!(unknown.expect_err("not known").to_string().contains("compressed as br"));
        let mut coding = Coding::of(&gzip, &headers("accept-encoding", "*")).expect("asked for");
        assert_eq!(coding.decode(b"{\"plain\": true}"), Err(CodingError::Broken("gzip")));
    }
}
