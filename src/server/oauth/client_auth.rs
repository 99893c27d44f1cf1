//! Who sends a token request: none, Basic, secret in the body, or a signed assertion (RFC 6749 section 2.3, RFC 7523).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use ring::digest::{SHA256, digest};

use super::clients::Client;
use super::error::OAuthError;
use super::issuer::Issuer;
use super::jws;
use super::params::Params;
use crate::model::Members as _;
use crate::server::fault::Rule;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client that the request comes from, proven by the method it registered.
pub(crate) async fn authenticate(
    issuer: &Issuer,
    authorization: Option<&str>,
    params: &Params,
) -> Result<Arc<Client>, OAuthError> {
    let basic = authorization.map(read_basic).transpose()?;
    let assertion = params.get("client_assertion");
    let ways = [basic.is_some(), params.get("client_secret").is_some(), assertion.is_some()];
    if ways.iter().filter(|used| **used).count() > 1 {
        return Err(OAuthError::invalid_request("the client proves itself in more than one way"));
    }
    let refused = |why: &str| OAuthError { basic: basic.is_some(), ..OAuthError::invalid_client(why) };
    let named = match (&basic, assertion) {
        (Some((id, _)), _) => id.clone(),
        (None, Some(assertion)) => {
            let parsed = jws::parse(assertion).ok_or_else(|| refused("the client assertion is no JWT"))?;
            parsed.payload.at("sub").as_str().unwrap_or_default().to_owned()
        }
        (None, None) => params.require("client_id")?.to_owned(),
    };
    if params.get("client_id").is_some_and(|id| id != named) {
        return Err(refused("client_id names another client than the one that proves itself"));
    }
    let client = issuer.client(&named).await.map_err(|error| OAuthError { basic: basic.is_some(), ..error })?;
    let secret = basic.as_ref().map(|(_, secret)| secret.as_str()).or_else(|| params.get("client_secret"));
    if !issuer.faults.holds(Rule::SecretInBody) && basic.is_none() && secret.is_some() {
        return Err(refused("the secret has to be in the Authorization header"));
    }
    if !issuer.faults.holds(Rule::SecretInHeader) && basic.is_some() {
        return Err(refused("the secret has to be in the body"));
    }
    let unproven = secret.is_none() && assertion.is_none() && params.get("grant_type") == Some("refresh_token");
    if unproven && !issuer.faults.holds(Rule::RefreshProven) {
        return Ok(client);
    }
    match (client.method.as_str(), secret, assertion) {
        ("none", None, None) => Ok(client),
        ("none", Some(_), _) => Err(refused("the client is public and has no secret")),
        ("client_secret_basic" | "client_secret_post", Some(secret), None) => {
            let right = client.secret.as_deref().is_some_and(|known| same(known, secret));
            if right { Ok(client) } else { Err(refused("the secret is wrong")) }
        }
        ("private_key_jwt", None, Some(assertion)) => {
            check_assertion(issuer, &client, assertion, params).map_err(refused)?;
            Ok(client)
        }
        _ => Err(refused("the client does not prove itself as it registered")),
    }
}

/// Name and secret of HTTP Basic, each form-encoded (RFC 6749 section 2.3.1).
fn read_basic(header: &str) -> Result<(String, String), OAuthError> {
    let broken =
        || OAuthError { basic: true, ..OAuthError::invalid_client("the Authorization header is no HTTP Basic") };
    let (scheme, encoded) = header.split_once(' ').ok_or_else(broken)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(broken());
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| broken())?;
    let text = String::from_utf8(bytes).map_err(|_| broken())?;
    let (id, secret) = text.split_once(':').ok_or_else(broken)?;
    let decode = |part: &str| {
        percent_decode_str(&part.replace('+', " "))
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| broken())
    };
    Ok((decode(id)?, decode(secret)?))
}

/// Compares in a time that does not tell where two texts differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (digest(&SHA256, one.as_bytes()), digest(&SHA256, other.as_bytes()));
    one.as_ref().iter().zip(other.as_ref()).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// RFC 7523 section 3: issuer and subject are the client, the audience is this server, it is fresh and signed.
fn check_assertion(issuer: &Issuer, client: &Client, assertion: &str, params: &Params) -> Result<(), &'static str> {
    if params.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err("client_assertion_type is wrong");
    }
    let parsed = jws::parse(assertion).ok_or("the client assertion is no JWT")?;
    let claims = &parsed.payload;
    if claims.at("iss") != client.id.as_str() || claims.at("sub") != client.id.as_str() {
        return Err("iss and sub of the assertion have to be the client_id");
    }
    let mine = [issuer.identifier(), issuer.endpoint("token")];
    let audience =
        |value: &serde_json::Value| value.as_str().is_some_and(|text| mine.iter().any(|known| known == text));
    let aimed = match claims.at("aud").as_array() {
        Some(list) => list.iter().any(audience),
        None => audience(claims.at("aud")),
    };
    if !aimed {
        return Err("the assertion is for another audience");
    }
    let (now, leeway) = (issuer.now().as_secs(), issuer.config.leeway.as_secs());
    if claims.at("exp").as_u64().is_none_or(|end| end + leeway <= now) {
        return Err("the assertion is expired");
    }
    if claims.at("nbf").as_u64().is_some_and(|begin| begin > now + leeway) {
        return Err("the assertion is not valid yet");
    }
    let keys = client.metadata.member("jwks").and_then(|set| set.member("keys")).and_then(|keys| keys.as_array());
    let signed = keys.is_some_and(|keys| keys.iter().any(|key| jws::signed_by(&parsed, key)));
    if signed { Ok(()) } else { Err("no registered key signed the assertion") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_encoded() {
        let header = format!("basic {}", STANDARD.encode("a%3Ab:s+x"));
        assert_eq!(read_basic(&header).expect("read"), ("a:b".to_owned(), "s x".to_owned()));
        for broken in ["Bearer x", "Basic", "Basic !!!", "Basic eA=="] {
            assert!(read_basic(broken).expect_err("refused").basic, "{broken}");
        }
    }

    #[test]
    fn secrets_compare_whole() {
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "abcd"));
    }
}
