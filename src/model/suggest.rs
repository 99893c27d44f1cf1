//! The closest of several known names, for "did you mean".

use strsim::levenshtein;

/// The known name closest to what was written, if any is close enough to be meant.
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = written.chars().count().div_ceil(3).max(1);
    let scored = known.into_iter().map(|name| (levenshtein(written, name), name));
    scored.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// So many of the known names, the closest first, however far they are.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let mut all: Vec<(usize, &str)> = known.into_iter().map(|name| (levenshtein(written, name), name)).collect();
    all.sort_by_key(|(distance, _)| *distance);
    all.into_iter().take(count).map(|(_, name)| name).collect()
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
        assert_eq!(nearest("reconect", words, 2), ["reconnect", "connect"]);
    }
}
