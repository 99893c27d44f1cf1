//! Small habits of a client around its requests: ids, progress tokens, members that it adds, lists that it fetches again,
//! and a session for each call.
//!
//! *Which* habits there are is the profile's; *when* a request is made is the scenario's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::exchange::Answered;
use super::sim::Sim;
use crate::model::{Members as _, Via, id_text};
use crate::profile::Token;
use crate::scenario::Negotiate;
use crate::transcript::EventKind;

/// In the place of an id: each one is a fresh UUID.
const UUID: &str = "{uuid}";
/// In a text of `_meta`: made-up digits.
const HEX: &str = "{hex}";

impl Sim {
    /// The next request id, counted as the profile counts: as numbers, as the same in strings, or not at all.
    pub(super) fn next_id(&self) -> Value {
        let first = &self.profile.first_request_id.value;
        if first == UUID {
            return json!(self.uuid());
        }
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        if first.is_string() { json!(number.to_string()) } else { json!(number) }
    }

    fn uuid(&self) -> String {
        let hex = self.rng.hex(16);
        let at = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-4{}-a{}-{}", at(0, 8), at(8, 12), at(13, 16), at(17, 20), at(20, 32))
    }

    /// A progress token of this client.
    pub(super) fn progress_token(&self, id: &Value, counter: &mut i64) -> Value {
        match self.profile.progress.value.token {
            Token::RequestId => id.clone(),
            Token::Uuid => json!(self.uuid()),
            Token::Counter => {
                *counter += 1;
                json!(*counter - 1)
            }
        }
    }

    /// What the client adds to `_meta` of a call by itself.
    pub(super) fn call_meta(&self) -> Map<String, Value> {
        let fill = |value: &Value| match value.as_str() {
            Some(text) if text.contains(HEX) => json!(text.replace(HEX, &self.rng.hex(5))),
            _ => value.clone(),
        };
        self.profile.extras.value.call_meta.iter().map(|(name, value)| (name.clone(), fill(value))).collect()
    }

    /// The params of a request after a handshake, with what the client adds to them. What is there already stays.
    pub(super) fn habitual(&self, method: &str, params: Option<Value>, id: &Value) -> Option<Value> {
        let profile = &self.profile;
        let mut added = if method == "tools/call" { self.call_meta() } else { Map::new() };
        if profile.progress.value.sends.are_on(method) {
            let mut counter = self.state().tokens;
            added.insert("progressToken".to_owned(), self.progress_token(id, &mut counter));
            self.state().tokens = counter;
        }
        let lists = method.ends_with("/list");
        if params.is_none() && added.is_empty() {
            return (lists && profile.extras.value.empty_params).then(|| json!({}));
        }
        // What is no object has no place for `_meta`; it goes out as it is.
        let mut members = match params {
            None => Map::new(),
            Some(Value::Object(members)) => members,
            Some(other) => return Some(other),
        };
        if !added.is_empty() {
            let meta = members.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                for (name, value) in added {
                    meta.entry(name).or_insert(value);
                }
            }
        }
        Some(Value::Object(members))
    }

    /// Asks for logs of the level that the client wants, where the server has any.
    pub(super) async fn ask_for_logs(self: &Arc<Self>, served: &Value, within: Duration) {
        let Some(level) = self.profile.log_level.value.as_ref().filter(|_| served.member("logging").is_some()) else {
            return;
        };
        self.request("logging/setLevel", Some(json!({"level": level})), within).await;
    }

    /// Fetches again what the client fetches when the server says that its tools changed.
    pub(super) fn hear_change(self: &Arc<Self>, message: &Value) {
        let lists = &self.profile.refetches.value;
        let told = message.at("method") == "notifications/tools/list_changed";
        if !told || lists.is_empty() || self.is_modern() || self.via() != Via::StreamableHttp {
            return;
        }
        let sim = Arc::clone(self);
        let mut dropped = self.drop_all.subscribe();
        dropped.mark_unchanged();
        self.fetches_again(true);
        tokio::spawn(async move {
            let within = sim.target.patience;
            let all = async {
                for list in &sim.profile.refetches.value {
                    sim.list(list, within).await;
                }
            };
            tokio::select! {
                () = all => {}
                _ = dropped.changed() => {}
            }
            sim.fetches_again(false);
        });
    }

    /// How long a call may take.
    pub(super) fn patience_for_calls(&self, within: Duration) -> Duration {
        self.profile.limits.value.call_s.map_or(within, |most| within.min(Duration::from_secs(most)))
    }

    /// What some clients say about calls that are over: that they are to be cancelled.
    pub(super) async fn cancel_late(self: &Arc<Self>, answered: &Answered, id: &Value, within: Duration) {
        let over = answered.messages.iter().any(|message| message.member("id") == Some(id));
        let Some(reason) = self.profile.cancels_answered.value.as_ref().filter(|_| over && !self.is_modern()) else {
            return;
        };
        let params = json!({"requestId": id, "reason": reason});
        let message = self.notification("notifications/cancelled", Some(params));
        let request = self.post(&message, Some("notifications/cancelled"), None);
        self.exchange(request, self.options(within)).await;
    }

    /// Whether the client has a session for each call, and is about to make one.
    pub(super) fn opens_for_each_call(&self) -> bool {
        self.profile.session_per_call.value.is_some() && !self.is_modern() && self.via() == Via::StreamableHttp
    }

    /// Ids count from the beginning again.
    pub(super) fn count_anew(&self) {
        self.next_id.store(first_number(&self.profile.first_request_id.value), Ordering::Relaxed);
    }

    /// Opens a session for one call.
    pub(super) async fn open_for_call(self: &Arc<Self>, within: Duration) {
        let Some(step) = self.state().opening.clone() else { return };
        self.count_anew();
        self.begin(&Negotiate { settle: false, ..step }, within).await;
        if self.state().revision.is_some() && self.profile.get_stream.value.opens {
            self.open_stream(self.bare("GET"), within).await;
        }
    }

    /// Ends the session that was opened for one call; `after` is asked before.
    pub(super) async fn end_of_call(self: &Arc<Self>, after: &[String], within: Duration) {
        for list in after {
            self.list(list, within).await;
        }
        let session = self.state().session.clone();
        if self.profile.delete_on_exit.value && session.is_some() {
            let answered = self.exchange(self.bare("DELETE"), self.options(within)).await;
            if answered.accepted() {
                self.state().ended_sessions.extend(session);
            }
        }
        self.disconnect();
        self.state().session = None;
    }

    /// Notes what the client makes of a stream that it was not given.
    pub(super) fn note_no_stream(&self, status: u16) {
        let known = &self.profile.get_stream.value.no_stream_statuses;
        if status >= 400 && status != 401 && !known.contains(&status) {
            let text = format!(
                "the client takes status {status} to its GET for an error: it would not say so after {known:?}"
            );
            self.tap.record(&self.name, EventKind::Note { text });
        }
    }
}

/// The number that ids count up from.
pub(super) fn first_number(first: &Value) -> i64 {
    first.as_i64().or_else(|| id_text(first).trim_matches('"').parse().ok()).unwrap_or(0)
}
