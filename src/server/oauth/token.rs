//! The token endpoint (RFC 6749 section 3.2): codes, refresh, client credentials.
//!
//! Every check comes before anything changes, so that a refused request costs the client nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::client_auth::{authenticate, same};
use super::clients::Client;
use super::error::OAuthError;
use super::grants::{Grant, GrantId};
use super::issuer::{Issuer, OFFLINE};
use super::params::Params;
use super::uris::canonical_resource;
use crate::server::fault::Rule;
use crate::server::http::Reply;

/// `POST /token`
pub(crate) async fn token(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Reply {
    match answer(issuer, authorization, body).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    }
}

async fn answer(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Result<Reply, OAuthError> {
    let params = Params::read(body)?;
    let grant_type = params.require("grant_type")?;
    if grant_type == "password" && !issuer.faults.holds(Rule::PasswordRefused) {
        let body = json!({"access_token": issuer.rng.hex(16), "token_type": "Bearer", "expires_in": 60});
        return Ok(Reply::json(200, &body).with("cache-control", "no-store").with("pragma", "no-cache"));
    }
    if !["authorization_code", "refresh_token", "client_credentials"].contains(&grant_type) {
        return Err(OAuthError::unsupported_grant_type(
            "the grant types are authorization_code, refresh_token and client_credentials",
        ));
    }
    let client = authenticate(issuer, authorization, &params).await?;
    // Who was given a refresh token by the policy may use it, whatever it registered.
    if grant_type != "refresh_token" && !client.may(grant_type) {
        return Err(OAuthError::unauthorized_client(format!(
            "the client did not register the grant type {grant_type}"
        )));
    }
    match grant_type {
        "authorization_code" => code(issuer, &client, &params),
        "refresh_token" => refresh(issuer, &client, &params),
        _ => credentials(issuer, &client, &params),
    }
}

fn code(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.require("code")?;
    let wrong = |why: &str| OAuthError::invalid_grant(why);
    let code = issuer.grants.code(text).ok_or_else(|| wrong("the code is unknown, used or expired"))?;
    if code.client != client.id && issuer.faults.holds(Rule::CodeBoundToClient) {
        return Err(wrong("the code was issued to another client"));
    }
    // OAuth 2.1 leaves it out; who sends it has to send the one from before.
    if params.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri)
        && issuer.faults.holds(Rule::CodeBoundToRedirect)
    {
        return Err(wrong("redirect_uri is not the one of the authorization request"));
    }
    verify(issuer, code.challenge.as_deref(), params.get("code_verifier"))?;
    let resource = target(issuer, &code.resources, params)?;
    let refresh = issuer.refreshable(client, &code.scopes);
    let grant = issuer.grant(client, &code.subject, code.scopes.clone(), code.resources.clone(), refresh);
    let id = issuer.grants.redeem(text, grant.clone(), issuer.now(), &issuer.rng, &issuer.faults)?;
    let token = refresh.then(|| issuer.tokens.refresh(&id, 1));
    tokens(issuer, &id, &grant, &code.scopes, resource.as_deref(), token)
}

/// PKCE (RFC 7636 section 4.6); a verifier without a challenge is the downgrade of RFC 9700 section 4.8.2.
fn verify(issuer: &Issuer, challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthError> {
    if !issuer.faults.holds(Rule::PkceVerified) {
        return Ok(());
    }
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (None, Some(_)) if !issuer.faults.holds(Rule::PkceDowngradeRefused) => Ok(()),
        (None, Some(_)) => Err(OAuthError::invalid_grant("a code_verifier came for a code without a challenge")),
        (Some(_), None) => Err(OAuthError::invalid_grant("code_verifier is missing")),
        (Some(challenge), Some(verifier)) => {
            let made = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            let long_enough = (43..=128).contains(&verifier.len());
            if long_enough && same(&made, challenge) {
                Ok(())
            } else {
                Err(OAuthError::invalid_grant("code_verifier does not fit the challenge"))
            }
        }
    }
}

/// The one resource that a token is for: the one asked for, which has to be granted, or else the first.
fn target(issuer: &Issuer, granted: &[String], params: &Params) -> Result<Option<String>, OAuthError> {
    let mut asked = params.all("resource");
    let Some(text) = asked.next() else { return Ok(granted.first().cloned()) };
    let wanted = canonical_resource(text).map_err(|why| OAuthError::invalid_target(format!("the resource {why}")))?;
    if asked.next().is_some() {
        return Err(OAuthError::invalid_target("an access token is for one resource"));
    }
    if granted.contains(&wanted) || !issuer.faults.holds(Rule::TargetBound) {
        return Ok(Some(wanted));
    }
    Err(OAuthError::invalid_target("the grant is for another resource"))
}

fn refresh(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.require("refresh_token")?;
    let dead = || OAuthError::invalid_grant("the refresh token is unknown, expired or revoked");
    let (id, generation) = issuer.tokens.read_refresh(text).ok_or_else(dead)?;
    let asked = params.get("scope").map(|text| Issuer::scopes(Some(text))).transpose()?;
    let rotates = issuer.faults.holds(Rule::RefreshRotates);
    let mut resource = None;
    let renewed = issuer.grants.rotate(&id, generation, issuer.now(), rotates, &issuer.faults, |grant| {
        if grant.client != client.id && issuer.faults.holds(Rule::RefreshBoundToClient) {
            return Err(OAuthError::invalid_grant("the refresh token was issued to another client"));
        }
        let wider = asked.iter().flatten().any(|scope| !grant.scopes.contains(scope));
        if wider && issuer.faults.holds(Rule::ScopeNotWidened) {
            return Err(OAuthError::invalid_scope("a refresh cannot ask for more than was granted"));
        }
        resource = target(issuer, &grant.resources, params)?;
        Ok(())
    })?;
    let scopes = asked.unwrap_or_else(|| renewed.grant.scopes.clone());
    let token = issuer.tokens.refresh(&id, renewed.generation);
    let token = issuer.faults.holds(Rule::RefreshReturnsToken).then_some(token);
    tokens(issuer, &renewed.id, &renewed.grant, &scopes, resource.as_deref(), token)
}

fn credentials(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    if client.public() {
        return Err(OAuthError::unauthorized_client("a public client has no credentials of its own"));
    }
    let mut scopes = Issuer::scopes(params.get("scope"))?;
    // There is nobody who could be offline.
    scopes.retain(|scope| scope != OFFLINE);
    let resources = issuer.targets(params.all("resource"))?;
    let grant = issuer.grant(client, &client.id, scopes.clone(), resources.clone(), false);
    let id = issuer.grants.add(grant.clone(), issuer.now(), &issuer.rng);
    tokens(issuer, &id, &grant, &scopes, resources.first().map(String::as_str), None)
}

/// RFC 6749 section 5.1.
fn tokens(
    issuer: &Issuer,
    id: &GrantId,
    grant: &Grant,
    scopes: &[String],
    resource: Option<&str>,
    refresh: Option<String>,
) -> Result<Reply, OAuthError> {
    let mut body = json!({
        "access_token": issuer.access_token(id, grant, scopes, resource)?,
        "token_type": "Bearer",
        "expires_in": issuer.config.access_ttl.as_secs(),
        "scope": scopes.join(" "),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Ok(Reply::json(200, &body).with("cache-control", "no-store").with("pragma", "no-cache"))
}
