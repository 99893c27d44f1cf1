//! The pages that a person sees: who wants what, allow or deny; and what went wrong where nobody may be redirected.
//!
//! A page is bound to its browser by a cookie, works once, and cannot be framed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::authorize::{Request, allow, refuse};
use super::client_auth::same;
use super::error::OAuthError;
use super::issuer::{Issuer, OFFLINE};
use super::params::Params;
use crate::server::http::Reply;

/// How long a person may think about it.
const THINKING: Duration = Duration::from_secs(600);
/// The most pages that are open at once.
const MOST: usize = 1000;
/// The cookie that binds a page to its browser.
const COOKIE: &str = "consent";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#f3f5f8;margin:0}\
main{max-width:30rem;margin:8vh auto;background:#fff;border:1px solid #d8dee6;border-radius:12px;padding:2rem}\
h1{font-size:1.3rem;margin:0 0 1rem}dl{display:grid;grid-template-columns:auto 1fr;gap:.4rem 1rem;margin:1.2rem 0}\
dt{color:#5a6675}dd{margin:0;overflow-wrap:anywhere}.warn{background:#fff6e0;border:1px solid #e7c66a;padding:.7rem 1rem;\
border-radius:8px}label{display:block;margin:1rem 0 .3rem}input{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;\
border:1px solid #aab4c0;border-radius:8px}.row{display:flex;gap:.8rem;margin-top:1.5rem}button{font:inherit;flex:1;\
padding:.6rem;border-radius:8px;border:1px solid #1f5fbf;background:#1f5fbf;color:#fff;cursor:pointer}\
button.quiet{background:#fff;color:#1c2430;border-color:#aab4c0}button:focus-visible,input:focus-visible{outline:3px solid #9cc2ff}";

/// Requests that wait for a person.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<HashMap<String, Waiting>>);

#[derive(Debug)]
struct Waiting {
    request: Request,
    cookie: String,
    until: Duration,
}

impl Pending {
    fn put(&self, id: String, waiting: Waiting, now: Duration) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, waiting| waiting.until > now);
        if open.len() < MOST {
            open.insert(id, waiting);
        }
    }

    fn take(&self, id: &str) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// Puts a request before the person.
pub(super) fn ask(issuer: &Issuer, request: Request) -> Reply {
    let (id, cookie) = (issuer.rng.hex(16), issuer.rng.hex(16));
    let body = page(&id, &request);
    let now = issuer.now();
    let path = format!("{}/consent", issuer.config.issuer_path);
    issuer.pending.put(id, Waiting { request, cookie: cookie.clone(), until: now + THINKING }, now);
    html(200, "Allow access?", &body)
        .with("set-cookie", &format!("{COOKIE}={cookie}; Path={path}; HttpOnly; SameSite=Strict"))
}

fn page(id: &str, request: &Request) -> String {
    let host = |uri: &str| {
        let url = url::Url::parse(uri).ok();
        let host = url.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
        host.unwrap_or_else(|| url.map_or_else(|| uri.to_owned(), |url| format!("the app for {}:", url.scheme())))
    };
    let row = |name: &str, value: &str| format!("<dt>{name}</dt><dd>{}</dd>", escape(value));
    let mut rows = row("Client", &request.client_name);
    if request.client.starts_with("http") {
        rows.push_str(&row("Described at", &host(&request.client)));
    }
    rows.push_str(&row("Sends you back to", &host(&request.redirect_uri)));
    let lasting = request.scopes.iter().any(|scope| scope == OFFLINE);
    let scopes: Vec<&str> = request.scopes.iter().map(String::as_str).filter(|scope| *scope != OFFLINE).collect();
    rows.push_str(&row("May", &scopes.join(", ")));
    rows.push_str(&row("At", &request.resources.join(", ")));
    rows.push_str(&row("For how long", if lasting { "until you revoke it" } else { "as long as it is used" }));
    let warning = if request.only_loopback {
        "<p class=\"warn\">This client runs on your own computer. Any program there could call itself by this name: allow \
         it only if you have just started it.</p>"
    } else {
        ""
    };
    format!(
        "<h1>{} asks for access</h1><dl>{rows}</dl>{warning}<form method=\"post\" action=\"consent\">\
         <input type=\"hidden\" name=\"request\" value=\"{id}\">\
         <label for=\"user\">You are</label><input id=\"user\" name=\"user\" value=\"user-1\" autocomplete=\"username\">\
         <div class=\"row\"><button name=\"answer\" value=\"allow\">Allow</button>\
         <button class=\"quiet\" name=\"answer\" value=\"deny\">Deny</button></div></form>",
        escape(&request.client_name)
    )
}

/// `POST /consent`
pub(crate) fn decide(issuer: &Issuer, cookies: &str, body: &[u8]) -> Reply {
    let params = match Params::read(body) {
        Ok(params) => params,
        Err(error) => return error_page(&error.description),
    };
    let stale = || error_page("This page was answered already, or is too old. Begin again in the client.");
    let Some(waiting) = params.get("request").and_then(|id| issuer.pending.take(id)) else { return stale() };
    let sent = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let bound = sent.filter(|(name, _)| *name == COOKIE).any(|(_, value)| same(value, &waiting.cookie));
    if !bound || waiting.until <= issuer.now() {
        return stale();
    }
    let request = waiting.request;
    if params.get("answer") == Some("allow") {
        let user: String = params.get("user").unwrap_or("user-1").chars().take(64).collect();
        return allow(issuer, &request, &user);
    }
    let error = OAuthError::access_denied("the person said no");
    refuse(issuer, &request.redirect_uri, request.state.as_deref(), &error)
}

/// What went wrong, for the person at the browser.
pub(super) fn error_page(why: &str) -> Reply {
    let body = format!("<h1>This request cannot be granted</h1><p>{}</p>", escape(why));
    html(400, "Refused", &body)
}

fn html(status: u16, title: &str, body: &str) -> Reply {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style><main>{body}</main></html>"
    );
    Reply::bytes(status, "text/html; charset=utf-8", text.into_bytes())
        .with("cache-control", "no-store")
        .with("x-frame-options", "DENY")
        .with("referrer-policy", "no-referrer")
        .with("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().take(500) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_cannot_write_the_page() {
        assert_eq!(escape("<script>\"x\"&'y'\u{0}"), "&lt;script&gt;&quot;x&quot;&amp;&#39;y&#39;");
    }
}
