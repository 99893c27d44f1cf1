//! Imports only point down: reads the `use crate::` lines of every module and holds the layers.

use std::fs;
use std::path::Path;

/// A module and what it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("profile", &["model"]),
    ("transcript", &["model"]),
    ("server", &["model"]),
    ("proxy", &["model"]),
    ("scenario", &["model"]),
    ("check", &["model", "transcript"]),
    ("wire", &["model", "transcript"]),
    ("verdict", &["model", "transcript", "check", "scenario"]),
    ("report", &["model", "transcript", "check", "verdict"]),
    ("client", &["model", "profile", "scenario", "transcript", "wire", "proxy"]),
    ("recording", &["model", "profile", "scenario", "transcript", "wire", "proxy"]),
    ("fuzz", &["model", "server", "wire"]),
    ("doctor", &["model", "profile", "scenario", "transcript", "client", "check", "verdict", "report"]),
];

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, allowed) in LAYERS {
        let mut found = Vec::new();
        files(&source.join(module), &mut found);
        assert!(!found.is_empty(), "{module} has no files");
        for path in found {
            let text = fs::read_to_string(&path).expect("readable");
            // Unit tests at the foot of a file may use more.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                for piece in line.split("crate::").skip(1) {
                    let name: String = piece.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                    let known = LAYERS.iter().any(|(layer, _)| *layer == name) || name == "cli" || name == "rehearsal";
                    if known && name != *module && !allowed.contains(&name.as_str()) {
                        wrong.push(format!("{}:{} imports {name}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
