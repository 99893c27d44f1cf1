//! What the server says to the client of its own accord: notifications, and requests with their replies.
//!
//! Owns the capability rules of sampling, elicitation and roots. It must not know which tool is speaking.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::dispatch::App;
use super::fault::{OutCtx, Rule};
use super::modern::Running;
use super::session::Session;
use crate::model::{Clock as _, Members as _, Revision, moment};

/// How long the server waits for an answer of the client, on its own clock.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How many turns of all that is ready it takes for what was sent to be seen by its client, which may do something about it.
const TO_BE_SEEN: u32 = 24;

/// One running request and the way back to its client.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) session: Arc<Session>,
    /// The stream of the request; absent when it is answered as plain JSON.
    pub(crate) stream: Option<u64>,
    /// The `progressToken`, if the client sent a valid one.
    pub(crate) token: Option<Value>,
    /// The server's time when the request arrived: work that takes a given time is reckoned from here, so that a clock
    /// which is moved right after the request was sent does not lengthen it.
    pub(crate) arrived: Duration,
    /// How a request of the era without sessions speaks and asks; absent in the other one.
    pub(crate) modern: Option<Arc<Running>>,
}

impl App {
    /// Sends a message of the server on a stream.
    pub(crate) fn send(&self, session: &Session, stream: u64, mut message: Value, answers: Option<&str>) {
        let method = message.member("method").and_then(Value::as_str).map(str::to_owned);
        let context = OutCtx { method: method.as_deref().or(answers) };
        self.faults.outgoing(&mut message, &context);
        if message.is_null() {
            return;
        }
        session.emit(stream, message.to_string(), self.faults.holds(Rule::EventIdsUnique));
    }

    /// What the server calls its request of this number.
    fn question_id(&self, number: u64) -> Value {
        if !self.faults.holds(Rule::QuestionIdsGiven) {
            return Value::Null;
        }
        let number = if self.faults.holds(Rule::QuestionIdsFresh) { number } else { 1 };
        if self.faults.holds(Rule::QuestionIdsWhole) {
            return json!(number);
        }
        json!(u32::try_from(number).map_or(0.5, |number| f64::from(number) + 0.5))
    }

    /// Sends a notification that belongs to no request on the GET stream; without one it is lost.
    pub(crate) fn announce(&self, session: &Session, method: &str, params: Option<&Value>) {
        let streams = if self.faults.holds(Rule::NoBroadcast) {
            session.get_stream().into_iter().collect()
        } else {
            session.stream_numbers()
        };
        for stream in streams {
            self.send(session, stream, notification(method, params), None);
        }
    }
}

fn notification(method: &str, params: Option<&Value>) -> Value {
    let mut message = json!({"jsonrpc": "2.0", "method": method});
    if let Some(params) = params {
        message["params"] = params.clone();
    }
    message
}

impl Call {
    /// Sends a notification on the stream of the request.
    pub(crate) fn notify(&self, method: &str, params: &Value) {
        if let Some(modern) = &self.modern {
            modern.say(&self.app, notification(method, Some(params)));
        } else if let Some(stream) = self.stream {
            self.app.send(&self.session, stream, notification(method, Some(params)), None);
        }
    }

    /// Reports progress, if the client asked for it.
    pub(crate) fn progress(&self, progress: u64, total: u64, message: &str) {
        let token = match &self.token {
            Some(token) => token.clone(),
            None if self.app.faults.holds(Rule::ProgressNeedsToken) => return,
            None => json!("unasked"),
        };
        let mut params = json!({"progressToken": token, "progress": progress, "total": total});
        if self.session.revision >= Revision::V2025_03_26 {
            params["message"] = json!(message);
        }
        if self.app.faults.holds(Rule::ProgressOnOwnStream) {
            self.notify("notifications/progress", &params);
        } else {
            let newest = self.session.newest_call_stream();
            Self { stream: newest, ..self.clone() }.notify("notifications/progress", &params);
        }
        if !self.app.faults.holds(Rule::ProgressKeepsToSession) {
            for other in self.app.sessions.all().iter().filter(|other| other.id != self.session.id) {
                self.app.announce(other, "notifications/progress", Some(&params));
            }
        }
    }

    /// Sends a log message, if the client wants to hear that level.
    pub(crate) fn log(&self, level: &str, data: &Value) {
        let rank = super::lifecycle::LEVELS.iter().position(|known| *known == level).unwrap_or(0);
        if rank >= self.session.level() || !self.app.faults.holds(Rule::LogFiltered) {
            self.notify("notifications/message", &json!({"level": level, "logger": "rehearsal", "data": data}));
        }
    }

