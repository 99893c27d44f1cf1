//! What stands for what: labels, ids and places of the recording, and what the server that is played against gave in their
//! place.
//!
//! Learns from pairs of answers; it never makes anything up.

use std::collections::HashMap;

use serde_json::Value;
use url::form_urlencoded::parse;

use crate::transcript::{Exchange, Headers, header};

/// What came back in place of a recorded answer.
#[derive(Debug, Default, Clone)]
pub(super) struct Came {
    pub(super) status: Option<u16>,
    pub(super) headers: Headers,
    pub(super) body: Option<String>,
    /// Ids and data of stream events.
    pub(super) events: Vec<(Option<String>, Option<String>)>,
}

/// Members of answers that a client sends back as they came.
const SENT_BACK: &[&str] = &[
    "client_id",
    "client_secret",
    "access_token",
    "refresh_token",
    "id_token",
    "registration_access_token",
    "nextCursor",
    "taskId",
    "requestState",
];

/// Where a value stands, which decides how it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As it is.
    Plain,
    /// Between the quotes of JSON.
    Json,
}

/// The words of one replay.
#[derive(Debug, Default)]
pub(super) struct Words {
    pairs: HashMap<String, String>,
    /// Places by their whole URL without query.
    urls: HashMap<String, String>,
}

impl Words {
    /// One value stands for another from now on.
    pub(super) fn set(&mut self, recorded: &str, new: &str) {
        if recorded != new && !recorded.is_empty() {
            self.pairs.insert(recorded.to_owned(), new.to_owned());
        }
    }

    /// Whether something stands for a value.
    pub(super) fn get(&self, recorded: &str) -> Option<&str> {
        self.pairs.get(recorded).map(String::as_str)
    }

    /// The URL that stands for another.
    pub(super) fn url(&self, recorded: &str) -> Option<&str> {
        self.urls.get(recorded).map(String::as_str)
    }

    /// Learns from an answer what stands for what was in the recorded one.
    pub(super) fn learn(&mut self, recorded: &Exchange, came: &Came) {
        let new = |name: &str| header(&came.headers, name);
        if let (Some(old), Some(new)) = (recorded.got_header("mcp-session-id"), new("mcp-session-id")) {
            self.set(old, new);
        }
        if let (Some(old), Some(new)) = (recorded.got_header("location"), new("location")) {
            let params = |place: &str| -> Vec<(String, String)> {
                let query = place.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
                parse(query.as_bytes()).into_owned().collect()
            };
            let came = params(new);
            for (name, old) in params(old) {
                if let Some((_, new)) = came.iter().find(|(known, _)| *known == name) {
                    self.set(&old, new);
                }
            }
        }
        let body = came.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
        if let (Some(old), Some(new)) = (recorded.got_json(), &body) {
            self.learn_members(old, new, "");
        }
        for (old, (id, data)) in recorded.events.iter().zip(&came.events) {
            if let (Some(old), Some(new)) = (&old.id, id) {
                self.set(old, new);
            }
            let read = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
            if let (Some(old), Some(new)) = (read(old.data.as_deref()), read(data.as_deref())) {
                self.learn_members(&old, &new, "");
            }
        }
    }

    pub(super) fn learn_members(&mut self, old: &Value, new: &Value, name: &str) {
        match (old, new) {
            (Value::Object(olds), Value::Object(news)) => {
                for (name, old) in olds {
                    if let Some(new) = news.get(name) {
                        self.learn_members(old, new, name);
                    }
                }
            }
            (Value::Array(olds), Value::Array(news)) => {
                olds.iter().zip(news).for_each(|(old, new)| self.learn_members(old, new, name));
            }
            (Value::String(old), Value::String(new)) => {
                if SENT_BACK.contains(&name) {
                    self.set(old, new);
                } else if old.contains("://") && new.contains("://") {
                    self.urls.insert(old.clone(), new.clone());
                }
            }
            _ => {}
        }
    }

    /// The text with everything in it replaced that something else stands for.
    pub(super) fn fill(&self, text: &str, spelling: Spelling) -> String {
        let mut sought: Vec<(&String, &String)> = self.pairs.iter().filter(|(old, _)| text.contains(*old)).collect();
        // The longest first: `access#1` is the beginning of `access#12`.
        sought.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        let mut text = text.to_owned();
        // In two rounds, so that what was put in is not replaced again.
        for (at, (old, _)) in sought.iter().enumerate() {
            text = text.replace(old.as_str(), &format!("\u{e000}{at}\u{e001}"));
        }
        for (at, (_, new)) in sought.iter().enumerate() {
            let spelled = match spelling {
                Spelling::Plain => (*new).clone(),
                Spelling::Json => {
                    let quoted = Value::from(new.as_str()).to_string();
                    quoted[1..quoted.len() - 1].to_owned()
                }
            };
            text = text.replace(&format!("\u{e000}{at}\u{e001}"), &spelled);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Builder, View};
    use serde_json::json;

    #[test]
    fn what_the_server_gave_stands_for_what_was_recorded() {
        let answer = json!({"access_token": "access#1", "token_endpoint": "http://old/token"});
        let start = Builder::new().request("POST", &[], Some("{}"));
        let place = "http://127.0.0.1:9/cb?code=code%231&state=s";
        let head = [("mcp-session-id", "session#1"), ("location", place), ("content-type", "application/json")];
        let events = start.answer(200, &head, &answer.to_string()).finish();
        let view = View::new(&events);
        let came = Came {
            status: Some(200),
            headers: vec![
                ("Mcp-Session-Id".into(), "new".into()),
                ("Location".into(), "http://127.0.0.1:9/cb?state=s&code=a%2Fb".into()),
            ],
            body: Some(json!({"access_token": "t\"1", "token_endpoint": "http://new/t"}).to_string()),
            events: Vec::new(),
        };
        let mut words = Words::default();
        words.learn(&view.exchanges[0], &came);
        words.set("access#12", "twelve");
        assert_eq!(words.fill("Bearer access#1 session#1", Spelling::Plain), "Bearer t\"1 new");
        assert_eq!(words.fill("code#1 access#12", Spelling::Plain), "a/b twelve");
        assert_eq!(words.fill("{\"t\":\"access#1\"}", Spelling::Json), "{\"t\":\"t\\\"1\"}");
        assert_eq!(words.url("http://old/token"), Some("http://new/t"));
    }
}
