//! Where a server departs from the one that was recorded: other statuses, errors for results, answers that stay away.
//!
//! Pure. What a result says is a server's own affair, and no difference.

use serde_json::Value;

use crate::model::{Kind, Via, id_text};
use crate::transcript::{Direction, End, Exchange, Msg, View};

/// One request that was answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Which request it is, from 1.
    pub request: usize,
    /// What is different, in one sentence.
    pub what: String,
    /// What was sent.
    pub sent: String,
    /// What the recorded server answered.
    pub recorded: String,
    /// What came now.
    pub came: String,
    /// What may be the matter.
    pub hint: Option<&'static str>,
}

/// Every request that was answered otherwise, in order; exchanges are told apart by their numbers.
pub fn divergences(recorded: &View<'_>, came: &View<'_>) -> Vec<Divergence> {
    let mut found = Vec::new();
    for (index, old) in recorded.exchanges.iter().enumerate() {
        let Some(at) = came.exchanges.iter().position(|new| new.number == old.number) else { continue };
        let pair = Pair { recorded, came, old, new: &came.exchanges[at], index, at };
        if let Some((what, hint)) = pair.differs() {
            found.push(Divergence {
                request: index + 1,
                what,
                sent: sent(&came.exchanges[at]),
                recorded: shown(recorded, index),
                came: shown(came, at),
                hint,
            });
        }
    }
    found
}

struct Pair<'p> {
    recorded: &'p View<'p>,
    came: &'p View<'p>,
    old: &'p Exchange,
    new: &'p Exchange,
    index: usize,
    at: usize,
}

/// A difference in words, and what may be the matter.
type Told = (String, Option<&'static str>);

impl Pair<'_> {
    fn differs(&self) -> Option<Told> {
        // What was under way when the recording ended, or was never answered, says nothing.
        let cut = |exchange: &Exchange| exchange.passed_our_limit();
        if self.old.channel.is_none() && self.old.via == Via::Stdio {
            return self.ends();
        }
        if cut(self.old) && self.old.status.is_none() {
            return None;
        }
        self.status().or_else(|| self.kind_of_body()).or_else(|| self.response())
    }

    /// A process that ended by itself where the recorded one did not.
    fn ends(&self) -> Option<Told> {
        let early =
            |exchange: &Exchange| exchange.end == Some(End::CutShort) || matches!(exchange.end, Some(End::Failed(_)));
        (early(self.new) && !early(self.old)).then(|| ("The server ended by itself.".to_owned(), None))
    }

    fn status(&self) -> Option<Told> {
        if self.old.status == self.new.status || self.old.is_message() {
            return None;
        }
        let told =
            |status: Option<u16>| status.map_or_else(|| "not at all".to_owned(), |status| format!("with {status}"));
        let hint = match (self.old.status, self.new.status) {
            (Some(200..=299), Some(401)) => Some(
                "the recording holds no tokens; give one with --header 'Authorization: Bearer …', or record the login too",
            ),
            (_, Some(404)) => Some("is the path of the endpoint right, and the session still there?"),
            (_, Some(421)) => Some("the server knows itself by another name than the address it is played at"),
            (_, None) => Some("is the server running, and does it answer within --patience?"),
            _ => None,
        };
        let (old, new) = (told(self.old.status), told(self.new.status));
        Some((format!("The recorded server answered {old}, this one {new}."), hint))
    }

    fn kind_of_body(&self) -> Option<Told> {
        // JSON or a stream is the server's choice where the client takes both.
        let class = |exchange: &Exchange| match exchange.media_type() {
            Some("application/json" | "text/event-stream") => "messages".to_owned(),
            other => other.unwrap_or("nothing").to_owned(),
        };
        let asked = self.old.sent_json().is_some_and(|body| body.get("id").is_some() && body.get("method").is_some());
        let (old, new) = (class(self.old), class(self.new));
        (asked && old != new).then(|| (format!("The recorded server answered with {old}, this one with {new}."), None))
    }

    /// The responses to what was asked in this exchange.
    fn response(&self) -> Option<Told> {
        let asked = self.recorded.messages_in(self.index).filter(|msg| msg.direction == Direction::Sent);
        for request in asked.filter(|msg| msg.kind == Kind::Request) {
            let method = request.method().unwrap_or_default();
            let old = response_to(self.recorded, self.index, request);
            let new = response_to(self.came, self.at, request);
            match (old, new) {
                (Some(_), None) => return Some((format!("{method} stays unanswered."), None)),
                (Some(old), Some(new)) => {
                    let what = differs(method, &old.value, &new.value);
                    if what.is_some() {
                        return what;
                    }
                }
                (None, _) => {}
            }
        }
        None
    }
}

