//! Which path is which endpoint, what it takes, and how large it may be.

use axum::http::{HeaderMap, Method};

use super::issuer::Issuer;
use super::{authorize, consent, metadata, register, revoke, token};
use crate::server::answer::Reply;
use crate::server::fault::Rule;
use crate::server::http::header;

/// The largest body of an OAuth request.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// An endpoint of the authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Metadata,
    Openid,
    Jwks,
    Authorize,
    Consent,
    Token,
    Register,
    Revoke,
    Introspect,
}

impl Endpoint {
    /// The endpoint at a path.
    pub(crate) fn at(path: &str, issuer: &Issuer) -> Option<Self> {
        let base = issuer.config.issuer_path.as_str();
        if let Some(document) = metadata::document_at(path, base, &issuer.faults) {
            return Some(document);
        }
        match path.strip_prefix(base)? {
            "/jwks" => Some(Self::Jwks),
            "/authorize" => Some(Self::Authorize),
            "/consent" => Some(Self::Consent),
            "/token" => Some(Self::Token),
            "/register" if issuer.config.registration => Some(Self::Register),
            "/revoke" => Some(Self::Revoke),
            "/introspect" => Some(Self::Introspect),
            _ => None,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Metadata | Self::Openid | Self::Jwks | Self::Authorize => "GET",
            Self::Consent | Self::Token | Self::Register | Self::Revoke | Self::Introspect => "POST",
        }
    }

    /// Whether pages of other origins may use it; never where a person is asked.
    fn shared(self) -> bool {
        !matches!(self, Self::Authorize | Self::Consent)
    }

    fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Consent | Self::Token | Self::Revoke | Self::Introspect => Some("application/x-www-form-urlencoded"),
            Self::Register => Some("application/json"),
            Self::Metadata | Self::Openid | Self::Jwks | Self::Authorize => None,
        }
    }
}

/// Serves an endpoint.
pub(crate) async fn serve(
    issuer: &Issuer,
    endpoint: Endpoint,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Reply {
    let reply = route(issuer, endpoint, method, query, headers, body).await;
    if endpoint.shared() && headers.contains_key("origin") {
        return reply
            .with("access-control-allow-origin", "*")
            .with("access-control-allow-headers", "authorization, content-type, mcp-protocol-version")
            .with("access-control-allow-methods", endpoint.method());
    }
    reply
}

async fn route(
    issuer: &Issuer,
    endpoint: Endpoint,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Reply {
    if *method == Method::OPTIONS && endpoint.shared() {
        return Reply::empty(204);
    }
    let head = *method == Method::HEAD && endpoint.method() == "GET";
    // Only a fault takes the parameters of a token request from the URL.
    let asked = endpoint == Endpoint::Token && *method == Method::GET && !issuer.faults.holds(Rule::TokenByPost);
    if asked {
        return token::token(issuer, header(headers, "authorization"), query.as_bytes()).await;
    }
    if method.as_str() != endpoint.method() && !head {
        return Reply::empty(405).with("allow", endpoint.method());
    }
    if let Some(wanted) = endpoint.content_type() {
        let sent = header(headers, "content-type").unwrap_or_default();
        if !sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted) {
            let error = super::error::OAuthError::invalid_request(format!("the content type has to be {wanted}"));
            return error.reply();
        }
    }
    if headers.get_all("authorization").iter().count() > 1 {
        return super::error::OAuthError::invalid_request("there are several Authorization headers").reply();
    }
    let authorization = header(headers, "authorization");
    match endpoint {
        Endpoint::Metadata => Reply::json(200, &metadata::authorization_server(issuer)),
        Endpoint::Openid => Reply::json(200, &metadata::openid(issuer)),
        Endpoint::Jwks => match issuer.look_up_keys().await {
            Ok(()) => Reply::json(200, &issuer.tokens.keys().published()),
            Err(error) => error.reply(),
        },
        Endpoint::Authorize => authorize::authorize(issuer, query.as_bytes()).await,
        Endpoint::Consent => consent::decide(issuer, header(headers, "cookie").unwrap_or_default(), body).await,
        Endpoint::Token => token::token(issuer, authorization, body).await,
        Endpoint::Register => register::register(issuer, body).await,
        Endpoint::Revoke => revoke::revoke(issuer, authorization, body).await,
        Endpoint::Introspect => revoke::introspect(issuer, authorization, body).await,
    }
}
