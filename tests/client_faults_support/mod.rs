//! What a client that keeps every rule puts on the wire, and how to have it break one.

use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::client::{Drive, Target, TimeControl, drive};
use mcp_rehearsal::model::{HybridClock, Revision, Rng};
use mcp_rehearsal::profile::{self, OpensWith, Profile};
use mcp_rehearsal::scenario;
use mcp_rehearsal::server::{AuthConfig, Eras, ServerConfig, start};
use mcp_rehearsal::transcript::{Event, EventKind, Headers};
use mcp_rehearsal::wire::Command;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(10);

/// A conversation of a client that keeps the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversation {
    /// Streamable HTTP with a session, a login, and all that servers ask of clients.
    Session,
    /// The same revision family at its first.
    Old,
    /// The era without sessions, with a login.
    Modern,
    /// A look for the newer era at a server that does not have it.
    FellBack,
    /// Standard input and output.
    Pipes,
    /// The same in the era without sessions.
    ModernPipes,
}

impl Conversation {
    pub(crate) const ALL: [Self; 6] =
        [Self::Session, Self::Old, Self::Modern, Self::FellBack, Self::Pipes, Self::ModernPipes];

    fn is_modern(self) -> bool {
        matches!(self, Self::Modern | Self::ModernPipes)
    }

    fn steps(self) -> &'static str {
        match self {
            Self::Session => {
                "
  - connect
  - negotiate
  - invoke: { method: ping }
  - invoke: { method: resources/templates/list }
  - invoke: { method: resources/templates/list, params: { cursor: cmVzb3VyY2VzL3RlbXBsYXRlcy9saXN0OjE } }
  - invoke: { tool: test_tool_with_progress, progress: t-1 }
  - invoke: { tool: test_list_roots }
  - invoke: { tool: test_sampling, arguments: { prompt: What is two and two? } }
  - invoke:
      tool: test_elicitation
      arguments: { message: Who are you? }
      answer: { elicitation: { action: accept, content: { username: ada, email: ada@example.com } } }
  - invoke: { tool: test_elicitation_url, answer: { elicitation: { action: accept } } }
  - invoke: { tool: test_slow, arguments: { ms: 30000 }, as: slow }
  - cancel: { call: slow }
  - refresh
  - refresh
  - invoke: { method: ping }
  - shutdown
"
            }
            Self::Modern => {
                "
  - connect
  - negotiate
  - invoke: { tool: test_header_params, arguments: { region: eu-west } }
  - invoke:
      tool: test_input_required_result_multi_round
      answer: { elicitation: { action: accept, content: { name: ada, color: green } } }
  - refresh
  - invoke: { method: tools/list }
  - shutdown
"
            }
            Self::Old | Self::FellBack | Self::Pipes | Self::ModernPipes => {
                "
  - connect
  - negotiate
  - invoke: { tool: test_simple_text }
  - shutdown
"
            }
        }
    }

    fn profile(self) -> Profile {
        let mut profile = profile::find("reference").expect("profiles load").expect("there is such a profile");
        profile.oauth.value.application_type = Some("native".to_owned());
        let own = std::mem::take(&mut profile.opens_with.value.0);
        profile.opens_with.value = OpensWith(match self {
            Self::Session | Self::Pipes => own,
            Self::Old => vec![Revision::V2025_03_26],
            Self::Modern | Self::ModernPipes => vec![Revision::V2026_07_28],
            Self::FellBack => std::iter::once(Revision::V2026_07_28).chain(own).collect(),
        });
        profile
    }

    /// What is on the wire.
    pub(crate) async fn play(self) -> Vec<Event> {
        let clock = HybridClock::new();
        let auth = matches!(self, Self::Session | Self::Modern).then(AuthConfig::default);
        let eras = if self.is_modern() { Eras::Both } else { Eras::Legacy };
        let config = ServerConfig { eras, auth, tick: Duration::from_millis(1), ..ServerConfig::default() };
        let asks_for_tokens = config.auth.is_some();
        let server = start(config, clock.clone(), Rng::seeded(1)).await.expect("a free port");
        let target = match self {
            Self::Pipes | Self::ModernPipes => {
                let arguments = ["serve", "--transport", "stdio"].map(str::to_owned).to_vec();
                let program = env!("CARGO_BIN_EXE_mcp-rehearsal").to_owned();
                Target::of_command(Command { program, arguments, ..Command::default() }, WITHIN)
            }
            _ => Target {
                time: TimeControl::Shared(clock.clone()),
                ..Target::parse(&server.url(), WITHIN).expect("an address")
            },
        };
        let speaks_modern = self.is_modern() || self == Self::FellBack;
        let target = Target { asks_for_tokens, speaks_modern, ..target };
        let text = format!("version: 1\nid: a.b\ntitle: A test.\nwhy: A test.\nera: both\nsteps:{}", self.steps());
        let scenario = scenario::parse("test", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        let (scenario, profile, target) = (Arc::new(scenario), Arc::new(self.profile()), Arc::new(target));
        let events = drive(Drive { scenario, profile, target, clock: Arc::new(clock), rng: Rng::seeded(7) }).await;
        server.shutdown().await;
        events
    }
}

