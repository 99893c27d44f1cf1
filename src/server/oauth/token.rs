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
use super::grant::{Grant, GrantId, dead, unknown_code};
use super::issuer::{Issuer, OFFLINE};
use super::params::Params;
use super::races::Races;
use super::uris::canonical_resource;
use crate::server::answer::Reply;
use crate::server::fault::Rule;

/// The parameters that the token endpoint knows.
const KNOWN: [&str; 11] = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "refresh_token",
    "scope",
    "resource",
];
/// How long a token lives that a fault lets live too long.
const A_YEAR: u64 = 365 * 24 * 3600;

/// `POST /token`
pub(crate) async fn token(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Reply {
    match answer(issuer, authorization, body).await {
        Ok(reply) => reply,
        Err(error) => error.reply(),
    }
}

async fn answer(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Result<Reply, OAuthError> {
    let params = Params::read(body)?;
    if !issuer.faults.holds(Rule::UnknownParamsIgnored) && params.names().any(|name| !KNOWN.contains(&name)) {
        return Err(OAuthError::invalid_request("there is an unknown parameter"));
    }
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
        "authorization_code" => code(issuer, &client, &params).await,
        "refresh_token" => refresh(issuer, &client, &params).await,
        _ => credentials(issuer, &client, &params).await,
    }
}

async fn code(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.require("code")?;
    let wrong = |why: &str| OAuthError::invalid_grant(why);
    let code = issuer.grants.code(text).await?.ok_or_else(unknown_code)?;
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
    if !issuer.faults.holds(Rule::CodeTakenAtOnce) {
        if let Some(used) = &code.used {
            issuer.grants.revoke(used, issuer.now()).await?;
            return Err(unknown_code());
        }
        Races::window().await;
    }
    let id = issuer.grants.redeem(text, grant.clone(), issuer.now(), &issuer.rng, &issuer.faults).await?;
    issuer.counts.logins.one();
    let token = refresh.then(|| issuer.tokens.refresh(&id, 1));
    tokens(issuer, &id, &grant, &code.scopes, resource.as_deref(), token, Kind::First).await
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
    let unbound = params.get("grant_type") == Some("refresh_token") && !issuer.faults.holds(Rule::RefreshResourceBound);
    if granted.contains(&wanted) || unbound || !issuer.faults.holds(Rule::TargetBound) {
        return Ok(Some(wanted));
    }
    Err(OAuthError::invalid_target("the grant is for another resource"))
}

async fn refresh(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    let text = params.require("refresh_token")?;
    let (id, generation) = issuer.tokens.read_refresh(text).ok_or_else(dead)?;
    let asked = params.get("scope").map(|text| Issuer::scopes(Some(text))).transpose()?;
    if !issuer.faults.holds(Rule::NoOutage) && issuer.grants.outage() {
        let nobody = OAuthError::invalid_request("the store of the grants cannot be reached");
        return Err(OAuthError { code: "temporarily_unavailable", status: 503, ..nobody });
    }
    if !issuer.faults.holds(Rule::RefreshesUnlimited) && issuer.races.too_often(&id, issuer.now()) {
        let slower = OAuthError::invalid_request("the grant was refreshed too often within a minute");
        return Err(OAuthError { code: "slow_down", status: 429, ..slower });
    }
    let returns = issuer.faults.holds(Rule::RefreshReturnsToken);
    let rotates = issuer.faults.holds(Rule::RefreshRotates) && returns;
    let mut resource = None;
    let mut check = |grant: &mut Grant| {
        if grant.client != client.id && issuer.faults.holds(Rule::RefreshBoundToClient) {
            return Err(OAuthError::invalid_grant("the refresh token was issued to another client"));
        }
        let wider = asked.iter().flatten().any(|scope| !grant.scopes.contains(scope));
        if wider && issuer.faults.holds(Rule::ScopeNotWidened) {
            return Err(OAuthError::invalid_scope("a refresh cannot ask for more than was granted"));
        }
        resource = target(issuer, &grant.resources, params)?;
        if params.get("resource").is_none() && !issuer.faults.holds(Rule::RefreshResourceKept) {
            resource = None;
        }
        if let Some(wanted) = resource.as_ref().filter(|wanted| !grant.resources.contains(wanted)) {
            grant.resources.push(wanted.clone());
        }
        if let Some(fewer) = asked.as_ref().filter(|_| !issuer.faults.holds(Rule::RefreshScopeRestored)) {
            grant.scopes.clone_from(fewer);
        }
        Ok(())
    };
    if !issuer.faults.holds(Rule::RefreshSideBySide) {
        let alone = issuer.races.begin(&id);
        Races::window().await;
        if !alone {
            issuer.grants.revoke(&id, issuer.now()).await?;
            return Err(dead());
        }
        issuer.races.end(&id);
    }
    let renewed = issuer.grants.rotate(&id, generation, issuer.now(), rotates, &issuer.faults, &mut check).await?;
    if !issuer.faults.holds(Rule::RevocationNotOvertaken) {
        issuer.races.begin(&id);
        Races::window().await;
        issuer.races.end(&id);
    }
    let mut scopes = asked.clone().unwrap_or_else(|| renewed.grant.scopes.clone());
    if asked.is_none() && !issuer.faults.holds(Rule::RefreshScopeKept) {
        scopes.truncate(1);
    }
    issuer.counts.refreshes.one();
    if !issuer.faults.holds(Rule::RefreshesUnlimited) {
        issuer.races.refreshed(&id, issuer.now());
    }
    let token = returns.then(|| issuer.tokens.refresh(&id, renewed.generation));
    tokens(issuer, &renewed.id, &renewed.grant, &scopes, resource.as_deref(), token, Kind::Refreshed).await
}

async fn credentials(issuer: &Issuer, client: &Client, params: &Params) -> Result<Reply, OAuthError> {
    if client.public() {
        return Err(OAuthError::unauthorized_client("a public client has no credentials of its own"));
    }
    let mut scopes = Issuer::scopes(params.get("scope"))?;
    // There is nobody who could be offline.
    scopes.retain(|scope| scope != OFFLINE);
    let resources = issuer.targets(params.all("resource"))?;
    let grant = issuer.grant(client, &client.id, scopes.clone(), resources.clone(), false);
    let id = issuer.grants.add(grant.clone(), issuer.now(), &issuer.rng).await?;
    tokens(issuer, &id, &grant, &scopes, resources.first().map(String::as_str), None, Kind::Service).await
}

/// What a token response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Refreshed,
    Service,
}

/// RFC 6749 section 5.1.
async fn tokens(
    issuer: &Issuer,
    id: &GrantId,
    grant: &Grant,
    scopes: &[String],
    resource: Option<&str>,
    refresh: Option<String>,
    kind: Kind,
) -> Result<Reply, OAuthError> {
    let mut body = json!({
        "access_token": issuer.access_token(id, grant, scopes, resource).await?,
        "token_type": "Bearer",
    });
    if kind != Kind::Refreshed || issuer.faults.holds(Rule::RefreshSaysExpiry) {
        let short = kind != Kind::Service || issuer.faults.holds(Rule::ServiceTokensShort);
        body["expires_in"] = json!(if short { issuer.config.access_ttl.as_secs() } else { A_YEAR });
    }
    if issuer.faults.holds(Rule::ScopeTold) {
        body["scope"] = json!(scopes.join(" "));
    }
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Ok(Reply::json(200, &body).with("cache-control", "no-store").with("pragma", "no-cache"))
}
