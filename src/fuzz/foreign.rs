//! A server of somebody else's: what it offers is found out once, and only what it allows is done there.
//!
//! There is no clock to move, nobody to be another user, and nothing is known of lifetimes but what the server says.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use url::Url;

use super::ask::{LEGACY, Places, Writer, initialize, understand};
use super::deed::{Bearer, Deed, Resource, Scope, Seen};
use super::link::{Answer, Link};
use super::names::Names;
use super::terms::Terms;
use crate::model::challenges;

/// How long is waited for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what just came to be is sure to live where nobody says so.
const SURELY: Duration = Duration::from_secs(20);
/// How long it may live: nobody knows.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The longest that is waited for the end of an access token.
const WAITS: Duration = Duration::from_secs(15);
/// How much earlier than was said a token may end: its server reads its clock in whole seconds, and the answer was on its way.
const EARLY: Duration = Duration::from_secs(2);
/// How far from an end it is certain on which side of it a request comes.
const MARGIN: Duration = Duration::from_millis(500);

/// The target cannot be fuzzed.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Not an address that can be used.
    #[error("`{0}` cannot be fuzzed: {1}")]
    Address(String, &'static str),
    /// Nothing answered.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It asks for tokens, and there is no way to one.
    #[error("{0} asks for tokens, and the fuzzer comes by none: {1}")]
    NoWayIn(String, String),
}

/// What is known of a target.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// What its user calls it.
    pub name: String,
    pub(crate) places: Places,
    pub(crate) terms: Terms,
    /// Kinds of operations that make no sense there.
    pub(crate) without: Vec<&'static str>,
    /// What it lacks, in words.
    pub lacks: Vec<&'static str>,
}

