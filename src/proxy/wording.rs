//! What a server is called on either side of the proxy, for servers that tell clients their own address: the client is to
//! stay with the proxy, and the server is to hear its own name.
//!
//! Rewords what OAuth and HTTP say of places, never a message of MCP.

use url::form_urlencoded::byte_serialize;

use super::head::{AnswerHead, Change, RequestHead};

/// The largest document or form that is reworded, in bytes.
pub(super) const MAX_REWORDED: usize = 1024 * 1024;

/// Headers of answers that name places.
const NAMING: [&str; 4] = ["www-authenticate", "location", "link", "access-control-allow-origin"];

/// The names of a server: its own origins, such as `https://mcp.example.com`, the first for requests to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    origins: Vec<String>,
}

impl Wording {
    /// A server with these origins; `None` where there are none.
    pub fn of(origins: &[String]) -> Option<Self> {
        let origins: Vec<String> = origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        (!origins.is_empty() && origins.iter().all(|origin| origin.contains("://"))).then_some(Self { origins })
    }

    fn own(&self) -> &str {
        self.origins.first().map_or("", String::as_str)
    }

    /// What has to change in a request's head, given what the client calls the server.
    pub(super) fn of_request(&self, head: &RequestHead, client: &str) -> Vec<Change> {
        let there = pairs(client, self.own());
        let authority = self.own().split_once("://").map_or("", |(_, authority)| authority);
        let mut changes = vec![Change::Value("host".to_owned(), authority.to_owned())];
        changes.extend(["origin", "referer"].map(|name| Change::Reword(name.to_owned(), there.clone())));
        if let Some((path, query)) = head.target.split_once('?') {
            let target = format!("{path}?{}", replaced(query, &there));
            changes.push(Change::First(format!("{} {target} HTTP/1.1", head.method)));
        }
        // What is coded cannot be reworded, nor always read by who looks on.
        changes.push(Change::Value("accept-encoding".to_owned(), "identity".to_owned()));
        changes
    }

    /// What has to change in an answer's head.
    pub(super) fn of_answer(&self, client: &str) -> Vec<Change> {
        let back = self.back(client);
        NAMING.iter().map(|name| Change::Reword((*name).to_owned(), back.clone())).collect()
    }

    /// Whether the body of an answer is reworded.
    pub(super) fn rewords(head: &AnswerHead, target: &str) -> bool {
        is_document(target) && !head.event_stream && (200..300).contains(&head.status)
    }

    /// A form as the server is to get it.
    pub(super) fn form(&self, body: &[u8], client: &str) -> Vec<u8> {
        replaced(&String::from_utf8_lossy(body), &pairs(client, self.own())).into_bytes()
    }

    /// A document as the client is to get it.
    pub(super) fn document(&self, body: &[u8], client: &str) -> Vec<u8> {
        match std::str::from_utf8(body) {
            Ok(text) => replaced(text, &self.back(client)).into_bytes(),
            Err(_) => body.to_vec(),
        }
    }

    fn back(&self, client: &str) -> Vec<(String, String)> {
        self.origins.iter().flat_map(|origin| pairs(origin, client)).collect()
    }
}

/// Whether a target is a place of metadata (RFC 8615).
fn is_document(target: &str) -> bool {
    target.split('?').next().unwrap_or_default().contains("/.well-known/")
}

/// An origin in each spelling that it may have: plain, in a query, and in JSON with escaped slashes.
fn pairs(from: &str, to: &str) -> Vec<(String, String)> {
    let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    // What many write of a URL in a query without need is not coded at all.
    let lax = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
    let escaped = |text: &str| text.replace('/', "\\/");
    let mut all = vec![(from.to_owned(), to.to_owned()), (coded(from), coded(to)), (escaped(from), escaped(to))];
    all.push((lax(from).to_ascii_lowercase(), lax(to)));
    all
}

/// The text with each origin replaced where it ends: `http://h:80` is no part of `http://h:8080`.
pub(super) fn replaced(text: &str, pairs: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in pairs.iter().filter(|(from, to)| from != to && !from.is_empty()) {
        let mut new = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(from.as_str()) {
            let (before, found) = rest.split_at(at);
            let after = &found[from.len()..];
            let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '.' || next == '-');
            new.push_str(before);
            new.push_str(if goes_on { from } else { to });
            rest = after;
        }
        new.push_str(rest);
        text = new;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_reworded_in_each_spelling_and_no_other_is_touched() {
        let wording = Wording::of(&["https://mcp.example.com/".to_owned(), "http://h:80".to_owned()]).expect("some");
        let document = br#"{"a":"https://mcp.example.com/x","b":"https:\/\/mcp.example.com","c":"https://mcp.example.com.evil","d":"http://h:8080"}"#;
        let text = String::from_utf8(wording.document(document, "http://127.0.0.1:1")).expect("text");
        assert_eq!(
            text,
            r#"{"a":"http://127.0.0.1:1/x","b":"http:\/\/127.0.0.1:1","c":"https://mcp.example.com.evil","d":"http://h:8080"}"#
        );
        let form = wording
            .form(b"resource=http%3A%2F%2F127.0.0.1%3A1%2Fmcp&x=http%3A%2F%2F127.0.0.1%3A12", "http://127.0.0.1:1");
        let form = String::from_utf8(form).expect("text");
        assert_eq!(form, "resource=https%3A%2F%2Fmcp.example.com%2Fmcp&x=http%3A%2F%2F127.0.0.1%3A12");
        assert_eq!(Wording::of(&["localhost:8080".to_owned()]), None);
    }
}
