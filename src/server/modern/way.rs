//! Where the messages of one running request go: the stream of its own answer, or the line that it came on.

use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::model::Members as _;
use crate::server::dispatch::App;
use crate::server::doors::Channel;
use crate::server::fault::Rule;

/// How many messages may wait for a reader of a stream; who lets more pile up is lost.
pub(crate) const QUEUE: usize = 1024;

/// The way back to the client.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// A stream of its own, and the request that it answers.
    Stream(mpsc::Sender<String>, Arc<Value>),
    /// A line that carries everything; what is said counts only as long as the request runs.
    Line {
        /// The line.
        channel: Weak<Channel>,
        /// The key of the request.
        key: String,
        /// The request.
        asked: Arc<Value>,
    },
}

impl Way {
    /// Says something, which may answer a request of the method `answers`; false where nobody is there to hear it.
    pub(crate) fn say(&self, app: &App, mut message: Value, answers: &str) -> bool {
        let method = message.member("method").and_then(Value::as_str).unwrap_or(answers).to_owned();
        let (Self::Stream(_, request) | Self::Line { asked: request, .. }) = self;
        app.faults.modern(&mut message, Some(&method), (request, 0));
        match message {
            Value::Null => true,
            Value::Array(several) => several.into_iter().all(|message| self.send(app, message, &method)),
            message => self.send(app, message, &method),
        }
    }

    fn send(&self, app: &App, message: Value, method: &str) -> bool {
        match self {
            Self::Stream(sender, _) => {
                let message = app.outgoing(Some(method), message);
                let sent = message.is_null() || sender.try_send(message.to_string()).is_ok();
                if !sent && !app.faults.holds(Rule::DisconnectCancels) {
                    app.modern.listeners.tell_first(&message);
                }
                sent
            }
            Self::Line { channel, key, .. } => {
                let channel = channel.upgrade().filter(|channel| channel.lane.runs(key));
                channel.is_some_and(|channel| {
                    channel.tell(app, message, Some(method));
                    true
                })
            }
        }
    }

    /// Says something as it is, on a stream.
    pub(crate) fn send_plain(&self, message: &Value) -> bool {
        matches!(self, Self::Stream(sender, _) if sender.try_send(message.to_string()).is_ok())
    }

    /// Whether it is this line.
    pub(crate) fn is_line(&self, line: &Weak<Channel>) -> bool {
        matches!(self, Self::Line { channel, .. } if channel.ptr_eq(line))
    }
}
