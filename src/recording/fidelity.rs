//! How far two runs of a client agree, request by request and field by field.
//!
//! Knows requests as they stand on the wire; not where they come from, nor which differences somebody puts up with.

use crate::transcript::{HeaderText, Headers};
use std::collections::HashMap;

use serde_json::{Map, Value};
use url::form_urlencoded;

/// A request as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in the order and spelling of the wire.
    pub headers: Headers,
    /// The body: JSON, or what [`body_of`] makes of another one.
    pub body: Option<Value>,
}

/// A body for comparison: its JSON, the parameters of a form as an object, or its text.
pub fn body_of(headers: &[(HeaderText, HeaderText)], text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    let is_form = |(name, value): &(HeaderText, HeaderText)| {
        name.eq_ignore_ascii_case("content-type") && value.to_ascii_lowercase().contains("form-urlencoded")
    };
    if headers.iter().any(is_form) {
        return Some(Value::Object(parameters(text)));
    }
    Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())))
}

/// What is the same although it reads differently in the two runs.
#[derive(Debug, Clone, Default)]
pub struct Sameness {
    /// Texts of the first run with the words that stand for them, such as its origin and `{origin}`.
    pub wanted: Vec<(String, String)>,
    /// The same of the second run.
    pub came: Vec<(String, String)>,
}

/// Something in which the two runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The request by what it asks and which of its kind it is: `POST tools/list`, `GET /mcp #2`.
    pub request: String,
    /// The field: `header accept`, `body /params/capabilities`, `order`, …; `request` where there is no counterpart.
    pub field: String,
    /// What the first run has.
    pub wanted: Option<String>,
    /// What the second run has.
    pub came: Option<String>,
}

/// How far two runs agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Fields that were compared.
    pub fields: usize,
    /// Those that differ, in order of the first run, then what only the second has.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// The fields that agree.
    pub fn equal(&self) -> usize {
        self.fields.saturating_sub(self.differences.len())
    }

    /// The share of the fields that agree, in per cent, rounded down; all of nothing is 100.
    pub fn percent(&self) -> usize {
        (self.equal() * 100).checked_div(self.fields).unwrap_or(100)
    }
}

/// Headers whose value is of the run, not of the client; that they are sent, where, and how they are spelled counts.
const OF_THE_RUN: &[&str] = &["host", "content-length"];

/// Headers and members with values made anew for each run: they agree where each value of one run stands for one of the other.
const MADE_ANEW: &[&str] = &[
    "mcp-session-id",
    "authorization",
    "cookie",
    "last-event-id",
    "state",
    "code",
    "code_verifier",
    "code_challenge",
    "client_id",
    "client_secret",
    "client_assertion",
    "refresh_token",
    "token",
    "nonce",
];

/// Compares what came with what was wanted.
///
/// Requests are paired by what they ask, the first of a kind with the first of its kind. A request without a counterpart
/// counts as one field that differs.
pub fn compare(wanted: &[Sent], came: &[Sent], sameness: &Sameness) -> Comparison {
    let wanted: Vec<Sent> = wanted.iter().map(|sent| worded(sent, &sameness.wanted)).collect();
    let came: Vec<Sent> = came.iter().map(|sent| worded(sent, &sameness.came)).collect();
    let pairs = pair(&wanted, &came);
    let kept = in_order(&pairs, &wanted);
    let names = names(&wanted);
    let mut sheet = Sheet::default();
    for (at, sent) in wanted.iter().enumerate() {
        sheet.request.clone_from(&names[at]);
        let Some(other) = pairs[at] else {
            sheet.note("request", Some(line(sent)), None);
            continue;
        };
        sheet.fields(sent, &came[other]);
        // When a stream is opened beside other requests is no habit of the client.
        if sent.method != "GET" {
            sheet.tell("order", kept[at], Some("in turn".to_owned()), Some("out of turn".to_owned()));
        }
    }
    let names = self::names(&came);
    for (at, sent) in came.iter().enumerate().filter(|(at, _)| !pairs.contains(&Some(*at))) {
        sheet.request.clone_from(&names[at]);
        sheet.note("request", None, Some(line(sent)));
    }
    sheet.comparison
}

/// What is noted down, and which value of one run stands for which of the other.
#[derive(Debug, Default)]
struct Sheet {
    request: String,
    there: HashMap<String, String>,
    back: HashMap<String, String>,
    comparison: Comparison,
}

impl Sheet {
    fn note(&mut self, field: &str, wanted: Option<String>, came: Option<String>) {
        self.tell(field, wanted == came, wanted, came);
    }

