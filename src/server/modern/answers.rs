//! Whether what a client answers is an answer to what it was asked. Pure functions; they know neither rounds nor tasks.

use crate::model::Members as _;
use serde_json::Value;

/// Checks an answer; the error is a sentence about it.
pub(crate) fn check(method: &str, params: &Value, answer: &Value) -> Result<(), String> {
    if !answer.is_object() {
        return Err("it has to be an object".to_owned());
    }
    match method {
        "elicitation/create" => elicited(params, answer),
        "sampling/createMessage" => sampled(answer),
        _ => {
            let roots = answer.member("roots").and_then(Value::as_array).ok_or("roots has to be a list")?;
            let named = |root: &Value| root.member("uri").is_some_and(Value::is_string);
            if roots.iter().all(named) { Ok(()) } else { Err("every root needs a uri".to_owned()) }
        }
    }
}

fn sampled(answer: &Value) -> Result<(), String> {
    for member in ["role", "model"] {
        if !answer.get(member).is_some_and(Value::is_string) {
            return Err(format!("{member} has to be a string"));
        }
    }
    match answer.member("content") {
        Some(Value::Object(_) | Value::Array(_)) => Ok(()),
        _ => Err("content has to be a block or a list of blocks".to_owned()),
    }
}

fn elicited(params: &Value, answer: &Value) -> Result<(), String> {
    match answer.member("action").and_then(Value::as_str) {
        Some("decline" | "cancel") => return Ok(()),
        Some("accept") => {}
        _ => return Err("action has to be accept, decline or cancel".to_owned()),
    }
    let Some(schema) = params.member("requestedSchema") else { return Ok(()) };
    let content =
        answer.member("content").filter(|content| content.is_object()).ok_or("content has to be an object")?;
    let required = schema.member("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if content.get(name).is_none() {
            return Err(format!("content lacks {name}"));
        }
    }
    let properties = schema.member("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, property) in properties {
        if let Some(value) = content.get(name)
            && !fits(property.member("type").and_then(Value::as_str).unwrap_or_default(), value)
        {
            return Err(format!("{name} in content has to be of type {}", property.at("type")));
        }
    }
    Ok(())
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_filled_in_as_their_schema_says() {
        let form = json!({"requestedSchema": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "age": {"type": "integer"},
        }}});
        let check = |answer: Value| check("elicitation/create", &form, &answer).is_ok();
        assert!(check(json!({"action": "accept", "content": {"name": "a", "age": 3.0, "more": 1}})));
        assert!(check(json!({"action": "decline"})) && check(json!({"action": "cancel", "content": {}})));
        for wrong in [
            json!(1),
            json!({}),
            json!({"action": "agree"}),
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"age": 3}}),
            json!({"action": "accept", "content": {"name": 3}}),
            json!({"action": "accept", "content": {"name": "a", "age": 1.5}}),
        ] {
            assert!(!check(wrong.clone()), "{wrong}");
        }
        assert!(super::check("elicitation/create", &json!({"mode": "url"}), &json!({"action": "accept"})).is_ok());
    }

    #[test]
    fn messages_and_roots_have_their_members() {
        let sampled = |answer: Value| check("sampling/createMessage", &json!({}), &answer).is_ok();
        assert!(sampled(json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}})));
        assert!(!sampled(json!({"role": "assistant", "content": {}})) && !sampled(json!({"roots": []})));
        let rooted = |answer: Value| check("roots/list", &json!({}), &answer).is_ok();
        assert!(rooted(json!({"roots": []})) && rooted(json!({"roots": [{"uri": "file:///a"}]})));
        assert!(!rooted(json!({"roots": [{}]})) && !rooted(json!({})));
    }
}
