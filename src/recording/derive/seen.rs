//! The parts of a recording that a profile is made of: the conversation that counts, and what the client sent in it.
//!
//! Finds; what a profile makes of it is not its business.

use serde_json::Value;

use crate::model::{Era, Kind, Via};
use crate::transcript::{Conversation, Exchange, Msg, View, has_modern_meta};

/// A recording, looked at as that of one client.
#[derive(Debug)]
pub(super) struct Seen<'v> {
    pub(super) view: &'v View<'v>,
    /// Index of the legacy conversation that counts.
    pub(super) main: Option<usize>,
    /// Index of a conversation before it that only looked whether the server answers.
    pub(super) probe: Option<usize>,
    /// Index of the conversation of the modern era.
    pub(super) modern: Option<usize>,
}

impl<'v> Seen<'v> {
    pub(super) fn new(view: &'v View<'v>) -> Self {
        let of = |era: Era| -> Vec<usize> {
            (0..view.conversations.len()).filter(|index| view.conversations[*index].era == era).collect()
        };
        let legacy = of(Era::Legacy);
        let works = |index: usize| requests_in(view, index).any(|msg| msg.method() != Some("initialize"));
        let info = |index: usize| hello(view, index).map(|msg| msg.value["params"]["clientInfo"].clone());
        // Under another name, and left before anything was asked for: that was to see whether somebody is there.
        let probe = legacy
            .first()
            .copied()
            .filter(|first| legacy.get(1).is_some_and(|second| !works(*first) && info(*first) != info(*second)));
        let main = legacy.iter().copied().find(|index| Some(*index) != probe);
        Self { view, main, probe, modern: of(Era::Modern).first().copied() }
    }

    /// `initialize` of the conversation that counts or, where none was opened, the last that was sent.
    pub(super) fn hello(&self) -> Option<&'v Msg> {
        let sent = || self.view.messages.iter().filter(|msg| !msg.received() && msg.method() == Some("initialize"));
        self.main.and_then(|index| hello(self.view, index)).or_else(|| sent().next_back())
    }

    pub(super) fn conversation(&self) -> Option<&'v Conversation> {
        self.main.map(|index| &self.view.conversations[index])
    }

    /// The first request that tried the modern era, before anything else.
    pub(super) fn probe_request(&self) -> Option<&'v Msg> {
        let first = self.view.messages.iter().find(|msg| !msg.received() && msg.kind == Kind::Request)?;
        (first.method() == Some("server/discover") && has_modern_meta(&first.value)).then_some(first)
    }

    /// Requests of the client in the conversation that counts, of the era that counts, the handshake and probes aside.
    pub(super) fn requests(&self) -> Vec<&'v Msg> {
        let index = self.era();
        let all = index.into_iter().flat_map(|index| requests_in(self.view, index));
        let taken = all.filter(|msg| !matches!(self.exchange(msg).status, Some(401 | 403)));
        taken.filter(|msg| !matches!(msg.method(), Some("initialize" | "server/discover"))).collect()
    }

    /// The conversation in which the client works: the modern one where it stayed with that era.
    pub(super) fn era(&self) -> Option<usize> {
        let asks = |index: &usize| {
            requests_in(self.view, *index).any(|msg| !matches!(msg.method(), Some("server/discover" | "initialize")))
        };
        self.modern.filter(asks).or(self.main).or(self.modern)
    }

    /// Whether that is of the modern era.
    pub(super) fn is_modern(&self) -> bool {
        self.era().is_some_and(|index| self.view.conversations[index].era == Era::Modern)
    }

    /// HTTP requests in the conversation in which the client works.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = &'v Exchange> {
        let index = self.era();
        self.view
            .exchanges
            .iter()
            .filter(move |exchange| exchange.conversation.is_some() && exchange.conversation == index)
    }

    pub(super) fn exchange(&self, msg: &Msg) -> &'v Exchange {
        &self.view.exchanges[msg.exchange]
    }

    /// Whether it was recorded over HTTP.
    pub(super) fn over_http(&self) -> bool {
        self.view.exchanges.iter().any(|exchange| exchange.via == Via::StreamableHttp)
    }

    /// The first response to a request.
    pub(super) fn answer(&self, request: &Msg) -> Option<&'v Msg> {
        let call = self.view.calls.iter().find(|call| self.view.messages[call.request].seq == request.seq)?;
        call.responses.first().map(|index| &self.view.messages[*index])
    }

    /// Who the client says it is, and what it says it can do.
    pub(super) fn says(&self, legacy: &str, modern: &str) -> Option<&'v Value> {
        let of_hello = self.hello().and_then(|msg| msg.value["params"].get(legacy));
        let of_meta = || {
            let msg = self.view.messages.iter().find(|msg| !msg.received() && has_modern_meta(&msg.value))?;
            msg.value["params"]["_meta"].get(modern)
        };
        of_hello.or_else(of_meta)
    }
}

fn hello<'v>(view: &'v View<'_>, index: usize) -> Option<&'v Msg> {
    let opened = view.conversations[index].opened;
    view.messages_in(opened).find(|msg| !msg.received() && msg.method() == Some("initialize"))
}

fn requests_in<'v>(view: &'v View<'_>, index: usize) -> impl Iterator<Item = &'v Msg> {
    view.messages
        .iter()
        .filter(move |msg| msg.conversation == Some(index) && !msg.received() && msg.kind == Kind::Request)
}
