//! The server under rehearsal: where it is, and how its clock can be moved.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::{Host, Url};

use super::compose;
use super::entry::{Entry, Hidden, KnownClient};
use super::nodes::Node;
use super::restart::Restarts;
use crate::model::{HybridClock, Mint, Via, quoted};
use crate::transcript::{Headers, header};
use crate::wire::{Command, Place, Trust};

/// How the target's time can be moved.
#[derive(Debug, Clone, Default)]
pub enum TimeControl {
    /// Not at all; time passes by waiting.
    #[default]
    None,
    /// The server runs in this process and shares its clock.
    Shared(HybridClock),
    /// The control endpoint of a reference server elsewhere, such as `http://127.0.0.1:8080/control`.
    Endpoint(String),
}

/// The call that `invoke` makes where the scenario names none: one that does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SafeCall {
    /// A tool that only reads, or that the user named.
    Tool {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Value,
    },
    /// A method without parameters that every server with the capability has.
    Method(String),
}

impl Default for SafeCall {
    fn default() -> Self {
        Self::Method("ping".to_owned())
    }
}

/// A server to rehearse against.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a server, not a state")]
pub struct Target {
    /// What its user calls it: an address or a command.
    pub name: String,
    /// Its address; that of a WebSocket in the scheme of HTTP, which is what tokens are asked for. A command has none.
    pub url: String,
    /// Where to connect to.
    pub place: Place,
    /// Which certificates are believed there.
    pub trust: Trust,
    /// How it is started, where it is a command.
    pub command: Option<Command>,
    /// The transport that is spoken with it, where that is not the client's choice.
    pub via: Option<Via>,
    /// Whether clients may try another transport where theirs is refused.
    pub falls_back: bool,
    /// Value of the `Host` header.
    pub host: String,
    /// Path and query of the endpoint.
    pub path: String,
    /// Its time.
    pub time: TimeControl,
    /// Who signs tokens to order, where somebody in this process does.
    pub minter: Option<Arc<dyn Mint>>,
    /// The longest that anything is waited for.
    pub patience: Duration,
    /// Whether the endpoint asks for access tokens.
    pub asks_for_tokens: bool,
    /// Whether it speaks the era without a handshake (2026-07-28), as far as is known.
    pub speaks_modern: bool,
    /// What `invoke` calls where the scenario names nothing.
    pub safe_call: SafeCall,
    /// Headers that every request to the target carries besides those of the profile.
    pub headers: Headers,
    /// Whether its authorization server reads documents of clients on the public network. One on this machine cannot be
    /// expected to.
    pub reads_documents: bool,
    /// How clients come by a token.
    pub entry: Entry,
    /// The client id that was registered beforehand, where there is one.
    pub client: Option<KnownClient>,
    /// The private key with which that client signs for itself: P-256, PKCS #8 in PEM.
    pub client_key: Option<Hidden>,
    /// The scope to ask for instead of what the profile would.
    pub scope: Option<String>,
    /// Its nodes, where it has several that can be told apart; clients begin at the first.
    pub nodes: Vec<Node>,
    /// Who can end it and start it again.
    pub restarts: Option<Arc<dyn Restarts>>,
    /// Who can end its store and start it again.
    pub restarts_store: Option<Arc<dyn Restarts>>,
    /// Whether its sessions are to outlive the process that serves them.
    pub durable: bool,
}

/// The text names no server that can be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not a URL.
    #[error("`{0}` is no URL: {1}; write it like http://localhost:8080/mcp")]
    NotAUrl(String, String),
    /// A scheme that is not served.
    #[error("`{0}` has the scheme `{1}`; http, https, ws and wss can be rehearsed, and a command behind `--`")]
    Scheme(String, String),
    /// A transport that does not go with the address.
    #[error("{0} cannot be reached over {1}; {2}")]
    Transport(String, &'static str, &'static str),
    /// A node that cannot serve the same resource.
    #[error("`{0}` is no node of {1}: all nodes serve one resource, so their URLs differ in host and port only")]
    Node(String, String),
}

