//! The shapes against the official schemas, where a copy of those is at hand: on made-up messages and on ones with one
//! thing wrong, both have to say the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::grammar::Shape;
use super::message::{Reading, Sender, read};
use super::table::{Entry, Table, of};
use crate::model::{Revision, Rng};

/// How many messages are compared for each revision.
const MESSAGES: usize = 25_000;

/// Mends two places where the published schemas are narrower than the definitions in TypeScript that they are generated
/// from, which come first: a JSON value is also null or a number with a fraction, and a form has fields of type `number`.
fn mend(schema: &mut Value) {
    for root in ["/$defs", "/definitions"] {
        if let Some(value) = schema.pointer_mut(&format!("{root}/JSONValue")) {
            *value = json!(true);
        }
        let content = format!("{root}/ElicitResult/properties/content");
        if let Some(content) = schema.pointer_mut(&content) {
            *content = serde_json::from_str(&content.to_string().replace("integer", "number")).expect("still JSON");
        }
    }
}

fn schema(revision: Revision) -> Option<Value> {
    let folder = std::env::var_os("MCP_SCHEMAS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/spec/schema"), PathBuf::from);
    let text = std::fs::read_to_string(folder.join(format!("{}.json", revision.name()))).ok()?;
    let mut schema: Value = serde_json::from_str(&text).expect("a schema");
    mend(&mut schema);
    Some(schema)
}

/// A number below another.
fn below(rng: &Rng, most: usize) -> usize {
    usize::try_from(rng.next_u64() % most as u64).unwrap()
}

/// Values that are no use anywhere.
fn odd(rng: &Rng) -> Value {
    match below(rng, 9) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1.5),
        4 => json!("x"),
        5 => json!([]),
        6 => json!({}),
        7 => json!([null]),
        _ => json!({"type": "text"}),
    }
}

/// A value of a shape.
fn made(table: &Table, shape: &Shape, rng: &Rng, depth: usize) -> Value {
    match shape {
        Shape::Any => odd(rng),
        Shape::Object => json!({"x": 1}),
        Shape::String => json!("text"),
        Shape::Boolean => json!(below(rng, 2) == 0),
        Shape::Null => Value::Null,
        Shape::Integer(_) => json!(below(rng, 2)),
        Shape::Number(_) => json!(0.5),
        Shape::Literal(literal) => literal.clone(),
        Shape::List(inner, _) if depth < 8 => (0..below(rng, 3)).map(|_| made(table, inner, rng, depth + 1)).collect(),
        Shape::List(..) => json!([]),
        Shape::Map(inner) if depth < 8 => json!({"k": made(table, inner, rng, depth + 1)}),
        Shape::Map(_) => json!({}),
        Shape::OneOf(all) => made(table, &all[below(rng, all.len())], rng, depth + 1),
        Shape::Named(name) => match &table.entries[name] {
            Entry::Is(shape) => made(table, shape, rng, depth + 1),
            Entry::Members(members) => {
                let mut object = Map::new();
                for member in members {
                    let wanted = member.required || (depth < 6 && below(rng, 3) == 0);
                    if wanted {
                        object.insert(member.name.clone(), made(table, &member.shape, rng, depth + 1));
                    }
                }
                Value::Object(object)
            }
        },
    }
}

/// Every place in a value, as JSON pointers.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, format!("{at}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(at);
}

/// The same with one thing changed.
fn spoilt(mut value: Value, rng: &Rng) -> Value {
    let mut all = Vec::new();
    places(&value, String::new(), &mut all);
    let place = all[below(rng, all.len())].clone();
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", ""));
    let name = name.replace("~1", "/").replace("~0", "~");
    match below(rng, 4) {
        0 => {
            if let Some(Value::Object(parent)) = value.pointer_mut(parent) {
                parent.shift_remove(&name);
            }
        }
        1 => {
            if let Some(Value::Object(found)) = value.pointer_mut(&place) {
                found.insert("unknown".to_owned(), odd(rng));
            }
        }
        _ => {
            if let Some(found) = value.pointer_mut(&place).filter(|_| !place.is_empty()) {
                *found = odd(rng);
            }
        }
    }
    value
}

/// The judge of one kind of message, made of the official definitions.
fn judge(schema: &Value, wanted: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["allOf"] = wanted.clone();
    jsonschema::options().should_validate_formats(false).build(&whole).expect("a schema")
}

struct Kind<'t> {
    method: String,
    sender: Sender,
    /// The shape of the params, or of the result.
    shape: &'t Shape,
    request: bool,
    result: bool,
    judge: Validator,
}

