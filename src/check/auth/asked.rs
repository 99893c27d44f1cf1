//! What the authorization server was asked for and what it answered: registrations, authorization requests, codes.
//!
//! Finds and pairs; whether an answer is right is for the checks.

use serde_json::Value;
use url::Url;

use super::wire;
use crate::check::Findings;
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// A registration request with its answer.
pub(crate) struct Registration<'v> {
    /// The exchange.
    pub exchange: &'v Exchange,
    /// What was sent; null where it is no JSON.
    pub sent: &'v Value,
    /// The JSON object that came back; null where there is none.
    pub answer: &'v Value,
}

impl Registration<'_> {
    /// The client id that was given out.
    pub(crate) fn client(&self) -> Option<&str> {
        self.exchange.is_success().then(|| self.answer.at("client_id").as_str()).flatten()
    }

    /// Whether it says that it is a program on a person's own machine (OpenID Connect Dynamic Client Registration
    /// section 2); who says nothing is taken for a web application by some servers.
    pub(crate) fn native(&self) -> bool {
        [&self.answer, &self.sent].iter().any(|document| document.at("application_type") == "native")
    }

    /// The redirect URIs in force: those of the answer, or else those of the request.
    pub(crate) fn redirects(&self) -> Vec<&str> {
        let stated = self.answer.at("redirect_uris").as_array().or_else(|| self.sent.at("redirect_uris").as_array());
        stated.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// Every POST to the registration endpoint.
pub(crate) fn registrations<'v>(view: &'v View<'_>) -> Vec<Registration<'v>> {
    let asked = wire::to(view, "registration_endpoint", "/register").into_iter();
    asked
        .filter(|exchange| exchange.method == "POST")
        .map(|exchange| Registration {
            exchange,
            sent: exchange.sent_json().unwrap_or(&Value::Null),
            answer: wire::document(exchange).unwrap_or(&Value::Null),
        })
        .collect()
}

/// How an authorization request was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By redirect to the client, with this code.
    Code(String),
    /// By redirect to the client, with this error.
    Error(String),
    /// By redirect to the client, with neither.
    Bare,
    /// By a status of 400 or more: the person is told, not the client.
    Refused,
    /// By a page or a redirect to somewhere else: a person may have to act.
    Elsewhere,
    /// Not at all.
    Nothing,
}

/// An authorization request with its answer.
pub(crate) struct Ask<'v> {
    /// The exchange.
    pub exchange: &'v Exchange,
    /// The parameters of the request.
    pub params: &'v [(String, String)],
    /// What came back to the client, if it was redirected to.
    pub back: &'v [(String, String)],
    /// The answer in short.
    pub answer: Answer,
}

impl Ask<'_> {
    /// A parameter of the request.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        wire::param(self.params, name)
    }

    /// A parameter of the answer.
    pub(crate) fn got(&self, name: &str) -> Option<&str> {
        wire::param(self.back, name)
    }

    /// The code that was given out.
    pub(crate) fn code(&self) -> Option<&str> {
        if let Answer::Code(code) = &self.answer { Some(code) } else { None }
    }

    /// Whether the client was redirected to, so that the server found nothing wrong with client and redirect URI.
    pub(crate) fn went_back(&self) -> bool {
        matches!(self.answer, Answer::Code(_) | Answer::Error(_) | Answer::Bare)
    }
}

/// A URI without query and fragment.
fn base(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or(uri)
}

fn ask(exchange: &Exchange) -> Ask<'_> {
    let params = wire::query(exchange);
    let redirected = exchange.status.is_some_and(|status| (300..400).contains(&status));
    let place = exchange.got_header("location").filter(|_| redirected);
    let back_to = |place: &&str| wire::param(params, "redirect_uri").is_none_or(|uri| base(uri) == base(place));
    let back = place.filter(back_to).map(|_| exchange.handed_over());
    let answer = match (exchange.status, back) {
        (None, _) => Answer::Nothing,
        (Some(_), Some(back)) => match (wire::param(back, "code"), wire::param(back, "error")) {
            (Some(code), _) => Answer::Code(code.to_owned()),
            (None, Some(error)) => Answer::Error(error.to_owned()),
            (None, None) => Answer::Bare,
        },
        (Some(400..), None) => Answer::Refused,
        (Some(_), None) => Answer::Elsewhere,
    };
    Ask { exchange, params, back: back.unwrap_or_default(), answer }
}

