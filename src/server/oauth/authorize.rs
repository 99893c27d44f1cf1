//! The authorization endpoint (RFC 6749 section 4.1.1, RFC 7636, RFC 8707, RFC 9207).
//!
//! Owns which request is refused where: to the person while client or redirect URI are in doubt, else by redirect.

use serde::{Deserialize, Serialize};

use super::clients::Client;
use super::config::Consent;
use super::documents::Documents;
use super::error::OAuthError;
use super::grant::Code;
use super::issuer::{Issuer, OFFLINE, SCOPES};
use super::params::Params;
use super::uris::with_query;
use super::{consent, page};
use crate::server::answer::Reply;
use crate::server::fault::Rule;

/// Who consents where nobody is asked and no `login_hint` names anybody.
pub(super) const SOMEBODY: &str = "user-1";

/// A request that may be put before the person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) client: String,
    pub(crate) client_name: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) challenge: Option<String>,
    /// Who the client thinks is at the browser.
    pub(crate) login_hint: Option<String>,
    /// Whether the client gets a refresh token.
    pub(crate) refreshable: bool,
}

/// `GET /authorize`
pub(crate) async fn authorize(issuer: &Issuer, query: &[u8]) -> Reply {
    let params = match Params::read(query) {
        Ok(params) => params,
        Err(error) => return page::refusal(&error.description),
    };
    let (client, redirect_uri) = match destination(issuer, &params).await {
        Ok(found) => found,
        Err(error) if error.code == "invalid_client" && !issuer.faults.holds(Rule::UnknownClientStays) => {
            return refuse(issuer, params.get("redirect_uri").unwrap_or_default(), params.get("state"), &error);
        }
        // While nothing is known of any client, nothing is wrong with this one.
        Err(error) if error.status == 503 => return error.reply(),
        // Nobody may be sent to a place that is in doubt (RFC 6749 section 4.1.2.1).
        Err(error) => return page::refusal(&error.description),
    };
    if params.get("response_type") == Some("token") && !issuer.faults.holds(Rule::ImplicitRefused) {
        let state = params.get("state").unwrap_or_default().to_owned();
        let pairs = [("access_token", issuer.rng.hex(16)), ("token_type", "Bearer".to_owned()), ("state", state)];
        let fragment = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        return Reply::empty(302).with("location", &format!("{redirect_uri}#{fragment}"));
    }
    let state = params.get("state").map(str::to_owned);
    match read(issuer, &client, redirect_uri.clone(), &params) {
        Ok(request) if issuer.config.consent == Consent::Automatic => {
            let code = issuer.rng.hex(32);
            match grant(issuer, &request, request.login_hint.as_deref().unwrap_or(SOMEBODY), &code).await {
                Ok(()) => send(issuer, &request, &code),
                Err(error) => error.reply(),
            }
        }
        Ok(request) => consent::ask(issuer, request).await,
        Err(error) => refuse(issuer, &redirect_uri, state.as_deref(), &error),
    }
}

/// Parameters that are known; all others are ignored (RFC 6749 section 3.1).
const KNOWN: [&str; 10] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "prompt",
    "login_hint",
];

/// Whether a redirect URI is one of the client's.
fn registered(issuer: &Issuer, client: &Client, uri: &str) -> bool {
    let begins = |known: &String| uri.starts_with(known.as_str());
    let lax = [Rule::ClientDocumentsRead, Rule::DocumentsChecked].into_iter().any(|rule| !issuer.faults.holds(rule));
    let unread = client.metadata.is_empty() && lax;
    let open = Documents::is_document_url(&client.id) && !issuer.faults.holds(Rule::DocumentRedirectsMatched);
    if unread || open || !issuer.faults.holds(Rule::RedirectExact) {
        return true;
    }
    if !issuer.faults.holds(Rule::LoopbackPortFree) {
        return client.redirect_uris.iter().any(|known| known == uri);
    }
    client.redirects_to(uri) || (!issuer.faults.holds(Rule::RedirectWhole) && client.redirect_uris.iter().any(begins))
}

