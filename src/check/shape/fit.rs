//! Compares a value with a shape, and says in plain words where the first thing is that does not fit.

use serde_json::Value;

use super::grammar::{Bounds, Shape};
use super::table::{Entry, Member, Table};
use crate::model::Members as _;

/// How deep shapes may lead into each other; messages that go deeper are not looked at any further.
const DEEPEST: usize = 64;

/// Where something does not fit, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The way to it, such as `result.tools[3].name`.
    pub path: String,
    /// What is there instead, to be read behind the path: `is missing`, `is 5, and has to be a string`.
    pub what: String,
}

impl Misfit {
    fn here(what: String) -> Self {
        Self { path: String::new(), what }
    }

    /// The same, seen from one level further out.
    pub(super) fn under(mut self, step: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

impl Table {
    /// What does not fit about the member of an object.
    pub(super) fn member(&self, member: &Member, value: Option<&Value>) -> Option<Misfit> {
        let found = match value {
            Some(value) => self.misfit(&member.shape, value, 0)?,
            None if member.required => Misfit::here(format!("is missing; it has to be {}", self.words(&member.shape))),
            None => return None,
        };
        Some(found.under(&member.name))
    }

    /// What does not fit about a value; `None` where it fits.
    pub(super) fn misfit(&self, shape: &Shape, value: &Value, depth: usize) -> Option<Misfit> {
        if depth > DEEPEST {
            return None;
        }
        let fits = match shape {
            Shape::Any => true,
            Shape::Object => value.is_object(),
            Shape::String => value.is_string(),
            Shape::Boolean => value.is_boolean(),
            Shape::Null => value.is_null(),
            Shape::Integer(bounds) => whole(value) && bounds.hold(value),
            Shape::Number(bounds) => value.is_number() && bounds.hold(value),
            Shape::Literal(literal) => value == literal,
            Shape::List(inner, most) => return self.list(inner, *most, value, depth),
            Shape::Map(inner) => {
                let Some(members) = value.as_object() else { return Some(self.otherwise(shape, value)) };
                let found = |(name, value): (&String, &Value)| Some(self.misfit(inner, value, depth + 1)?.under(name));
                return members.iter().find_map(found);
            }
            Shape::Named(name) => match self.entries.get(name) {
                Some(Entry::Is(shape)) => return self.misfit(shape, value, depth + 1),
                Some(Entry::Members(members)) => {
                    let Some(object) = value.as_object() else { return Some(self.otherwise(shape, value)) };
                    return members.iter().find_map(|member| {
                        let value = object.member(&member.name);
                        match value {
                            Some(value) => Some(self.misfit(&member.shape, value, depth + 1)?.under(&member.name)),
                            None => self.member(member, None),
                        }
                    });
                }
                None => true,
            },
            Shape::OneOf(all) => return self.one_of(all, shape, value, depth),
        };
        (!fits).then(|| self.otherwise(shape, value))
    }

    fn list(&self, inner: &Shape, most: Option<usize>, value: &Value, depth: usize) -> Option<Misfit> {
        let Some(items) = value.as_array() else {
            return Some(Misfit::here(format!("is {}, and has to be a list", shown(value))));
        };
        if let Some(most) = most.filter(|most| items.len() > *most) {
            return Some(Misfit::here(format!("has {} entries, and may have {most}", items.len())));
        }
        let found = |(at, item)| Some(self.misfit(inner, item, depth + 1)?.under(&format!("[{at}]")));
        items.iter().enumerate().find_map(found)
    }

    /// Compares with the alternatives; where none fits, tells of the one that was most likely meant.
    fn one_of(&self, all: &[Shape], shape: &Shape, value: &Value, depth: usize) -> Option<Misfit> {
        let mut likely: Option<(usize, Misfit)> = None;
        for one in all {
            let found = self.misfit(one, value, depth + 1)?;
            let likeness = self.likeness(one, value);
            if likeness > likely.as_ref().map_or(0, |(known, _)| *known) {
                likely = Some((likeness, found));
            }
        }
        Some(likely.map_or_else(|| self.otherwise(shape, value), |(_, found)| found))
    }

    /// How much a value looks as if it were meant to be of a shape: 0 is not at all.
    fn likeness(&self, shape: &Shape, value: &Value) -> usize {
        match (shape, value) {
            (Shape::Named(name), Value::Object(object)) => match self.entries.get(name) {
                Some(Entry::Is(shape)) => self.likeness(shape, value),
                Some(Entry::Members(members)) => {
                    let tags = || members.iter().filter(|member| matches!(member.shape, Shape::Literal(_)));
                    let agrees = |member: &Member| {
                        object.member(&member.name).is_some_and(|value| member.shape == Shape::Literal(value.clone()))
                    };
                    if tags().any(|tag| tag.required && !agrees(tag)) {
                        return 0;
                    }
                    // What names the kind counts for more than members that several kinds have.
                    let named = 100 * tags().filter(|tag| agrees(tag)).count();
                    1 + named + members.iter().filter(|member| member.required && object.has(&member.name)).count()
                }
                None => 0,
            },
            (Shape::OneOf(all), value) => all.iter().map(|one| self.likeness(one, value)).max().unwrap_or(0),
            (Shape::List(..), Value::Array(_)) | (Shape::Map(_) | Shape::Object, Value::Object(_)) => 1,
            _ => 0,
        }
    }

    fn otherwise(&self, shape: &Shape, value: &Value) -> Misfit {
        Misfit::here(format!("is {}, and has to be {}", shown(value), self.words(shape)))
    }

    /// A shape in words.
    fn words(&self, shape: &Shape) -> String {
        match shape {
            Shape::Any => "there".to_owned(),
            Shape::Object | Shape::Map(_) => "an object".to_owned(),
            Shape::String => "a string".to_owned(),
            Shape::Boolean => "true or false".to_owned(),
            Shape::Null => "null".to_owned(),
            Shape::Integer(bounds) => bounds.words("a whole number"),
            Shape::Number(bounds) => bounds.words("a number"),
            Shape::Literal(literal) => literal.to_string(),
            Shape::List(..) => "a list".to_owned(),
            Shape::Named(name) => match self.entries.get(name) {
                Some(Entry::Is(shape)) => self.words(shape),
                _ => format!("an object ({name})"),
            },
            Shape::OneOf(all) => {
                let words: Vec<String> = all.iter().map(|one| self.words(one)).collect();
                words.join(" or ")
            }
        }
    }
}

/// Whether a number is whole, however it is written: JSON knows no other kind of number.
fn whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

impl Bounds {
    fn hold(self, value: &Value) -> bool {
        let Some(number) = value.as_f64() else { return false };
        self.least.is_none_or(|least| number >= least) && self.most.is_none_or(|most| number <= most)
    }

    fn words(self, kind: &str) -> String {
        match (self.least, self.most) {
            (Some(least), Some(most)) => format!("{kind} from {least} to {most}"),
            (Some(least), None) => format!("{kind} of at least {least}"),
            (None, Some(most)) => format!("{kind} of at most {most}"),
            (None, None) => kind.to_owned(),
        }
    }
}

/// A value as it stands in a sentence: whole where it is short, else its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a string".to_owned(),
        other => other.to_string(),
    }
}
