//! What is wrong with an answer that should be a JSON document, in plain words.

use serde_json::Value;

use crate::check::auth::wire;
use crate::report::text::clip;
use crate::transcript::Exchange;

/// How a failure of TLS begins.
const NO_TLS: &str = "no TLS with";

/// Characters of an address or a body in a line.
const LONG: usize = 160;

/// The address that a request went to.
pub(super) fn url_of(exchange: &Exchange) -> String {
    let scheme = if exchange.tls { "https" } else { "http" };
    format!("{scheme}://{}{}", wire::authority(exchange), exchange.target)
}

/// Method and address; of a query only that there is one, since it is long and tells little.
pub(super) fn request_line(exchange: &Exchange) -> String {
    let url = url_of(exchange);
    let (place, query) = url.split_once('?').map_or((url.as_str(), ""), |(place, _)| (place, "?…"));
    format!("{} {}{query}", exchange.method, clip(place, LONG))
}

/// Status, media type and the beginning of the body, or why there is no answer.
pub(super) fn answer_line(exchange: &Exchange) -> String {
    let Some(status) = exchange.status else {
        return exchange.amiss().unwrap_or_else(|| "no answer".to_owned());
    };
    let mut line = status.to_string();
    if let Some(place) = exchange.got_header("location") {
        line = format!("{line} to {}", clip(place, LONG));
    }
    if let Some(challenge) = exchange.got_header("www-authenticate") {
        line = format!("{line}, WWW-Authenticate: {}", clip(challenge, LONG));
    }
    if let Some(kind) = exchange.media_type() {
        line = format!("{line}, {kind}");
    }
    if let Some(body) = exchange.response_body.as_deref().filter(|body| !body.trim().is_empty()) {
        line = format!("{line}: {}", clip(body, LONG));
    }
    match exchange.amiss() {
        Some(amiss) => format!("{line} ({amiss})"),
        None => line,
    }
}

/// Why an answer is no JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing came, or it did not end.
    Unended(String),
    /// A redirect.
    Redirect(u16, String),
    /// Not there.
    Missing(u16),
    /// Kept from whoever has no token.
    Refused(u16),
    /// The server, or one before it, failed.
    Outage(u16),
    /// Another status that is no success.
    Status(u16),
    /// A web page.
    Page,
    /// JSON that cannot be read; what the reader says.
    Unreadable(String),
    /// JSON, but no object.
    NoObject,
    /// Nothing in it.
    Empty,
}

/// The JSON object of an answer with status 200.
pub(super) fn read(exchange: &Exchange) -> Result<Value, Problem> {
    if let Some(amiss) = exchange.amiss() {
        return Err(Problem::Unended(amiss));
    }
    let Some(status) = exchange.status else { return Err(Problem::Unended("no answer".to_owned())) };
    match status {
        200 => body_of(exchange),
        300..=399 => Err(Problem::Redirect(status, exchange.got_header("location").unwrap_or("nowhere").to_owned())),
        401 | 403 => Err(Problem::Refused(status)),
        404 | 410 => Err(Problem::Missing(status)),
        500.. => Err(Problem::Outage(status)),
        _ => Err(Problem::Status(status)),
    }
}

/// The JSON object in the body, whatever the status.
pub(super) fn body_of(exchange: &Exchange) -> Result<Value, Problem> {
    let body = exchange.response_body.as_deref().unwrap_or_default();
    if body.trim().is_empty() {
        return Err(Problem::Empty);
    }
    match serde_json::from_str::<Value>(body) {
        Ok(document) if document.is_object() => Ok(document),
        Ok(_) => Err(Problem::NoObject),
        Err(_) if body.trim_start().starts_with('<') => Err(Problem::Page),
        Err(error) => Err(Problem::Unreadable(error.to_string())),
    }
}

impl Problem {
    /// What was seen, as the end of a sentence whose subject is the address.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unended(words) if words.contains(NO_TLS) => format!("cannot be reached: {words}"),
            Self::Unended(words) => format!("gives no whole answer: {words}"),
            Self::Redirect(status, place) => format!("redirects ({status}) to {}", clip(place, LONG)),
            Self::Missing(status) => format!("is not there ({status})"),
            Self::Refused(status) => format!("is refused ({status}) to a client without a token"),
            Self::Outage(status) => format!("fails with status {status}"),
            Self::Status(status) => format!("answers with status {status}"),
            Self::Page => "answers with a web page, not with JSON".to_owned(),
            Self::Unreadable(reason) if reason.starts_with("EOF") => {
                format!("answers with JSON that breaks off in the middle ({reason})")
            }
            Self::Unreadable(reason) => format!("answers with something that is no JSON ({reason})"),
            Self::NoObject => "answers with JSON that is no object".to_owned(),
            Self::Empty => "answers with an empty body".to_owned(),
        }
    }

    /// What to change, where the address should serve `document`.
    pub(super) fn change(&self, document: &str) -> String {
        match self {
            Self::Unended(words) if words.contains(NO_TLS) => {
                format!("let the address of {document} have the scheme and the certificate that are really there")
            }
            Self::Unended(_) => format!("let {document} be a small answer with an end (a Content-Length helps)"),
            Self::Redirect(..) => format!(
                "serve {document} itself at that address with status 200; not every client follows redirects there"
            ),
            Self::Missing(_) => format!("serve {document} there"),
            Self::Refused(_) => {
                format!("exempt the path from authentication: {document} is read before anybody can have a token")
            }
            Self::Outage(_) => "look into the log of that server and of the proxy before it; some clients do not try \
                                the next well-known place after a 5xx"
                .to_owned(),
            Self::Status(_) => format!("serve {document} there with status 200"),
            Self::Page | Self::Unreadable(_) | Self::NoObject | Self::Empty => format!(
                "serve {document} as one JSON object with content-type application/json; a catch-all route or a login \
                 page of a proxy often answers in its place"
            ),
        }
    }
}
