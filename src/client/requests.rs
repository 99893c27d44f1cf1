//! Requests to the endpoint as the profile makes them. Sends nothing.

use serde_json::Value;

use super::compose::{self, Slots};
use super::mirror;
use super::sim::Sim;
use super::step::name_of;
use crate::model::{Members as _, written};
use crate::profile::Header;
use crate::transcript::{Headers, header};
use crate::wire::Request;

impl Sim {
    /// A POST of a message with the headers of the profile.
    pub(super) fn post(&self, message: &Value, method: Option<&str>, name: Option<&str>) -> Request {
        if let Some(habits) = self.profile.modern.value.as_ref().filter(|_| self.is_modern()) {
            return self.dressed(&habits.headers, message);
        }
        let body = written(message);
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
            // With `initialize` it can only be the version that is asked for.
            revision: state.revision.as_deref().or_else(|| message.at("params").at("protocolVersion").as_str()),
            method,
            name,
        };
        let mut headers = compose::headers(templates, &slots);
        compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
        Request { headers, body, node, ..Request::to(self.target.path.clone(), "POST") }
    }

    /// A POST of a message of the era without a handshake, under these headers.
    pub(super) fn dressed(&self, templates: &[Header], message: &Value) -> Request {
        let body = written(message);
        let mut headers = {
            let state = self.state();
            let name = name_of(message).map(mirror::encoded);
            let slots = Slots {
                host: &self.target.host,
                length: Some(body.len()),
                session: None,
                revision: state.modern.as_ref().map(|dress| dress.version.as_str()),
                method: message.at("method").as_str(),
                name: name.as_deref(),
            };
            let mut headers = compose::headers(templates, &slots);
            compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
            headers
        };
        self.mirror(&mut headers, message);
        Request { headers, body, ..Request::to(self.target.path.clone(), "POST") }
    }

    /// These headers, of which only `{host}` has a value.
    pub(super) fn plain_headers(&self, templates: &[Header]) -> Headers {
        let host = self.host();
        compose::headers(templates, &Slots { host: &host, ..Slots::default() })
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
            headers.insert(0, ("host".into(), host.clone().into()));
        }
        if method == "GET" && header(&headers, "accept").is_none() {
            headers.push(("accept".into(), "text/event-stream".into()));
        }
        compose::authorize(&mut headers, &self.profile.authorization.value, state.credential.access.as_deref());
        Request { headers, node, ..Request::to(self.target.path.clone(), method) }
    }
}
