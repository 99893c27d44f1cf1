//! Profiles that a user wrote: a file, or a folder of them. It must not know what is in them.

use std::path::{Path, PathBuf};

use super::error::ProfileError;
use super::load::{Draft, Profile};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The profiles of a file or of a folder (`*.yaml`, `*.yml`), by name. `others` are those they may refer to, and whose names
/// are taken.
pub fn load(place: &Path, others: &[Profile]) -> Result<Vec<Profile>, ProfileError> {
    let mut known: Vec<Profile> = others.to_vec();
    let mut texts: Vec<(String, String)> = Vec::new();
    for file in files(place)? {
        texts.push((file.display().to_string(), read(&file)?));
    }
    let mut drafts = Vec::new();
    for (file, text) in &texts {
        drafts.push((Draft::read(file, text).map_err(|error| error.in_text(text))?, text));
    }
    // Each after those of its own folder that it refers to.
    while !drafts.is_empty() {
        let ready = |draft: &Draft<'_>| draft.refers_to().all(|name| known.iter().any(|one| one.id() == name));
        let at = drafts.iter().position(|(draft, _)| ready(draft)).unwrap_or(0);
        let (draft, text) = drafts.remove(at);
        let file = draft.file().to_owned();
        let profile = draft.resolve(&known).map_err(|error| error.in_text(text))?;
        if known.iter().any(|one| one.id() == profile.id()) {
            let problem = format!("`{}` is the name of another client already", profile.id());
            return Err(ProfileError::new(&file, "id", problem, "give it a name of its own").in_text(text));
        }
        known.push(profile);
    }
    let mut own = known.split_off(others.len());
    own.sort_by(|one, other| one.id().cmp(other.id()));
    Ok(own)
}

fn files(place: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let shown = place.display().to_string();
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    let told = |error: std::io::Error| {
        ProfileError::new(
            &shown,
            "(folder)",
            format!("cannot be read: {error}"),
            "name a folder with *.yaml files, or one file",
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ProfileError::new(
            &shown,
            "(folder)",
            "holds no *.yaml file",
            "put profiles there; `derive` writes one",
        ));
    }
    Ok(files)
}

fn read(file: &Path) -> Result<String, ProfileError> {
    let told = |problem: String| {
        ProfileError::new(&file.display().to_string(), "(file)", problem, "give a text file with one profile in YAML")
    };
    let length = std::fs::metadata(file).map_err(|error| told(format!("cannot be read: {error}")))?.len();
    if length > MAX_FILE {
        return Err(told(format!("has more than {MAX_FILE} bytes")));
    }
    std::fs::read_to_string(file).map_err(|error| told(format!("cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::shipped;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let place = std::env::temp_dir().join(format!("mcp-rehearsal-profiles-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a folder");
        for (file, text) in files {
            std::fs::write(place.join(file), text).expect("written");
        }
        place
    }

    const HEAD: &str = "title: T\nclient: T\nseen: '2026-11-29'\npopular: false\n";

    #[test]
    fn profiles_of_a_folder_may_refer_to_each_other_and_to_what_is_shipped() {
        let one = format!(
            "id: b-one\nsdk: ts-sdk\n{HEAD}fields:\n  client_info: {{ value: {{ name: t }}, evidence: captured, date: d, ref: r }}\n"
        );
        let two = format!("id: a-two\nvariant-of: b-one\n{HEAD}fields: {{}}\n");
        let place = folder("good", &[("b.yaml", &one), ("a.yaml", &two)]);
        let shipped = shipped().expect("shipped");
        let loaded = load(&place, &shipped).expect("loaded");
        assert_eq!(loaded.iter().map(Profile::id).collect::<Vec<_>>(), ["a-two", "b-one"]);
        std::fs::write(place.join("c.yaml"), one.replace("b-one", "ts-sdk")).expect("written");
        let taken = load(&place, &shipped).expect_err("taken").to_string();
        assert!(taken.contains("c.yaml:1: id: `ts-sdk` is the name of another client already"), "{taken}");
        std::fs::remove_dir_all(place).expect("removed");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_a_way_to_mend_it() {
        let shipped = shipped().expect("shipped");
        let told = |text: String| {
            let place = folder("bad", &[("x.yaml", &text)]);
            load(&place.join("x.yaml"), &shipped).expect_err("wrong").to_string()
        };
        let with = |field: &str| {
            format!(
                "id: x\nsdk: ts-sdk\n{HEAD}fields:\n  client_info: {{ value: {{ name: t }}, evidence: captured, date: d, ref: r }}\n  {field}\n"
            )
        };
        let unknown = told(with("colour: { value: 1 }"));
        assert!(unknown.contains("x.yaml:9: fields.colour: is no field of a profile"), "{unknown}");
        let contradiction = told(with("delete_on_exit: { value: true, evidence: captured, date: d, ref: r }"));
        assert!(contradiction.contains("headers_delete: is empty although"), "{contradiction}");
        let broken = told("id: [".to_owned());
        assert!(broken.contains("is not readable YAML"), "{broken}");
        let nowhere = load(Path::new("/no/such/folder"), &shipped).expect_err("none").to_string();
        assert!(nowhere.contains("cannot be read"), "{nowhere}");
    }
}
