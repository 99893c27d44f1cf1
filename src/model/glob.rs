//! Names picked by a pattern.

/// Whether a name matches a pattern in which `*` stands for anything.
pub fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("") || last.is_some_and(|part| name.ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, holds) in [
            ("invoke.*", "invoke.cancel", true),
            ("invoke.cancel", "invoke.cancel", true),
            ("invoke.cancel", "invoke.cancelled", false),
            ("*cancel", "invoke.cancel", true),
            ("*", "x", true),
            ("connect.*", "invoke.cancel", false),
        ] {
            assert_eq!(glob(pattern, name), holds, "{pattern} {name}");
        }
    }
}