async fn destination(issuer: &Issuer, params: &Params) -> Result<(std::sync::Arc<Client>, String), OAuthError> {
    let client = issuer.client(params.require("client_id")?).await?;
    let asked = params.get("redirect_uri");
    let redirect_uri = match (asked, client.redirect_uris.as_slice()) {
        (Some(uri), _) => uri.to_owned(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(OAuthError::invalid_request("redirect_uri is missing")),
    };
    if !registered(issuer, &client, &redirect_uri) {
        return Err(OAuthError::invalid_request("redirect_uri is not one that this client registered"));
    }
    Ok((client, redirect_uri))
}

fn read(issuer: &Issuer, client: &Client, redirect_uri: String, params: &Params) -> Result<Request, OAuthError> {
    match params.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(OAuthError::unsupported_response_type("response_type has to be code")),
        None => return Err(OAuthError::invalid_request("response_type is missing")),
    }
    if !client.may("authorization_code") {
        return Err(OAuthError::unauthorized_client("the client did not register the grant type authorization_code"));
    }
    if params.names().any(|name| !KNOWN.contains(&name)) && !issuer.faults.holds(Rule::UnknownParamsIgnored) {
        return Err(OAuthError::invalid_request("a parameter is unknown"));
    }
    let challenge = params.get("code_challenge").map(str::to_owned);
    let required = issuer.faults.holds(Rule::PkceRequired) && issuer.faults.holds(Rule::PkceDowngradeRefused);
    match (&challenge, params.get("code_challenge_method")) {
        (None, _) if required => {
            return Err(OAuthError::invalid_request("code_challenge is missing; PKCE is required"));
        }
        (Some(text), _) if !is_challenge(text) => {
            return Err(OAuthError::invalid_request("code_challenge is no S256 challenge"));
        }
        (Some(_), method) if method != Some("S256") && issuer.faults.holds(Rule::PkceMethodChecked) => {
            return Err(OAuthError::invalid_request("code_challenge_method has to be S256"));
        }
        _ => {}
    }
    let mut scopes = Issuer::scopes(params.get("scope"))?;
    if !client.scopes.is_empty() {
        scopes.retain(|scope| client.scopes.contains(scope) || scope == OFFLINE);
        if scopes.is_empty() {
            return Err(OAuthError::invalid_scope("the client registered none of these scopes"));
        }
    }
    let shouts =
        |resource: &str| resource.split('/').take(3).any(|part| part.contains(|c: char| c.is_ascii_uppercase()));
    if params.all("resource").any(shouts) && !issuer.faults.holds(Rule::ResourceCaseFolded) {
        return Err(OAuthError::invalid_target("no such resource is served here"));
    }
    if params.all("resource").any(|resource| resource.ends_with('/')) && !issuer.faults.holds(Rule::ResourceSlashFolded)
    {
        return Err(OAuthError::invalid_target("the resource is unknown"));
    }
    let beside_scope = scopes.iter().any(|scope| scope == SCOPES[2]) && params.get("resource").is_some();
    if beside_scope && !issuer.faults.holds(Rule::ResourceBesideScope) {
        return Err(OAuthError::invalid_target("the resource is not the one of the scopes"));
    }
    let resources = issuer.targets(params.all("resource"))?;
    Ok(Request {
        client: client.id.clone(),
        client_name: client.name().to_owned(),
        redirect_uri,
        state: params.get("state").map(str::to_owned),
        login_hint: params.get("login_hint").map(str::to_owned),
        refreshable: issuer.refreshable(client, &scopes),
        scopes,
        resources,
        challenge,
    })
}

/// 43 characters of base64url, as the SHA-256 of a verifier has.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The person allows it: the code for that is kept.
pub(super) async fn grant(issuer: &Issuer, request: &Request, subject: &str, text: &str) -> Result<(), OAuthError> {
    let now = issuer.now();
    let code = Code {
        client: request.client.clone(),
        subject: subject.to_owned(),
        scopes: request.scopes.clone(),
        resources: request.resources.clone(),
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        expires: now + issuer.config.code_ttl,
        used: None,
    };
    issuer.grants.keep_code(text.to_owned(), code, now).await?;
    issuer.counts.codes.one();
    Ok(())
}

/// The code goes back to the client.
pub(super) fn send(issuer: &Issuer, request: &Request, code: &str) -> Reply {
    back(issuer, &request.redirect_uri, request.state.as_deref(), &[("code", code)])
}

/// The request cannot be granted: the reason goes back.
pub(super) fn refuse(issuer: &Issuer, redirect_uri: &str, state: Option<&str>, error: &OAuthError) -> Reply {
    back(issuer, redirect_uri, state, &[("error", error.code), ("error_description", &error.description)])
}

fn back(issuer: &Issuer, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> Reply {
    let identifier = issuer.identifier();
    let mut pairs = pairs.to_vec();
    if let Some(state) = state.filter(|_| issuer.faults.holds(Rule::StateEchoed)) {
        pairs.push(("state", state));
    }
    let is_error = pairs.iter().any(|(name, _)| *name == "error");
    if !is_error || issuer.faults.holds(Rule::IssOnErrors) {
        pairs.push(("iss", &identifier));
    }
    let kept = issuer.faults.holds(Rule::RedirectQueryKept);
    let redirect_uri = if kept { redirect_uri } else { redirect_uri.split('?').next().unwrap_or(redirect_uri) };
    // 302 rather than 307, which would send a submitted form on (RFC 9700 section 4.12).
    Reply::empty(302).with("location", &with_query(redirect_uri, &pairs)).with("cache-control", "no-store")
}