    fn tell(&mut self, field: &str, same: bool, wanted: Option<String>, came: Option<String>) {
        self.comparison.fields += 1;
        if !same {
            let (request, field) = (self.request.clone(), field.to_owned());
            self.comparison.differences.push(Difference { request, field, wanted, came });
        }
    }

    fn fields(&mut self, wanted: &Sent, came: &Sent) {
        self.note("method", Some(wanted.method.clone()), Some(came.method.clone()));
        let (path, query) = halves(&wanted.path);
        let (other_path, other_query) = halves(&came.path);
        self.note("path", Some(path.to_owned()), Some(other_path.to_owned()));
        self.headers(&wanted.headers, &came.headers);
        self.values("query", &Value::Object(parameters(query)), &Value::Object(parameters(other_query)));
        match (&wanted.body, &came.body) {
            (None, None) => {}
            (Some(body), Some(other)) => {
                self.values("body", body, other);
                if let (Some(members), Some(others)) = (body.as_object(), other.as_object()) {
                    self.order("body", members.keys(), others.keys());
                }
            }
            (body, other) => self.note("body", body.as_ref().map(short), other.as_ref().map(short)),
        }
    }

    fn headers(&mut self, wanted: &[(HeaderText, HeaderText)], came: &[(HeaderText, HeaderText)]) {
        let find = |headers: &[(HeaderText, HeaderText)], name: &str| {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).cloned()
        };
        for (name, value) in wanted {
            let lower = name.to_ascii_lowercase();
            let field = format!("header {lower}");
            let Some((spelled, other)) = find(came, name) else {
                self.note(&field, Some(value.to_string()), None);
                continue;
            };
            let same = OF_THE_RUN.contains(&lower.as_str()) || self.stands_for(&lower, value, &other);
            self.tell(&field, same, Some(value.to_string()), Some(other.into()));
            self.note(&format!("spelling of {lower}"), Some(name.to_string()), Some(spelled.into()));
        }
        for (name, value) in came.iter().filter(|(name, _)| find(wanted, name).is_none()) {
            self.note(&format!("header {}", name.to_ascii_lowercase()), None, Some(value.to_string()));
        }
        let lower = |headers: &[(HeaderText, HeaderText)]| -> Vec<String> {
            headers.iter().map(|(name, _)| name.as_str().to_ascii_lowercase()).collect()
        };
        self.order("headers", lower(wanted).iter(), lower(came).iter());
    }

    /// The order of what both have.
    fn order<'n>(
        &mut self,
        what: &str,
        wanted: impl Iterator<Item = &'n String> + Clone,
        came: impl Iterator<Item = &'n String> + Clone,
    ) {
        let (first, second): (Vec<&String>, Vec<&String>) = (wanted.collect(), came.collect());
        let shared = |list: &[&String], other: &[&String]| -> Vec<String> {
            list.iter().filter(|name| other.contains(name)).map(|name| (*name).clone()).collect()
        };
        let (one, two) = (shared(&first, &second), shared(&second, &first));
        if !one.is_empty() {
            self.note(&format!("order of {what}"), Some(one.join(", ")), Some(two.join(", ")));
        }
    }

    /// Compares leaf by leaf.
    fn values(&mut self, place: &str, wanted: &Value, came: &Value) {
        match (wanted, came) {
            (Value::Object(members), Value::Object(others)) => {
                for (name, value) in members {
                    match others.get(name) {
                        Some(other) => self.values(&format!("{place}/{name}"), value, other),
                        None => self.note(&format!("{place}/{name}"), Some(short(value)), None),
                    }
                }
                for (name, other) in others.iter().filter(|(name, _)| !members.contains_key(*name)) {
                    self.note(&format!("{place}/{name}"), None, Some(short(other)));
                }
                if members.is_empty() && others.is_empty() && place.contains('/') {
                    self.note(place, Some("{}".to_owned()), Some("{}".to_owned()));
                }
            }
            (Value::Array(items), Value::Array(others)) if items.len() == others.len() && !items.is_empty() => {
                for (at, (item, other)) in items.iter().zip(others).enumerate() {
                    self.values(&format!("{place}/{at}"), item, other);
                }
            }
            _ => {
                let name = place.rsplit('/').next().unwrap_or_default();
                let texts = (wanted.as_str(), came.as_str());
                let same = match texts {
                    (Some(text), Some(other)) => self.stands_for(name, text, other),
                    _ => wanted == came,
                };
                // As JSON, so that a number is told from its text.
                self.tell(place, same, Some(clip(&wanted.to_string())), Some(clip(&came.to_string())));
            }
        }
    }

    /// Whether a text of one run stands for one of the other: it is the same, or both are made anew for each run, and always
    /// for each other.
    fn stands_for(&mut self, name: &str, wanted: &str, came: &str) -> bool {
        if wanted == came {
            return true;
        }
        // The scheme before a token is the client's.
        let (scheme, token) = wanted.split_once(' ').unwrap_or(("", wanted));
        let (other_scheme, other_token) = came.split_once(' ').unwrap_or(("", came));
        let anew = MADE_ANEW.contains(&name) || (is_random(wanted) && is_random(came));
        if !anew || scheme != other_scheme {
            return false;
        }
        let there = self.there.entry(token.to_owned()).or_insert_with(|| other_token.to_owned());
        let back = self.back.entry(other_token.to_owned()).or_insert_with(|| token.to_owned());
        there == other_token && back == token
    }
}

