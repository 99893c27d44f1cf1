//! A profile as text, in the manner of those that come with the program.

use serde_json::Value;

use super::propose::{Found, Proposal};

/// A text in YAML, quoted so that nothing in it means anything.
fn quoted(text: &str) -> String {
    // JSON's quotes are YAML's as well.
    Value::from(text).to_string()
}

/// Lists of pairs, such as headers, have a line for each.
fn lines(value: &Value, indent: usize) -> Option<String> {
    let items = value.as_array().filter(|items| items.len() > 1 && items.iter().all(Value::is_array))?;
    let pad = " ".repeat(indent);
    let lines: Vec<String> = items.iter().map(|item| format!("\n{pad}- {item}")).collect();
    Some(lines.concat())
}

fn field(name: &str, found: Option<&Found>, date: &str) -> String {
    let Some(found) = found else { return format!("  {name}: null\n") };
    let (value, evidence, reference) = (&found.value, found.evidence, quoted(&found.reference));
    let date = quoted(date);
    let flow = format!("  {name}: {{ value: {value}, evidence: {evidence}, date: {date}, ref: {reference} }}\n");
    match lines(value, 6) {
        Some(list) => {
            format!("  {name}:\n    value:{list}\n    evidence: {evidence}\n    date: {date}\n    ref: {reference}\n")
        }
        None if flow.len() <= 120 => flow,
        None => {
            format!("  {name}:\n    value: {value}\n    evidence: {evidence}\n    date: {date}\n    ref: {reference}\n")
        }
    }
}

impl Proposal {
    /// The file.
    pub fn yaml(&self) -> String {
        let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "null".to_owned(), quoted);
        let mut text = format!(
            "id: {}\ntitle: {}\nclient: {}\nversion: {}\nsdk: {}\nseen: {}\npopular: false\nnote: {}\nfields:\n",
            quoted(&self.id),
            quoted(&self.title),
            quoted(&self.client),
            optional(&self.version),
            quoted(&self.sdk),
            quoted(&self.seen),
            quoted(&self.note),
        );
        for (name, found) in &self.fields {
            text.push_str(&field(name, found.as_ref(), &self.seen));
        }
        text
    }
}
