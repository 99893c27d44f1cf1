//! Writes the lists of shipped scenarios and profiles, so that a new file is all that a new one takes.
//!
//! Profiles go into the program as JSON: read as YAML, all of them took as long as thirty cases of a rehearsal. Scenarios
//! stay as they are, because what is said of them names their lines.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && is("PROFILE", "release") {
        // At a fixed address the program needs no table of a megabyte to find itself (figures in docs/performance.md).
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    list("scenarios", "shipped_scenarios.rs", |path| {
        let name = path.to_string_lossy().replace('\\', "/");
        Ok(format!("({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", {name:?})))"))
    })?;
    list("fixtures/profiles", "shipped_profiles.rs", |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("({name:?}, {:?})", as_json(path)?))
    })
}

/// The JSON text that says what a YAML file says, its members in the same order.
fn as_json(path: &Path) -> io::Result<String> {
    let told = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let value: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(path)?).map_err(|error| told(&error))?;
    serde_json::to_string(&value).map_err(|error| told(&error))
}

/// A list of the YAML files in a folder, as a Rust expression; `entry` writes what it holds of each.
fn list(folder: &str, file: &str, entry: impl Fn(&Path) -> io::Result<String>) -> io::Result<()> {
    let mut files = Vec::new();
    collect(Path::new(folder), &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        // Writing to a String cannot fail.
        let _ = writeln!(list, "    {},", entry(&path)?);
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(out.join(file), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