impl Target {
    /// Reads a URL.
    pub fn parse(text: &str, patience: Duration) -> Result<Self, TargetError> {
        let url = Url::parse(text).map_err(|error| TargetError::NotAUrl(text.to_owned(), error.to_string()))?;
        let (tls, socket) = match url.scheme() {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            other => return Err(TargetError::Scheme(text.to_owned(), other.to_owned())),
        };
        let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let of_http = || text.replacen(url.scheme(), if tls { "https" } else { "http" }, 1);
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self {
            name: text.to_owned(),
            url: if socket { of_http() } else { text.to_owned() },
            place: Place { host: host.clone(), port, tls, through: None, inlet: None },
            trust: Trust::default(),
            command: None,
            via: socket.then_some(Via::WebSocket),
            falls_back: false,
            host: url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")),
            path,
            time: TimeControl::None,
            minter: None,
            patience,
            asks_for_tokens: false,
            speaks_modern: false,
            safe_call: SafeCall::default(),
            headers: Headers::new(),
            reads_documents: false,
            entry: Entry::default(),
            client: None,
            client_key: None,
            scope: None,
            nodes: Vec::new(),
            restarts: None,
            restarts_store: None,
            durable: false,
        })
    }

    /// Where to connect to for this place, or for the target's own.
    pub(super) fn dialled(&self, place: Option<&Place>) -> Place {
        place.filter(|place| !self.is_own(place)).unwrap_or(&self.place).clone()
    }

    /// A server that is started as a process and spoken with over its standard input and output.
    pub fn of_command(command: Command, patience: Duration) -> Self {
        let words = std::iter::once(&command.program).chain(&command.arguments).map(|word| quoted(word));
        Self {
            name: words.collect::<Vec<_>>().join(" "),
            url: String::new(),
            place: Place { host: String::new(), port: 0, tls: false, through: None, inlet: None },
            trust: Trust::default(),
            command: Some(command),
            via: Some(Via::Stdio),
            falls_back: false,
            host: String::new(),
            path: String::new(),
            time: TimeControl::None,
            minter: None,
            patience,
            asks_for_tokens: false,
            speaks_modern: false,
            safe_call: SafeCall::default(),
            headers: Headers::new(),
            reads_documents: false,
            entry: Entry::default(),
            client: None,
            client_key: None,
            scope: None,
            nodes: Vec::new(),
            restarts: None,
            restarts_store: None,
            durable: false,
        }
    }

    /// The same target, over this transport.
    pub fn over(self, via: Via) -> Result<Self, TargetError> {
        let fits = (via == Via::Stdio) == self.command.is_some()
            && (via == Via::WebSocket || self.via != Some(Via::WebSocket));
        if !fits {
            let hint = match via {
                Via::Stdio => "give a command behind `--`",
                _ if self.command.is_some() => "a command is spoken with over stdio",
                _ => "write its address with http or https",
            };
            return Err(TargetError::Transport(self.name, via.title(), hint));
        }
        Ok(Self { via: Some(via), ..self })
    }

    /// The secrets that its user gave, each with the kind of its label.
    pub(super) fn secrets(&self) -> Vec<(&'static str, &str)> {
        let mut all: Vec<(&'static str, &str)> = Vec::new();
        for (name, value) in &self.headers {
            // What a user sends besides is most often a key. The scheme in front of a credential is none of the secret.
            let scheme = name.eq_ignore_ascii_case("authorization").then(|| value.split_once(' ')).flatten();
            all.push(("header", scheme.map_or(value.as_str(), |(_, secret)| secret)));
        }
        if let Some(Hidden(secret)) = self.client.as_ref().and_then(|client| client.secret.as_ref()) {
            all.push(("client-secret", secret));
        }
        let environment = self.command.iter().flat_map(|command| &command.environment);
        all.extend(environment.map(|(_, value)| ("environment", value.as_str())));
        match &self.entry {
            Entry::Token(Hidden(token)) => all.push(("access", token)),
            Entry::Assertion(Hidden(assertion)) => all.push(("assertion", assertion)),
            Entry::Enterprise(identity) => all.push(("id-token", &identity.id_token.0)),
            Entry::Form(steps) => {
                let fields = steps.iter().flat_map(|step| &step.fields);
                all.extend(fields.map(|(_, Hidden(value))| ("field", value.as_str())));
            }
            Entry::Login | Entry::ClientCredentials | Entry::Grant(_) => {}
        }
        all
    }

    /// Whether it runs on this machine, as far as its address tells.
    pub fn is_on_this_machine(&self) -> bool {
        if self.command.is_some() {
            return true;
        }
        let Ok(url) = Url::parse(&self.url) else { return false };
        match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Puts the target's own headers into a request. They replace those of the profile, but never a token that the
    /// client came by itself.
    pub(super) fn dress(&self, request: &mut Headers) {
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case("authorization") && header(request, name).is_some() {
                continue;
            }
            let one = [(name.to_string(), Some(value.to_string()))];
            compose::apply(request, &one.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_headers_replace_all_but_a_token_of_the_client() {
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let mut target = Target::parse("http://h/", Duration::ZERO).expect("valid");
        target.headers = vec![pair("X-Key", "k"), pair("Authorization", "Basic own")];
        let mut headers = vec![pair("x-key", "old")];
        target.dress(&mut headers);
        assert_eq!(headers, [pair("X-Key", "k"), pair("Authorization", "Basic own")]);
        let mut headers = vec![pair("authorization", "Bearer got")];
        target.dress(&mut headers);
        assert_eq!(headers, [pair("authorization", "Bearer got"), pair("X-Key", "k")]);
    }

    #[test]
    fn a_url_gives_address_host_and_path() {
        let target = Target::parse("http://localhost:8080/mcp?x=1", Duration::from_secs(1)).expect("valid");
        assert_eq!((target.place.to_string().as_str(), target.host.as_str()), ("localhost:8080", "localhost:8080"));
        assert_eq!(target.path, "/mcp?x=1");
        let parse = |text: &str| Target::parse(text, Duration::ZERO).expect("valid");
        assert_eq!(parse("http://h/").place.to_string(), "h:80");
        let secure = parse("wss://h/mcp");
        assert_eq!((secure.url.as_str(), secure.place.to_string().as_str()), ("https://h/mcp", "h:443"));
        assert!(secure.place.tls && secure.via == Some(Via::WebSocket));
        assert!(parse("https://h/").over(Via::LegacySse).is_ok() && parse("https://h/").over(Via::Stdio).is_err());
        let here = |url| Target::parse(url, Duration::ZERO).expect("valid").is_on_this_machine();
        assert!(
            here("http://localhost:1/") && here("http://127.9.9.9/") && here("http://[::1]:1/") && !here("http://h/")
        );
        assert!(matches!(Target::parse("ftp://h/", Duration::ZERO), Err(TargetError::Scheme(..))));
        assert!(matches!(Target::parse("h", Duration::ZERO), Err(TargetError::NotAUrl(..))));
    }
}
