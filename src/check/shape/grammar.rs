//! The little language in which `fixtures/shapes/*.yaml` says what a value has to be.
//!
//! `string! @2025-06-18..` is a string that has to be there from that revision on. Types: `any`, `object`, `string`,
//! `boolean`, `null`, `integer` and `number` with a range (`number 0..1`), a literal (`"text"`, `-32022`), a list (`[T]`,
//! at most so many: `[T] ..100`), an object whose members are all of one type (`{T}`), the name of another entry, and
//! alternatives (`A | B`). It must not know what the entries are.

use serde_json::Value;

use crate::model::Revision;

/// What a value has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// Some object.
    Object,
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// Null.
    Null,
    /// A whole number in these bounds.
    Integer(Bounds),
    /// A number in these bounds.
    Number(Bounds),
    /// Just this value.
    Literal(Value),
    /// A list of such things, at most so many.
    List(Box<Shape>, Option<usize>),
    /// An object whose members are all like this.
    Map(Box<Shape>),
    /// Another entry.
    Named(String),
    /// One of several.
    OneOf(Vec<Shape>),
}

/// The least and the greatest number, where there are any.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bounds {
    pub(super) least: Option<f64>,
    pub(super) most: Option<f64>,
}

/// One line: a shape, whether it has to be there, and in which revisions it holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) shape: Shape,
    pub(super) required: bool,
    pub(super) since: Revision,
    pub(super) until: Revision,
}

impl Line {
    /// Reads a line; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (rest, range) = text.rsplit_once(" @").map_or((text, ""), |(rest, range)| (rest, range));
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let known = |name: &str, otherwise: Revision| {
            if name.is_empty() { Ok(otherwise) } else { name.parse().map_err(|_| format!("`{name}` is no revision")) }
        };
        let since = known(first, Revision::V2024_11_05)?;
        let until = known(last, Revision::V2026_07_28)?;
        let rest = rest.trim();
        let (rest, required) = rest.strip_suffix('!').map_or((rest, false), |rest| (rest, true));
        Ok(Self { shape: shape(rest)?, required, since, until })
    }

    /// Whether it holds in a revision.
    pub(super) fn holds(&self, revision: Revision) -> bool {
        (self.since..=self.until).contains(&revision)
    }
}

fn shape(text: &str) -> Result<Shape, String> {
    let mut alternatives = alternatives(text)?.into_iter();
    match (alternatives.next(), alternatives.len()) {
        (Some(only), 0) => single(only),
        (Some(first), _) => {
            std::iter::once(first).chain(alternatives).map(single).collect::<Result<_, _>>().map(Shape::OneOf)
        }
        (None, _) => Err("there is nothing".to_owned()),
    }
}

/// The pieces between bars that stand in no bracket and in no string.
fn alternatives(text: &str) -> Result<Vec<&str>, String> {
    let (mut depth, mut quoted, mut start, mut pieces) = (0_usize, false, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.checked_sub(1).ok_or_else(|| format!("`{text}` closes too much"))?,
            '|' if !quoted && depth == 0 => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted || depth > 0 {
        return Err(format!("`{text}` is not closed"));
    }
    pieces.push(text[start..].trim());
    Ok(pieces)
}

fn single(text: &str) -> Result<Shape, String> {
    if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return Ok(Shape::Map(Box::new(shape(inner)?)));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, most) = rest.rsplit_once(']').ok_or_else(|| format!("`{text}` is not closed"))?;
        let most = match most.trim() {
            "" => None,
            most => {
                Some(most.strip_prefix("..").and_then(|most| most.parse().ok()).ok_or("a list ends like `] ..100`")?)
            }
        };
        return Ok(Shape::List(Box::new(shape(inner)?), most));
    }
    let (word, range) = text.split_once(' ').map_or((text, None), |(word, range)| (word, Some(range)));
    let bounds = match range.map(|range| range.split_once("..")) {
        None => Bounds::default(),
        Some(Some((least, most))) => Bounds { least: least.parse().ok(), most: most.parse().ok() },
        Some(None) => return Err(format!("`{text}` has something behind it that is no range")),
    };
    Ok(match word {
        "any" => Shape::Any,
        "object" => Shape::Object,
        "string" => Shape::String,
        "boolean" => Shape::Boolean,
        "null" => Shape::Null,
        "integer" => Shape::Integer(bounds),
        "number" => Shape::Number(bounds),
        name if name.starts_with(|first: char| first.is_ascii_uppercase()) => Shape::Named(name.to_owned()),
        literal => Shape::Literal(serde_json::from_str(literal).map_err(|_| format!("`{literal}` is no type"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_line_says_what_and_whether_and_when() {
        let line = Line::parse("[TextContent | \"a|b\"] ..100! @2025-06-18..2025-11-25").expect("read");
        let inner = Shape::OneOf(vec![Shape::Named("TextContent".into()), Shape::Literal(json!("a|b"))]);
        assert_eq!(line.shape, Shape::List(Box::new(inner), Some(100)));
        assert!(line.required && !line.holds(Revision::V2025_03_26) && line.holds(Revision::V2025_11_25));
        let line = Line::parse("{integer 0..} @2025-11-25").expect("read");
        let least = Shape::Integer(Bounds { least: Some(0.0), most: None });
        assert_eq!(line.shape, Shape::Map(Box::new(least)));
        assert!(!line.required && !line.holds(Revision::V2026_07_28));
        assert_eq!(Line::parse("-32022!").expect("read").shape, Shape::Literal(json!(-32022)));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["", "strin", "[string", "string]", "string @2025", "\"open", "[string] 5", "string x"] {
            assert!(Line::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(text in ".{0,40}") {
            let _ = Line::parse(&text);
        }
    }
}
