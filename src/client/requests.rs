//! Requests to the endpoint as the profile makes them. Sends nothing.

use serde_json::Value;

use super::compose::{self, Slots};
use super::sim::Sim;
use crate::transcript::header;
use crate::wire::Request;

impl Sim {
    /// A POST of a message with the headers of the profile.
    pub(super) fn post(&self, message: &Value, method: Option<&str>, name: Option<&str>) -> Request {
        let body = message.to_string().into_bytes();
        let (host, node) = (self.host(), self.here());
        let state = self.state();
        let templates = if method == Some("initialize") {
            &self.profile.headers_initialize.value
        } else {
            &self.profile.headers_post.value
        };
        let slots = Slots {
            host: &host,
            length: Some(body.len()),
            session: state.session.as_deref(),
            revision: state.revision.as_deref(),
            method,
            name,
        };
        let mut headers = compose::headers(templates, &slots);
        compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
        Request { headers, body, node, ..Request::to(self.target.path.clone(), "POST") }
    }

    /// A GET or DELETE with the headers of the profile.
    pub(super) fn bare(&self, method: &str) -> Request {
        let (host, node) = (self.host(), self.here());
        let state = self.state();
        let templates = match method {
            "DELETE" if !self.profile.headers_delete.value.is_empty() => &self.profile.headers_delete.value,
            _ => &self.profile.headers_get.value,
        };
        let slots = Slots {
            host: &host,
            session: state.session.as_deref(),
            revision: state.revision.as_deref(),
            ..Slots::default()
        };
        let mut headers = compose::headers(templates, &slots);
        // Of a client that was never seen to send such a request it is not known what it would put there; nothing goes
        // without this (RFC 9112 section 3.2).
        if header(&headers, "host").is_none() {
            headers.insert(0, ("host".to_owned(), host.clone()));
        }
        if method == "GET" && header(&headers, "accept").is_none() {
            headers.push(("accept".to_owned(), "text/event-stream".to_owned()));
        }
        compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
        Request { headers, node, ..Request::to(self.target.path.clone(), method) }
    }
}
