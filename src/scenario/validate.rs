//! What a scenario may not say although it reads well. Gathers every mistake of a file.
//!
//! Must not know YAML beyond finding a word in the text again to point at it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine as _;
use regex::Regex;

use super::action::Action;
use super::delay::Delay;
use super::diagnostics::Diagnostic;
use super::interpolate::placeholders;
use super::schema::{Cancel, Disconnect, Invoke, Raw, Scenario, Step, Wait};
use super::schema_auth::{MintStep, Publish};
use super::words::DisconnectWhen;
use crate::model::{Revision, Span, closest};

/// What a scenario may need of a target; `tool:NAME`, `prompt:NAME` and `resource:URI` besides.
pub const NEEDS: [&str; 30] = [
    "http",
    "legacy-only",
    "older-transport",
    "modern-only",
    "both-eras",
    "sse",
    "stdio",
    "websocket",
    "auth",
    "mint",
    "documents",
    "session",
    "clock",
    "restart",
    "restart-store",
    "nodes",
    "durable-sessions",
    "tools",
    "resources",
    "prompts",
    "logging",
    "completions",
    "resources.subscribe",
    "client.sampling",
    "client.elicitation",
    "client.roots",
    "client.listen",
    "client.cancels",
    "client.refresh-token",
    "client.refresh",
];

/// The need that only the embedded reference server meets.
pub const NEEDS_REFERENCE: &str = "reference";

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by a test")]
static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[a-z]+(\.[a-z0-9-]+)+$").expect("a constant pattern"));

/// Every mistake of the scenario, in the order of the file.
pub(super) fn validate(scenario: &Scenario, text: &str) -> Vec<Diagnostic> {
    let mut check =
        Check { text, found: Vec::new(), calls: BTreeSet::new(), connected: BTreeSet::new(), open: BTreeSet::new() };
    check.header(scenario);
    check.steps(&scenario.steps);
    check.network(&scenario.steps);
    check.nodes(scenario);
    check.variables(scenario);
    check.found.sort_by_key(|diagnostic| diagnostic.span.start);
    check.found
}

pub(super) struct Check<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
    /// Names given with `as` so far.
    calls: BTreeSet<String>,
    /// Clients that connected so far.
    connected: BTreeSet<String>,
    /// Clients that negotiated so far.
    open: BTreeSet<String>,
}

