//! The pages that a person sees: who wants what, allow or deny; and what went wrong where nobody may be redirected.
//!
//! Texts of clients come in as they are and are made harmless here. It must not know what an answer does.

use std::fmt::Write as _;
use std::time::Duration;

use url::Url;

use super::authorize::{Request, SOMEBODY};
use super::issuer::{Issuer, OFFLINE, SCOPES};
use super::uris::is_loopback;
use crate::server::answer::Reply;

/// No `form-action`: browsers hold it against the redirects after the form as well, and those lead to the client and
/// from there to wherever it likes.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f2f4f7;--card:#fff;--line:#d5dbe3;--text:#1b2430;--quiet:#55606e;--main:#1d5fc2;\
--on:#fff;--edge:#7d8896;--note:#fff5dc;--noted:#dfbd62;--ring:#1d5fc2}\
@media(prefers-color-scheme:dark){:root{--page:#11151b;--card:#1b2129;--line:#333c48;--text:#e7ebf0;--quiet:#a9b4c2;\
--main:#8ab4f8;--on:#0e1723;--edge:#7c8796;--note:#2f2814;--noted:#77622a;--ring:#8ab4f8}}\
*{box-sizing:border-box}\
body{margin:0;padding:1rem;min-height:100vh;display:grid;place-items:center;background:var(--page);color:var(--text);\
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}\
main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.75rem 2rem;\
overflow-wrap:anywhere}\
h1{font-size:1.375rem;line-height:1.3;margin:.25rem 0 .5rem;text-wrap:balance}p{margin:.75rem 0}\
.quiet,dt{color:var(--quiet);font-size:.9rem}.quiet{margin:0}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.25rem;margin:1rem 0;padding:1rem 0;font-size:.95rem;\
border:solid var(--line);border-width:1px 0}dt{padding-top:.1rem}dd{margin:0}\
ul{list-style:none;margin:0;padding:0}li+li{margin-top:.25rem}\
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
.note{background:var(--note);border:1px solid var(--noted);padding:.7rem 1rem;border-radius:10px;font-size:.95rem}\
label{display:block;font-weight:600;margin:1rem 0 .35rem}\
input,button{font:inherit;width:100%;min-height:2.75rem;padding:.5rem .75rem;border:1px solid var(--edge);\
border-radius:10px;background:var(--card);color:var(--text)}input+.quiet{margin-top:.35rem}\
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.25rem}button{flex:1 1 8rem;cursor:pointer;font-weight:600}\
.main{background:var(--main);border-color:var(--main);color:var(--on)}button:hover{filter:brightness(1.08)}\
:focus-visible{outline:3px solid var(--ring);outline-offset:2px}\
@media(max-width:30rem){main{padding:1.25rem}dl{grid-template-columns:1fr;gap:0}dd+dt{margin-top:.75rem}}";

/// Where an answer leads.
enum Place {
    /// A site.
    Site(String),
    /// A program that listens on the person's own computer.
    Here(String),
    /// A program that opens the links of a scheme.
    App(String),
}

impl Place {
    fn of(uri: &str) -> Self {
        let Ok(url) = Url::parse(uri) else { return Self::Site(uri.to_owned()) };
        match url.scheme() {
            "http" | "https" if is_loopback(&url) => Self::Here(host(&url)),
            "http" | "https" => Self::Site(host(&url)),
            scheme => Self::App(scheme.to_owned()),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Site(host) => escape(host),
            Self::Here(host) => format!("{} on this computer", escape(host)),
            Self::App(scheme) => format!("the app that opens <code>{}:</code> links", escape(scheme)),
        }
    }

    fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Site(_) => None,
            Self::Here(_) => Some(
                "This client runs on your own computer. Any program there could call itself by this name: allow it only \
                 if you have just started it.",
            ),
            Self::App(_) => Some(
                "This client is an app. Any app on this device could claim such links: allow it only if you have just \
                 started it. Your browser may ask whether to open it.",
            ),
        }
    }
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// What a scope is good for.
fn meaning(scope: &str) -> &'static str {
    match SCOPES.iter().position(|known| *known == scope) {
        Some(0) => "read, and call tools that change nothing",
        Some(1) => "also call tools that change something",
        Some(_) => "everything there is",
        None => "nothing that this server knows of",
    }
}

/// A length of time in words, in the largest unit that fits.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute")];
    let fits = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Who wants what.