/// A host and its port, as they are connected to and named.
fn authority(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn get(url: &str) -> Option<Request<Body>> {
    Request::get(url).header("accept", "application/json").body(Body::empty()).ok()
}

impl Foreign {
    /// Kinds of operations that make no sense there.
    pub fn without(&self) -> Vec<&str> {
        self.without.clone()
    }

    /// Finds out what there is. So long after its end the target may still take an access token.
    pub async fn meet(target: &str, leeway: Duration) -> Result<Self, ForeignError> {
        let wrong = |why| ForeignError::Address(target.to_owned(), why);
        let url = Url::parse(target).map_err(|_| wrong("it is no URL; write it like http://localhost:8080/mcp"))?;
        if url.scheme() != "http" {
            return Err(wrong("only http is spoken yet; put a proxy in front that ends TLS"));
        }
        let host = authority(&url).ok_or_else(|| wrong("it names no host"))?;
        let link = Link::anywhere(PATIENCE);
        let opening = Request::post(target)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(Body::from(initialize(1).to_string()))
            .map_err(|_| wrong("it is no URL"))?;
        let (answer, events) =
            link.ask(opening).await.map_err(|why| ForeignError::Unreachable(target.to_owned(), why))?;
        let places = Places {
            host,
            endpoint: target.to_owned(),
            resource: target.to_owned(),
            register: String::new(),
            authorize: String::new(),
            token: String::new(),
            revoke: String::new(),
            revision: LEGACY.to_owned(),
            scopes: false,
            scope: None,
        };
        let mut lacks = vec!["a clock that can be moved", "users and resources to tell apart", "known lifetimes"];
        let mut without = vec!["time", "start", "drop", "cancel", "finish", "ask"];
        let terms = Terms {
            access: SURELY,
            refresh: SURELY,
            code: SURELY,
            grace: Duration::ZERO,
            leeway,
            early: EARLY,
            margin: MARGIN,
            idle: SURELY,
            loose: FOR_EVER,
            strict: false,
            guarded: answer.status == 401,
            ..Terms::reference()
        };
        if !terms.guarded {
            lacks.push("authorization");
            without.extend(["register", "authorise", "exchange", "refresh", "revoke"]);
            let document = match events {
                None => serde_json::from_slice(&answer.body).unwrap_or_default(),
                Some(mut events) => events.message(1).await.unwrap_or_default(),
            };
            let revision = document["result"]["protocolVersion"].as_str().unwrap_or(LEGACY).to_owned();
            let terms = sessions(terms, answer.header("mcp-session-id").is_some(), &mut lacks);
            return Ok(Self { name: target.to_owned(), places: Places { revision, ..places }, terms, without, lacks });
        }
        let no_way = |why| ForeignError::NoWayIn(target.to_owned(), why);
        let places = way_in(&link, target, &answer, places).await.map_err(no_way)?;
        let once = try_once(&link, &places).await.map_err(no_way)?;
        let mut terms = sessions(terms, once.named, &mut lacks);
        let ends = once
            .expires_in
            .map(Duration::from_secs)
            .filter(|lives| *lives + leeway <= WAITS && *lives > EARLY + MARGIN);
        if let Some(lives) = ends {
            terms.access = lives;
            without.retain(|kind| *kind != "time");
        }
        if places.revoke.is_empty() {
            lacks.push("revocation");
            without.push("revoke");
        }
        Ok(Self { name: target.to_owned(), places, terms, without, lacks })
    }
}

/// The endpoints of the authorization server, found as clients find them.
async fn way_in(link: &Link, target: &str, refusal: &Answer, places: Places) -> Result<Places, String> {
    let url = Url::parse(target).map_err(|error| error.to_string())?;
    let origin = url.origin().ascii_serialization();
    let challenged = |name: &str| {
        let text = refusal.header("www-authenticate")?;
        challenges(text).iter().find_map(|challenge| challenge.param(name).map(str::to_owned))
    };
    let named = challenged("resource_metadata");
    let well_known = format!("{origin}/.well-known/oauth-protected-resource");
    let resource = first(link, named.into_iter().chain([format!("{well_known}{}", url.path()), well_known])).await;
    let resource = resource.ok_or("the metadata of the resource cannot be had")?;
    // As the specification has clients choose it: what the challenge asks for, else all that the metadata lists.
    let listed = || {
        let scopes: Vec<&str> = resource["scopes_supported"].as_array()?.iter().filter_map(Value::as_str).collect();
        (!scopes.is_empty()).then(|| scopes.join(" "))
    };
    let scope = challenged("scope").or_else(listed);
    let issuer = resource["authorization_servers"][0].as_str().ok_or("the metadata names no authorization server")?;
    let issuer = Url::parse(issuer).map_err(|error| error.to_string())?;
    let (origin, path) = (issuer.origin().ascii_serialization(), issuer.path().trim_end_matches('/').to_owned());
    let server = first(
        link,
        [
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
            format!("{origin}{path}/.well-known/openid-configuration"),
        ],
    )
    .await
    .ok_or("the metadata of the authorization server cannot be had")?;
    let endpoint = |name: &str| server[name].as_str().map(str::to_owned);
    Ok(Places {
        resource: resource["resource"].as_str().unwrap_or(target).to_owned(),
        register: endpoint("registration_endpoint").ok_or("clients cannot register themselves")?,
        authorize: endpoint("authorization_endpoint").ok_or("there is no authorization endpoint")?,
        token: endpoint("token_endpoint").ok_or("there is no token endpoint")?,
        revoke: endpoint("revocation_endpoint").unwrap_or_default(),
        scope,
        ..places
    })
}

/// The terms of a server that gives sessions ids, or does not.
fn sessions(terms: Terms, named: bool, lacks: &mut Vec<&'static str>) -> Terms {
    if !named {
        lacks.push("sessions with ids");
    }
    Terms { sessions: named, ..terms }
}

/// What was seen on the way that each lifecycle begins with.
struct Once {
    /// Whether the session has an id.
    named: bool,
    /// How long the access token lives, in seconds, as far as the answer says.
    expires_in: Option<u64>,
}

/// Goes once the way that each lifecycle begins with, so that a server which wants a person for that is not taken for a
/// broken one.
async fn try_once(link: &Link, places: &Places) -> Result<Once, String> {
    let verifier = "a-verifier-that-is-long-enough-for-everybody-who-looks";
    let mut names = Names::default();
    let mut once = Once { named: false, expires_in: None };
    let way = [
        (Deed::Register, "a registration"),
        (
            Deed::Authorise { client: 0, user: 0, scope: Scope::read("mcp:read"), resource: Resource::Here },
            "an authorization request",
        ),
        (Deed::Exchange { code: 0, client: 0, flaw: None }, "the exchange of a code"),
        (Deed::Open { bearer: Bearer::Access(0) }, "initialize with a token that was just issued"),
    ];
    for (deed, what) in way {
        let writer = Writer { places, names: &names, id: 1, verifier };
        let request = writer.request(&deed).ok_or_else(|| "a place is no URL".to_owned())?;
        let (answer, _) = link.ask(request).await?;
        if matches!(deed, Deed::Open { .. }) && answer.status == 200 {
            once.named = answer.header("mcp-session-id").is_some();
            continue;
        }
        let seen = understand(&deed, &answer, &mut names, 1, verifier);
        if let Seen::Tokens { expires_in, .. } = seen {
            once.expires_in = expires_in;
        }
        if let Seen::Refused { status, error } = seen {
            let hint = match deed {
                Deed::Authorise { .. } => "; it has to give codes without asking a person",
                Deed::Open { .. } => {
                    "; does it know the issuer, and take tokens for the resource that its metadata names?"
                }
                _ => "",
            };
            return Err(format!("{what} got {status} {error}{hint}"));
        }
    }
    Ok(once)
}

/// The first document that can be had.
async fn first(link: &Link, places: impl IntoIterator<Item = String>) -> Option<Value> {
    for place in places {
        let Some(request) = get(&place) else { continue };
        if let Ok((answer, None)) = link.ask(request).await
            && answer.status == 200
            && let Ok(document @ Value::Object(_)) = serde_json::from_slice(&answer.body)
        {
            return Some(document);
        }
    }
    None
}
