//! What a client signs about itself to prove itself at the token endpoint (`private_key_jwt`: RFC 7523 section 2.2).
//!
//! Pure; the time and the id are parameters.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// `client_assertion_type` of such a proof.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long one is good for; each is used once.
const LIVES: Duration = Duration::from_mins(5);

/// The claims of a client about itself, for this issuer (RFC 7523 section 3).
pub(super) fn about(client: &str, issuer: &str, now: Duration, id: &str) -> Value {
    json!({
        "iss": client,
        "sub": client,
        "aud": issuer,
        "iat": now.as_secs(),
        "exp": (now + LIVES).as_secs(),
        "jti": id,
    })
}

/// The claims signed with ES256 (RFC 7518 section 3.4); `None` where the text is no private key of P-256.
pub(super) fn signed(pem: &str, claims: &Value) -> Option<String> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(pem)?, &random).ok()?;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
    let signature = pair.sign(&random, text.as_bytes()).ok()?;
    Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The bytes in a PEM text (RFC 7468).
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::super::claims;
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    #[test]
    fn a_client_signs_who_it_is_and_for_whom() {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).expect("read");
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let pem = format!("{begin}\n{}\n{end}\n", STANDARD.encode(document.as_ref()));
        let said = about("client", "http://as", Duration::from_secs(1000), "once");
        let token = signed(&pem, &said).expect("signed");
        let (header, told) = claims::read(&token).expect("a JWT");
        assert_eq!((header["alg"].as_str(), &told), (Some("ES256"), &said));
        assert_eq!(
            (&told["iss"], &told["sub"], &told["aud"]),
            (&json!("client"), &json!("client"), &json!("http://as"))
        );
        assert_eq!((&told["iat"], &told["exp"]), (&json!(1000), &json!(1300)));
        let (text, signature) = token.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        assert!(public.verify(text.as_bytes(), &signature).is_ok());
        assert_eq!(signed("no key", &said), None);
    }
}
