//! Words of a command as a shell has to be given them.

/// The word, in quotes where a shell would read it otherwise (POSIX.1-2024 shell command language, section 2.2).
pub fn quoted(word: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/@%+=,".contains(letter);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_survives_a_shell() {
        assert_eq!(quoted("http://h/mcp"), "http://h/mcp");
        assert_eq!(quoted("http://h/mcp?a=1&b"), "'http://h/mcp?a=1&b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("http://[::1]/mcp"), "'http://[::1]/mcp'");
    }
}
