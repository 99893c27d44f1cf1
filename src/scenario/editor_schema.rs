//! The JSON Schema of scenario files, for completion and checks in editors.
//!
//! Says what the types say, from which the tests make it; mistakes of meaning are for validation.

/// The schema as JSON. A file opts in with the first line `# yaml-language-server: $schema=…`.
pub const EDITOR_SCHEMA: &str = include_str!("../../fixtures/scenario.schema.json");

#[cfg(test)]
mod tests {
    use super::super::action::Action;
    use super::super::load::SHIPPED;
    use super::super::schema::{
        Await, Cancel, Connect, Disconnect, Invoke, Listen, Negotiate, Notify, Raw, Reconnect, Restart, Scenario,
        Shutdown, Step, Wait, Word,
    };
    use super::super::schema_auth::{MintStep, OAuthStep, Publish};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde_json::{Value, json};
    use std::{env, fs};

    /// A step in the editor schema: a bare word or a map with one key.
    impl JsonSchema for Step {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Step".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let together = generator.subschema_for::<Vec<Step>>();
            let word = generator.subschema_for::<Word>();
            let word = json!({ "anyOf": [{ "type": "string" }, word] });
            let properties = json!({
                "connect": generator.subschema_for::<Connect>(),
                "negotiate": generator.subschema_for::<Negotiate>(),
                "invoke": generator.subschema_for::<Invoke>(),
                "await": generator.subschema_for::<Await>(),
                "cancel": generator.subschema_for::<Cancel>(),
                "notify": generator.subschema_for::<Notify>(),
                "listen": generator.subschema_for::<Listen>(),
                "disconnect": generator.subschema_for::<Disconnect>(),
                "reconnect": generator.subschema_for::<Reconnect>(),
                "wait": generator.subschema_for::<Wait>(),
                "raw": generator.subschema_for::<Raw>(),
                "together": together,
                "expire": word,
                "refresh": word,
                "revoke": word,
                "restart": generator.subschema_for::<Restart>(),
                "oauth": generator.subschema_for::<OAuthStep>(),
                "mint": generator.subschema_for::<MintStep>(),
                "publish": generator.subschema_for::<Publish>(),
                "shutdown": generator.subschema_for::<Shutdown>(),
            });
            json_schema!({
                "anyOf": [
                    { "enum": Action::WORDS },
                    {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": false,
                        "properties": properties
                    }
                ]
            })
        }
    }

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
