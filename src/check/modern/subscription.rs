//! Subscriptions of a transcript: the request that opened each, and what came for it. Holds no checks of its own.

use serde_json::Value;

use super::flaw::{Ask, flaws, requests};
use crate::model::{Kind, Members as _, id_text};
use crate::transcript::{End, META_SUBSCRIPTION, Msg, View};

/// The notification that opens a subscription.
pub(super) const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// A subscription.
pub(super) struct Subscription<'v> {
    /// The request.
    pub ask: Ask<'v>,
    /// What came for it, in order: over HTTP everything on its stream, on a channel what is tagged with its id.
    pub came: Vec<&'v Msg>,
}

/// Every subscription that nothing about its request speaks against.
pub(super) fn subscriptions<'v>(view: &'v View<'_>) -> Vec<Subscription<'v>> {
    requests(view)
        .filter(|ask| ask.method() == "subscriptions/listen" && flaws(view, ask).is_empty())
        .filter(|ask| ask.param("notifications").is_object())
        .map(|ask| Subscription { came: came(view, &ask), ask })
        .collect()
}

/// The tag of a message.
pub(super) fn tag(msg: &Msg) -> &Value {
    let holder = if msg.kind == Kind::Response { msg.value.at("result") } else { msg.value.at("params") };
    holder.at("_meta").at(META_SUBSCRIPTION)
}

fn came<'v>(view: &'v View<'_>, ask: &Ask<'_>) -> Vec<&'v Msg> {
    if !ask.exchange.via.has_one_stream() {
        return view.messages_in(ask.request.exchange).filter(|msg| msg.received()).collect();
    }
    let id = ask.request.value.at("id");
    let again = requests(view)
        .filter(|other| *other.request.value.at("id") == *id && other.exchange.client == ask.exchange.client)
        .map(|other| other.request.seq)
        .find(|seq| *seq > ask.request.seq);
    view.received()
        .filter(|msg| view.exchange_of(msg).line() == ask.exchange.line())
        .filter(|msg| msg.seq > ask.request.seq && again.is_none_or(|again| msg.seq < again))
        .filter(|msg| text(tag(msg)) == text(id) || (msg.kind == Kind::Response && *msg.value.at("id") == *id))
        .collect()
}

/// A value as text, so that an id that changed its type is still recognised.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| id_text(value), str::to_owned)
}

impl<'v> Subscription<'v> {
    /// The id, which is the tag of everything that comes.
    pub(super) fn id(&self) -> &'v Value {
        self.ask.request.value.at("id")
    }

    /// What was asked for.
    pub(super) fn filter(&self) -> &'v Value {
        self.ask.param("notifications")
    }

    /// The first acknowledgment.
    pub(super) fn acknowledgment(&self) -> Option<&'v Msg> {
        self.came.iter().find(|msg| msg.method() == Some(ACKNOWLEDGED)).copied()
    }

    /// What the server said that it will send.
    pub(super) fn agreed(&self) -> Option<&'v Value> {
        self.acknowledgment().map(|msg| msg.value.at("params").at("notifications"))
    }

    /// Notifications, without the acknowledgment.
    pub(super) fn notifications(&self) -> impl Iterator<Item = &'v Msg> {
        self.came.iter().copied().filter(|msg| msg.kind == Kind::Notification && msg.method() != Some(ACKNOWLEDGED))
    }

    /// Whether it was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.ask.is_refused()
    }

    /// The position at which it ended: its response, a cancellation by the client, or the end of its stream.
    pub(super) fn ends(&self, view: &View<'_>) -> u32 {
        let answered = self.ask.response.map(|response| response.seq);
        let cancelled = view.messages.iter().find(|msg| {
            !msg.received()
                && msg.client == self.ask.exchange.client
                && msg.method() == Some("notifications/cancelled")
                && *msg.value.at("params").at("requestId") == *self.id()
                && msg.seq > self.ask.request.seq
        });
        let stream = self.ask.exchange.end_seq.filter(|_| !self.ask.exchange.via.has_one_stream());
        let line = view.exchanges.iter().find(|other| Some(other.number) == self.ask.exchange.line());
        let closed = line.and_then(|line| line.end_seq);
        [answered, cancelled.map(|msg| msg.seq), stream, closed].into_iter().flatten().min().unwrap_or(u32::MAX)
    }

    /// Whether it was open, acknowledged, over a whole stretch of the transcript.
    pub(super) fn covers(&self, view: &View<'_>, from: u32, to: u32) -> bool {
        self.acknowledgment().is_some_and(|msg| msg.seq < from) && self.ends(view) > to
    }

    /// Whether the server ended the stream, over HTTP.
    pub(super) fn server_closed(&self) -> bool {
        matches!(self.ask.exchange.end, Some(End::Complete | End::CutShort)) && !self.ask.exchange.via.has_one_stream()
    }
}