/// A transcript that is changed after the fact.
pub(crate) struct Wire<'e>(pub(crate) &'e mut Vec<Event>);

/// A request as it lies in the transcript.
pub(crate) struct Sent<'e> {
    pub(crate) exchange: u32,
    pub(crate) method: &'e str,
    pub(crate) target: &'e mut String,
    pub(crate) headers: &'e mut Headers,
    body: &'e mut Option<mcp_rehearsal::model::Text>,
}

impl Sent<'_> {
    pub(crate) fn json(&self) -> Value {
        self.body.as_ref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }

    pub(crate) fn say(&mut self, text: &str) {
        *self.body = Some(text.into());
    }

    /// Says something in a header, or leaves it out.
    pub(crate) fn head(&mut self, name: &str, value: Option<&str>) {
        let at = self.headers.iter().position(|(key, _)| key.eq_ignore_ascii_case(name));
        let at = at.unwrap_or_else(|| panic!("{name} is sent"));
        match value {
            Some(value) => self.headers[at].1 = value.into(),
            None => drop(self.headers.remove(at)),
        }
    }
}

impl Wire<'_> {
    /// Changes every request that this takes for the one that is meant; how many there were.
    pub(crate) fn each(&mut self, mut change: impl FnMut(&mut Sent<'_>) -> bool) -> usize {
        let mut changed = 0;
        for event in self.0.iter_mut() {
            if let EventKind::Request { exchange, method, target, headers, body, .. } = &mut event.kind {
                let mut sent = Sent { exchange: *exchange, method, target, headers, body };
                changed += usize::from(change(&mut sent));
            }
        }
        changed
    }

    /// The exchange of the last request that is meant.
    pub(crate) fn last(&mut self, meant: impl Fn(&Sent<'_>) -> bool) -> u32 {
        let mut last = None;
        self.each(|sent| {
            if meant(sent) {
                last = Some(sent.exchange);
            }
            false
        });
        last.expect("such a request was sent")
    }

    /// Changes the last request that is meant: one that was let in.
    pub(crate) fn request(&mut self, meant: impl Fn(&Sent<'_>) -> bool, change: impl Fn(&mut Sent<'_>)) {
        let last = self.last(meant);
        let changed = self.each(|sent| {
            let is_it = sent.exchange == last;
            if is_it {
                change(sent);
            }
            is_it
        });
        assert_eq!(changed, 1, "one request is changed");
    }

    /// Changes the JSON in the body of the last request that is meant.
    pub(crate) fn body(&mut self, meant: impl Fn(&Sent<'_>) -> bool, change: impl Fn(&mut Value)) {
        self.request(meant, |sent| {
            let mut value = sent.json();
            change(&mut value);
            sent.say(&value.to_string());
        });
    }

    /// Changes the last message of the client with this method.
    pub(crate) fn message(&mut self, method: &str, change: impl Fn(&mut Value)) {
        let meant = |sent: &Sent<'_>| sent.json()["method"] == method;
        self.body(meant, change);
    }

    /// Changes the head of the last request with this method of JSON-RPC.
    pub(crate) fn head(&mut self, method: &str, name: &str, value: Option<&str>) {
        self.request(|sent| sent.json()["method"] == method, |sent| sent.head(name, value));
    }

    /// Changes the client's answer to the server's question with this method.
    pub(crate) fn answer(&mut self, method: &str, change: impl Fn(&mut Value)) {
        let asked = self.0.iter().find_map(|event| match &event.kind {
            EventKind::Sse { data: Some(data), .. } => {
                let value: Value = serde_json::from_str(data).unwrap_or_default();
                (value["method"] == method).then(|| value["id"].clone())
            }
            _ => None,
        });
        let id = asked.expect("the server asks");
        let meant = |sent: &Sent<'_>| {
            let value = sent.json();
            value["id"] == id && value.get("method").is_none()
        };
        self.body(meant, change);
    }

    /// Changes the last form that was posted with these words in it.
    pub(crate) fn form(&mut self, with: &str, change: impl Fn(&str) -> String) {
        let meant = |sent: &Sent<'_>| sent.target.starts_with("/token") && sent.text().contains(with);
        self.request(meant, |sent| {
            let text = change(sent.text());
            assert_ne!(text, sent.text(), "the form is changed");
            sent.say(&text);
        });
    }

    /// Changes where the last request to this place goes.
    pub(crate) fn place(&mut self, begins: &str, change: impl Fn(&str) -> String) {
        self.request(
            |sent| sent.target.starts_with(begins),
            |sent| {
                let target = change(sent.target);
                assert_ne!(target, *sent.target, "it goes elsewhere");
                *sent.target = target;
            },
        );
    }

    /// Leaves a parameter out of the authorization request, or says another value.
    pub(crate) fn ask(&mut self, name: &str, value: Option<&str>) {
        self.place("/authorize?", |target| {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let mut params: Vec<(String, String)> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let at = params.iter().position(|(key, _)| key == name).unwrap_or_else(|| panic!("{name} is sent"));
            match value {
                Some(value) => value.clone_into(&mut params[at].1),
                None => drop(params.remove(at)),
            }
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
            format!("/authorize?{query}")
        });
    }

    /// Changes what the server answered to the last request that is meant, as if the client had not minded.
    pub(crate) fn reply(&mut self, meant: impl Fn(&Sent<'_>) -> bool, change: impl Fn(&mut u16, &mut Value)) {
        let last = self.last(meant);
        let mut said = None;
        for event in self.0.iter_mut().filter(|event| event.kind.exchange() == Some(last)) {
            match &mut event.kind {
                EventKind::Response { status, .. } => said = Some(status),
                EventKind::Body { text, .. } | EventKind::Sse { data: Some(text), .. } => {
                    let Ok(mut value) = serde_json::from_str::<Value>(text) else { continue };
                    if let Some(status) = said.take() {
                        change(status, &mut value);
                        *text = value.to_string().into();
                    }
                }
                _ => {}
            }
        }
        assert!(said.is_none(), "the answer has a body of JSON");
    }

    /// Leaves out whole exchanges.
    pub(crate) fn without(&mut self, meant: impl Fn(&Sent<'_>) -> bool) {
        let mut gone = Vec::new();
        self.each(|sent| {
            if meant(sent) {
                gone.push(sent.exchange);
            }
            false
        });
        assert!(!gone.is_empty(), "such a request was sent");
        self.0.retain(|event| event.kind.exchange().is_none_or(|exchange| !gone.contains(&exchange)));
    }
}
