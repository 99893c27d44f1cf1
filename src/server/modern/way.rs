//! Where the messages of one running request go: the stream of its own answer, or the line that it came on.

use std::sync::Weak;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::server::dispatch::App;
use crate::server::doors::Channel;

/// How many messages may wait for a reader of a stream; who lets more pile up is lost.
pub(crate) const QUEUE: usize = 1024;

/// The way back to the client.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// A stream of its own.
    Stream(mpsc::Sender<String>),
    /// A line that carries everything; what is said counts only as long as the request runs.
    Line {
        /// The line.
        channel: Weak<Channel>,
        /// The request.
        key: String,
    },
}

impl Way {
    /// Says something, which may answer a request of the method `answers`; false where nobody is there to hear it.
    pub(crate) fn say(&self, app: &App, message: Value, answers: &str) -> bool {
        let method = message.get("method").and_then(Value::as_str).unwrap_or(answers).to_owned();
        match self {
            Self::Stream(sender) => {
                let message = app.outgoing(Some(&method), message);
                message.is_null() || sender.try_send(message.to_string()).is_ok()
            }
            Self::Line { channel, key } => {
                let channel = channel.upgrade().filter(|channel| channel.lane.runs(key));
                channel.is_some_and(|channel| {
                    channel.tell(app, message, Some(&method));
                    true
                })
            }
        }
    }

    /// Whether it is this line.
    pub(crate) fn is_line(&self, line: &Weak<Channel>) -> bool {
        matches!(self, Self::Line { channel, .. } if channel.ptr_eq(line))
    }
}