/// Every request to the authorization endpoint.
pub(crate) fn asks<'v>(view: &'v View<'_>) -> Vec<Ask<'v>> {
    let asked = wire::authorization_requests(view).into_iter();
    asked.filter(|exchange| exchange.method == "GET").map(ask).collect()
}

/// Those under a revision in which the requirement holds.
pub(crate) fn asks_under<'v>(view: &'v View<'_>, out: &Findings) -> Vec<Ask<'v>> {
    asks(view).into_iter().filter(|ask| out.covers(wire::around(view, ask.exchange))).collect()
}

/// Whether another request for this client was granted: then a refusal of this one has to do with what is different.
pub(crate) fn granted_otherwise(asks: &[Ask<'_>], ask: &Ask<'_>) -> bool {
    asks.iter().any(|other| {
        other.code().is_some()
            && other.exchange.number != ask.exchange.number
            && other.param("client_id") == ask.param("client_id")
    })
}

/// The exchange of a code: the token request, with the authorization request that the code came from.
pub(crate) struct Redeemed<'a, 'v> {
    /// The token request.
    pub exchange: &'v Exchange,
    /// Its parameters.
    pub form: &'v [(String, String)],
    /// The code.
    pub code: String,
    /// Where the code came from.
    pub from: &'a Ask<'v>,
}

impl Redeemed<'_, '_> {
    /// The access token that came back.
    pub(crate) fn access(&self) -> Option<String> {
        let document = wire::document(self.exchange).filter(|_| self.exchange.is_success())?;
        document.at("access_token").as_str().map(str::to_owned)
    }

    /// Whether tokens were given out.
    pub(crate) fn worked(&self) -> bool {
        self.access().is_some()
    }

    /// Whether it was refused as a request of the client.
    pub(crate) fn refused(&self) -> bool {
        self.exchange.status.is_some_and(|status| (400..500).contains(&status))
    }

    /// Positions of both requests.
    pub(crate) fn evidence(&self) -> Vec<u32> {
        [self.from.exchange.evidence(), self.exchange.evidence()].concat()
    }
}

/// Every token request with a code that came from one of these authorization requests.
pub(crate) fn redeemed<'a, 'v>(view: &'v View<'_>, asks: &'a [Ask<'v>]) -> Vec<Redeemed<'a, 'v>> {
    let found = wire::token_requests(view).into_iter().filter_map(|exchange| {
        let form = wire::form(exchange);
        let grants = wire::param(form, "grant_type") == Some("authorization_code");
        let code = wire::param(form, "code").filter(|_| grants)?.to_owned();
        let from = asks.iter().find(|ask| ask.code() == Some(&code) && ask.exchange.seq < exchange.seq)?;
        Some(Redeemed { exchange, form, code, from })
    });
    found.collect()
}

/// Whether a URL is http at a host that is a loopback address, not a name for it.
pub(crate) fn at_loopback_address(uri: &str) -> bool {
    let Ok(url) = uri.parse::<Url>() else { return false };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    url.scheme() == "http" && loopback
}

/// Scheme, host and port of a URL.
pub(crate) fn origin(uri: &str) -> Option<(String, String, Option<u16>)> {
    let url: Url = uri.parse().ok()?;
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()))
}

/// For unit tests: the requests of a login, built by hand.
#[cfg(test)]
pub(crate) mod play {
    use serde_json::{Value, json};

    use crate::transcript::Builder;

    /// The redirect URI of the client `c1`.
    pub(crate) const BACK: &str = "http://127.0.0.1:7000/cb";

    /// A conversation with metadata that names the usual places, and the client `c1`.
    pub(crate) fn begun(revision: &str) -> Builder {
        let builder = found(Builder::new().initialize(revision), &document());
        registered(builder, &wanted(), 201, &given())
    }

