//! The JSON Schema of scenario files, for completion and checks in editors.
//!
//! Says what the types say, from which the tests make it; mistakes of meaning are for validation.

/// The schema as JSON. A file opts in with the first line `# yaml-language-server: $schema=…`.
pub const EDITOR_SCHEMA: &str = include_str!("../../fixtures/scenario.schema.json");

#[cfg(test)]
mod tests {
    use super::super::load::SHIPPED;
    use super::super::schema::Scenario;
    use serde_json::Value;
    use std::{env, fs};

    fn editor_schema() -> Value {
        let mut schema = schemars::schema_for!(Scenario);
        schema.insert("title".to_owned(), "mcp-rehearsal scenario".into());
        schema.to_value()
    }

    #[test]
    fn the_committed_copy_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenario.schema.json");
        let current = serde_json::to_string_pretty(&editor_schema()).unwrap() + "\n";
        if env::var_os("UPDATE_FIXTURES").is_some() {
            fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).unwrap();
            fs::write(path, &current).unwrap();
        }
        let committed = fs::read_to_string(path).unwrap_or_default();
        assert!(committed == current, "run the tests with UPDATE_FIXTURES=1 to write {path} anew");
    }

    #[test]
    fn shipped_scenarios_satisfy_it() {
        let schema = jsonschema::validator_for(&editor_schema()).unwrap();
        let step = "version: 1\nid: a.b\ntitle: T\nwhy: W\nsteps: [connect, {wait: {for: 5s}}, {expire: token}]\n";
        for (name, text) in SHIPPED.iter().chain([&("inline", step)]) {
            let value: Value = serde_saphyr::from_str(text).unwrap();
            let mistakes: Vec<_> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
        }
        let wrong: Value = serde_saphyr::from_str("version: 1\nid: a.b\ntitle: T\nwhy: W\nsteps: [conect]\n").unwrap();
        assert!(!schema.is_valid(&wrong));
    }
}
