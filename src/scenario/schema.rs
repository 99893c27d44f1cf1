//! The types of a scenario: what a file says, after its text has been read.
//!
//! Owns names and shapes of the format. Must not know YAML, how a step looks on the wire, or who runs it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::action::Action;
use super::delay::Delay;
use super::expect::Expect;
use super::network::WrittenFault;
use super::words::{
    DisconnectWhen, Eras, HeaderSource, LastEventId, NodeChoice, RestartHow, RestartWhat, SessionSource, SpokenEra,
    StateSource,
};
use crate::model::{NetworkFault, Span};

/// Headers to add or replace; `null` removes one that would otherwise be sent.
pub type Headers = BTreeMap<String, Option<String>>;

/// The client that acts where a step names none.
pub const FIRST_CLIENT: &str = "a";

/// One scenario file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the format; always 1.
    pub version: u32,
    /// Dotted name, area first: `invoke.progress`.
    pub id: String,
    /// One sentence: what happens.
    pub title: String,
    /// Why anybody should care.
    pub why: String,
    /// Names of the field reports this scenario replays.
    #[serde(default)]
    pub field: Vec<String>,
    /// The eras it is played in: with `initialize`, without (2026-07-28), or each.
    #[serde(default)]
    pub era: Eras,
    /// Revisions it applies to; empty means all of its eras.
    #[serde(default)]
    pub revisions: Vec<String>,
    /// What a target must offer for this scenario to apply.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Client profiles it is played with; empty means all.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Values for `${name}` in JSON bodies.
    #[serde(default)]
    pub vars: BTreeMap<String, Value>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// The file it was read from, as it was named; `None` for what the program brings along.
    #[serde(skip)]
    pub file: Option<String>,
}

impl Scenario {
    /// Whether the network does anything in it.
    pub fn has_network_faults(&self) -> bool {
        self.steps.iter().any(|step| !step.faults().is_empty())
    }

    /// Every step in order of its number, those inside `together` too.
    pub fn all_steps(&self) -> Vec<&Step> {
        let mut all = Vec::new();
        collect(&self.steps, &mut all);
        all
    }
}

fn collect<'s>(steps: &'s [Step], all: &mut Vec<&'s Step>) {
    for step in steps {
        all.push(step);
        if let Action::Together(inner) = &step.action {
            collect(inner, all);
        }
    }
}

/// One step and where it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Bytes of the step in the file.
    pub span: Span,
    /// Line of the step in the file, from 1; 0 where the text did not come from a file.
    pub line: usize,
    /// Position among all steps of the scenario from 0, those inside `together` right after it.
    pub number: u32,
    /// What to do.
    pub action: Action,
}

/// Declares the bodies of steps: the fields every one of them has are written once.
macro_rules! bodies {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// Which simulated client acts; `a` where nothing is said.
            #[serde(default)]
            pub client: Option<String>,
            /// What has to be seen.
            #[serde(default)]
            pub expect: Option<Box<Expect>>,
            /// How long the step may take.
            #[serde(default)]
            pub within: Option<Delay>,
            /// What the network does while the step runs; `list network-faults` names what there is.
            #[serde(default)]
            pub faults: Vec<WrittenFault>,
            /// The node that the step is for; where nothing is said, the one that the client is at. After `reconnect` the
            /// client stays there.
            #[serde(default)]
            pub node: Option<NodeChoice>,
        }

        impl Body for $name {
            fn client(&self) -> Option<&str> {
                self.client.as_deref()
            }
            fn expect(&self) -> Option<&Expect> {
                self.expect.as_deref()
            }
            fn expect_mut(&mut self) -> Option<&mut Expect> {
                self.expect.as_deref_mut()
            }
            fn within(&self) -> Option<&Delay> {
                self.within.as_ref()
            }
            fn faults(&self) -> &[WrittenFault] {
                &self.faults
            }
            fn node(&self) -> Option<NodeChoice> {
                self.node
            }
        }
    )*};
}

pub(super) use bodies;

/// What every body has.
pub(in crate::scenario) trait Body {
    fn client(&self) -> Option<&str>;
    fn expect(&self) -> Option<&Expect>;
    fn expect_mut(&mut self) -> Option<&mut Expect>;
    fn within(&self) -> Option<&Delay>;
    fn faults(&self) -> &[WrittenFault];
    fn node(&self) -> Option<NodeChoice>;
}

