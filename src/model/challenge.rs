//! The `WWW-Authenticate` header, read tolerantly: what is wrong with it is kept, so that it can be told.
//!
//! Grammar of RFC 9110 section 11.6.1; a header may hold several challenges, and a challenge several parameters.

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// The scheme as spelt, such as `Bearer`.
    pub scheme: String,
    /// Parameters in order; names in lower case.
    pub params: Vec<(String, String)>,
    /// The 68-character form that some schemes use in place of parameters.
    pub token68: Option<String>,
    /// What breaks the grammar, in plain words.
    pub faults: Vec<String>,
}

impl Challenge {
    /// The first parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the scheme is this one, without regard to case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// Every challenge of a header value.
pub fn challenges(text: &str) -> Vec<Challenge> {
    let mut reader = Reader { rest: text };
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        reader.skip(" \t,");
        if reader.rest.is_empty() {
            break;
        }
        let word = reader.token();
        if word.is_empty() {
            let odd = reader.next().unwrap_or_default();
            let fault = format!("`{odd}` stands where a scheme or a parameter should");
            last(&mut found).faults.push(fault);
            continue;
        }
        let blanks = reader.skip(" \t");
        if reader.rest.starts_with('=') && !reader.rest.trim_start_matches('=').trim_start().is_empty() {
            parameter(&mut reader, &word, last(&mut found));
            continue;
        }
        if reader.rest.starts_with('=') {
            last(&mut found).faults.push(format!("the parameter {word} has no value"));
            reader.skip("= \t");
            continue;
        }
        let mut challenge = Challenge { scheme: word, ..Challenge::default() };
        if blanks {
            challenge.token68 = reader.token68();
        }
        found.push(challenge);
    }
    for challenge in &mut found {
        twice(challenge);
    }
    found
}

/// The challenge that what comes next belongs to; parameters before any scheme get one without a name.
fn last(found: &mut Vec<Challenge>) -> &mut Challenge {
    if found.is_empty() {
        let fault = "it begins with no scheme".to_owned();
        found.push(Challenge { faults: vec![fault], ..Challenge::default() });
    }
    let at = found.len() - 1;
    &mut found[at]
}

fn parameter(reader: &mut Reader<'_>, name: &str, challenge: &mut Challenge) {
    reader.next();
    reader.skip(" \t");
    let value = if reader.rest.starts_with('"') {
        reader.quoted().unwrap_or_else(|| {
            challenge.faults.push(format!("the quotation of {name} is never closed"));
            std::mem::take(&mut reader.rest).trim_start_matches('"').to_owned()
        })
    } else {
        let value = reader.until_comma();
        if value.is_empty() || !value.chars().all(is_token) {
            challenge.faults.push(format!("the value of {name} has to be quoted"));
        }
        value
    };
    challenge.params.push((name.to_ascii_lowercase(), value));
}

fn twice(challenge: &mut Challenge) {
    for (at, (name, _)) in challenge.params.iter().enumerate() {
        if challenge.params[..at].iter().any(|(known, _)| known == name) {
            challenge.faults.push(format!("the parameter {name} is given twice"));
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    /// Skips any of these; says whether there were some.
    fn skip(&mut self, letters: &str) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start_matches(|letter| letters.contains(letter));
        before != self.rest.len()
    }

    fn take_while(&mut self, holds: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|letter| !holds(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    fn token(&mut self) -> String {
        self.take_while(is_token)
    }

    fn until_comma(&mut self) -> String {
        self.take_while(|letter| letter != ',').trim_end().to_owned()
    }

    /// A token68 that fills the rest up to a comma; nothing is taken where parameters follow.
    fn token68(&mut self) -> Option<String> {
        let end = self.rest.find(',').unwrap_or(self.rest.len());
        let piece = self.rest[..end].trim();
        let body = piece.trim_end_matches('=');
        let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._~+/".contains(letter);
        if body.is_empty() || !body.chars().all(legal) {
            return None;
        }
        let found = piece.to_owned();
        self.rest = &self.rest[end..];
        Some(found)
    }

    /// A quoted string with its escapes undone; `None` where it is never closed.
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                letter => value.push(letter),
            }
        }
        None
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_is_read() {
        let found = challenges(r#"Bearer resource_metadata="https://h/x?a=1,2", Scope="a b", error=invalid_token"#);
        assert_eq!(found.len(), 1);
        assert!(found[0].is("bearer") && found[0].faults.is_empty(), "{found:?}");
        assert_eq!(found[0].param("resource_metadata"), Some("https://h/x?a=1,2"));
        assert_eq!(found[0].param("scope"), Some("a b"));
        assert_eq!(found[0].param("error"), Some("invalid_token"));
    }

    #[test]
    fn several_challenges_in_one_header() {
        let found = challenges(r#"Basic realm="a \"b\"", Negotiate abc==, Bearer"#);
        assert_eq!(found.iter().map(|one| one.scheme.as_str()).collect::<Vec<_>>(), ["Basic", "Negotiate", "Bearer"]);
        assert_eq!(found[0].param("realm"), Some("a \"b\""));
        assert_eq!(found[1].token68.as_deref(), Some("abc=="));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            (r#"Bearer scope="a", scope="b""#, "twice"),
            (r#"Bearer scope=a b, error="x""#, "quoted"),
            (r#"Bearer scope="a"#, "never closed"),
            (r#"resource_metadata="x""#, "no scheme"),
            (r#"Bearer a="b", error="#, "no value"),
            (r#"Bearer "x""#, "stands where"),
        ] {
            let faults: Vec<String> = challenges(text).into_iter().flat_map(|one| one.faults).collect();
            assert!(faults.iter().any(|fault| fault.contains(part)), "{text}: {faults:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn prop_nothing_panics(text in ".{0,200}") {
            challenges(&text);
        }

        #[test]
        fn prop_what_is_written_is_read(scope in "[ -~]{0,30}", error in "[a-z_]{1,20}") {
            let quoted = scope.replace('\\', "\\\\").replace('"', "\\\"");
            let found = challenges(&format!("Bearer scope=\"{quoted}\", error={error}"));
            proptest::prop_assert_eq!(found.len(), 1);
            proptest::prop_assert_eq!(found[0].param("scope"), Some(scope.as_str()));
            proptest::prop_assert_eq!(found[0].param("error"), Some(error.as_str()));
            proptest::prop_assert!(found[0].faults.is_empty());
        }
    }
}