fn response_to<'v>(view: &'v View<'_>, exchange: usize, request: &Msg) -> Option<&'v Msg> {
    let id = id_text(&request.value["id"]);
    let is_it = |msg: &&Msg| msg.received() && msg.kind == Kind::Response && id_text(&msg.value["id"]) == id;
    let own = view.messages_in(exchange).find(is_it);
    own.or_else(|| {
        let seq = view.exchanges[exchange].seq;
        view.messages.iter().filter(|msg| msg.seq > seq).find(is_it)
    })
}

/// How two responses to one method differ in what a client goes by.
fn differs(method: &str, old: &Value, new: &Value) -> Option<Told> {
    let code = |message: &Value| message["error"]["code"].as_i64();
    match (code(old), code(new)) {
        (None, Some(code)) => {
            return Some((format!("The recorded server gave a result for {method}, this one the error {code}."), None));
        }
        (Some(code), None) => {
            return Some((
                format!("The recorded server answered {method} with the error {code}, this one with a result."),
                None,
            ));
        }
        (Some(one), Some(other)) if one != other => {
            return Some((
                format!("The recorded server answered {method} with the error {one}, this one with {other}."),
                None,
            ));
        }
        _ => {}
    }
    let member = |message: &Value, path: &str| message["result"].pointer(path).cloned();
    let changed = |path: &str| {
        let (old, new) = (member(old, path), member(new, path));
        (old != new).then(|| {
            let text = |value: Option<Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
            (text(old), text(new))
        })
    };
    match method {
        "initialize" => changed("/protocolVersion")
            .map(|(old, new)| (format!("The recorded server chose the version {old}, this one {new}."), None)),
        "tools/call" => {
            let failed = |message: &Value| message["result"]["isError"] == true;
            (failed(old) != failed(new)).then(|| {
                let (one, other) = if failed(new) { ("worked", "failed") } else { ("failed", "worked") };
                (
                    format!("The call {one} at the recorded server and {other} at this one."),
                    Some("is it the same tool?"),
                )
            })
        }
        _ => {
            changed("/resultType").map(|(old, new)| (format!("The result of {method} was {old}, and is {new}."), None))
        }
    }
}

fn clip(text: &str) -> String {
    const MOST: usize = 400;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain("…".chars()).collect() }
}

fn sent(exchange: &Exchange) -> String {
    let body = exchange.body.as_deref().unwrap_or_default();
    clip(format!("{} {} {body}", exchange.method, exchange.target).trim())
}

/// What came back, to show.
fn shown(view: &View<'_>, index: usize) -> String {
    let exchange = &view.exchanges[index];
    let messages: Vec<String> =
        view.messages_in(index).filter(|msg| msg.received()).map(|msg| msg.value.to_string()).collect();
    let body = match &exchange.response_body {
        Some(body) if messages.is_empty() => body.to_string(),
        _ => messages.join(" "),
    };
    let status = exchange.status.map(|status| status.to_string()).unwrap_or_default();
    let text = format!("{status} {body}");
    let amiss = exchange.amiss().unwrap_or_default();
    let text =
        [text.trim(), amiss.as_str()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("; ");
    if text.is_empty() { "nothing".to_owned() } else { clip(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Builder;
    use serde_json::json;

    fn first(old: Builder, new: Builder) -> Option<Divergence> {
        let (old, new) = (old.finish(), new.finish());
        divergences(&View::new(&old), &View::new(&new)).into_iter().next()
    }

    fn start() -> Builder {
        Builder::new().initialize("2025-06-18")
    }

    #[test]
    fn what_a_client_goes_by_is_compared_and_nothing_else() {
        let list = |tools: Value| start().call("tools/list", json!({}), json!({"tools": tools}));
        assert_eq!(first(list(json!([])), list(json!([{"name": "x"}]))), None);
        let refused = start().call_error("tools/list", json!({}), -32601);
        let told = first(list(json!([])), refused).expect("a divergence");
        assert_eq!(told.request, 3);
        assert_eq!(told.what, "The recorded server gave a result for tools/list, this one the error -32601.");
        assert!(told.sent.contains("tools/list") && told.came.contains("-32601"));
        let told = first(start(), Builder::new().initialize("2025-03-26")).expect("a divergence");
        assert!(told.what.contains("\"2025-06-18\", this one \"2025-03-26\""), "{}", told.what);
        let ping = || start().request("POST", &[], Some(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#));
        let answer = json!({"jsonrpc": "2.0", "id": 9, "result": {}});
        let told = first(ping().json(200, &answer), ping().answer(401, &[], "")).expect("a divergence");
        assert!(told.hint.is_some_and(|hint| hint.contains("--header")));
        assert_eq!(first(ping().json(200, &answer), ping().stream().sse(None, &answer)), None, "its own choice");
    }
}