bodies! {
    /// Open the connection; nothing is sent yet.
    Connect {}

    /// Open the conversation as the client profile does.
    Negotiate {
        /// `legacy` where this client knows only `initialize`, whatever the others speak.
        #[serde(default)]
        era: Option<SpokenEra>,
        /// Protocol version to ask for instead of the profile's.
        #[serde(default)]
        version: Option<String>,
        /// Client capabilities to declare instead of the profile's.
        #[serde(default)]
        capabilities: Option<Value>,
        /// Whether to do what the profile does after `initialize`: open the GET stream, fetch the lists.
        #[serde(default = "yes")]
        settle: bool,
        /// Whether to send `notifications/initialized`.
        #[serde(default = "yes")]
        initialized: bool,
        /// Headers to add, replace or (null) leave out.
        #[serde(default)]
        headers: Headers,
    }

    /// Call a tool, or any method. Without either, a call that is safe on any server.
    Invoke {
        /// Name of the tool.
        #[serde(default)]
        tool: Option<String>,
        /// Call it by the first name in the client's own list that begins so, where there is one.
        #[serde(default)]
        as_listed: bool,
        /// Arguments of the tool.
        #[serde(default, deserialize_with = "present")]
        arguments: Option<Value>,
        /// Method to send instead of `tools/call`.
        #[serde(default)]
        method: Option<String>,
        /// Params of that method; as `taskId`, `{task}` stands for the task that the server handed out last.
        #[serde(default, deserialize_with = "present")]
        params: Option<Value>,
        /// JSON-RPC id to use; chosen by the client otherwise.
        #[serde(default, deserialize_with = "present")]
        id: Option<Value>,
        /// Progress token to send along.
        #[serde(default, deserialize_with = "present")]
        progress: Option<Value>,
        /// Further members of `_meta`.
        #[serde(default, deserialize_with = "present")]
        meta: Option<Value>,
        /// Headers to add, replace or (null) leave out.
        #[serde(default)]
        headers: Headers,
        /// Whether the client does what its profile does when its session is gone: mostly a new `initialize`, and the
        /// call once more.
        #[serde(default = "yes")]
        recover: bool,
        /// Do not wait for the answer; `await` collects it under this name.
        #[serde(default)]
        r#as: Option<String>,
        /// How to answer what the server asks meanwhile.
        #[serde(default)]
        answer: Answers,
        /// How often the client answers an `input_required` result and asks again (2026-07-28).
        #[serde(default = "rounds")]
        rounds: u32,
        /// What the client sends back as `requestState` then.
        #[serde(default)]
        state: StateSource,
    }

    /// Collect the answer of an earlier `invoke` with `as`.
    Await {
        /// The name given with `as`.
        call: String,
    }

    /// Send `notifications/cancelled`.
    Cancel {
        /// The name given with `as`.
        #[serde(default)]
        call: Option<String>,
        /// A request id, where no call of the scenario is meant.
        #[serde(default, deserialize_with = "present")]
        id: Option<Value>,
        /// The reason to give.
        #[serde(default)]
        reason: Option<String>,
    }

    /// Send a notification.
    Notify {
        /// Its method.
        method: String,
        /// Its params.
        #[serde(default, deserialize_with = "present")]
        params: Option<Value>,
        /// Headers to add, replace or (null) leave out.
        #[serde(default)]
        headers: Headers,
    }

    /// Open the stream on which the server speaks first.
    Listen {
        /// What to subscribe to (2026-07-28): the `notifications` of `subscriptions/listen`. Every change of a list where
        /// nothing is said.
        #[serde(default, deserialize_with = "present")]
        notifications: Option<Value>,
        /// JSON-RPC id of that request; chosen by the client otherwise.
        #[serde(default, deserialize_with = "present")]
        id: Option<Value>,
        /// Where to resume from.
        #[serde(default)]
        last_event_id: Option<LastEventId>,
        /// Headers to add, replace or (null) leave out.
        #[serde(default)]
        headers: Headers,
        /// A name for the stream.
        #[serde(default)]
        r#as: Option<String>,
    }

    /// Drop all connections of the client abruptly.
    Disconnect {
        /// When to drop them.
        #[serde(default)]
        when: DisconnectWhen,
        /// The call whose first event is meant.
        #[serde(default)]
        call: Option<String>,
    }

    /// Make new connections and go on.
    Reconnect {
        /// Whether to resume interrupted streams with `Last-Event-ID`.
        #[serde(default = "yes")]
        resume: bool,
    }

    /// Let time pass, or wait for a message.
    Wait {
        /// How long. Moves the target's clock if it has one that can be moved; real time otherwise.
        #[serde(default)]
        r#for: Option<Delay>,
        /// Method of a message from the server that ends the wait: one that ended no earlier wait, no matter when it came.
        #[serde(default)]
        until: Option<String>,
    }

    /// Send something no profile would send.
    Raw {
        /// HTTP method.
        #[serde(default = "post")]
        method: String,
        /// Headers to add, replace or (null) leave out; `{session}` and `{revision}` stand for the client's own, and so
        /// do the words that `oauth` knows.
        #[serde(default)]
        headers: Headers,
        /// Query to add to the URL; the same words in braces are known.
        #[serde(default)]
        query: Option<String>,
        /// Which session id to send.
        #[serde(default)]
        session: SessionSource,
        /// Which protocol version header to send.
        #[serde(default)]
        version: HeaderSource,
        /// JSON to send.
        #[serde(default, deserialize_with = "present")]
        message: Option<Value>,
        /// Text to send as it is.
        #[serde(default)]
        body: Option<String>,
        /// Bytes to send, in base64.
        #[serde(default)]
        bytes: Option<String>,
        /// Spaces are put behind the body until it has so many bytes.
        #[serde(default)]
        pad: usize,
        /// How often to send it, one after the other.
        #[serde(default = "once")]
        repeat: u32,
        /// A name for the session id that the answer gives: `{NAME.session}` from here on, for every client.
        #[serde(default)]
        r#as: Option<String>,
    }

    /// Start the target, or the node that the client is at, again; or its store.
    Restart {
        /// What is started again.
        #[serde(default)]
        what: RestartWhat,
        /// How it ends before.
        #[serde(default)]
        how: RestartHow,
    }

    /// Words whose only argument is what they apply to: `expire`, `refresh`, `revoke`.
    Word {
        /// What it applies to.
        #[serde(default)]
        what: Option<String>,
    }

    /// End the conversation as the profile does.
    Shutdown {
        /// Whether to delete the session; as the profile does where nothing is said.
        #[serde(default)]
        delete: Option<bool>,
    }
}

