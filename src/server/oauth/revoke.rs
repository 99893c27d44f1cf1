//! Revocation (RFC 7009) and introspection (RFC 7662).

use serde_json::{Value, json};

use super::client_auth::authenticate;
use super::error::OAuthError;
use super::grant::GrantId;
use super::issuer::Issuer;
use super::params::Params;
use super::races::Races;
use crate::server::answer::Reply;
use crate::server::fault::Rule;

/// `POST /revoke`: an unknown token is as good as revoked (RFC 7009 section 2.2).
pub(crate) async fn revoke(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Reply {
    if !issuer.faults.holds(Rule::RevocationTakesForms) {
        return Reply::json(415, &json!({"error": "the body has to be JSON"}));
    }
    match end(issuer, authorization, body).await {
        Ok(()) => Reply::empty(200).with("cache-control", "no-store"),
        Err(error) => error.reply(),
    }
}

async fn end(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Result<(), OAuthError> {
    let params = Params::read(body)?;
    let client = authenticate(issuer, authorization, &params).await?;
    // The hint only says where to look first (section 2.1), and here both kinds tell themselves apart.
    let token = params.require("token")?;
    let foreign = || OAuthError::invalid_grant("the token was issued to another client");
    let anybody = !issuer.faults.holds(Rule::RevocationOwnOnly);
    let owned = async |id: GrantId| {
        let grant = issuer.grants.get(&id).await?;
        Ok::<_, OAuthError>(grant.map(|grant| grant.client == client.id || anybody))
    };
    issuer.knows_key_of(token).await?;
    let works = issuer.faults.holds(Rule::RevocationWorks);
    if let Some((id, _)) = issuer.tokens.read_refresh(token) {
        let sought = params.get("token_type_hint").is_none_or(|hint| hint == "refresh_token")
            || issuer.faults.holds(Rule::HintOnlyHelps);
        match owned(id).await? {
            Some(false) => return Err(foreign()),
            Some(true) if works && sought => end_grant(issuer, &id).await?,
            _ => {}
        }
        return Ok(());
    }
    let Some((claims, _)) = issuer.tokens.read_access(token) else {
        let unknown = || OAuthError::invalid_request("the token is unknown");
        return if issuer.faults.holds(Rule::UnknownRevoked) { Ok(()) } else { Err(unknown()) };
    };
    if !issuer.faults.holds(Rule::AccessRevocable) {
        let unsupported = OAuthError::invalid_request("access tokens cannot be revoked");
        return Err(OAuthError { code: "unsupported_token_type", ..unsupported });
    }
    match owned(claims.grant).await? {
        Some(false) => Err(foreign()),
        Some(true) if works && issuer.faults.holds(Rule::AccessRevocationWorks) => {
            let end = claims.end() + issuer.config.leeway;
            issuer.grants.revoke_access(&claims.grant, claims.serial, end, issuer.now()).await
        }
        _ => Ok(()),
    }
}

/// A revoked refresh token takes everything with it that came of the same grant (section 2.1).
async fn end_grant(issuer: &Issuer, id: &GrantId) -> Result<(), OAuthError> {
    let now = issuer.now();
    if !issuer.faults.holds(Rule::RevocationNotOvertaken) {
        let (before, overtaken) = (issuer.grants.get(id).await?, issuer.races.under_way(id));
        Races::window().await;
        // What somebody else has changed meanwhile is left as it is.
        if issuer.grants.get(id).await? != before || overtaken {
            return Ok(());
        }
    }
    if !issuer.faults.holds(Rule::RevocationScoped) {
        issuer.grants.revoke_all(now).await.map(drop)
    } else if issuer.faults.holds(Rule::RevocationCascades) {
        issuer.grants.revoke(id, now).await
    } else {
        issuer.grants.end_refresh(id, now).await
    }
}

/// `POST /introspect`: for clients that can prove themselves.
pub(crate) async fn introspect(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Reply {
    match look(issuer, authorization, body).await {
        Ok(document) => Reply::json(200, &document).with("cache-control", "no-store"),
        Err(error) => error.reply(),
    }
}

async fn look(issuer: &Issuer, authorization: Option<&str>, body: &[u8]) -> Result<Value, OAuthError> {
    let params = Params::read(body)?;
    let client = authenticate(issuer, authorization, &params).await?;
    if client.public() {
        return Err(OAuthError::invalid_client("introspection is for clients that can prove themselves"));
    }
    let token = params.require("token")?;
    if let Some((id, generation)) = issuer.tokens.read_refresh(token) {
        let grant = issuer.grants.get(&id).await?;
        let active = grant.filter(|grant| {
            let family = grant.refresh.as_ref();
            !grant.revoked
                && family.is_some_and(|family| family.generation == generation && family.expires > issuer.now())
        });
        return Ok(active.map_or(json!({"active": false}), |grant| {
            json!({"active": true, "client_id": grant.client, "sub": grant.subject, "scope": grant.scopes.join(" ")})
        }));
    }
    let Some(bearer) = issuer.bearer(token).await? else { return Ok(json!({"active": false})) };
    let mut document = json!({
        "active": true,
        "client_id": bearer.grant.client,
        "sub": bearer.grant.subject,
        "scope": bearer.scopes.join(" "),
        "token_type": "Bearer",
        "iat": bearer.claims.issued,
        "exp": bearer.claims.expires,
        "iss": issuer.identifier(),
    });
    if let Some(audience) = &bearer.audience {
        document["aud"] = json!(audience);
    }
    Ok(document)
}
