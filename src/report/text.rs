//! Text that came off the wire, made fit to print: no control characters, bounded, wrapped.

/// Columns of a line.
pub(crate) const WIDTH: usize = 110;
/// Characters of a quoted body.
pub(crate) const QUOTE: usize = 300;

/// Characters, which stand in for columns.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// One line without anything a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\r' | '\t' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// One line of at most this many characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let text = plain(text);
    if width(&text) <= most {
        return text;
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Lines of at most `columns`; a word that is longer than a line is cut.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for (at, word) in text.split(' ').enumerate() {
        let mut rest: Vec<char> = word.chars().collect();
        if at > 0 {
            if used + 1 + rest.len().min(columns) <= columns {
                line.push(' ');
                used += 1;
            } else {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
        }
        while used + rest.len() > columns {
            let tail = rest.split_off(columns - used);
            line.extend(rest);
            lines.push(std::mem::take(&mut line));
            used = 0;
            rest = tail;
        }
        used += rest.len();
        line.extend(rest);
    }
    if !line.trim().is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_loses_nothing_and_stays_inside() {
        let text = format!("short words and {} then more", "x".repeat(50));
        let lines = wrap(&text, 20);
        assert!(lines.iter().all(|line| width(line) <= 20), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb c\u{fffd}");
        assert_eq!(clip("abcdef", 4), "abc…");
    }
}