pub(super) fn question(issuer: &Issuer, id: &str, request: &Request) -> Reply {
    let place = Place::of(&request.redirect_uri);
    let described = Url::parse(&request.client).ok().filter(Url::has_host);
    let mut rows = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = write!(rows, "<dt>{name}</dt><dd>{value}</dd>");
    };
    if let Some(url) = &described {
        row("Described at", &escape(&host(url)));
    }
    row("Sends you back to", &place.told());
    let scopes = request.scopes.iter().filter(|scope| *scope != OFFLINE);
    let scopes = scopes.map(|scope| format!("<li><code>{}</code> – {}</li>", escape(scope), meaning(scope)));
    row("May", &format!("<ul>{}</ul>", scopes.collect::<String>()));
    let resources: Vec<String> = request.resources.iter().map(|resource| escape(resource)).collect();
    row(
        "At",
        &if resources.is_empty() { "every server that trusts this issuer".to_owned() } else { resources.join("<br>") },
    );
    let lasts = if request.refreshable {
        format!("until it is revoked, or lies unused for {}", words(issuer.config.refresh_ttl))
    } else {
        words(issuer.config.access_ttl)
    };
    row("For how long", &lasts);
    let name = name(&request.client_name);
    let source = match &described {
        Some(_) => "This is what its own description calls it.",
        None => "The client chose this name itself; nobody has checked it.",
    };
    let warning = place.warning().map(|text| format!("<p class=\"note\">{text}</p>")).unwrap_or_default();
    let body = format!(
        "<p class=\"quiet\">Authorization server {issuer}</p><h1><bdi>{name}</bdi> asks for access</h1>\
         <p class=\"quiet\">{source}</p><dl>{rows}</dl>{warning}<form method=\"post\" action=\"consent\">\
         <input type=\"hidden\" name=\"request\" value=\"{id}\">\
         <label for=\"user\">You are</label><input id=\"user\" name=\"user\" value=\"{user}\" maxlength=\"64\" \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" aria-describedby=\"hint\">\
         <p class=\"quiet\" id=\"hint\">Any name will do: this server is for tests.</p>\
         <div class=\"row\"><button class=\"main\" name=\"answer\" value=\"allow\">Allow</button>\
         <button name=\"answer\" value=\"deny\">Deny</button></div></form>",
        issuer = escape(issuer.origin.split("://").last().unwrap_or_default()),
        user = escape(request.login_hint.as_deref().unwrap_or(SOMEBODY)),
    );
    html(200, "Allow access?", &body)
}

/// What went wrong, for the person at the browser.
pub(super) fn refusal(why: &str) -> Reply {
    let body = format!(
        "<h1>This request cannot be granted</h1><p>The authorization server says: {}.</p>\
         <p class=\"quiet\">Nothing was granted, and you were sent nowhere. You can close this page. If it comes again, \
         the client is set up wrongly.</p>",
        escape(why)
    );
    html(400, "Refused", &body)
}

/// The page was answered before, or is another browser's, or too old.
pub(super) fn stale() -> Reply {
    let body = "<h1>This page has had its time</h1><p>It was answered already, is too old, or was opened in another \
                browser. Nothing more was granted.</p><p class=\"quiet\">If you are not logged in by now, begin again in \
                the client.</p>";
    html(400, "Begin again", body)
}

fn html(status: u16, title: &str, body: &str) -> Reply {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n"
    );
    Reply::bytes(status, "text/html; charset=utf-8", text.into_bytes())
        .with("cache-control", "no-store")
        .with("content-security-policy", POLICY)
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
}

/// What a client calls itself, cut to a length that a headline bears.
fn name(text: &str) -> String {
    const LONGEST: usize = 80;
    let shown: String = text.chars().filter(|letter| !unseen(*letter)).collect();
    let shown = shown.trim();
    if shown.is_empty() {
        return "A client without a name".to_owned();
    }
    let cut = if shown.chars().count() > LONGEST { "…" } else { "" };
    format!("{}{cut}", escape(&shown.chars().take(LONGEST).collect::<String>()))
}

/// Letters that show nothing, or change the order in which others are shown.
fn unseen(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !unseen(*letter)).take(500) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(' '),
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
        assert_eq!(name("\u{202e}tfosorciM\u{200b}\n<b>"), "tfosorciM &lt;b&gt;");
        assert_eq!(name(" \u{200b} "), "A client without a name");
        assert_eq!(name(&"x".repeat(100)), format!("{}…", "x".repeat(80)));
    }

    #[test]
    fn a_place_is_told_by_what_cannot_be_made_up() {
        let told = |uri: &str| Place::of(uri).told();
        assert_eq!(told("https://app.example.com/cb?x=bank.example"), "app.example.com");
        assert_eq!(told("https://bänk.example/cb"), "xn--bnk-qla.example");
        assert_eq!(told("http://127.0.0.1:7777/cb"), "127.0.0.1:7777 on this computer");
        assert_eq!(told("http://[::1]:1/cb"), "[::1]:1 on this computer");
        assert_eq!(told("cursor://bank.example/cb"), "the app that opens <code>cursor:</code> links");
        assert!(Place::of("https://app.example.com/").warning().is_none() && Place::of("app:/cb").warning().is_some());
    }

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        let told = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(
            [told(1), told(90), told(120), told(3600), told(172_800)].join(", "),
            "1 second, 90 seconds, 2 minutes, 1 hour, 2 days"
        );
    }
}
