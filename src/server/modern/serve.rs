//! What a request of this era has to be before anything is done for it, and the doing. The first thing that is wrong
//! decides; the order is that of the rules below.
//!
//! It knows statuses, but neither streams nor lines.

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::caching::finish;
use super::capabilities::Need;
use super::listen::Filter;
use super::meta::Meta;
use super::methods::{LISTEN, Served};
use super::round::Round;
use super::running::{Asks, Running};
use super::state::Bond;
use super::way::Way;
use super::{discover, headers, meta, methods, tasks};
use crate::model::{Clock as _, Members as _, Message, Revision};
use crate::server::definitions;
use crate::server::dispatch::{App, run};
use crate::server::fault::Rule;
use crate::server::peer::Call;
use crate::server::reply::{Outcome, RpcError, code};
use crate::server::session::Session;
use crate::server::store::{Facts, Memory, Record};

/// A request that may be served.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) served: &'static Served,
    pub(crate) params: Value,
    pub(crate) subject: Option<String>,
    capabilities: Value,
    level: usize,
}

/// A refusal with the status that it has over HTTP.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: RpcError,
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self { status: status_of(&error), error }
    }
}

/// The status of an error that comes of the work itself; only some codes have one of their own.
pub(crate) fn status_of(error: &RpcError) -> u16 {
    match error.code {
        code::METHOD_NOT_FOUND => 404,
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION => 400,
        _ => 200,
    }
}

/// What is wrong with the request as such.
fn bad(error: RpcError) -> Refusal {
    Refusal { status: 400, error }
}

/// Looks a request over. Without headers it came on a line.
pub(crate) fn admit(headers: Option<&HeaderMap>, value: &Value, subject: Option<&str>) -> Result<Request, Refusal> {
    let method = Message(value).method().unwrap_or_default();
    let params = value.member("params").cloned().unwrap_or_else(|| json!({}));
    let said = headers.map(headers::version).transpose()?;
    let Meta { version, capabilities } = meta::read(&params).map_err(bad)?;
    if let Some(said) = said.filter(|said| *said != version) {
        let why = format!("MCP-Protocol-Version says `{said}`, but params._meta `{version}`");
        return Err(headers::mismatch(why).into());
    }
    if !discover::supported().contains(&version.as_str()) {
        return Err(discover::unsupported(&version).into());
    }
    if let Some(headers) = headers {
        headers::check_method(headers, method)?;
    }
    let unknown = || RpcError::new(code::METHOD_NOT_FOUND, format!("Method not found: {method}"));
    let served = methods::find(method).ok_or_else(unknown)?;
    let named = served.named_by.and_then(|(member, required)| Some((params.get(member)?.as_str()?, required)));
    if let (Some(headers), Some((name, required))) = (headers, named) {
        headers::check_name(headers, name, required)?;
    }
    if served.of_tasks || (served.name == LISTEN && Filter::wants_tasks(&params)) {
        Need::Tasks.demand(&capabilities)?;
    }
    let level = meta::level(&params).map_err(bad)?;
    let tool = named.filter(|_| served.name == "tools/call").and_then(|(name, _)| definitions::find(name));
    if let Some(tool) = tool {
        if let Some(headers) = headers {
            let empty = json!({});
            headers::check_params(headers, &tool.input(), params.member("arguments").unwrap_or(&empty))?;
        }
        for need in tool.needs {
            need.demand(&capabilities)?;
        }
    }
    let id = value.member("id").cloned().unwrap_or_default();
    Ok(Request { id, served, params, subject: subject.map(str::to_owned), capabilities, level })
}

impl Request {
    /// Whether it may say something before its result.
    pub(crate) fn streams(&self) -> bool {
        let tool = self.params.member("name").and_then(Value::as_str).and_then(definitions::find);
        self.served.name == "tools/call" && tool.is_some_and(|tool| tool.speaks)
    }

    /// The session that the work finds; it lasts as long as the request, and nobody else ever sees it.
    fn session(&self) -> Arc<Session> {
        let facts = Facts { initialized: true, level: self.level, ..Facts::default() };
        let record = Record {
            id: String::new(),
            revision: Revision::V2026_07_28,
            capabilities: self.capabilities.clone(),
            subject: self.subject.clone(),
            facts,
            until: std::time::Duration::MAX,
        };
        Session::of(record, Arc::new(Memory::default()), 0)
    }

    /// Does what is asked for; what is to be said before goes on the way.
    pub(crate) async fn run(&self, app: &Arc<App>, way: Option<Way>) -> Outcome {
        let (method, owner) = (self.served.name, self.subject.as_deref());
        let _working = app.modern.begin_work();
        let outcome = match method {
            "server/discover" => Ok(discover::discover()),
            "tasks/get" => tasks::get(app, &self.params, owner),
            "tasks/update" => tasks::update(app, &self.params, owner),
            "tasks/cancel" => tasks::cancel(app, &self.params, owner),
            _ => self.work(app, way).await,
        };
        let mut outcome = outcome.map(|result| finish(method, result));
        if method == "resources/list"
            && !app.faults.holds(Rule::PublicSame)
            && let (Ok(result), Some(owner)) = (&mut outcome, owner)
            && let Some(resources) = result["resources"].as_array_mut()
        {
            resources.push(json!({"uri": format!("test://of/{owner}"), "name": owner}));
        }
        outcome
    }

    async fn work(&self, app: &Arc<App>, way: Option<Way>) -> Outcome {
        let method = self.served.name;
        let empty = json!({});
        let asking = if self.served.asks { &self.params } else { &empty };
        let name = self.params.member("name").and_then(Value::as_str);
        let sealed = name.and_then(definitions::find).is_some_and(|tool| tool.sealed);
        let round = Round::begin(app, Bond::new(self.subject.as_deref(), method, &self.params), asking, sealed)?;
        let running = Arc::new(Running {
            way,
            capabilities: self.capabilities.clone(),
            subject: self.subject.clone(),
            asks: Asks::Client(Box::new(round)),
        });
        let call = Call {
            app: Arc::clone(app),
            session: self.session(),
            stream: None,
            token: meta::token(&self.params),
            arrived: app.clock.elapsed(),
            modern: Some(Arc::clone(&running)),
        };
        let Asks::Client(round) = &running.asks else { return Err(RpcError::new(code::INTERNAL, "Internal error")) };
        tokio::select! {
            // All that is asked at once is asked before the work stops.
            biased;
            outcome = run(&call, method, &self.params) => outcome,
            () = round.stopped() => round.verdict(app),
        }
    }
}
