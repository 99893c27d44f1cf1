//! One round of a request that may need several: what its client has answered so far, what it is asked now, and the
//! result that says so. The work is begun anew in every round, so it needs no memory of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::answers;
use super::capabilities::Need;
use super::state::Bond;
use crate::model::Clock as _;
use crate::model::Members as _;
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::reply::{Outcome, RpcError};

#[derive(Debug, Default)]
struct Inner {
    /// Answers that were taken up in this round.
    taken: Map<String, Value>,
    /// What is asked.
    asked: Map<String, Value>,
    error: Option<RpcError>,
}

/// A round.
#[derive(Debug)]
pub(crate) struct Round {
    bond: Bond,
    /// The state is always given, and answers count only with it.
    sealed: bool,
    given: Map<String, Value>,
    inner: Mutex<Inner>,
    stop: Notify,
}

impl Round {
    /// The round that a request begins. A state that is not for it is refused, whatever it is needed for.
    pub(crate) fn begin(app: &App, bond: Bond, params: &Value, sealed: bool) -> Result<Self, RpcError> {
        let state = params.member("requestState");
        let mut given = match state {
            Some(state) => match app.seal.open(&bond, state, app.clock.unix(), |rule| app.faults.holds(rule)) {
                Err(error) if app.faults.holds(Rule::StateVerified) => return Err(error),
                opened => opened.unwrap_or_default(),
            },
            None => Map::new(),
        };
        match params.member("inputResponses") {
            // Without its state an answer could be to another question.
            None => {}
            Some(Value::Object(_)) if sealed && state.is_none() => {}
            Some(Value::Object(responses)) => {
                for (key, response) in responses {
                    // What was answered in an earlier round stays answered.
                    given.entry(key.as_str()).or_insert_with(|| response.clone());
                }
            }
            Some(_) => return Err(RpcError::params("inputResponses has to be an object")),
        }
        Ok(Self { bond, sealed, given, inner: Mutex::default(), stop: Notify::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question, if it was given already. Otherwise the work ends here: what is asked, together with what
    /// is asked beside it, becomes the result of the round.
    pub(crate) async fn ask(&self, capabilities: &Value, key: &str, method: &str, params: Value) -> Value {
        match self.answer(capabilities, key, method, &params) {
            Ok(Some(answer)) => return answer,
            Ok(None) => {
                self.inner().asked.insert(key.to_owned(), json!({"method": method, "params": params}));
            }
            Err(error) => self.inner().error = Some(error),
        }
        self.stop.notify_one();
        std::future::pending().await
    }

    fn answer(&self, capabilities: &Value, key: &str, method: &str, params: &Value) -> Result<Option<Value>, RpcError> {
        if let Some(need) = Need::of(method, params) {
            need.demand(capabilities)?;
        }
        let Some(answer) = self.given.get(key) else { return Ok(None) };
        answers::check(method, params, answer)
            .map_err(|why| RpcError::params(format!("inputResponses.{key} is no answer to {method}: {why}")))?;
        self.inner().taken.insert(key.to_owned(), answer.clone());
        Ok(Some(answer.clone()))
    }

    /// Ends the work with an error of the protocol.
    pub(crate) fn fail(&self, error: RpcError) {
        self.inner().error = Some(error);
        self.stop.notify_one();
    }

    /// Completes when the work is not to go on.
    pub(crate) async fn stopped(&self) {
        self.stop.notified().await;
    }

    /// What comes of work that was stopped.
    pub(crate) fn verdict(&self, app: &App) -> Outcome {
        let Inner { taken, asked, error } = std::mem::take(&mut *self.inner());
        if let Some(error) = error {
            return Err(error);
        }
        let mut result = json!({"resultType": "input_required", "inputRequests": asked});
        if self.sealed || !taken.is_empty() {
            let state = app.seal.close(&self.bond, &taken, app.clock.unix(), &app.rng.hex(8));
            result["requestState"] = json!(state);
        }
        Ok(result)
    }
}
