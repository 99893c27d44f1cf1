//! What an examination found, as data. It must not know how it was found, or how it is told.

use serde::Serialize;
use serde_json::Value;

use super::answer;
use crate::transcript::Exchange;

/// How a station of the road is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Ok,
    /// The client got on, but others may not.
    Warn,
    /// Here the road breaks.
    Broken,
    /// Nothing can be said: the client did not come this far, or had no need to.
    NotReached,
}

/// A request and its answer, as one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Method and address.
    pub request: String,
    /// Status, media type and the beginning of the body, or why there is no answer.
    pub answer: String,
    /// Positions in the transcript.
    pub events: Vec<u32>,
}

/// A station of the road.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Station {
    /// Its name.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen, in plain words; the worst first.
    pub seen: Vec<String>,
    /// What to change.
    pub change: Vec<String>,
    /// What shows it.
    pub evidence: Vec<Shown>,
    /// How many of `seen` break the road, and how many are amiss at all; they stand in front.
    #[serde(skip)]
    pub(super) amiss: (usize, usize),
}

impl Station {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, state: State::Ok, seen: Vec::new(), change: Vec::new(), evidence: Vec::new(), amiss: (0, 0) }
    }

    /// Something as it should be.
    pub(super) fn saw(&mut self, text: impl Into<String>) {
        self.seen.push(text.into());
    }

    /// Something that other clients may stumble over.
    pub(super) fn warns(&mut self, seen: impl Into<String>, change: impl Into<String>) {
        if self.state != State::Broken {
            self.state = State::Warn;
        }
        self.seen.insert(self.amiss.1, seen.into());
        self.amiss.1 += 1;
        self.changes(change.into());
    }

    /// Something that ends the road.
    pub(super) fn breaks(&mut self, seen: impl Into<String>, change: impl Into<String>) {
        self.state = State::Broken;
        self.seen.insert(self.amiss.0, seen.into());
        self.amiss = (self.amiss.0 + 1, self.amiss.1 + 1);
        self.changes(change.into());
    }

    fn changes(&mut self, change: String) {
        if !change.is_empty() && !self.change.contains(&change) {
            self.change.push(change);
        }
    }

    /// Nothing was seen, for this reason.
    pub(super) fn not_reached(name: &'static str, why: impl Into<String>) -> Self {
        Self { state: State::NotReached, seen: vec![why.into()], ..Self::new(name) }
    }

    /// An exchange that shows it.
    pub(super) fn show(&mut self, exchange: &Exchange) {
        let (request, answer) = (answer::request_line(exchange), answer::answer_line(exchange));
        let shown = Shown { request, answer, events: exchange.evidence() };
        if !self.evidence.contains(&shown) {
            self.evidence.push(shown);
        }
    }
}

/// One of several strings that ought to be equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Who says it.
    pub what: &'static str,
    /// The string.
    pub value: String,
    /// The first byte, counted from 0, that differs from the first string of the table.
    pub differs_at: Option<usize>,
    /// The difference in plain words.
    pub difference: Option<String>,
}

/// What is known of the access token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// `jwt`, or `opaque`: only its issuer can read it.
    pub format: &'static str,
    /// Header of a JWT.
    pub header: Option<Value>,
    /// Claims of a JWT.
    pub claims: Option<Value>,
    /// What follows from them.
    pub notes: Vec<String>,
}

/// A statement about some clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForClients {
    /// Names of their profiles.
    pub clients: Vec<String>,
    /// Those of them of which it is only assumed, since nobody has seen how they log in.
    pub assumed: Vec<String>,
    /// The statement.
    pub text: String,
}

/// What an examination found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The address.
    pub target: String,
    /// Name of the profile that walked.
    pub client: String,
    /// Whether anything answered at the address.
    pub reachable: bool,
    /// The stations, in order of the road.
    pub stations: Vec<Station>,
    /// The resource strings, side by side.
    pub resource: Vec<Named>,
    /// The issuer strings, side by side.
    pub issuer: Vec<Named>,
    /// The access token.
    pub token: Option<Token>,
    /// How long a session lasts under each client.
    pub forecast: Vec<ForClients>,
    /// Which way to a client id each client takes here.
    pub registration: Vec<ForClients>,
}

impl Diagnosis {
    /// The first station where the road breaks.
    pub fn broken(&self) -> Option<&Station> {
        self.stations.iter().find(|station| station.state == State::Broken)
    }

    /// Whether the client got into a session although the road is broken before it.
    pub fn got_by(&self) -> bool {
        let at = |wanted: &str| self.stations.iter().position(|station| station.name == wanted);
        let open = self.station("session").is_some_and(|station| matches!(station.state, State::Ok | State::Warn));
        open && self.broken().is_some_and(|broken| at(broken.name) < at("session"))
    }

    /// A station by name.
    pub fn station(&self, name: &str) -> Option<&Station> {
        self.stations.iter().find(|station| station.name == name)
    }
}
