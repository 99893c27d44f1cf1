//! What is wrong with a request of the modern era before its method is looked at. A probe with one flaw shows what the
//! server makes of it; with several nobody can tell which one the server saw first.

use serde_json::Value;

use super::asked::{self, Held, held, is_clean, is_encoded, meta, named, version_of};
use crate::check::support::server_declared;
use crate::check::wire::{answer_to, foreign_origin, well_formed};
use crate::model::{Members as _, Revision, Via};
use crate::transcript::{Exchange, META_CAPABILITIES, META_LEVEL, META_VERSION, Msg, View, is_modern_version};

/// One flaw of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The `_meta` lacks the version.
    NoVersion,
    /// The `_meta` lacks the capabilities.
    NoCapabilities,
    /// The version is none that the server told of.
    Unsupported,
    /// The version belongs to the handshake.
    OldVersion,
    /// `MCP-Protocol-Version` is missing.
    VersionHeaderMissing,
    /// `MCP-Protocol-Version` differs from the body.
    VersionHeaderDiffers,
    /// `Mcp-Method` is missing.
    MethodMissing,
    /// `Mcp-Method` differs from the body.
    MethodDiffers,
    /// `Mcp-Name` is missing.
    NameMissing,
    /// `Mcp-Name` differs from the body.
    NameDiffers,
    /// `Mcp-Name` is encoded, and stands for something else than the body has.
    EncodedNameDiffers,
    /// `Mcp-Name` has the markers of the encoded form around something that is none.
    NameBroken,
    /// `Mcp-Name` would be right if its markers were not in other letters.
    NameMarkers,
    /// A header that mirrors has characters that no header may have.
    Unclean,
    /// A mirrored argument has no header.
    ParamMissing,
    /// A header differs from the argument that it mirrors.
    ParamDiffers,
    /// A header of an argument has characters that no header may have.
    ParamUnclean,
    /// The log level is none of the eight.
    Level,
    /// Something else gives a reason to refuse: media types, origin, the form of the message, a closed channel.
    Other,
}

/// The levels of log messages, least severe first.
pub(crate) const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A request of the modern era with what came back.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'v> {
    /// The request.
    pub request: &'v Msg,
    /// The exchange that carried it.
    pub exchange: &'v Exchange,
    /// The response, also one that lost its id.
    pub response: Option<&'v Msg>,
}

impl<'v> Ask<'v> {
    /// The method.
    pub(crate) fn method(&self) -> &'v str {
        self.request.method().unwrap_or_default()
    }

    /// The result.
    pub(crate) fn result(&self) -> Option<&'v Value> {
        self.response?.value.member("result")
    }

    /// The code of the error.
    pub(crate) fn code(&self) -> Option<i64> {
        self.response?.message().error_code()
    }

    /// A member of the parameters.
    pub(crate) fn param(&self, name: &str) -> &'v Value {
        self.request.value.at("params").at(name)
    }

    /// Whether it was refused, by a status or an error.
    pub(crate) fn is_refused(&self) -> bool {
        self.exchange.status.is_some_and(|status| status >= 400)
            || self.response.is_some_and(|response| response.value.member("error").is_some())
    }

    /// Whether what came back tells anything about the request: not if it was turned away at the door, fell over, or
    /// never came.
    pub(crate) fn tells(&self) -> bool {
        let door = matches!(self.exchange.status, Some(300..=399 | 401 | 403 | 407 | 408 | 413 | 429 | 500..=599))
            || self.exchange.got_header("www-authenticate").is_some();
        !door && (self.response.is_some() || self.is_refused())
    }

    /// What to quote.
    pub(crate) fn evidence(&self) -> Vec<u32> {
        let mut seen = self.exchange.evidence();
        seen.extend(self.response.map(|response| response.seq));
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    /// Whether the exchange was Streamable HTTP.
    pub(crate) fn over_http(&self) -> bool {
        self.exchange.via == Via::StreamableHttp
    }
}