fn kinds<'t>(table: &'t Table, schema: &Value, revision: Revision) -> Vec<Kind<'t>> {
    let root = if schema.get("$defs").is_some() { "$defs" } else { "definitions" };
    let definitions = schema[root].as_object().unwrap();
    let reference = |name: &str| json!({"$ref": format!("#/{root}/{name}")});
    let of_method = |method: &str| {
        let found = |(name, definition): &(&String, &Value)| {
            definition["properties"]["method"]["const"] == method && name.as_str() != "ClientNotification"
        };
        definitions.iter().find(found).map(|(name, _)| name.clone())
    };
    let mut kinds = Vec::new();
    for (method, facts) in &table.methods {
        let name = of_method(method).unwrap_or_else(|| panic!("{revision}: no definition of {method}"));
        let request = facts.result.is_some();
        let envelope = if request { "JSONRPCRequest" } else { "JSONRPCNotification" };
        let sender = if facts.from_client { Sender::Client } else { Sender::Server };
        kinds.push(Kind {
            method: method.clone(),
            sender,
            shape: &facts.params.shape,
            request,
            result: false,
            judge: judge(schema, &json!([reference(envelope), reference(&name)])),
        });
        let Some(result) = &facts.result else { continue };
        let named = match result {
            Shape::Named(name) => vec![name.clone()],
            Shape::OneOf(all) => all
                .iter()
                .filter_map(|one| if let Shape::Named(name) = one { Some(name.clone()) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        let any: Vec<Value> = named.iter().map(|name| reference(name)).collect();
        let envelope =
            if definitions.contains_key("JSONRPCResultResponse") { "JSONRPCResultResponse" } else { "JSONRPCResponse" };
        let shape = json!({"properties": {"result": {"anyOf": any}}});
        kinds.push(Kind {
            method: method.clone(),
            sender: if facts.from_client { Sender::Server } else { Sender::Client },
            shape: result,
            request: false,
            result: true,
            judge: judge(schema, &json!([reference(envelope), shape])),
        });
    }
    kinds
}

fn whole(kind: &Kind<'_>, inner: &Value) -> Value {
    if kind.result {
        return json!({"jsonrpc": "2.0", "id": 1, "result": inner});
    }
    let mut message = json!({"jsonrpc": "2.0", "method": kind.method, "params": inner});
    if kind.request {
        message["id"] = json!("a");
    }
    message
}

#[test]
#[expect(clippy::print_stderr, reason = "a test says what it left out, and how much it compared")]
fn both_say_the_same() {
    let rng = Rng::seeded(7);
    let (mut compared, mut refused) = (0, 0);
    let mut unlike: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for revision in Revision::ALL {
        let Some(schema) = schema(revision) else {
            eprintln!("the official schema of {revision} is not at hand: left out");
            continue;
        };
        let table = of(revision).expect("a table");
        let kinds = kinds(table, &schema, revision);
        for round in 0..MESSAGES {
            let kind = &kinds[round % kinds.len()];
            let mut message = whole(kind, &made(table, kind.shape, &rng, 0));
            for _ in 0..below(&rng, 3) {
                message = spoilt(message, &rng);
            }
            let ours = match read(revision, &message, kind.sender, kind.result.then_some(kind.method.as_str())) {
                Reading::Unknown => continue,
                Reading::Fits => None,
                Reading::Misfit(misfit) => Some(misfit),
            };
            // What became a message of another kind is none that could be compared.
            let same = if kind.result {
                message.get("result").is_some() && message.get("method").is_none()
            } else {
                message["method"] == kind.method.as_str() && message.get("id").is_some() == kind.request
            };
            if !same {
                continue;
            }
            let theirs = kind.judge.validate(&message).err();
            compared += 1;
            refused += usize::from(theirs.is_some());
            let text = match (&ours, &theirs) {
                (Some(misfit), None) => format!("we: {} {}", misfit.path, misfit.what),
                (None, Some(error)) => format!("they: {} {error}", error.instance_path()),
                _ => continue,
            };
            unlike.entry(format!("{revision} {} {text}", kind.method)).or_insert((0, message.to_string())).0 += 1;
        }
    }
    eprintln!("{compared} messages compared, {refused} of them refused by the official schemas");
    assert!(compared == 0 || (compared > 100_000 && refused > 20_000), "too few were compared");
    assert!(unlike.is_empty(), "{} kinds of disagreement: {unlike:#?}", unlike.len());
}
