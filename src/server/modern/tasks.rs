//! The tasks extension (SEP-2663): calls that go on after they were answered, and how their client follows them.
//!
//! It must not know which tool works.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::answers;
use super::fixtures;
use super::running::{Asks, Running};
use crate::model::Clock as _;
use crate::model::Members as _;
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::peer::Call;
use crate::server::reply::{Outcome, RpcError};
use crate::server::tools::told;

/// How many tasks are kept; the oldest make room.
const MOST_TASKS: usize = 1000;
/// How long a task is kept.
const LIVES: Duration = Duration::from_secs(15 * 60);
/// How often a client is to look, in milliseconds.
const POLL_MS: u64 = 200;

/// How far a task is.
#[derive(Debug)]
enum Status {
    Going,
    Ended(Result<Value, RpcError>),
    Cancelled,
}

#[derive(Debug)]
struct Question {
    method: String,
    params: Value,
    answer: oneshot::Sender<Value>,
}

#[derive(Debug)]
struct Inner {
    status: Status,
    updated: Duration,
    questions: BTreeMap<String, Question>,
    error: Option<RpcError>,
    work: Option<AbortHandle>,
}

/// A call that goes on by itself.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) owner: Option<String>,
    created: Duration,
    inner: Mutex<Inner>,
    stop: Notify,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// In the order they began.
    all: Mutex<Vec<Arc<Task>>>,
}

impl Tasks {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<Task>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task, if it is this user's and still kept.
    pub(crate) fn find(&self, id: &str, owner: Option<&str>, now: Duration) -> Option<Arc<Task>> {
        self.find_if(id, now, |task| task.owner.as_deref() == owner)
    }

    fn find_if(&self, id: &str, now: Duration, may: impl Fn(&Task) -> bool) -> Option<Arc<Task>> {
        let mut all = self.all();
        all.retain(|task| {
            let keep = now.saturating_sub(task.created) < LIVES;
            if !keep {
                task.abort();
            }
            keep
        });
        all.iter().find(|task| task.id == id && may(task)).cloned()
    }

    /// The number of the next task; only a fault tells it.
    fn next_number(&self) -> String {
        (self.all().len() + 1).to_string()
    }

    fn keep(&self, task: Arc<Task>) {
        let mut all = self.all();
        if all.len() >= MOST_TASKS {
            let place = all.iter().position(|task| !task.goes_on()).unwrap_or(0);
            all.remove(place).abort();
        }
        all.push(task);
    }

    /// Stops all work.
    pub(crate) fn stop(&self) {
        self.all().drain(..).for_each(|task| task.abort());
    }
}

impl Task {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        matches!(self.inner().status, Status::Going)
    }

    fn abort(&self) {
        if let Some(work) = self.inner().work.take() {
            work.abort();
        }
    }

    /// Changes the task and tells those who want to know; nothing changes after the end.
    fn change(&self, app: &App, change: impl FnOnce(&mut Inner)) {
        {
            let mut inner = self.inner();
            if !matches!(inner.status, Status::Going) {
                return;
            }
            change(&mut inner);
            inner.updated = app.clock.unix();
            if !matches!(inner.status, Status::Going) {
                inner.questions.clear();
            }
        }
        app.modern.listeners.task_changed(app, self);
    }

    /// Asks the client and waits for its answer. A key stands for one question in the whole life of a task.
    pub(crate) async fn ask(&self, app: &App, key: &str, method: &str, params: Value) -> Result<Value, String> {
        let (answer, answered) = oneshot::channel();
        let question = Question { method: method.to_owned(), params, answer };
        self.change(app, |inner| {
            inner.questions.insert(key.to_owned(), question);
        });
        answered.await.map_err(|_| "The task has ended".to_owned())
    }

    /// Lets the task fail.
    pub(crate) fn fail(&self, error: RpcError) {
        self.inner().error = Some(error);
        self.stop.notify_one();
    }

    /// What `tasks/get` says of it.
    pub(crate) fn told(&self) -> Value {
        let inner = self.inner();
        let mut task = json!({
            "taskId": self.id,
            "status": "working",
            "createdAt": timestamp(self.created),
            "lastUpdatedAt": timestamp(inner.updated),
            "ttlMs": u64::try_from(LIVES.as_millis()).unwrap_or(u64::MAX),
            "pollIntervalMs": POLL_MS,
        });
        match &inner.status {
            Status::Going if inner.questions.is_empty() => {}
            Status::Going => {
                let asked = |(key, question): (&String, &Question)| {
                    (key.clone(), json!({"method": question.method, "params": question.params}))
                };
                let asked: Map<String, Value> = inner.questions.iter().map(asked).collect();
                task["status"] = json!("input_required");
                task["inputRequests"] = Value::Object(asked);
            }
            Status::Ended(Ok(result)) => {
                task["status"] = json!("completed");
                task["result"] = result.clone();
            }
            Status::Ended(Err(error)) => {
                task["status"] = json!("failed");
                task["statusMessage"] = json!(error.message);
                task["error"] = json!({"code": error.code, "message": error.message});
                if let Some(data) = &error.data {
                    task["error"]["data"] = data.clone();
                }
            }
            Status::Cancelled => task["status"] = json!("cancelled"),
        }
        task
    }
}

