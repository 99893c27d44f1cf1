//! Where scenarios come from: the ones shipped with the program, and folders of users.
//!
//! Must not know which of them will be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io, io::Read as _};

use super::diagnostics::{Diagnostic, Diagnostics};
use super::parse::parse;
use super::schema::Scenario;
use crate::model::Span;

/// Name and text of every shipped file, sorted by name.
pub(super) static SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped_scenarios.rs"));

/// The largest scenario file that is read, in bytes; the longest shipped one has some 3 KB.
const MAX_FILE: u64 = 1024 * 1024;

/// The scenarios shipped with the program, in the order of their file names.
pub fn shipped() -> Vec<Scenario> {
    // A test holds that every one of them can be read, so none is left out.
    let read = |files: &[(&str, &str)]| -> Vec<Scenario> {
        files.iter().filter_map(|(name, text)| parse(name, text).ok()).collect()
    };
    // They are most of what happens before the first case, so two threads read half of them each.
    let (first, second) = SHIPPED.split_at(SHIPPED.len() / 2);
    let (mut scenarios, others) = std::thread::scope(|threads| {
        let others = threads.spawn(|| read(second));
        (read(first), others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    scenarios.extend(others);
    scenarios
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
        let read = read(&file);
        match read.and_then(|text| unique(parse(&name, &text)?, &name, text, &mut ids)) {
            Ok(scenario) => scenarios.push(Scenario { file: Some(name), ..scenario }),
            Err(found) => mistakes.push(found),
        }
    }
    if mistakes.is_empty() { Ok(scenarios) } else { Err(mistakes) }
}

/// The scenario of one file, or all mistakes in it.
pub fn load_file(file: &Path) -> Result<Scenario, Diagnostics> {
    let name = file.display().to_string();
    let scenario = parse(&name, &read(file)?)?;
    Ok(Scenario { file: Some(name), ..scenario })
}

fn read(file: &Path) -> Result<String, Diagnostics> {
    let bounded = || {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_FILE} bytes"));
        let opened = fs::File::open(file)?;
        // Said at once where it is known; a device or a pipe tells no size.
        if opened.metadata()?.len() > MAX_FILE {
            return Err(too_large());
        }
        let mut text = String::new();
        let length = opened.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if length as u64 > MAX_FILE { Err(too_large()) } else { Ok(text) }
    };
    bounded().map_err(|error| unreadable(file, &error))
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
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
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