/// Every request of the modern era.
pub(crate) fn requests<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    let calls = if view.is_modern() { view.calls.as_slice() } else { &[] };
    calls.iter().filter_map(move |call| {
        let request = &view.messages[call.request];
        let exchange = view.exchange_of(request);
        let response = call.responses.first().map(|index| &view.messages[*index]);
        exchange.modern.then(|| Ask { request, exchange, response: answer_to(view, request, response) })
    })
}

/// Every message of the server in the modern era.
pub(crate) fn of_era<'v>(view: &'v View<'_>) -> impl Iterator<Item = &'v Msg> {
    let all = if view.is_modern() { view.messages.as_slice() } else { &[] };
    all.iter().filter(|msg| msg.received() && asked::is_modern(msg))
}

/// The requests that have nothing wrong with them, and an answer that tells something.
pub(crate) fn sound<'v>(view: &'v View<'_>) -> impl Iterator<Item = Ask<'v>> {
    requests(view).filter(move |ask| ask.tells() && flaws(view, ask).is_empty())
}

/// The requests to some method that have nothing wrong with them.
pub(crate) fn sound_to<'v>(view: &'v View<'_>, method: &'static str) -> impl Iterator<Item = Ask<'v>> {
    requests(view).filter(move |ask| ask.method() == method && ask.tells() && flaws(view, ask).is_empty())
}

/// The requests whose flaws are all among these, of methods that the server has, with an answer that tells something.
pub(crate) fn flawed<'v>(view: &'v View<'_>, wanted: &'static [Flaw]) -> impl Iterator<Item = Ask<'v>> {
    requests(view).filter(move |ask| {
        let found = flaws(view, ask);
        !found.is_empty() && found.iter().all(|flaw| wanted.contains(flaw)) && ask.tells() && has(view, ask)
    })
}

/// Whether the server surely has what a request asks for, so that nothing else is a reason to refuse.
fn has(view: &View<'_>, ask: &Ask<'_>) -> bool {
    let declared = |name: &str| server_declared(view, ask.request, &[name]) == Some(true);
    match ask.method() {
        "server/discover" | "subscriptions/listen" => true,
        "tools/list" => declared("tools"),
        "tools/call" => asked::tool_of(view, ask.request).is_some(),
        "prompts/list" => declared("prompts"),
        "resources/list" => declared("resources"),
        "prompts/get" | "resources/read" => worked_elsewhere(view, ask),
        _ => false,
    }
}

/// Whether the same was asked at some time without any flaw, and served.
fn worked_elsewhere(view: &View<'_>, ask: &Ask<'_>) -> bool {
    let member = named(ask.method()).unwrap_or_default();
    let same = |other: &Ask<'_>| other.method() == ask.method() && other.param(member) == ask.param(member);
    requests(view).any(|other| same(&other) && other.result().is_some() && flaws(view, &other).is_empty())
}

/// All flaws, in order.
const ALL: [Flaw; 19] = [
    Flaw::NoVersion,
    Flaw::NoCapabilities,
    Flaw::Unsupported,
    Flaw::OldVersion,
    Flaw::VersionHeaderMissing,
    Flaw::VersionHeaderDiffers,
    Flaw::MethodMissing,
    Flaw::MethodDiffers,
    Flaw::NameMissing,
    Flaw::NameDiffers,
    Flaw::EncodedNameDiffers,
    Flaw::NameBroken,
    Flaw::NameMarkers,
    Flaw::Unclean,
    Flaw::ParamMissing,
    Flaw::ParamDiffers,
    Flaw::ParamUnclean,
    Flaw::Level,
    Flaw::Other,
];

/// What is wrong with a request, in order; looked for once for all checks.
pub(crate) fn flaws(view: &View<'_>, ask: &Ask<'_>) -> Vec<Flaw> {
    let bits = view.remember("flaws", ask.request.seq, || {
        look(view, ask).into_iter().fold(0, |bits, flaw| bits | 1 << (flaw as u32))
    });
    ALL.into_iter().filter(|flaw| bits & (1 << (*flaw as u32)) != 0).collect()
}

