//! One request of this era, or one task, while it runs: what it may say, and how it gets answers from its client.

use std::sync::Arc;

use serde_json::{Value, json};

use super::capabilities::Need;
use super::round::Round;
use super::tasks::Task;
use super::way::Way;
use crate::server::dispatch::App;
use crate::server::reply::RpcError;

/// Who answers questions.
#[derive(Debug)]
pub(crate) enum Asks {
    /// The client, by sending its request again.
    Client(Box<Round>),
    /// The client, through the task that the work has become.
    Task(Arc<Task>),
}

/// The request that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where notifications go; nowhere for an answer that is one JSON text.
    pub(crate) way: Option<Way>,
    /// What this very request declares.
    pub(crate) capabilities: Value,
    /// Whose it is.
    pub(crate) subject: Option<String>,
    pub(crate) asks: Asks,
}

impl Running {
    /// Sends a notification.
    pub(crate) fn say(&self, app: &App, message: Value) {
        if let Some(way) = &self.way {
            // Who has gone is noticed by whoever holds the stream.
            way.say(app, message, "");
        }
    }

    /// Whether the client can be asked for this.
    pub(crate) fn declares(&self, need: Need) -> bool {
        need.declared(&self.capabilities)
    }

    /// Whether the work may go on as a task.
    pub(crate) fn may_become_task(&self) -> bool {
        matches!(self.asks, Asks::Client(_)) && self.declares(Need::Tasks)
    }

    /// Whether it is a task that works.
    pub(crate) fn in_task(&self) -> bool {
        matches!(self.asks, Asks::Task(_))
    }

    /// The answer of the client; the error is a sentence for the model. May never complete: then the work is over.
    pub(crate) async fn ask(&self, app: &App, key: &str, method: &str, params: Option<Value>) -> Result<Value, String> {
        let params = params.unwrap_or_else(|| json!({}));
        match &self.asks {
            Asks::Client(round) => Ok(round.ask(&self.capabilities, key, method, params).await),
            Asks::Task(task) => match Need::of(method, &params) {
                Some(need) if !self.declares(need) => Err(need.missing().message),
                _ => task.ask(app, key, method, params).await,
            },
        }
    }

    /// Ends the work with an error of the protocol. Never completes.
    pub(crate) async fn fail(&self, error: RpcError) {
        match &self.asks {
            Asks::Client(round) => round.fail(error),
            Asks::Task(task) => task.fail(error),
        }
        std::future::pending::<()>().await;
    }
}
