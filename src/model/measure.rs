//! Lengths of time and amounts of bytes as people write them: `200ms`, `5s`; `512`, `512b`, `4kb`, `1mb`.

use std::time::Duration;

/// Reads a whole number with `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads a whole number of bytes, with `b`, `kb` (1024) or `mb` (1024 times 1024) or without.
pub fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" | "b" => 1,
        "kb" => 1024,
        "mb" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units_or_none() {
        for (text, count) in [("0", 0), ("512", 512), ("512b", 512), ("4kb", 4096), ("2mb", 2 * 1024 * 1024)] {
            assert_eq!(bytes(text), Some(count), "{text}");
        }
        for text in ["", "b", "-1", "1.5kb", "1 kb", "1gb", "99999999999999999999", "18446744073709551615kb"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
