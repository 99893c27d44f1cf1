//! Where scenarios come from: the ones shipped with the program, and folders of users.
//!
//! Must not know which of them will be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::parse::parse;
use super::schema::Scenario;
use crate::model::Span;

/// Name and text of every shipped file, sorted by name.
pub(super) static SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped_scenarios.rs"));

/// The scenarios shipped with the program, in the order of their file names.
pub fn shipped() -> Vec<Scenario> {
    // A test holds that every one of them can be read, so none is left out.
    SHIPPED.iter().filter_map(|(name, text)| parse(name, text).ok()).collect()
}

/// All scenarios of a folder and its sub-folders (`.yaml`, `.yml`, `.json`), or all mistakes in them.
pub fn load_dir(folder: &Path) -> Result<Vec<Scenario>, Vec<Diagnostics>> {
    let mut files = Vec::new();
    let mut mistakes = Vec::new();
    collect(folder, &mut files, &mut mistakes);
    files.sort();

    let mut scenarios = Vec::new();
    let mut ids = BTreeMap::new();
    for file in files {
        let name = file.display().to_string();
        let read = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error));
        match read.and_then(|text| unique(parse(&name, &text)?, &name, text, &mut ids)) {
            Ok(scenario) => scenarios.push(scenario),
            Err(found) => mistakes.push(found),
        }
    }
    if mistakes.is_empty() { Ok(scenarios) } else { Err(mistakes) }
}

fn unique(
    scenario: Scenario,
    name: &str,
    text: String,
    ids: &mut BTreeMap<String, String>,
) -> Result<Scenario, Diagnostics> {
    let Some(first) = ids.insert(scenario.id.clone(), name.to_owned()) else { return Ok(scenario) };
    let start = text.find(&scenario.id).unwrap_or_default();
    let item = Diagnostic {
        span: Span::new(start, start + scenario.id.len()),
        message: format!("two scenarios have the id `{}`", scenario.id),
        label: "expected an id of its own".to_owned(),
        help: Some(format!("the other one is {first}")),
    };
    Err(Diagnostics { file: name.to_owned(), text, items: vec![item] })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>, mistakes: &mut Vec<Diagnostics>) {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => return mistakes.push(unreadable(folder, &error)),
    };
    for path in entries.into_iter().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, files, mistakes);
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostics {
    let item = Diagnostic {
        span: Span::default(),
        message: format!("cannot be read: {error}"),
        label: String::new(),
        help: Some("scenarios are files in UTF-8 named `*.yaml`, `*.yml` or `*.json`".to_owned()),
    };
    Diagnostics { file: path.display().to_string(), text: String::new(), items: vec![item] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_read_and_is_named_after_its_file() {
        for (name, text) in SHIPPED {
            let scenario = parse(name, text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            let path = format!("scenarios/{}.yaml", scenario.id.replacen('.', "/", 1));
            assert_eq!(path, *name);
        }
        assert_eq!(shipped().len(), SHIPPED.len());
        assert!(!SHIPPED.is_empty());
    }

    #[test]
    fn a_folder_is_read_whole_or_all_its_mistakes_are_told() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(load_dir(&root.join("scenarios")).map(|read| read.len()), Ok(SHIPPED.len()));
        let missing = load_dir(&root.join("no-such-folder")).unwrap_err();
        assert!(missing[0].render(false).contains("cannot be read"), "{}", missing[0]);
    }

    #[test]
    fn an_id_is_used_once() {
        let (name, text) = SHIPPED[0];
        let scenario = parse(name, text).unwrap();
        let mut ids = BTreeMap::from([(scenario.id.clone(), "first.yaml".to_owned())]);
        let mistakes = unique(scenario, "second.yaml", text.to_owned(), &mut ids).unwrap_err();
        assert!(mistakes.to_string().contains("the other one is first.yaml"), "{mistakes}");
    }
}