/// Whether a text is a UUID, which nobody sends twice by choice.
fn is_random(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// The counterpart of each wanted request: of the same kind at the same place, else of the same kind.
fn pair(wanted: &[Sent], came: &[Sent]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; wanted.len()];
    let mut taken = vec![false; came.len()];
    for exact in [true, false] {
        for (at, sent) in wanted.iter().enumerate() {
            let fits = |other: &Sent| kind(sent) == kind(other) && (!exact || place(sent) == place(other));
            if pairs[at].is_none()
                && let Some(found) = (0..came.len()).find(|other| !taken[*other] && fits(&came[*other]))
            {
                taken[found] = true;
                pairs[at] = Some(found);
            }
        }
    }
    pairs
}

/// Whether each request comes in the same turn: the longest run of them that does.
fn in_order(pairs: &[Option<usize>], wanted: &[Sent]) -> Vec<bool> {
    let list: Vec<(usize, usize)> = pairs
        .iter()
        .enumerate()
        .filter(|(at, _)| wanted[*at].method != "GET")
        .filter_map(|(at, other)| Some((at, (*other)?)))
        .collect();
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(list.len());
    for (index, (_, other)) in list.iter().enumerate() {
        let before = (0..index).filter(|earlier| list[*earlier].1 < *other).max_by_key(|earlier| best[*earlier].0);
        best.push((before.map_or(0, |earlier| best[earlier].0) + 1, before));
    }
    let mut kept = vec![false; wanted.len()];
    let mut next = (0..list.len()).max_by_key(|index| best[*index].0);
    while let Some(index) = next {
        kept[list[index].0] = true;
        next = best[index].1;
    }
    kept
}

/// What a request asks: its HTTP method with the method of its message, the grant of its form, or what else it carries.
fn kind(sent: &Sent) -> (String, String) {
    let asks = match &sent.body {
        Some(Value::Array(_)) => "batch".to_owned(),
        Some(Value::Object(members)) => {
            let word = members.get("method").or_else(|| members.get("grant_type")).and_then(Value::as_str);
            let response = members.contains_key("result") || members.contains_key("error");
            word.map_or_else(|| if response { "response".to_owned() } else { String::new() }, str::to_owned)
        }
        _ => String::new(),
    };
    (sent.method.clone(), asks)
}

fn place(sent: &Sent) -> &str {
    halves(&sent.path).0
}

fn halves(path: &str) -> (&str, &str) {
    path.split_once('?').unwrap_or((path, ""))
}

fn parameters(text: &str) -> Map<String, Value> {
    let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
    pairs.map(|(name, value)| (name, Value::String(value))).collect()
}

/// What each request is called.
fn names(list: &[Sent]) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    list.iter()
        .map(|sent| {
            let line = line(sent);
            let count = seen.entry(line.clone()).and_modify(|count| *count += 1).or_insert(1);
            if *count == 1 { line } else { format!("{line} #{count}") }
        })
        .collect()
}

fn line(sent: &Sent) -> String {
    let (method, asks) = kind(sent);
    if asks.is_empty() { format!("{method} {}", place(sent)) } else { format!("{method} {asks}") }
}

fn short(value: &Value) -> String {
    clip(&value.to_string())
}

fn clip(text: &str) -> String {
    if text.chars().count() <= 200 { text.to_owned() } else { text.chars().take(200).chain("…".chars()).collect() }
}

/// The request with words in place of texts.
fn worded(sent: &Sent, words: &[(String, String)]) -> Sent {
    let text = |text: &str| {
        let all = words.iter().filter(|(from, _)| !from.is_empty());
        all.fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to))
    };
    Sent {
        method: sent.method.clone(),
        path: decoded(&sent.path, &text),
        headers: sent.headers.iter().map(|(name, value)| (name.clone(), text(value).into())).collect(),
        body: sent.body.as_ref().map(|body| in_value(body, &text)),
    }
}

