//! Syntax of the strings that messages carry: base64, URIs, URI templates, media types, dates.
//!
//! Lenient where practice is: white space in base64, missing padding, letters beyond ASCII in template literals.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Whether the text is base64 in the standard alphabet, with or without padding.
pub(crate) fn is_base64(text: &str) -> bool {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let compact: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, config).decode(compact).is_ok()
}

/// Whether the text is a URI scheme: a letter, then letters, digits, plus, hyphen, dot.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// Whether every `%` is followed by two hexadecimal digits.
fn escapes_hold(text: &str) -> bool {
    text.split('%').skip(1).all(|part| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the text is an absolute URI by the characters of RFC 3986.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    is_scheme(scheme)
        && escapes_hold(rest)
        && rest.matches('#').count() <= 1
        && rest.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(letter))
}

/// Whether the text is a URI template by RFC 6570.
pub(crate) fn is_uri_template(text: &str) -> bool {
    let mut rest = text;
    loop {
        let Some(open) = rest.find(['{', '}']) else { return is_literal(rest) };
        let (literal, tail) = rest.split_at(open);
        let Some((expression, after)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}')) else {
            return false;
        };
        if !is_literal(literal) || !is_expression(expression) {
            return false;
        }
        rest = after;
    }
}

fn is_literal(text: &str) -> bool {
    escapes_hold(text) && !text.chars().any(|letter| letter.is_control() || " \"<>\\^`{|}".contains(letter))
}

fn is_expression(text: &str) -> bool {
    let variables = text.strip_prefix(['+', '#', '.', '/', ';', '?', '&']).unwrap_or(text);
    variables.split(',').all(|variable| {
        let name = match variable.split_once(':') {
            Some((name, length)) if length.parse::<u16>().is_ok_and(|length| (1..10_000).contains(&length)) => name,
            Some(_) => return false,
            None => variable.strip_suffix('*').unwrap_or(variable),
        };
        let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.%".contains(letter));
        !name.is_empty() && plain && escapes_hold(name)
    })
}

/// Whether the text is a media type: two tokens around a slash, parameters allowed.
pub(crate) fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "!#$&-^_.+".contains(letter))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// Whether the text begins with a date of ISO 8601.
pub(crate) fn is_iso_date(text: &str) -> bool {
    let date = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    digits >= 4 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'W')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_alphabet() {
        assert!(is_base64("aGVsbG8=") && is_base64("aGVsbG8") && is_base64("") && is_base64("aGVs\nbG8="));
        assert!(!is_base64("not base64!") && !is_base64("a-_b"));
    }

    #[test]
    fn uris_and_templates() {
        for good in ["file:///a", "urn:x:y", "test://static/a%20b?q=1#f", "a+b-c.d:x"] {
            assert!(is_uri(good), "{good}");
        }
        for bad in ["no scheme", "1a:x", "file:///a b", "x:%zz", "x:a{b}", "/path"] {
            assert!(!is_uri(bad), "{bad}");
        }
        for good in ["test://{id}/data", "x:/{+path}{?q,r*}", "x:/{a:3}", "plain"] {
            assert!(is_uri_template(good), "{good}");
        }
        for bad in ["x:/{", "x:/}", "x:/{}", "x:/{a b}", "x:/{a:0}", "x y"] {
            assert!(!is_uri_template(bad), "{bad}");
        }
    }

    #[test]
    fn media_types_and_dates() {
        assert!(is_media_type("image/png") && is_media_type("text/plain; charset=utf-8") && !is_media_type("png"));
        assert!(is_iso_date("2025-01-12T15:00:58Z") && !is_iso_date("yesterday"));
    }
}