    /// Waits on the server's clock.
    pub(crate) async fn sleep(&self, ms: u64) {
        self.sleep_for(Duration::from_millis(ms)).await;
    }

    /// Waits on the server's clock.
    pub(crate) async fn sleep_for(&self, duration: Duration) {
        self.app.clock.sleep(duration).await;
    }

    /// Pretends to work between two reports: for a tick of the server, or, where that is no time at all, until its client has
    /// seen the last one.
    pub(crate) async fn work(&self) {
        match self.app.config.tick {
            Duration::ZERO => moment::turns(TO_BE_SEEN).await,
            tick => self.sleep_for(tick).await,
        }
    }

    /// The server's time.
    pub(crate) fn elapsed(&self) -> Duration {
        self.app.clock.elapsed()
    }

    /// Why the client cannot be asked by this method, or `None` if it can.
    fn refusal(&self, method: &str, params: &Value) -> Option<&'static str> {
        let holds = |rule| self.app.faults.holds(rule);
        let has = |name: &str| self.session.capabilities.get(name).is_some_and(Value::is_object);
        if !self.session.initialized() && holds(Rule::WaitsForInitialized) {
            return Some("The client has not finished its initialization");
        }
        match method {
            "sampling/createMessage" if !has("sampling") && holds(Rule::SamplingDeclared) => {
                Some("The client does not support sampling")
            }
            "roots/list" if !has("roots") && holds(Rule::RootsDeclared) => Some("The client does not support roots"),
            "elicitation/create"
                if self.session.revision < Revision::V2025_06_18 && holds(Rule::FeaturesByRevision) =>
            {
                Some("Elicitation does not exist in this revision")
            }
            "elicitation/create" if !has("elicitation") && holds(Rule::ElicitationDeclared) => {
                Some("The client does not support elicitation")
            }
            "elicitation/create" if !self.mode_declared(params) && holds(Rule::ElicitationModeDeclared) => {
                Some("The client does not support this mode of elicitation")
            }
            _ => None,
        }
    }

    /// Whether the client can show the user a page.
    pub(crate) fn can_open_pages(&self) -> bool {
        self.mode_declared(&json!({"mode": "url"}))
    }

    /// An empty capability stands for the form mode alone.
    fn mode_declared(&self, params: &Value) -> bool {
        let declared = self.session.capabilities.member("elicitation");
        let names = |mode: &str| declared.is_some_and(|modes| modes.get(mode).is_some_and(Value::is_object));
        if params.member("mode").and_then(Value::as_str) == Some("url") {
            return names("url");
        }
        names("form") || !names("url")
    }

    /// Asks the client and waits for its answer; the error is a sentence for the model. `key` tells the question from
    /// others of the same work, where questions are results.
    pub(crate) async fn ask(&self, key: &str, method: &str, params: Option<Value>) -> Result<Value, String> {
        if let Some(modern) = &self.modern {
            return modern.ask(&self.app, key, method, params).await;
        }
        if let Some(refusal) = self.refusal(method, params.as_ref().unwrap_or(&Value::Null)) {
            return Err(refusal.to_owned());
        }
        let answer = self.put(method, params).await?;
        if let Some(error) = answer.member("error") {
            if !self.app.faults.holds(Rule::RefusalsHandled) {
                return std::future::pending().await;
            }
            let text = error.member("message").and_then(Value::as_str).unwrap_or("no reason given");
            return Err(format!("The client refused: {text}"));
        }
        answer.member("result").cloned().ok_or_else(|| "The client answered without a result".to_owned())
    }

    /// Asks the client without a look at what it declared, and gives its whole answer.
    pub(crate) async fn put(&self, method: &str, params: Option<Value>) -> Result<Value, String> {
        let Some(stream) = self.stream else { return Err("The client cannot be asked inside a batch".to_owned()) };
        let (id, reply) = self.session.expect_reply(|number| self.app.question_id(number));
        let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if let Some(params) = params {
            message["params"] = params;
        }
        // Reckoned from before the question is out: its reader may move the clock at once.
        let time_out = self.app.clock.sleep(ANSWER_WITHIN);
        self.app.send(&self.session, stream, message, None);
        tokio::select! {
            answer = reply => answer.map_err(|_| "The session has ended".to_owned()),
            () = time_out, if self.app.faults.holds(Rule::QuestionsTimeOut) => {
                self.session.forget_reply(&id);
                if self.app.faults.holds(Rule::TimeoutCancels) {
                    self.notify("notifications/cancelled", &json!({"requestId": id, "reason": "No answer in time"}));
                }
                Err(format!("The client did not answer {method} in time"))
            }
        }
    }
}
