//! What the client does once it is in: lists, streams, answers, and how it leaves.

use serde_json::{Map, Value, json};

use super::seen::Seen;
use crate::model::{Kind, Via};
use crate::profile::Profile;
use crate::transcript::{End, Exchange, Msg};

/// Methods that list something.
pub(super) fn is_list(method: &str) -> bool {
    method.ends_with("/list") && !method.starts_with("tasks/")
}

impl<'v> Seen<'v> {
    /// The lists that the client fetches before it does anything else, each with its first request.
    pub(super) fn first_lists(&self) -> Vec<&'v Msg> {
        let mut lists: Vec<&Msg> = Vec::new();
        for msg in self.requests() {
            match msg.method() {
                Some(method) if is_list(method) => {
                    if !lists.iter().any(|known| known.method() == Some(method)) {
                        lists.push(msg);
                    }
                }
                Some("ping" | "subscriptions/listen") => {}
                _ => break,
            }
        }
        lists
    }

    pub(super) fn listing(&self) -> Vec<&'v str> {
        self.first_lists().into_iter().filter_map(Msg::method).collect()
    }

    /// Whether the lists were asked for at once; nothing where there were not two.
    pub(super) fn parallel(&self) -> Option<bool> {
        let lists = self.first_lists();
        let (first, second) = (lists.first()?, lists.get(1)?);
        Some(self.answer(first).is_none_or(|answer| answer.seq > second.seq))
    }

    /// Whether a next page is asked for; nothing where there was none.
    pub(super) fn follows_cursor(&self) -> Option<bool> {
        let more = self
            .requests()
            .into_iter()
            .filter_map(|msg| self.answer(msg))
            .find_map(|answer| answer.value["result"].get("nextCursor").filter(|cursor| cursor.is_string()))?;
        Some(self.requests().iter().any(|msg| msg.value["params"]["cursor"] == *more))
    }

    /// The stream of the server: whether the client opens it, and what it takes for "there is none".
    pub(super) fn get_stream(&self, base: &Profile) -> Option<Value> {
        let opens = self.get();
        if opens.is_none() && (self.is_modern() || self.requests().is_empty()) {
            return None;
        }
        // A refusal after which the client goes on is none to it.
        let refused = opens.and_then(|get| get.status).filter(|status| *status >= 400);
        let went_on = opens.is_some_and(|get| self.requests().iter().any(|msg| msg.seq > get.seq));
        let known = base.get_stream.value.no_stream_statuses.clone();
        let statuses = refused.filter(|_| went_on).map_or(known, |status| vec![status]);
        Some(json!({"opens": opens.is_some(), "no_stream_statuses": statuses}))
    }

    /// A stream that broke, and the one that took its place.
    fn resumed(&self) -> Option<(&'v Exchange, &'v Exchange)> {
        let gets: Vec<&Exchange> = self.exchanges().filter(|exchange| exchange.method == "GET").collect();
        let broke =
            |exchange: &Exchange| exchange.is_success() && matches!(exchange.end, Some(End::Complete | End::CutShort));
        gets.windows(2)
            .find(|pair| broke(pair[0]) && pair[0].end_seq < Some(pair[1].seq))
            .map(|pair| (pair[0], pair[1]))
    }

    pub(super) fn reconnect_ms(&self) -> Option<u64> {
        let (before, after) = self.resumed()?;
        // A pause that the server asked for is not the client's.
        let asked = before.events.iter().any(|event| event.retry.is_some());
        (!asked).then(|| after.at.saturating_sub(before.end_at.unwrap_or(after.at)) / 1000)
    }

    pub(super) fn last_event_id(&self) -> Option<bool> {
        let (before, after) = self.resumed()?;
        let told = before.events.iter().any(|event| event.id.is_some());
        told.then(|| after.sent_header("last-event-id").is_some())
    }

    /// Whether the client ends its session; nothing where it was not seen to leave.
    pub(super) fn delete_on_exit(&self) -> Option<bool> {
        let conversation = self.conversation().filter(|conversation| conversation.session.is_some())?;
        if self.delete().is_some() {
            return Some(true);
        }
        let own = || self.view.exchanges.iter().filter(|exchange| exchange.conversation == self.main);
        // The recording ended first where something was still under way.
        let left = own().all(|exchange| matches!(exchange.end, Some(End::Complete | End::ClosedByUs | End::CutShort)));
        let let_go = own().any(|exchange| exchange.method == "GET" && exchange.end == Some(End::ClosedByUs));
        let no_stream = own().all(|exchange| exchange.method != "GET" || !exchange.is_success());
        (left && (let_go || no_stream) && !conversation.answered.is_empty()).then_some(false)
    }

    /// What the client does when its session is answered with 404.
    pub(super) fn on_session_404(&self) -> Option<&'static str> {
        let lost = self.view.exchanges.iter().find(|exchange| {
            exchange.status == Some(404) && exchange.session().is_some() && exchange.method == "POST"
        })?;
        let asked = lost.sent_json().map(|body| body["method"].clone()).unwrap_or_default();
        let later = || self.view.messages.iter().filter(|msg| !msg.received() && msg.seq > lost.seq);
        if !later().any(|msg| msg.method() == Some("initialize")) {
            return Some("fail");
        }
        let again = later().any(|msg| msg.value["method"] == asked && msg.kind == Kind::Request);
        Some(if again { "reinitialize-and-retry" } else { "reinitialize" })
    }

    /// Requests before the first message, those of OAuth aside.
    pub(super) fn pre_requests(&self) -> Vec<Value> {
        let first = self.view.messages.iter().find(|msg| !msg.received());
        let Some(first) = first.map(|msg| self.exchange(msg)) else { return Vec::new() };
        let endpoint = first.target.split('?').next().unwrap_or_default();
        let own = |exchange: &&Exchange| {
            exchange.seq < first.seq
                && exchange.via == Via::StreamableHttp
                && exchange.body.is_none()
                && !exchange.target.contains("/.well-known/")
                && !exchange.target.contains('?')
        };
        let line = |exchange: &Exchange| json!([exchange.method, exchange.target.replace(endpoint, "{endpoint}")]);
        let open = endpoint.len() > 1;
        self.view.exchanges.iter().filter(own).filter(|_| open).map(line).collect()
    }

    /// Answers to what the server asked: those that were seen; the names of the others.
    pub(super) fn answers(&self) -> (Map<String, Value>, Vec<&'static str>) {
        let known = [
            ("ping", "ping"),
            ("roots", "roots/list"),
            ("sampling", "sampling/createMessage"),
            ("elicitation", "elicitation/create"),
        ];
        let mut seen = Map::new();
        let mut missing = Vec::new();
        let calls = || {
            self.view.server_calls.iter().filter_map(|call| {
                let answer = call.responses.first().map(|index| &self.view.messages[*index])?;
                Some((&self.view.messages[call.request], answer))
            })
        };
        let as_answer = |answer: &Msg| match (answer.value.get("result"), answer.value.get("error")) {
            (Some(result), _) => json!({"result": result}),
            (None, error) => {
                let error = error.cloned().unwrap_or_default();
                let text = error["message"].as_str().unwrap_or_default();
                json!({"error": {"code": error["code"].as_i64().unwrap_or(0), "message": text}})
            }
        };
        for (name, method) in known {
            match calls().find(|(question, _)| question.method() == Some(method)) {
                Some((_, answer)) => {
                    seen.insert(name.to_owned(), as_answer(answer));
                }
                None => missing.push(name),
            }
        }
        let strange = |question: &Msg| !known.iter().any(|(_, method)| question.method() == Some(method));
        match calls().find(|(question, _)| strange(question)) {
            Some((_, answer)) => {
                seen.insert("unknown".to_owned(), as_answer(answer));
            }
            None => missing.push("unknown"),
        }
        (seen, missing)
    }
}
