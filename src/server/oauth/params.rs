//! Form and query parameters, read strictly: UTF-8, bounded, none twice unless its RFC allows it.

use percent_encoding::percent_decode;

use super::error::OAuthError;

/// The most parameters of one request.
const MOST: usize = 64;
/// The longest value, in bytes.
const LONGEST: usize = 4096;

/// Parameters in the order they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded` text. Parameters without a value count as absent (RFC 6749 section
    /// 3.1); `resource` alone may be repeated (RFC 8707 section 2).
    pub(crate) fn read(text: &[u8]) -> Result<Self, OAuthError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for piece in text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == MOST {
                return Err(OAuthError::invalid_request(format!("more than {MOST} parameters")));
            }
            let at = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
            let name = decode(&piece[..at])?;
            let value = decode(piece.get(at + 1..).unwrap_or_default())?;
            if value.is_empty() {
                continue;
            }
            if name != "resource" && pairs.iter().any(|(known, _)| *known == name) {
                return Err(OAuthError::invalid_request(format!("the parameter {} is given twice", shown(&name))));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that has to be there.
    pub(crate) fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("the parameter {name} is missing")))
    }

    /// Every value of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn decode(piece: &[u8]) -> Result<String, OAuthError> {
    if piece.len() > LONGEST {
        return Err(OAuthError::invalid_request(format!("a parameter is longer than {LONGEST} bytes")));
    }
    let spaced: Vec<u8> = piece.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    match percent_decode(&spaced).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(OAuthError::invalid_request("a parameter is no UTF-8 text")),
    }
}

/// A name as far as it can be repeated in an error without harm.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &[u8]) -> &'static str {
        Params::read(text).expect_err("refused").code
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        let params = Params::read(b"a=1&b=x%20y+z&empty=&resource=r1&resource=r2&flag").expect("fine");
        assert_eq!((params.get("a"), params.get("b"), params.get("empty")), (Some("1"), Some("x y z"), None));
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["r1", "r2"]);
        assert_eq!(params.get("flag"), None);
        assert_eq!(code(b"a=1&a=2"), "invalid_request");
        assert_eq!(code(b"a=%ff"), "invalid_request");
        assert_eq!(code(b"a=%00"), "invalid_request");
        assert_eq!(code(format!("a={}", "x".repeat(5000)).as_bytes()), "invalid_request");
        assert_eq!(code("a=1&".repeat(65).as_bytes()), "invalid_request");
    }

    proptest::proptest! {
        #[test]
        fn prop_no_bytes_panic(bytes: Vec<u8>) {
            let _ = Params::read(&bytes);
        }

        #[test]
        fn prop_agrees_with_the_url_crate(pairs in proptest::collection::vec(("[a-z]{1,8}", "[ -~é]{1,20}"), 0..6)) {
            let mut seen = std::collections::BTreeSet::new();
            let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect();
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let read = Params::read(text.as_bytes()).expect("fine");
            for (name, value) in &pairs {
                proptest::prop_assert_eq!(read.get(name), Some(value.as_str()));
            }
        }
    }
}
