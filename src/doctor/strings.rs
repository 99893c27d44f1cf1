//! Strings that ought to be equal, side by side, with the byte where they part.

use super::diagnosis::Named;

/// Sets strings side by side; each is compared with the first.
pub(super) fn side_by_side(said: Vec<(&'static str, Option<String>)>) -> Vec<Named> {
    let said: Vec<(&'static str, String)> = said.into_iter().filter_map(|(what, value)| Some((what, value?))).collect();
    let first = said.first().map(|(_, value)| value.clone()).unwrap_or_default();
    said.into_iter()
        .map(|(what, value)| {
            let parts = parting(&first, &value);
            Named {
                what,
                differs_at: parts.as_ref().map(|(at, _)| *at),
                difference: parts.map(|(_, words)| words),
                value,
            }
        })
        .collect()
}

/// The first byte where the second string is not the first, and what is there; `None` for equal strings.
pub(super) fn parting(first: &str, second: &str) -> Option<(usize, String)> {
    if first == second {
        return None;
    }
    let common: usize = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let quoted = |text: &str| format!("`{}`", text.chars().take(40).collect::<String>());
    let (left, right) = (&first[common..], &second[common..]);
    let words = match (left.is_empty(), right.is_empty()) {
        (true, _) => format!("{} is too much", quoted(right)),
        (_, true) => format!("{} is missing", quoted(left)),
        _ => {
            let one = |text: &str| quoted(&text.chars().take(1).collect::<String>());
            format!("{} instead of {}", one(right), one(left))
        }
    };
    Some((common, words))
}

/// Whether a slash at the end is all that parts two strings.
pub(super) fn only_a_slash(first: &str, second: &str) -> bool {
    first != second && first.trim_end_matches('/') == second.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_and_the_words_say_where_strings_part() {
        assert_eq!(parting("http://h/a", "http://h/a"), None);
        assert_eq!(parting("http://h/a", "http://h/a/"), Some((10, "`/` is too much".to_owned())));
        assert_eq!(parting("http://h/a", "http://h"), Some((8, "`/a` is missing".to_owned())));
        assert_eq!(parting("http://h/ä", "http://h/b"), Some((9, "`b` instead of `ä`".to_owned())));
        assert_eq!(parting("http://h", "https://h"), Some((4, "`s` instead of `:`".to_owned())));
        assert!(only_a_slash("http://h", "http://h/") && !only_a_slash("a", "a") && !only_a_slash("a", "b"));
    }

    #[test]
    fn what_nobody_said_is_left_out() {
        let table = side_by_side(vec![("a", Some("x".to_owned())), ("b", None), ("c", Some("xy".to_owned()))]);
        assert_eq!(table.len(), 2);
        assert_eq!((table[0].differs_at, table[1].differs_at), (None, Some(1)));
    }
}
