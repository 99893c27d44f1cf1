//! `subscriptions/listen`: who hears of which changes. Every subscription is acknowledged before it says anything else,
//! and everything on it names it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use serde_json::{Map, Value, json};

use super::caching::finish;
use super::meta::SUBSCRIPTION;
use super::methods::LISTEN;
use super::tasks::Task;
use super::way::Way;
use crate::model::Clock as _;
use crate::model::Members as _;
use crate::server::dispatch::App;
use crate::server::doors::Channel;
use crate::server::fault::Rule;
use crate::server::reply::{RpcError, code, response};
use crate::server::resources;

/// The most subscriptions at a time.
const MOST: usize = 4096;
/// The most resources, or tasks, of one subscription.
const MOST_NAMES: usize = 1000;

/// Something that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A list: `tools`, `prompts` or `resources`.
    List(&'a str),
    /// A resource, by its URI.
    Resource(&'a str),
}

/// What a subscription wants to hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    lists: BTreeSet<&'static str>,
    uris: BTreeSet<String>,
    tasks: BTreeSet<String>,
}

const LISTS: [(&str, &str); 3] =
    [("toolsListChanged", "tools"), ("promptsListChanged", "prompts"), ("resourcesListChanged", "resources")];

fn names(wanted: &Map<String, Value>, member: &str) -> Result<BTreeSet<String>, RpcError> {
    let wrong = || RpcError::params(format!("notifications.{member} has to be a list of at most {MOST_NAMES} strings"));
    let Some(list) = wanted.get(member) else { return Ok(BTreeSet::new()) };
    let list = list.as_array().filter(|list| list.len() <= MOST_NAMES).ok_or_else(wrong)?;
    list.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

impl Filter {
    /// Reads what is wanted.
    pub(crate) fn read(params: &Value) -> Result<Self, RpcError> {
        let wanted = params.member("notifications").and_then(Value::as_object);
        let wanted = wanted.ok_or_else(|| RpcError::params("notifications has to be an object"))?;
        let mut lists = BTreeSet::new();
        for (member, list) in LISTS {
            match wanted.get(member) {
                Some(Value::Bool(true)) => {
                    lists.insert(list);
                }
                None | Some(Value::Bool(false)) => {}
                Some(_) => return Err(RpcError::params(format!("notifications.{member} has to be a boolean"))),
            }
        }
        Ok(Self { lists, uris: names(wanted, "resourceSubscriptions")?, tasks: names(wanted, "taskIds")? })
    }

    /// Whether it asks for what only the tasks extension has.
    pub(crate) fn wants_tasks(params: &Value) -> bool {
        params.member("notifications").is_some_and(|wanted| wanted.member("taskIds").is_some())
    }

    /// What of it can be had: resources that there are, and tasks of that user.
    fn honoured(mut self, app: &App, owner: Option<&str>) -> Self {
        self.uris.retain(|uri| resources::exists(uri));
        let now = app.clock.unix();
        self.tasks.retain(|id| app.modern.tasks.find(id, owner, now).is_some());
        self
    }

    fn told(&self) -> Value {
        let mut told = Map::new();
        for (member, list) in LISTS {
            if self.lists.contains(list) {
                told.insert(member.to_owned(), json!(true));
            }
        }
        for (member, names) in [("resourceSubscriptions", &self.uris), ("taskIds", &self.tasks)] {
            if !names.is_empty() {
                told.insert(member.to_owned(), json!(names));
            }
        }
        Value::Object(told)
    }
}

#[derive(Debug)]
struct Listener {
    id: Value,
    filter: Filter,
    way: Way,
}

impl Listener {
    /// Says something on the subscription; false where nobody hears it.
    fn say(&self, app: &App, method: &str, mut params: Value) -> bool {
        params["_meta"] = json!({SUBSCRIPTION: self.id});
        self.way.say(app, json!({"jsonrpc": "2.0", "method": method, "params": params}), LISTEN)
    }

    /// Ends it in good order. On a line, where no stream can be closed, the client is told a second time.
    fn end(&self, app: &App) {
        let named = app.faults.holds(Rule::ListenEndNamed);
        let meta = if named { json!({SUBSCRIPTION: self.id}) } else { json!({}) };
        let result = finish(LISTEN, json!({"_meta": meta}));
        self.way.say(app, response(&self.id, Ok(result)), LISTEN);
        if let Way::Line { .. } = self.way {
            self.say(app, "notifications/cancelled", json!({"requestId": self.id, "reason": "The server stops"}));
        }
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    open: Mutex<BTreeMap<u64, Listener>>,
    next: AtomicU64,
    closed: AtomicBool,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Listener>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a subscription to come.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().len()
    }

    /// Whether another subscription can be had.
    pub(crate) fn has_room(&self) -> Result<(), RpcError> {
        if self.count() < MOST && !self.closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(RpcError::new(code::INTERNAL, "No more subscriptions can be had now; try again later"))
    }

    /// Opens a subscription and acknowledges it before anything else can be said on it.
    pub(crate) fn begin(&self, app: &App, number: u64, wanted: (Value, Filter), owner: Option<&str>, way: Way) {
        let (id, filter) = wanted;
        let listener = Listener { id, filter: filter.honoured(app, owner), way };
        let mut open = self.open();
        let told = json!({"notifications": listener.filter.told()});
        if self.closed.load(Ordering::SeqCst) || !listener.say(app, "notifications/subscriptions/acknowledged", told) {
            return;
        }
        if !app.faults.holds(Rule::ListenEndsInOrder) {
            return;
        }
        if !app.faults.holds(Rule::ListenStaysOpen) || !app.faults.holds(Rule::ListenEndNamed) {
            return listener.end(app);
        }
        open.insert(number, listener);
    }

    /// Says something on the first subscription that is still open, as only a fault does.
    pub(crate) fn tell_first(&self, message: &Value) {
        if let Ok(open) = self.open.try_lock() {
            let _ = open.values().any(|listener| listener.way.send_plain(message));
        }
    }

    /// Its client has gone, or wants to hear no more.
    pub(crate) fn forget(&self, app: &App, number: u64) {
        let mut open = self.open();
        let gone = open.remove(&number);
        // A fault lets it go on where somebody else listens.
        if !app.faults.holds(Rule::ListenForgotten)
            && let Some(way) = open.values().next().map(|other| other.way.clone())
            && let Some(gone) = gone
        {
            open.insert(number, Listener { way, ..gone });
        }
    }

    /// Tells of a change.
    pub(crate) fn changed(&self, app: &App, event: Event<'_>) {
        let (method, params) = match event {
            Event::List(list) => (format!("notifications/{list}/list_changed"), json!({})),
            Event::Resource(uri) => ("notifications/resources/updated".to_owned(), json!({"uri": uri})),
        };
        self.tell(app, &method, &params, |filter| match event {
            Event::List(list) => filter.lists.contains(list),
            Event::Resource(uri) => filter.uris.contains(uri),
        });
    }

    /// Tells how far a task is now.
    pub(crate) fn task_changed(&self, app: &App, task: &Task) {
        if self.open().values().any(|listener| listener.filter.tasks.contains(&task.id)) {
            self.tell(app, "notifications/tasks", &task.told(), |filter| filter.tasks.contains(&task.id));
        }
    }

    fn tell(&self, app: &App, method: &str, params: &Value, wanted: impl Fn(&Filter) -> bool) {
        let mut told = false;
        // Who does not read is lost, so that others are not kept waiting.
        self.open().retain(|_, listener| {
            let passed_over = told && !app.faults.holds(Rule::EventsToAll);
            if passed_over || !wanted(&listener.filter) {
                return true;
            }
            told = true;
            listener.say(app, method, params.clone())
        });
    }

    /// Ends all in good order; no more are opened.
    pub(crate) fn close(&self, app: &App) {
        self.closed.store(true, Ordering::SeqCst);
        for listener in std::mem::take(&mut *self.open()).values() {
            listener.end(app);
        }
    }

    /// Ends those of a line in good order.
    pub(crate) fn close_line(&self, app: &App, line: &Weak<Channel>) {
        self.open().retain(|_, listener| {
            let of_line = listener.way.is_line(line);
            if of_line {
                listener.end(app);
            }
            !of_line
        });
    }

    /// Breaks all off without a word.
    pub(crate) fn drop_all(&self) {
        self.open().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_what_it_wants() {
        let read = |wanted: Value| Filter::read(&json!({"notifications": wanted}));
        let filter = read(json!({"toolsListChanged": true, "promptsListChanged": false, "other": 1,
            "resourceSubscriptions": ["test://a"]}))
        .expect("a filter");
        assert_eq!(filter.told(), json!({"toolsListChanged": true, "resourceSubscriptions": ["test://a"]}));
        assert_eq!(read(json!({})).expect("a filter").told(), json!({}));
        for wrong in [json!(1), json!({"toolsListChanged": 1}), json!({"taskIds": "a"}), json!({"taskIds": [1]})] {
            assert!(read(wrong.clone()).is_err_and(|error| error.code == -32602), "{wrong}");
        }
        assert!(Filter::read(&json!({})).is_err());
    }
}