impl Check<'_> {
    pub(super) fn say(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = Some(help.into()).filter(|help| !help.is_empty());
        self.found.push(Diagnostic { span, message: message.into(), label: label.into(), help });
    }

    fn header(&mut self, scenario: &Scenario) {
        let whole = Span::new(0, self.text.len());
        if scenario.version != 1 {
            let span = self.value(whole, "version", &scenario.version.to_string());
            let message = format!("version {} of the scenario format is unknown", scenario.version);
            self.say(span, message, "expected 1", "write `version: 1`");
        }
        if !ID.is_match(&scenario.id) {
            let span = self.value(whole, "id", &scenario.id);
            self.say(
                span,
                format!("`{}` is no scenario id", scenario.id),
                "expected an area, a dot and a name in kebab case",
                "for example `invoke.large-result`",
            );
        }
        for name in &scenario.revisions {
            if let Err(unknown) = name.parse::<Revision>() {
                let span = self.value(whole, "revisions", name);
                let near = closest(name, Revision::ALL.map(Revision::name)).unwrap_or("2025-11-25");
                self.say(span, unknown.to_string(), "unknown revision", format!("did you mean `{near}`?"));
            }
        }
        for need in &scenario.needs {
            self.need(need, whole);
        }
        if scenario.steps.is_empty() {
            let span = self.key(whole, "steps");
            self.say(
                span,
                "a scenario needs steps",
                "nothing happens here",
                "begin with `- connect` and `- negotiate`",
            );
        }
    }

    fn need(&mut self, need: &str, whole: Span) {
        let named = ["tool:", "prompt:", "resource:"]
            .iter()
            .any(|kind| need.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
        if named || need == NEEDS_REFERENCE || NEEDS.contains(&need) {
            return;
        }
        let span = self.value(whole, "needs", need);
        let help = closest(need, NEEDS.into_iter().chain([NEEDS_REFERENCE])).map_or_else(
            || format!("known: {}, {NEEDS_REFERENCE}, tool:NAME, prompt:NAME, resource:URI", NEEDS.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        self.say(span, format!("unknown need `{need}`"), "no target can offer this", help);
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let at = step.span;
        self.delay(at, "within", step.within());
        match &step.action {
            Action::Connect(_) => {
                self.connected.insert(step.client().to_owned());
            }
            Action::Negotiate(_) => {
                self.needs_connection(step);
                self.open.insert(step.client().to_owned());
            }
            Action::Invoke(invoke) => self.invoke(step, invoke),
            Action::Await(body) => self.known_call(at, &body.call),
            Action::Cancel(cancel) => self.cancel(at, cancel),
            Action::Listen(listen) => {
                self.needs_connection(step);
                self.new_call(at, listen.r#as.as_deref());
            }
            Action::Disconnect(disconnect) => self.disconnect(at, disconnect),
            Action::Wait(wait) => self.wait(at, wait),
            Action::Raw(raw) => self.raw(at, raw),
            Action::Together(steps) if steps.is_empty() => {
                let span = self.word(at);
                self.say(
                    span,
                    "`together` needs steps",
                    "nothing happens here",
                    "write `together: [ … ]` with steps in it",
                );
            }
            Action::Together(steps) => self.steps(steps),
            Action::Notify(_)
            | Action::Reconnect(_)
            | Action::Expire(_)
            | Action::Refresh(_)
            | Action::Revoke(_)
            | Action::Restart(_)
            | Action::OAuth(_)
            | Action::Shutdown(_) => {}
            Action::Mint(mint) => self.mint(step, mint),
            Action::Publish(publish) => self.publish(step, publish),
        }
    }

    fn needs_connection(&mut self, step: &Step) {
        let client = step.client();
        if !self.connected.contains(client) {
            let message = format!("`{}` before `connect`", step.action.word());
            let span = self.word(step.span);
            let help = if client == "a" {
                "put `- connect` before it".to_owned()
            } else {
                format!("put `- connect: {{ client: {client} }}` before it")
            };
            self.say(span, message, format!("client `{client}` has no connection here"), help);
            // Said once; what follows is not another mistake.
            self.connected.insert(client.to_owned());
        }
    }

    fn invoke(&mut self, step: &Step, invoke: &Invoke) {
        let client = step.client();
        if !self.open.contains(client) {
            let span = self.word(step.span);
            let help = if client == "a" {
                "put `- connect` and `- negotiate` before it, or use `raw` to call without".to_owned()
            } else {
                format!(
                    "put `- connect` and `- negotiate` with `client: {client}` before it, or use `raw` to call without"
                )
            };
            self.say(span, "`invoke` before `negotiate`", format!("client `{client}` has no conversation here"), help);
            self.open.insert(client.to_owned());
        }
        if invoke.tool.is_some() && invoke.method.is_some() {
            let span = self.key(step.span, "method");
            self.say(
                span,
                "`invoke` has both `tool` and `method`",
                "expected one of them",
                "`tool` means the method `tools/call`; remove one",
            );
        }
        if invoke.arguments.is_some() && invoke.method.is_some() {
            let span = self.key(step.span, "arguments");
            self.say(span, "`arguments` belong to a `tool`", "expected `params`", "a `method` takes `params`");
        }
        if invoke.params.is_some() && invoke.method.is_none() {
            let span = self.key(step.span, "params");
            self.say(span, "`params` belong to a `method`", "expected `arguments`", "a `tool` takes `arguments`");
        }
        self.new_call(step.span, invoke.r#as.as_deref());
    }

    fn new_call(&mut self, at: Span, name: Option<&str>) {
        let Some(name) = name else { return };
        if !self.calls.insert(name.to_owned()) {
            let span = self.value(at, "as", name);
            self.say(
                span,
                format!("a call is named `{name}` already"),
                "expected a new name",
                "names given with `as` are unique in a file",
            );
        }
    }

    fn known_call(&mut self, at: Span, name: &str) {
        if self.calls.contains(name) {
            return;
        }
        let span = self.value(at, "call", name);
        let help = match closest(name, self.calls.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.calls.is_empty() => "give a call a name first: `- invoke: { as: NAME }`".to_owned(),
            None => format!("known here: {}", self.calls.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        self.say(span, format!("no call is named `{name}` here"), "unknown call", help);
    }

    fn cancel(&mut self, at: Span, cancel: &Cancel) {
        match (&cancel.call, &cancel.id) {
            (Some(call), None) => self.known_call(at, call),
            (None, Some(_)) => {}
            _ => {
                let span = self.word(at);
                self.say(
                    span,
                    "`cancel` needs a `call` or an `id`",
                    "expected one of them",
                    "for example `- cancel: { call: slow }`",
                );
            }
        }
    }

    fn disconnect(&mut self, at: Span, disconnect: &Disconnect) {
        match (&disconnect.call, disconnect.when) {
            (Some(call), _) => self.known_call(at, call),
            (None, DisconnectWhen::AfterFirstEvent) => {
                let span = self.key(at, "when");
                self.say(
                    span,
                    "`after-first-event` of which call?",
                    "needs a `call`",
                    "add `call: NAME`, the name given with `as`",
                );
            }
            (None, DisconnectWhen::Now) => {}
        }
    }

    fn wait(&mut self, at: Span, wait: &Wait) {
        self.delay(at, "for", wait.r#for.as_ref());
        if wait.r#for.is_none() && wait.until.is_none() {
            let span = self.word(at);
            self.say(span, "`wait` needs `for` or `until`", "waits for nothing", "for example `- wait: { for: 5s }`");
        }
    }

    fn raw(&mut self, at: Span, raw: &Raw) {
        let bodies = [raw.message.is_some(), raw.body.is_some(), raw.bytes.is_some()];
        if bodies.into_iter().filter(|given| *given).count() > 1 {
            let span = self.word(at);
            self.say(span, "`raw` has more than one body", "expected one", "give one of `message`, `body` and `bytes`");
        }
        if raw.repeat == 0 {
            let span = self.value(at, "repeat", "0");
            self.say(span, "`repeat: 0` sends nothing", "expected 1 or more", "remove the step instead");
        }
        if let Some(bytes) = &raw.bytes
            && base64::engine::general_purpose::STANDARD.decode(bytes).is_err()
        {
            let span = self.value(at, "bytes", bytes);
            self.say(span, "`bytes` is no base64", "expected base64 with padding", "for example `bytes: //79`");
        }
    }

    fn mint(&mut self, step: &Step, mint: &MintStep) {
        if mint.audience.as_ref().is_some_and(|audience| !audience.is_string() && !audience.is_null()) {
            let span = self.key(step.span, "audience");
            self.say(span, "`audience` is no text", "expected a text or null", "null means a token for nobody");
        }
        self.sends_nothing(step);
    }

    fn publish(&mut self, step: &Step, publish: &Publish) {
        if !publish.path.starts_with('/') {
            let span = self.value(step.span, "path", &publish.path);
            self.say(span, format!("`{}` is no path", publish.path), "expected a slash first", "write `/client.json`");
        }
        if !(200..=599).contains(&publish.status) {
            let span = self.value(step.span, "status", &publish.status.to_string());
            self.say(span, format!("`{}` ends no request", publish.status), "expected 200 to 599", "");
        }
        self.sends_nothing(step);
    }

    fn sends_nothing(&mut self, step: &Step) {
        if step.expect().is_some() {
            let span = self.key(step.span, "expect");
            let message = format!("`{}` sends nothing", step.action.word());
            self.say(span, message, "nothing comes back", "put the `expect` at the step that sends something");
        }
    }

    fn delay(&mut self, at: Span, key: &str, delay: Option<&Delay>) {
        let Some(delay) = delay.filter(|delay| !delay.is_valid()) else { return };
        let span = self.value(at, key, delay.text());
        self.say(
            span,
            format!("`{delay}` is no duration"),
            "expected a whole number and a unit",
            "units are ms, s, m, h, d: `200ms`, `5s`, `5m`",
        );
    }

    fn variables(&mut self, scenario: &Scenario) {
        let begin = self.key(Span::new(0, self.text.len()), "steps").start;
        let text = self.text;
        for (whole, name) in placeholders(text) {
            if whole.start < begin || scenario.vars.contains_key(name) || commented(text, whole.start) {
                continue;
            }
            let help = closest(name, scenario.vars.keys().map(String::as_str))
                .map_or_else(|| format!("add `{name}` to `vars`"), |near| format!("did you mean `${{{near}}}`?"));
            let span = Span::new(whole.start, whole.end);
            self.say(span, format!("unknown variable `{name}`"), "no value for this", help);
        }
    }

    /// The word that begins the step.
    pub(super) fn word(&self, at: Span) -> Span {
        let rest = &self.text[at.start.min(self.text.len())..];
        let length = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        Span::new(at.start, at.start + length)
    }

    /// Where `key:` stands, at or after the beginning of a span.
    pub(super) fn key(&self, at: Span, key: &str) -> Span {
        let start = at.start.min(self.text.len());
        let rest = &self.text[start..];
        let mut from = 0;
        while let Some(found) = rest[from..].find(key) {
            let place = from + found;
            let before = rest[..place].chars().next_back();
            let after = rest[place + key.len()..].trim_start_matches(['"', '\'', ' ']);
            if after.starts_with(':') && !before.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_') {
                return Span::new(start + place, start + place + key.len());
            }
            from = place + key.len();
        }
        self.word(at)
    }

    /// Where a value stands after `key:`, or the key if it is written in another way than it reads.
    pub(super) fn value(&self, at: Span, key: &str, value: &str) -> Span {
        let key = self.key(at, key);
        let rest = self.text.get(key.end..).unwrap_or_default();
        match rest.find(value).filter(|_| !value.is_empty()) {
            Some(found) => Span::new(key.end + found, key.end + found + value.len()),
            None => key,
        }
    }
}

/// Whether a place is in a comment of its line.
fn commented(text: &str, place: usize) -> bool {
    let line = text[..place].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..place].trim_start().starts_with('#') || text[line..place].contains(" # ")
}
