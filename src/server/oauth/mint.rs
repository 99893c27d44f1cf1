//! Tokens on demand, right ones and forged ones, for resource servers that run elsewhere: `POST
//! /control/authorization/mint`.
//!
//! A resource server that takes any of the forged ones has a hole. Only the control endpoint hands them out. They are
//! signed claims and nothing more: no grant stands behind them, so introspection does not know them.

use ring::hmac;
use serde_json::{Map, Value, json};

use super::issuer::{Issuer, SCOPES};
use super::jws::{Keys, compact, signing_input};
use crate::model::{Audience, TokenKind, TokenOrder};

/// Who holds the minted tokens.
const CLIENT: &str = "minted";

/// Mints what the body asks for; the error says what is wrong with the order.
pub(crate) fn mint(issuer: &Issuer, body: &[u8]) -> Result<Value, String> {
    let order: Map<String, Value> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let order: TokenOrder = serde_json::from_value(Value::Object(order)).map_err(|error| error.to_string())?;
    minted(issuer, &order).map(|token| json!({"access_token": token}))
}

/// The token of an order.
pub(crate) fn minted(issuer: &Issuer, order: &TokenOrder) -> Result<String, String> {
    let keys = issuer.tokens.keys();
    let payload = payload(issuer, order);
    let token = match order.kind {
        TokenKind::Right => keys.sign("at+jwt", &payload),
        TokenKind::IdToken => keys.sign("JWT", &payload),
        TokenKind::UnknownKid => Keys::new().and_then(|strange| strange.sign("at+jwt", &payload)),
        TokenKind::WrongKey => keys.current().zip(Keys::new()).and_then(|(key, strange)| {
            strange.sign_with(&json!({"typ": "at+jwt", "alg": "ES256", "kid": key.id}), &payload)
        }),
        TokenKind::Unsigned => Some(compact(&signing_input(&json!({"typ": "at+jwt", "alg": "none"}), &payload), &[])),
        TokenKind::HmacWithPublicKey => keys.current().map(|key| {
            let input = signing_input(&json!({"typ": "at+jwt", "alg": "HS256", "kid": key.id}), &payload);
            let secret = hmac::Key::new(hmac::HMAC_SHA256, key.pem().as_bytes());
            compact(&input, hmac::sign(&secret, input.as_bytes()).as_ref())
        }),
    };
    token.ok_or_else(|| "no token could be signed".to_owned())
}

fn payload(issuer: &Issuer, order: &TokenOrder) -> Value {
    let now = i64::try_from(issuer.now().as_secs()).unwrap_or(i64::MAX);
    let lifetime = i64::try_from(issuer.config.access_ttl.as_secs()).unwrap_or(i64::MAX);
    let end = now.saturating_add(order.expires_in.unwrap_or(lifetime));
    let start = now.saturating_add(order.not_before.unwrap_or(0));
    let mut payload = json!({
        "iss": order.issuer.clone().unwrap_or_else(|| issuer.identifier()),
        "sub": order.subject.as_deref().unwrap_or("user-1"),
        // A token that has ended already was issued before its end.
        "iat": now.min(end).min(start),
        "nbf": start.min(end),
        "exp": end,
        "jti": issuer.rng.hex(16),
    });
    let only = issuer.resources.first().filter(|_| issuer.resources.len() == 1);
    let audience = match &order.audience {
        Audience::Usual => only.map(String::as_str),
        wanted => wanted.named(),
    };
    if matches!(order.kind, TokenKind::IdToken) {
        payload["aud"] = json!(order.audience.named().unwrap_or(CLIENT));
        return payload;
    }
    payload["client_id"] = json!(CLIENT);
    payload["scope"] = json!(order.scope.as_deref().unwrap_or(SCOPES[0]));
    if let Some(audience) = audience {
        payload["aud"] = json!(audience);
    }
    payload
}