fn look(view: &View<'_>, ask: &Ask<'_>) -> Vec<Flaw> {
    let (request, exchange) = (ask.request, ask.exchange);
    let mut found = Vec::new();
    let mut add = |flaw: Flaw, holds: bool| {
        if holds {
            found.push(flaw);
        }
    };
    let long = exchange.is_message() && exchange.sent_header("length").is_some();
    add(
        Flaw::Other,
        !well_formed(&request.value)
            || request.batched
            || long
            || !view.line_is_open(exchange)
            || !asked::takes_both(exchange)
            || foreign_origin(exchange).is_some(),
    );
    add(Flaw::NoVersion, !meta(request, META_VERSION).is_string());
    add(Flaw::NoCapabilities, !meta(request, META_CAPABILITIES).is_object());
    if let Some(version) = version_of(request) {
        let old = version.parse::<Revision>().is_ok() && !is_modern_version(version);
        let told = view.conversation_of(request).is_some_and(|known| {
            known.result.at("supportedVersions").as_array().is_some_and(|list| list.iter().any(|one| one == version))
        });
        add(Flaw::OldVersion, old);
        // A later date may be one that the server knows before this program does.
        let later = version > "2026-07-28" && version.len() == 10 && version.starts_with("20");
        let unknown = !old && !told && !is_modern_version(version);
        add(Flaw::Unsupported, unknown && !later);
        add(Flaw::Other, unknown && later);
    }
    let level = meta(request, META_LEVEL);
    add(Flaw::Level, !level.is_null() && !level.as_str().is_some_and(|level| LEVELS.contains(&level)));
    if exchange.via == Via::StreamableHttp {
        headers(view, ask, &mut add);
    }
    found
}

fn headers(view: &View<'_>, ask: &Ask<'_>, add: &mut impl FnMut(Flaw, bool)) {
    let (request, exchange) = (ask.request, ask.exchange);
    match exchange.sent_header("mcp-protocol-version") {
        None => add(Flaw::VersionHeaderMissing, true),
        Some(sent) => {
            add(Flaw::VersionHeaderDiffers, version_of(request).is_some_and(|version| version != sent.trim()));
        }
    }
    match exchange.sent_header("mcp-method") {
        None => add(Flaw::MethodMissing, true),
        Some(sent) => add(Flaw::MethodDiffers, Some(sent.trim()) != request.method()),
    }
    if let Some(name) = named(ask.method()).and_then(|member| ask.param(member).as_str()) {
        match exchange.sent_header("mcp-name") {
            None => add(Flaw::NameMissing, true),
            Some(sent) if !is_clean(sent) => add(Flaw::Unclean, true),
            Some(sent) => match held(sent) {
                Held::Broken => add(Flaw::NameBroken, true),
                Held::Text(text) if text == name => {}
                Held::Text(_) if is_encoded(sent) => add(Flaw::EncodedNameDiffers, true),
                Held::Text(text) => {
                    let lower = text.to_ascii_lowercase();
                    let marked = lower.starts_with("=?base64?") && lower.ends_with("?=");
                    add(if marked { Flaw::NameMarkers } else { Flaw::NameDiffers }, true);
                }
            },
        }
    } else if matches!(ask.method(), "tasks/get" | "tasks/update" | "tasks/cancel") {
        // The extension asks clients for the header; a server that insists on it is right.
        add(Flaw::Other, exchange.sent_header("mcp-name").is_none());
        add(Flaw::NameDiffers, !asked::name_fits(exchange, request));
    }
    if let Some(tool) = asked::tool_of(view, request) {
        for param in asked::mirrored(tool) {
            let value = asked::argument(request, &param.path);
            match exchange.sent_header(&param.header) {
                None => add(Flaw::ParamMissing, asked::as_header(value).is_some()),
                Some(sent) if !is_clean(sent) => add(Flaw::ParamUnclean, true),
                Some(sent) => add(Flaw::ParamDiffers, !asked::agrees(sent, value)),
            }
        }
    }
}