/// How to answer requests of the server; what is not said, the profile answers.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Result for `sampling/createMessage`; the one member `error` with `code` and `message` refuses it.
    #[serde(default, deserialize_with = "present")]
    pub sampling: Option<Value>,
    /// Result for `elicitation/create`, or an `error`.
    #[serde(default, deserialize_with = "present")]
    pub elicitation: Option<Value>,
    /// Result for `roots/list`, or an `error`.
    #[serde(default, deserialize_with = "present")]
    pub roots: Option<Value>,
    /// Not at all: whatever the server asks, the client keeps silent.
    #[serde(default)]
    pub silent: bool,
}

impl Step {
    /// The simulated client that acts.
    pub fn client(&self) -> &str {
        self.action.body().and_then(Body::client).unwrap_or(FIRST_CLIENT)
    }

    /// What has to be seen, if the step says.
    pub fn expect(&self) -> Option<&Expect> {
        self.action.body().and_then(Body::expect)
    }

    /// How long the step may take, if it says.
    pub fn within(&self) -> Option<&Delay> {
        self.action.body().and_then(Body::within)
    }

    /// The node that the step is for, if it says.
    pub fn node(&self) -> Option<NodeChoice> {
        self.action.body().and_then(Body::node)
    }

    /// What the network does while the step runs: to all clients alike, so that steps inside `together` share it.
    pub fn faults(&self) -> Vec<NetworkFault> {
        if let Action::Together(steps) = &self.action {
            return steps.iter().flat_map(Self::faults).collect();
        }
        self.written_faults().iter().filter_map(WrittenFault::fault).cloned().collect()
    }

    pub(super) fn written_faults(&self) -> &[WrittenFault] {
        self.action.body().map(Body::faults).unwrap_or_default()
    }
}

/// A member that is there, also when it is `null`.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn yes() -> bool {
    true
}

/// More rounds than any honest server needs.
fn rounds() -> u32 {
    8
}

fn once() -> u32 {
    1
}

fn post() -> String {
    "POST".to_owned()
}