/// Goes on with a call as a task, and gives the result that says so. The task can be found from now on.
pub(crate) fn begin(call: &Call, running: &Running, name: &str, arguments: &Value) -> Value {
    let app = &call.app;
    let now = app.clock.unix();
    let inner = Inner { status: Status::Going, updated: now, questions: BTreeMap::new(), error: None, work: None };
    let task = Arc::new(Task {
        id: if app.faults.holds(Rule::TaskIdsLong) { app.rng.hex(16) } else { app.modern.tasks.next_number() },
        owner: running.subject.clone(),
        created: now,
        inner: Mutex::new(inner),
        stop: Notify::new(),
    });
    app.modern.tasks.keep(Arc::clone(&task));
    let mut result = task.told();
    let inside = Running {
        way: None,
        capabilities: running.capabilities.clone(),
        subject: running.subject.clone(),
        asks: Asks::Task(Arc::clone(&task)),
    };
    let call = Call { modern: Some(Arc::new(inside)), token: None, arrived: app.clock.elapsed(), ..call.clone() };
    let work = tokio::spawn(work(call, Arc::clone(&task), name.to_owned(), arguments.clone()));
    task.inner().work = Some(work.abort_handle());
    result["resultType"] = json!("task");
    result
}

/// The work of a task. Its type is named, as the tools that begin tasks are what it runs.
fn work(
    call: Call,
    task: Arc<Task>,
    name: String,
    arguments: Value,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
    Box::pin(async move {
        let outcome = tokio::select! {
            biased;
            outcome = fixtures::run(&call, &name, &arguments) => Ok(told(outcome)),
            () = task.stop.notified() => {
                Err(task.inner().error.take().unwrap_or_else(|| RpcError::params("The task has failed")))
            }
        };
        task.change(&call.app, |inner| inner.status = Status::Ended(outcome));
    })
}

fn named(app: &App, params: &Value, owner: Option<&str>) -> Result<Arc<Task>, RpcError> {
    let id = params.member("taskId").and_then(Value::as_str).ok_or_else(|| RpcError::params("taskId is missing"))?;
    let strict = app.faults.holds(Rule::TaskOfOwner);
    let task = app.modern.tasks.find_if(id, app.clock.unix(), |task| !strict || task.owner.as_deref() == owner);
    task.ok_or_else(|| RpcError::params(format!("Unknown task: {id}")))
}

/// `tasks/get`.
pub(crate) fn get(app: &App, params: &Value, owner: Option<&str>) -> Outcome {
    named(app, params, owner).map(|task| task.told())
}

/// `tasks/update`. What nobody asked, or what is answered already, is passed over.
pub(crate) fn update(app: &App, params: &Value, owner: Option<&str>) -> Outcome {
    let task = named(app, params, owner)?;
    let responses = params.member("inputResponses").and_then(Value::as_object);
    let responses = responses.ok_or_else(|| RpcError::params("inputResponses has to be an object"))?;
    let mut answered = Vec::new();
    {
        let inner = task.inner();
        for (key, response) in responses {
            let Some(question) = inner.questions.get(key) else { continue };
            answers::check(&question.method, &question.params, response)
                .map_err(|why| RpcError::params(format!("inputResponses.{key} is no answer: {why}")))?;
            answered.push((key, response));
        }
    }
    if !answered.is_empty() {
        task.change(app, |inner| {
            for (key, response) in answered {
                if let Some(question) = inner.questions.remove(key) {
                    // The work may have ended in this moment.
                    let _ = question.answer.send(response.clone());
                }
            }
        });
    }
    Ok(json!({}))
}

/// `tasks/cancel`; a task that has ended stays as it is.
pub(crate) fn cancel(app: &App, params: &Value, owner: Option<&str>) -> Outcome {
    let task = named(app, params, owner)?;
    task.change(app, |inner| inner.status = Status::Cancelled);
    task.abort();
    Ok(json!({}))
}

/// A time since the Unix epoch as RFC 3339 writes it.
fn timestamp(time: Duration) -> String {
    let (days, second) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // Days are counted from 1 March of the year 0, so that a leap day is the last day of its year.
    let day = days + 719_468;
    let (era, in_era) = (day / 146_097, day % 146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let in_month = in_year - (153 * month + 2) / 5 + 1;
    let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + late;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{in_month:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, time.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates() {
        let at = |seconds| timestamp(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_826_154), "2000-02-29T12:09:14.000Z");
        assert_eq!(at(1_785_196_799), "2026-07-27T23:59:59.000Z");
        assert_eq!(timestamp(Duration::from_millis(1_785_196_800_007)), "2026-07-28T00:00:00.007Z");
    }
}
