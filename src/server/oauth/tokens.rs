//! The texts of tokens: how they are made from a grant and read back.
//!
//! Opaque tokens are bytes under a keyed hash; JWT access tokens follow RFC 9068. Whether a grant still lives is for
//! `grants`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::grant::GrantId;
use super::jws::{self, Keys};
use super::stated::is_access_token;
use crate::model::{Members as _, Rng};

/// Bytes of the keyed hash that are kept.
const MAC: usize = 16;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The grant it came from.
    pub(crate) grant: GrantId,
    /// Its own number.
    pub(crate) serial: u64,
    /// Seconds since the Unix epoch at which its life begins.
    pub(crate) issued: u64,
    /// Seconds since the Unix epoch at which its life ends.
    pub(crate) expires: u64,
    /// Which of the grant's scopes it has, one bit each.
    pub(crate) scopes: u32,
    /// Which of the grant's resources it is for; 255 for none.
    pub(crate) resource: u8,
}

/// What a JWT says besides, from the grant.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) client: &'a str,
    pub(crate) scope: String,
    pub(crate) audience: Option<&'a str>,
}

/// Makes and reads tokens.
pub(crate) struct Tokens {
    key: hmac::Key,
    keys: Keys,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// With keys of their own; `None` where the system gives no randomness.
    pub(crate) fn new(rng: &Rng) -> Option<Self> {
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &rng.bytes::<32>()), keys: Keys::new()? })
    }

    /// The signing keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// With the secret and the keys of others.
    pub(crate) fn with(secret: &[u8], keys: Keys) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), keys }
    }

    fn seal(&self, prefix: &str, payload: &[u8]) -> String {
        let mac = hmac::sign(&self.key, &[prefix.as_bytes(), payload].concat());
        let mut bytes = payload.to_vec();
        bytes.extend_from_slice(&mac.as_ref()[..MAC]);
        format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The payload of a token that this issuer made; compared in constant time.
    fn unseal<const N: usize>(&self, prefix: &str, token: &str) -> Option<[u8; N]> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(prefix)?).ok()?;
        let (payload, mac) = bytes.split_at_checked(N)?;
        let expected = hmac::sign(&self.key, &[prefix.as_bytes(), payload].concat());
        let same = mac.len() == MAC
            && mac.iter().zip(&expected.as_ref()[..MAC]).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0;
        same.then(|| payload.try_into().ok()).flatten()
    }

    /// A refresh token of this generation.
    pub(crate) fn refresh(&self, grant: &GrantId, generation: u32) -> String {
        self.seal("rt_", &[grant.as_slice(), &generation.to_be_bytes()].concat())
    }

    /// Grant and generation of a refresh token.
    pub(crate) fn read_refresh(&self, token: &str) -> Option<(GrantId, u32)> {
        let payload: [u8; 20] = self.unseal("rt_", token)?;
        let (grant, generation) = payload.split_at(16);
        Some((grant.try_into().ok()?, u32::from_be_bytes(generation.try_into().ok()?)))
    }

    /// An opaque access token.
    pub(crate) fn access(&self, claims: &Claims) -> String {
        let payload = [
            claims.grant.as_slice(),
            &claims.serial.to_be_bytes(),
            &claims.issued.to_be_bytes(),
            &claims.expires.to_be_bytes(),
            &claims.scopes.to_be_bytes(),
            &[claims.resource],
        ]
        .concat();
        self.seal("at_", &payload)
    }

    /// The claims of an opaque access token.
    fn read_opaque(&self, token: &str) -> Option<Claims> {
        let payload: [u8; 45] = self.unseal("at_", token)?;
        let number = |from: usize| Some(u64::from_be_bytes(payload.get(from..from + 8)?.try_into().ok()?));
        Some(Claims {
            grant: payload[..16].try_into().ok()?,
            serial: number(16)?,
            issued: number(24)?,
            expires: number(32)?,
            scopes: u32::from_be_bytes(payload[40..44].try_into().ok()?),
            resource: payload[44],
        })
    }

    /// A JWT access token (RFC 9068 section 2).
    pub(crate) fn access_jwt(&self, claims: &Claims, names: &Names<'_>) -> Option<String> {
        let mut payload = json!({
            "iss": names.issuer,
            "sub": names.subject,
            "client_id": names.client,
            "scope": names.scope,
            "iat": claims.issued,
            "nbf": claims.issued,
            "exp": claims.expires,
            // The server's own bookkeeping travels in the identifier.
            "jti": self.access(claims),
        });
        if let Some(audience) = names.audience {
            payload["aud"] = json!(audience);
        }
        self.keys.sign("at+jwt", &payload)
    }

    /// The claims of an access token of either form, with the audience that a JWT states.
    pub(crate) fn read_access(&self, token: &str) -> Option<(Claims, Option<Value>)> {
        if token.starts_with("at_") {
            return Some((self.read_opaque(token)?, None));
        }
        let parsed = jws::parse(token)?;
        if !is_access_token(&parsed) || !self.keys.signed(&parsed) {
            return None;
        }
        let claims = self.read_opaque(parsed.payload.at("jti").as_str()?)?;
        Some((claims, Some(parsed.payload)))
    }
}

impl Claims {
    /// The end of its life.
    pub(crate) fn end(&self) -> Duration {
        Duration::from_secs(self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims { grant: [7; 16], serial: 9, issued: 100, expires: 200, scopes: 5, resource: 0 }
    }

    #[test]
    fn tokens_are_read_back_and_forgeries_are_not() {
        let tokens = Tokens::new(&Rng::seeded(1)).expect("randomness");
        let refresh = tokens.refresh(&[7; 16], 3);
        assert_eq!(tokens.read_refresh(&refresh), Some(([7; 16], 3)));
        assert_eq!(tokens.read_access(&tokens.access(&claims())), Some((claims(), None)));
        let names = Names { issuer: "https://as", subject: "s", client: "c", scope: "a b".into(), audience: Some("r") };
        let jwt = tokens.access_jwt(&claims(), &names).expect("signed");
        let (read, payload) = tokens.read_access(&jwt).expect("own token");
        assert_eq!((read, payload.expect("claims")["aud"].as_str()), (claims(), Some("r")));
        for at in 0..refresh.len() {
            let mut bytes = refresh.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ascii");
            assert_eq!(tokens.read_refresh(&forged), None, "{at}");
        }
        assert_eq!(tokens.read_refresh(&refresh[..refresh.len() - 1]), None);
        assert_eq!(tokens.read_refresh(&tokens.access(&claims())), None);
        let other = Tokens::new(&Rng::seeded(2)).expect("randomness");
        assert_eq!(other.read_refresh(&refresh), None);
        assert_eq!(other.read_access(&jwt), None);
    }
}
