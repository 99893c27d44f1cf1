//! Puts a request before the person at the browser, and does what the person answers.
//!
//! A page is bound to its browser by a cookie of its own and is answered once. The same answer again, by a second click
//! or because the app did not open, leads to the same code as long as nobody has used it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::authorize::{Request, SOMEBODY, grant, refuse, send};
use super::client_auth::same;
use super::error::OAuthError;
use super::issuer::Issuer;
use super::page;
use super::params::Params;
use crate::server::http::Reply;

/// How long a person may think about it.
const THINKING: Duration = Duration::from_secs(600);
/// The most pages that are open at once; the oldest makes room.
const MOST: usize = 1000;
/// How the cookie that binds a page to its browser begins. The id of the page follows, so that pages in two tabs do not
/// get in each other's way.
const COOKIE: &str = "consent-";
/// The most letters in the name of a person.
const NAME: usize = 64;

/// Requests that wait for a person.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<HashMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    request: Request,
    cookie: String,
    until: Duration,
    answer: Option<Answer>,
}

#[derive(Debug)]
enum Answer {
    Allowed { user: String, code: String },
    Denied,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, id: String, waiting: Waiting, now: Duration) {
        let mut open = self.lock();
        open.retain(|_, waiting| waiting.until > now);
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, waiting)| waiting.until).map(|(id, _)| id.clone())
        {
            open.remove(&oldest);
        }
        open.insert(id, waiting);
    }
}

/// Puts a request before the person.
pub(super) fn ask(issuer: &Issuer, request: Request) -> Reply {
    let (id, cookie) = (issuer.rng.hex(16), issuer.rng.hex(16));
    let age = THINKING.as_secs();
    let secure = if issuer.origin.starts_with("https:") { "; Secure" } else { "" };
    let bound = format!(
        "{COOKIE}{id}={cookie}; Path={}/consent; Max-Age={age}; HttpOnly; SameSite=Strict{secure}",
        issuer.config.issuer_path
    );
    let reply = page::question(issuer, &id, &request).with("set-cookie", &bound);
    let now = issuer.now();
    issuer.pending.put(id, Waiting { request, cookie, until: now + THINKING, answer: None }, now);
    reply
}

/// `POST /consent`
pub(crate) fn decide(issuer: &Issuer, cookies: &str, body: &[u8]) -> Reply {
    let params = match Params::read(body) {
        Ok(params) => params,
        Err(error) => return page::refusal(&error.description),
    };
    let mut open = issuer.pending.lock();
    let now = issuer.now();
    let waiting = params
        .get("request")
        .and_then(|id| Some((id, open.get_mut(id)?)))
        .filter(|(id, waiting)| waiting.until > now && holds(cookies, id, &waiting.cookie));
    match waiting {
        Some((_, waiting)) => answered(issuer, &params, waiting, now).unwrap_or_else(page::stale),
        None => page::stale(),
    }
}

/// Whether a browser sent the cookie of a page.
fn holds(cookies: &str, id: &str, wanted: &str) -> bool {
    let mut sent = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    sent.any(|(name, value)| name.strip_prefix(COOKIE) == Some(id) && same(value, wanted))
}

/// Where the answer leads; `None` where another one was given before.
fn answered(issuer: &Issuer, params: &Params, waiting: &mut Waiting, now: Duration) -> Option<Reply> {
    let request = &waiting.request;
    let user: String = params.get("user").unwrap_or(SOMEBODY).chars().take(NAME).collect();
    match (params.get("answer") == Some("allow"), &waiting.answer) {
        (true, None) => {
            // Who goes back and allows the same request once more still has one code for it.
            if let Some(challenge) = &request.challenge {
                issuer.grants.take_back(&request.client, challenge);
            }
            let code = grant(issuer, request, &user);
            let reply = send(issuer, request, &code);
            waiting.answer = Some(Answer::Allowed { user, code });
            Some(reply)
        }
        (true, Some(Answer::Allowed { user: before, code })) => {
            (*before == user && issuer.grants.unused(code, now)).then(|| send(issuer, request, code))
        }
        (false, None | Some(Answer::Denied)) => {
            let error = OAuthError::access_denied("the person said no");
            let reply = refuse(issuer, &request.redirect_uri, request.state.as_deref(), &error);
            waiting.answer = Some(Answer::Denied);
            Some(reply)
        }
        (true, Some(Answer::Denied)) | (false, Some(Answer::Allowed { .. })) => None,
    }
}
