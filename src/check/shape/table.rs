//! The shapes of one revision, ready to be compared with values.
//!
//! Made once for each revision from the embedded description, whose form the tests hold.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::grammar::{Line, Shape};
use crate::model::{Members as _, Revision};

/// The YAML files in one, generated (a test holds them together).
const DESCRIPTION: &str = include_str!("../../../fixtures/shapes/catalogue.json");

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// An entry of the description as one revision has it.
#[derive(Debug)]
pub(super) enum Entry {
    /// An object with these members, and any others.
    Members(Vec<Member>),
    /// Another name for a shape.
    Is(Shape),
}

/// What the params and the result of a method are in one revision.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) from_client: bool,
    pub(super) from_server: bool,
    pub(super) params: Member,
    pub(super) result: Option<Shape>,
}

/// Every shape of one revision.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: HashMap<String, Entry>,
    pub(super) methods: HashMap<String, Method>,
}

/// The tables in order of the revisions, each made when it is asked for.
static TABLES: [OnceLock<Table>; Revision::ALL.len()] = [const { OnceLock::new() }; Revision::ALL.len()];

/// The shapes of a revision; an embedded description that does not parse gives none.
pub(super) fn of(revision: Revision) -> Option<&'static Table> {
    let place = Revision::ALL.iter().position(|known| *known == revision)?;
    Some(TABLES[place].get_or_init(|| {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap_or_default();
        table(&description, revision).unwrap_or_default()
    }))
}

fn table(description: &Value, revision: Revision) -> Result<Table, String> {
    let mut table = Table::default();
    for (name, entry) in description.at("types").as_object().into_iter().flatten() {
        let told = |error: String| format!("{name}: {error}");
        let entry = match entry {
            Value::Object(members) => object(members, revision).map_err(told)?,
            lines => line(lines, revision).map_err(told)?.map(|line| Entry::Is(line.shape)),
        };
        table.entries.extend(entry.map(|entry| (name.clone(), entry)));
    }
    for (name, method) in description.at("messages").as_object().into_iter().flatten() {
        let told = |error: String| format!("{name}: {error}");
        let Some(params) = line(method.at("params"), revision).map_err(told)? else { continue };
        let result = match method.member("result") {
            Some(lines) => line(lines, revision).map_err(told)?.map(|line| line.shape),
            None => None,
        };
        let from = method.at("from").as_str().unwrap_or_default();
        let method = Method {
            from_client: from != "server",
            from_server: from != "client",
            params: Member { name: "params".to_owned(), shape: params.shape, required: params.required },
            result,
        };
        table.methods.insert(name.clone(), method);
    }
    Ok(table)
}

fn object(members: &Map<String, Value>, revision: Revision) -> Result<Option<Entry>, String> {
    if let Some(is) = members.member("is").map(|lines| line(lines, revision)).transpose()?.flatten() {
        return Ok(Some(Entry::Is(is.shape)));
    }
    let mut list = Vec::new();
    for (name, lines) in members.iter().filter(|(name, _)| *name != "is") {
        if let Some(line) = line(lines, revision).map_err(|error| format!("{name}: {error}"))? {
            list.push(Member { name: name.clone(), shape: line.shape, required: line.required });
        }
    }
    Ok(Some(Entry::Members(list)))
}

/// The line that holds in a revision, of one or several.
fn line(lines: &Value, revision: Revision) -> Result<Option<Line>, String> {
    let all = lines.as_array().map_or(std::slice::from_ref(lines), Vec::as_slice);
    for text in all {
        let text = text.as_str().ok_or_else(|| format!("{text} is no text"))?;
        let line = Line::parse(text)?;
        if line.holds(revision) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_embedded_description_is_that_of_the_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/shapes");
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
            .collect();
        files.sort();
        let (mut types, mut messages) = (Map::new(), Value::Null);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("readable");
            let value: Value =
                serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            if file.ends_with("messages.yaml") {
                messages = value;
            } else {
                for (name, entry) in value.as_object().expect("entries") {
                    assert!(types.insert(name.clone(), entry.clone()).is_none(), "{name} is there twice");
                }
            }
        }
        let wanted = serde_json::json!({"types": types, "messages": messages}).to_string() + "\n";
        let file = folder.join("catalogue.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&file, &wanted).expect("written");
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(written == wanted, "catalogue.json is stale; run the tests once with UPDATE_FIXTURES=1");
    }

    fn names(shape: &Shape, into: &mut Vec<String>) {
        match shape {
            Shape::Named(name) => into.push(name.clone()),
            Shape::List(inner, _) | Shape::Map(inner) => names(inner, into),
            Shape::OneOf(all) => all.iter().for_each(|one| names(one, into)),
            _ => {}
        }
    }

    #[test]
    fn every_line_is_read_and_every_name_is_there_where_it_is_used() {
        let description: Value = serde_json::from_str(DESCRIPTION).expect("JSON");
        for revision in Revision::ALL {
            let table = table(&description, revision).expect("read");
            let mut open: Vec<String> = ["Error", "RequestId"].map(str::to_owned).to_vec();
            for method in table.methods.values() {
                names(&method.params.shape, &mut open);
                method.result.iter().for_each(|result| names(result, &mut open));
            }
            let mut seen = std::collections::HashSet::new();
            while let Some(name) = open.pop() {
                if !seen.insert(name.clone()) {
                    continue;
                }
                match table.entries.get(&name) {
                    Some(Entry::Is(shape)) => names(shape, &mut open),
                    Some(Entry::Members(members)) => members.iter().for_each(|member| names(&member.shape, &mut open)),
                    None => panic!("{revision}: {name} is used and not there"),
                }
            }
            assert!(table.methods.len() >= 18, "{revision}");
        }
    }
}
