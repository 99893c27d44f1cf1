//! Headers of a recording as templates of a profile.

use serde_json::{Value, json};

use super::seen::Seen;
use crate::model::{Kind, Via};
use crate::transcript::{Exchange, HeaderText};

/// What stands for the value of a header that is not the client's choice.
fn template(name: &str, value: &str) -> Option<String> {
    Some(match name.to_ascii_lowercase().as_str() {
        "host" => "{host}".to_owned(),
        "content-length" => "{length}".to_owned(),
        "mcp-session-id" => "{session}".to_owned(),
        "mcp-protocol-version" => "{revision}".to_owned(),
        "mcp-method" => "{method}".to_owned(),
        "mcp-name" => "{name}".to_owned(),
        "user-agent" => "{user_agent}".to_owned(),
        // The token has a field of its own; cookies are not kept, and arguments are mirrored by what tools say.
        "authorization" | "cookie" | "last-event-id" => return None,
        name if name.starts_with("mcp-param-") => return None,
        // What was hidden when it was recorded is a key of the person, not a habit of the client.
        _ if value.starts_with("header#") => return None,
        _ => value.to_owned(),
    })
}

/// A request's headers as templates. A handshake names no version that was agreed on: what it names is its own.
pub(super) fn templates(exchange: &Exchange, agreed: bool) -> Value {
    let fill = |(name, value): &(HeaderText, HeaderText)| {
        let own = !agreed && name.eq_ignore_ascii_case("mcp-protocol-version");
        let text = if own { Some(value.to_string()) } else { template(name, value) };
        text.map(|text| json!([name, text]))
    };
    let mut list: Vec<Value> = exchange.headers.iter().filter_map(fill).collect();
    // What is sent in chunks is sent with a length by the client of a profile.
    let has = |list: &[Value], text: &str| list.iter().any(|header| header[1] == text);
    if exchange.method == "POST" && !has(&list, "{length}") {
        let chunked =
            |header: &Value| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("transfer-encoding"));
        let length = json!(["content-length", "{length}"]);
        match list.iter().position(chunked) {
            Some(at) => list[at] = length,
            None => list.push(length),
        }
    }
    Value::Array(list)
}

impl Seen<'_> {
    /// The `initialize` over HTTP.
    pub(super) fn first_post(&self) -> Option<&Exchange> {
        self.hello().map(|msg| self.exchange(msg)).filter(|exchange| exchange.via == Via::StreamableHttp)
    }

    /// The POST after the handshake with the most headers: those of others are fewer only where they have no value.
    pub(super) fn later_post(&self) -> Option<&Exchange> {
        let opened = self.conversation().map(|conversation| conversation.opened);
        let own = |exchange: &&Exchange| {
            exchange.method == "POST"
                && exchange.via == Via::StreamableHttp
                && !exchange.modern
                && exchange.conversation.is_some()
                && exchange.conversation == self.main
                && opened.is_some_and(|opened| self.view.exchanges[opened].seq != exchange.seq)
        };
        let all: Vec<&Exchange> = self.view.exchanges.iter().filter(own).collect();
        let most = all.iter().map(|exchange| exchange.headers.len()).max()?;
        all.into_iter().find(|exchange| exchange.headers.len() == most)
    }

    /// The same of the modern era; one that carries a name, where there is one.
    pub(super) fn modern_post(&self) -> Option<&Exchange> {
        let asks = |msg: &&crate::transcript::Msg| {
            !msg.received() && msg.kind == Kind::Request && msg.method() != Some("server/discover")
        };
        let own = self.view.messages.iter().filter(asks).map(|msg| self.exchange(msg));
        let own: Vec<&Exchange> =
            own.filter(|exchange| exchange.modern && exchange.via == Via::StreamableHttp).collect();
        let named = own.iter().find(|exchange| exchange.sent_header("mcp-name").is_some());
        named.or(own.first()).copied()
    }

    /// The GET that opens the stream of the conversation that counts, not one that resumes another.
    pub(super) fn get(&self) -> Option<&Exchange> {
        let opens = |exchange: &&Exchange| exchange.method == "GET" && exchange.sent_header("last-event-id").is_none();
        let of_main = |exchange: &&Exchange| exchange.conversation.is_some() && exchange.conversation == self.main;
        self.view.exchanges.iter().filter(of_main).find(opens).filter(|get| get.via == Via::StreamableHttp)
    }

    pub(super) fn delete(&self) -> Option<&Exchange> {
        let of_main = |exchange: &&Exchange| exchange.conversation.is_some() && exchange.conversation == self.main;
        self.view.exchanges.iter().filter(of_main).find(|exchange| exchange.method == "DELETE")
    }

    /// Where the token goes: the header's spelling, and the one before it.
    pub(super) fn authorization(&self) -> Option<Value> {
        let exchange = [self.later_post(), self.modern_post(), self.first_post()]
            .into_iter()
            .flatten()
            .find(|exchange| exchange.sent_header("authorization").is_some())?;
        let at = exchange.headers.iter().position(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
        let after = at.checked_sub(1).map_or("host", |before| exchange.headers[before].0.as_str());
        Some(json!({"name": exchange.headers[at].0, "after": after}))
    }

    /// `User-Agent` of what goes to the endpoint.
    pub(super) fn agent(&self) -> Option<&str> {
        let all = [self.later_post(), self.modern_post(), self.first_post()];
        all.into_iter().flatten().find_map(|exchange| exchange.sent_header("user-agent"))
    }
}