    /// The usual metadata of an authorization server.
    pub(crate) fn document() -> Value {
        json!({
            "issuer": "http://127.0.0.1:8080",
            "authorization_endpoint": "http://127.0.0.1:8080/authorize",
            "token_endpoint": "http://127.0.0.1:8080/token",
            "registration_endpoint": "http://127.0.0.1:8080/register",
            "introspection_endpoint": "http://127.0.0.1:8080/introspect",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": true
        })
    }

    /// The document with one member changed; null takes it out.
    pub(crate) fn with(mut document: Value, member: &str, value: Value) -> Value {
        if value.is_null() {
            document.as_object_mut().expect("object").shift_remove(member);
        } else {
            document[member] = value;
        }
        document
    }

    /// The metadata, fetched from where RFC 8414 puts it.
    pub(crate) fn found(builder: Builder, document: &Value) -> Builder {
        builder.outside("GET", "/.well-known/oauth-authorization-server", &[], None).json(200, document)
    }

    /// The metadata of the resource.
    pub(crate) fn resource(builder: Builder, servers: &Value) -> Builder {
        let document = json!({"resource": "http://127.0.0.1:8080/mcp", "authorization_servers": servers});
        builder.outside("GET", "/.well-known/oauth-protected-resource/mcp", &[], None).json(200, &document)
    }

    /// An ordinary registration.
    pub(crate) fn wanted() -> Value {
        json!({"client_name": "x", "redirect_uris": [BACK], "token_endpoint_auth_method": "none"})
    }

    /// Its answer.
    pub(crate) fn given() -> Value {
        with(wanted(), "client_id", json!("c1"))
    }

    /// A registration.
    pub(crate) fn registered(builder: Builder, sent: &Value, status: u16, answer: &Value) -> Builder {
        let kind = [("content-type", "application/json")];
        builder.outside("POST", "/register", &kind, Some(&sent.to_string())).json(status, answer)
    }

    fn query(pairs: &[(&str, &str)]) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The authorization request of `c1` with some parameters changed; an empty value takes one out.
    pub(crate) fn asked(builder: Builder, changes: &[(&str, &str)]) -> Builder {
        asked_with(builder, changes, &[])
    }

    /// The same with headers.
    pub(crate) fn asked_with(builder: Builder, changes: &[(&str, &str)], headers: &[(&str, &str)]) -> Builder {
        let usual = [
            ("response_type", "code"),
            ("client_id", "c1"),
            ("redirect_uri", BACK),
            ("state", "s1"),
            ("code_challenge", "challenge"),
            ("code_challenge_method", "S256"),
        ];
        let set = |name: &str| changes.iter().any(|(known, _)| *known == name);
        let mut pairs: Vec<(&str, &str)> = usual.into_iter().filter(|(name, _)| !set(name)).collect();
        pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        builder.outside("GET", &format!("/authorize?{}", query(&pairs)), headers, None)
    }

    /// A redirect to the client.
    pub(crate) fn back(builder: Builder, rest: &str) -> Builder {
        builder.answer(302, &[("location", &format!("{BACK}{rest}"))], "")
    }

    /// The exchange of a code by `c1` with some parameters changed.
    pub(crate) fn redeem(builder: Builder, changes: &[(&str, &str)], status: u16, answer: &Value) -> Builder {
        let usual = [
            ("grant_type", "authorization_code"),
            ("code", "code#1"),
            ("client_id", "c1"),
            ("redirect_uri", BACK),
            ("code_verifier", "verifier#1"),
        ];
        let set = |name: &str| changes.iter().any(|(known, _)| *known == name);
        let mut pairs: Vec<(&str, &str)> = usual.into_iter().filter(|(name, _)| !set(name)).collect();
        pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        builder.outside("POST", "/token", &kind, Some(&query(&pairs))).json(status, answer)
    }

    /// A token response.
    pub(crate) fn tokens() -> Value {
        json!({"access_token": "access#1", "token_type": "Bearer", "expires_in": 60})
    }

    /// An OAuth error.
    pub(crate) fn error(code: &str) -> Value {
        json!({"error": code})
    }
}
