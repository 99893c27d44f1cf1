//! The closest of several known names, for "did you mean".

/// The known name closest to what was written, if any is close enough to be meant.
pub(super) fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = written.chars().count().div_ceil(3).max(1);
    let scored = known.into_iter().map(|name| (distance(written, name), name));
    scored.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein distance by characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_names_are_offered() {
        let words = ["connect", "invoke", "reconnect"];
        assert_eq!(closest("invok", words), Some("invoke"));
        assert_eq!(closest("conect", words), Some("connect"));
        assert_eq!(closest("shutdown", words), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
