//! `requestState`: what the server lets the client keep between two rounds of a request, sealed so that nobody can change
//! it, hand it to somebody else, or use it for another request or for long.
//!
//! It must not know what the answers in it mean. Nothing is remembered here, so a state may be used again until it ends.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::model::{Members as _, Rng};
use crate::server::fault::Rule;
use crate::server::reply::RpcError;
use crate::server::store::{Shared, StoreError};

/// How long a client may take to come back with a state.
pub(crate) const LIVES: Duration = Duration::from_secs(300);
/// Where servers that share a store keep the key, and for how long when nobody starts any more.
const SHARED_KEY: &str = "request-state:{key}";
const KEPT: Duration = Duration::from_secs(366 * 24 * 3600);
/// The members of params that change from round to round.
const ROUND: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// The key that seals states.
pub(crate) struct Seal(hmac::Key);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// Whom a state is for, and which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bond {
    subject: Option<String>,
    method: String,
    digest: String,
}

impl Bond {
    /// The bond of a request of somebody.
    pub(crate) fn new(subject: Option<&str>, method: &str, params: &Value) -> Self {
        let mut text = String::new();
        let kept: Map<String, Value> = params
            .as_object()
            .map(|params| params.iter().filter(|(name, _)| !ROUND.contains(&name.as_str())))
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        canonical(&Value::Object(kept), &mut text);
        let digest = URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
        Self { subject: subject.map(str::to_owned), method: method.to_owned(), digest }
    }
}

/// A value as text, the members of objects in order, since a client need not keep theirs.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            text.push('{');
            for name in names {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(&members[name.as_str()], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

impl Seal {
    /// A seal with this key.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The seal of all servers that share a store. Whoever can read the store can make states.
    pub(crate) async fn shared(shared: &Shared, rng: &Rng) -> Result<Self, StoreError> {
        let fresh = URL_SAFE_NO_PAD.encode(rng.bytes::<32>());
        shared.put_first(SHARED_KEY, &fresh, KEPT).await?;
        // What another node put there first is what counts.
        let key = shared.text_kept(SHARED_KEY, KEPT).await?.unwrap_or(fresh);
        Ok(Self::new(&URL_SAFE_NO_PAD.decode(key).map_err(|_| StoreError::Gone)?))
    }

    /// The state that carries the answers so far; `nonce` makes two of them differ.
    pub(crate) fn close(&self, bond: &Bond, answers: &Map<String, Value>, now: Duration, nonce: &str) -> String {
        let until = now.saturating_add(LIVES).as_secs();
        let Bond { subject, method, digest } = bond;
        let inside = json!({"nonce": nonce, "until": until, "subject": subject, "method": method, "digest": digest, "answers": answers});
        let body = URL_SAFE_NO_PAD.encode(inside.to_string());
        let tag = hmac::sign(&self.0, body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// The answers that a state carries, if it is ours, whole, for this request, and not over. `holds` says which of that
    /// is looked at.
    pub(crate) fn open(
        &self,
        bond: &Bond,
        state: &Value,
        now: Duration,
        holds: impl Fn(Rule) -> bool,
    ) -> Result<Map<String, Value>, RpcError> {
        let broken =
            || RpcError::params("requestState is not what this server gave; send it back as it was, or begin anew");
        let (body, tag) = state.as_str().and_then(|text| text.split_once('.')).ok_or_else(broken)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| broken())?;
        hmac::verify(&self.0, body.as_bytes(), &tag).map_err(|_| broken())?;
        let inside = URL_SAFE_NO_PAD.decode(body).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let inside = inside.ok_or_else(broken)?;
        if inside.at("until").as_u64().is_none_or(|until| until <= now.as_secs()) && holds(Rule::StateExpires) {
            return Err(RpcError::params("requestState has expired; begin anew without it"));
        }
        if inside.at("subject").as_str() != bond.subject.as_deref() && holds(Rule::StateOfPrincipal) {
            return Err(RpcError::params("requestState was given to somebody else; begin anew without it"));
        }
        if (*inside.at("method") != *bond.method || *inside.at("digest") != *bond.digest) && holds(Rule::StateOfRequest)
        {
            return Err(RpcError::params("requestState belongs to another request; begin anew without it"));
        }
        inside.at("answers").as_object().cloned().ok_or_else(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn bond(subject: &str, params: &Value) -> Bond {
        Bond::new(Some(subject), "tools/call", params)
    }

    #[test]
    fn only_the_same_request_of_the_same_user_opens_a_state_in_time() {
        let seal = Seal::new(&[7; 32]);
        let call = json!({"name": "t", "arguments": {"a": 1, "b": [2]}, "_meta": {"x": 1}});
        let answers = json!({"k": {"action": "accept"}}).as_object().cloned().expect("an object");
        let state = json!(seal.close(&bond("ann", &call), &answers, NOW, "n"));
        let again = json!({"arguments": {"b": [2], "a": 1}, "name": "t", "requestState": "s", "inputResponses": {}});
        assert_eq!(seal.open(&bond("ann", &again), &state, NOW, |_| true).ok(), Some(answers.clone()));
        let refused = |seal: &Seal, bond: Bond, state: &Value, now| {
            seal.open(&bond, state, now, |_| true).expect_err("refused").message
        };
        assert!(refused(&seal, bond("bob", &call), &state, NOW).contains("somebody else"));
        assert!(refused(&seal, Bond::new(None, "tools/call", &call), &state, NOW).contains("somebody else"));
        assert!(refused(&seal, Bond::new(Some("ann"), "prompts/get", &call), &state, NOW).contains("another request"));
        let other = json!({"name": "t", "arguments": {"a": 2, "b": [2]}});
        assert!(refused(&seal, bond("ann", &other), &state, NOW).contains("another request"));
        assert!(refused(&seal, bond("ann", &call), &state, NOW + LIVES).contains("expired"));
        assert!(refused(&Seal::new(&[8; 32]), bond("ann", &call), &state, NOW).contains("is not what"));
        let text = state.as_str().expect("a text");
        for broken in [json!(format!("{text}x")), json!(text[1..]), json!("a.b"), json!(""), json!(1), Value::Null] {
            assert!(refused(&seal, bond("ann", &call), &broken, NOW).contains("is not what"), "{broken}");
        }
    }
}
