//! Puts a request before the person at the browser, and does what the person answers.
//!
//! A page is bound to its browser by a cookie of its own and is answered once. The same answer again, by a second click
//! or because the app did not open, leads to the same code as long as nobody has used it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::authorize::{Request, SOMEBODY, grant, refuse, send};
use super::client_auth::same;
use super::error::OAuthError;
use super::issuer::Issuer;
use super::page;
use super::params::Params;
use crate::server::answer::Reply;
use crate::server::store::Shared;

/// How long a person may think about it.
const THINKING: Duration = Duration::from_secs(600);
/// The most pages that are open at once; the oldest makes room.
const MOST: usize = 1000;
/// How the cookie that binds a page to its browser begins. The id of the page follows, so that pages in two tabs do not
/// get in each other's way.
const COOKIE: &str = "consent-";
/// The most letters in the name of a person.
const NAME: usize = 64;

/// Requests that wait for a person: in this process, or where all nodes see them.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    here: Mutex<HashMap<String, (Waiting, Option<Answer>)>>,
    shared: Option<Shared>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    request: Request,
    cookie: String,
    until: Duration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Answer {
    Allowed { user: String, code: String },
    Denied,
}

impl Pending {
    /// With all of them where other nodes see them.
    pub(crate) fn shared(shared: Shared) -> Self {
        Self { shared: Some(shared), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Waiting, Option<Answer>)>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put(&self, id: String, waiting: Waiting, now: Duration) -> Result<(), OAuthError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.put(&key(&id), &written(&waiting)?, THINKING).await?);
        }
        let mut open = self.lock();
        open.retain(|_, (waiting, _)| waiting.until > now);
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, (waiting, _))| waiting.until).map(|(id, _)| id.clone())
        {
            open.remove(&oldest);
        }
        open.insert(id, (waiting, None));
        Ok(())
    }

    /// What waits under an id, and how it was answered.
    async fn get(&self, id: &str) -> Result<Option<(Waiting, Option<Answer>)>, OAuthError> {
        let Some(shared) = &self.shared else { return Ok(self.lock().get(id).cloned()) };
        let waiting = shared.text(&key(id)).await?.and_then(|text| serde_json::from_str(&text).ok());
        let Some(waiting) = waiting else { return Ok(None) };
        let answer = shared.text(&answer_key(id)).await?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Some((waiting, answer)))
    }

    /// Gives the answer, unless another was given; says whether this is the first.
    async fn answer(&self, id: &str, answer: &Answer) -> Result<bool, OAuthError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.put_first(&answer_key(id), &written(answer)?, THINKING).await?);
        }
        let mut open = self.lock();
        let free = open.get_mut(id).map(|(_, given)| given).filter(|given| given.is_none());
        Ok(free.map(|given| *given = Some(answer.clone())).is_some())
    }
}

fn key(id: &str) -> String {
    format!("consent:{{{id}}}")
}

fn answer_key(id: &str) -> String {
    format!("consent:{{{id}}}:answer")
}

fn written(value: &impl Serialize) -> Result<String, OAuthError> {
    serde_json::to_string(value).map_err(|_| OAuthError::invalid_request("the request cannot be written down"))
}

/// Puts a request before the person.
pub(super) async fn ask(issuer: &Issuer, request: Request) -> Reply {
    let (id, cookie) = (issuer.rng.hex(16), issuer.rng.hex(16));
    let age = THINKING.as_secs();
    let secure = if issuer.origin.starts_with("https:") { "; Secure" } else { "" };
    let bound = format!(
        "{COOKIE}{id}={cookie}; Path={}/consent; Max-Age={age}; HttpOnly; SameSite=Strict{secure}",
        issuer.config.issuer_path
    );
    let reply = page::question(issuer, &id, &request).with("set-cookie", &bound);
    let now = issuer.now();
    match issuer.pending.put(id, Waiting { request, cookie, until: now + THINKING }, now).await {
        Ok(()) => reply,
        Err(error) => error.reply(),
    }
}

/// `POST /consent`
pub(crate) async fn decide(issuer: &Issuer, cookies: &str, body: &[u8]) -> Reply {
    let params = match Params::read(body) {
        Ok(params) => params,
        Err(error) => return page::refusal(&error.description),
    };
    match decided(issuer, cookies, &params).await {
        Ok(reply) => reply.unwrap_or_else(page::stale),
        Err(error) => error.reply(),
    }
}

async fn decided(issuer: &Issuer, cookies: &str, params: &Params) -> Result<Option<Reply>, OAuthError> {
    let Some(id) = params.get("request") else { return Ok(None) };
    let now = issuer.now();
    let waiting = issuer.pending.get(id).await?;
    let mine = waiting.filter(|(waiting, _)| waiting.until > now && holds(cookies, id, &waiting.cookie));
    let Some((waiting, before)) = mine else { return Ok(None) };
    answered(issuer, params, (id, &waiting.request), before, now).await
}

/// Whether a browser sent the cookie of a page.
fn holds(cookies: &str, id: &str, wanted: &str) -> bool {
    let mut sent = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    sent.any(|(name, value)| name.strip_prefix(COOKIE) == Some(id) && same(value, wanted))
}

/// Where the answer leads; `None` where another one was given before.
async fn answered(
    issuer: &Issuer,
    params: &Params,
    (id, request): (&str, &Request),
    before: Option<Answer>,
    now: Duration,
) -> Result<Option<Reply>, OAuthError> {
    let user: String = params.get("user").unwrap_or(SOMEBODY).chars().take(NAME).collect();
    match (params.get("answer") == Some("allow"), before) {
        (true, None) => {
            let code = issuer.rng.hex(32);
            let answer = Answer::Allowed { user: user.clone(), code: code.clone() };
            if !issuer.pending.answer(id, &answer).await? {
                return Ok(None);
            }
            // Who goes back and allows the same request once more still has one code for it.
            if let Some(challenge) = &request.challenge {
                issuer.grants.take_back(&request.client, challenge).await?;
            }
            grant(issuer, request, &user, &code).await?;
            Ok(Some(send(issuer, request, &code)))
        }
        (true, Some(Answer::Allowed { user: before, code })) => {
            let good = before == user && issuer.grants.unused(&code, now).await?;
            Ok(good.then(|| send(issuer, request, &code)))
        }
        (false, before @ (None | Some(Answer::Denied))) => {
            if before.is_none() && !issuer.pending.answer(id, &Answer::Denied).await? {
                return Ok(None);
            }
            let error = OAuthError::access_denied("the person said no");
            Ok(Some(refuse(issuer, &request.redirect_uri, request.state.as_deref(), &error)))
        }
        (true, Some(Answer::Denied)) | (false, Some(Answer::Allowed { .. })) => Ok(None),
    }
}