/// A path with words in place of texts, also where its query spells them in its own way.
fn decoded(path: &str, text: &impl Fn(&str) -> String) -> String {
    let (place, query) = halves(path);
    if query.is_empty() {
        return text(place);
    }
    let pairs = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), text(&value)));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}?{query}", text(place))
}

fn in_value(value: &Value, text: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(known) => Value::String(text(known)),
        Value::Array(items) => items.iter().map(|item| in_value(item, text)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), in_value(value, text))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn post(headers: &[(&str, &str)], body: Value) -> Sent {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Sent { method: "POST".to_owned(), path: "/mcp".to_owned(), headers, body: Some(body) }
    }

    fn differences(wanted: &[Sent], came: &[Sent]) -> Vec<String> {
        let told = compare(wanted, came, &Sameness::default());
        told.differences.iter().map(|one| format!("{}: {}", one.request, one.field)).collect()
    }

    #[test]
    fn what_is_made_anew_agrees_as_long_as_it_always_stands_for_the_same() {
        let run = |session: &str, second: &str, host: &str| {
            vec![
                post(&[("Host", host), ("mcp-session-id", session)], json!({"id": 1, "method": "tools/list"})),
                post(&[("Host", host), ("mcp-session-id", second)], json!({"id": 2, "method": "tools/list"})),
            ]
        };
        let wanted = run("abc", "abc", "a:1");
        let told = compare(&wanted, &run("xyz", "xyz", "b:2"), &Sameness::default());
        assert_eq!((told.differences.len(), told.percent()), (0, 100), "{told:?}");
        assert_eq!(
            differences(&wanted, &run("xyz", "other", "b:2")),
            ["POST tools/list #2: header mcp-session-id"],
            "another session is another thing"
        );
    }

    #[test]
    fn each_field_counts_by_itself() {
        let wanted = [post(
            &[("Accept", "application/json, text/event-stream"), ("x", "1")],
            json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": {"roots": {}}}}),
        )];
        let came = [post(
            &[("x", "1"), ("accept", "application/json"), ("y", "2")],
            json!({"id": "0", "jsonrpc": "2.0", "method": "initialize", "params": {"capabilities": {}}}),
        )];
        let told = compare(&wanted, &came, &Sameness::default());
        let fields: Vec<&str> = told.differences.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "header accept",
                "spelling of accept",
                "header y",
                "order of headers",
                "body/id",
                "body/params/capabilities/roots",
                "order of body"
            ]
        );
        assert_eq!(told.fields, 14);
        assert_eq!(told.percent(), 50);
    }

    #[test]
    fn requests_are_paired_by_what_they_ask() {
        let list = |method: &str| post(&[], json!({"method": method}));
        let get = Sent { method: "GET".to_owned(), path: "/mcp".to_owned(), ..Sent::default() };
        let wanted = [list("a"), list("b"), get.clone(), list("c")];
        assert_eq!(differences(&wanted, &[list("a"), get.clone(), list("b"), list("c")]), [""; 0]);
        assert_eq!(differences(&wanted, &[list("c"), list("a"), list("b"), get.clone()]), ["POST c: order"]);
        assert_eq!(
            differences(&wanted, &[list("a"), list("b"), list("c"), list("c")]),
            ["GET /mcp: request", "POST c #2: request"]
        );
        let elsewhere = Sent { path: "/other".to_owned(), ..get };
        assert_eq!(differences(&wanted[2..3], &[elsewhere]), ["GET /mcp: path"]);
    }

    #[test]
    fn words_stand_for_what_belongs_to_a_place() {
        let ask = |origin: &str| Sent {
            method: "GET".to_owned(),
            path: format!("/authorize?resource={}&state={}", origin.replace('/', "%2F"), origin.len()),
            headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
            body: body_of(
                &[("Content-Type".into(), "application/x-www-form-urlencoded".into())],
                &format!("resource={origin}"),
            ),
        };
        let words = |origin: &str| vec![(origin.to_owned(), "{origin}".to_owned())];
        let sameness = Sameness { wanted: words("http://a:1"), came: words("https://b.example") };
        let told = compare(&[ask("http://a:1")], &[ask("https://b.example")], &sameness);
        assert_eq!(told.differences, []);
        assert!(compare(&[ask("http://a:1")], &[ask("https://b.example")], &Sameness::default()).percent() < 100);
    }

    #[test]
    fn nothing_agrees_with_nothing() {
        assert_eq!(compare(&[], &[], &Sameness::default()).percent(), 100);
    }
}
