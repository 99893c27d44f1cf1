//! Signed tokens of the server: its own ES256 keys with rollover, and the verification of what clients sign.
//!
//! Compact serialisation of RFC 7515, ES256 of RFC 7518 section 3.4. The client half has code of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Members as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

/// How many retired keys stay published.
const RETIRED: usize = 2;
/// What stands before the point of a P-256 key in DER: the algorithm, the curve, and how long the point is.
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key that signs.
struct Key {
    id: String,
    pair: EcdsaKeyPair,
    /// As PKCS #8, for other nodes.
    document: Vec<u8>,
}

/// The half of a key that everybody may have.
#[derive(Debug)]
pub(crate) struct Public {
    /// Its `kid`.
    pub(crate) id: String,
    point: Vec<u8>,
}

impl Public {
    /// As most programs keep it: PEM of the public key's structure (RFC 5280 section 4.1, RFC 5480 section 2).
    pub(crate) fn pem(&self) -> String {
        let der = [PREFIX.as_slice(), &self.point].concat();
        let text = STANDARD.encode(der);
        let (mut pem, mut rest) = ("-----BEGIN PUBLIC KEY-----\n".to_owned(), text.as_str());
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }
}

/// The issuer's signing keys, the current one last.
pub(crate) struct Keys {
    keys: Mutex<Vec<Key>>,
    random: SystemRandom,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// The parts of a compact JWS that somebody else made.
#[derive(Debug)]
pub(crate) struct Parsed<'t> {
    /// The protected header.
    pub(crate) header: Value,
    /// The payload.
    pub(crate) payload: Value,
    signed: &'t str,
    signature: Vec<u8>,
}

impl Parsed<'_> {
    /// Whether its signature is a MAC with this secret.
    pub(crate) fn carries_mac(&self, secret: &hmac::Key) -> bool {
        hmac::verify(secret, self.signed.as_bytes(), &self.signature).is_ok()
    }
}

impl Keys {
    /// One fresh key; `None` where the system gives no randomness.
    pub(crate) fn new() -> Option<Self> {
        let keys = Self { keys: Mutex::default(), random: SystemRandom::new() };
        keys.rotate().then_some(keys)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs with a fresh key from now on; the one before stays published. Says whether it worked.
    pub(crate) fn rotate(&self) -> bool {
        let Ok(document) = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.random) else {
            return false;
        };
        let Some(key) = self.read(document.as_ref()) else { return false };
        let mut keys = self.lock();
        keys.push(key);
        let surplus = keys.len().saturating_sub(RETIRED + 1);
        keys.drain(..surplus);
        true
    }

    fn read(&self, document: &[u8]) -> Option<Key> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &self.random).ok()?;
        let digest = ring::digest::digest(&ring::digest::SHA256, pair.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..9]);
        Some(Key { id, pair, document: document.to_vec() })
    }

    /// All keys as one text, for other nodes; whoever has it can sign.
    pub(crate) fn written(&self) -> String {
        let keys = self.lock();
        keys.iter().map(|key| URL_SAFE_NO_PAD.encode(&key.document)).collect::<Vec<_>>().join(" ")
    }

    /// Takes over the keys of such a text; says whether there was any.
    pub(crate) fn take_over(&self, written: &str) -> bool {
        let read = |text: &str| self.read(&URL_SAFE_NO_PAD.decode(text).ok()?);
        let keys: Vec<Key> = written.split(' ').filter_map(read).collect();
        let any = !keys.is_empty();
        if any {
            *self.lock() = keys;
        }
        any
    }

    /// Whether one of the keys has this `kid`.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.lock().iter().any(|key| key.id == kid)
    }

    /// A signed token with this `typ`.
    pub(crate) fn sign(&self, kind: &str, payload: &Value) -> Option<String> {
        let header = json!({"typ": kind, "alg": "ES256", "kid": self.current()?.id});
        self.sign_with(&header, payload)
    }

    /// A token signed by the current key, whatever its header says.
    pub(crate) fn sign_with(&self, header: &Value, payload: &Value) -> Option<String> {
        let keys = self.lock();
        let input = signing_input(header, payload);
        let signature = keys.last()?.pair.sign(&self.random, input.as_bytes()).ok()?;
        Some(compact(&input, signature.as_ref()))
    }

    /// The public half of the current key.
    pub(crate) fn current(&self) -> Option<Public> {
        let keys = self.lock();
        keys.last().map(|key| Public { id: key.id.clone(), point: key.pair.public_key().as_ref().to_vec() })
    }

    /// Whether one of the published keys signed the token.
    pub(crate) fn signed(&self, parsed: &Parsed<'_>) -> bool {
        let keys = self.lock();
        parsed.header.at("alg") == "ES256"
            && keys.iter().any(|key| parsed.header.at("kid") == key.id.as_str() && verifies(&key.pair, parsed))
    }

    /// The public keys (RFC 7517 section 5).
    pub(crate) fn published(&self) -> Value {
        let keys: Vec<Value> = self.lock().iter().map(public).collect();
        json!({"keys": keys})
    }
}

fn verifies(pair: &EcdsaKeyPair, parsed: &Parsed<'_>) -> bool {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    key.verify(parsed.signed.as_bytes(), &parsed.signature).is_ok()
}

fn public(key: &Key) -> Value {
    // An uncompressed point: 0x04, then both coordinates (RFC 7518 section 6.2.1).
    let point = key.pair.public_key().as_ref();
    let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.id,
        "x": coordinate(1..33), "y": coordinate(33..65),
    })
}

/// What a signature is made over (RFC 7515 section 5.1).
pub(crate) fn signing_input(header: &Value, payload: &Value) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// The token of a signing input and its signature.
pub(crate) fn compact(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Takes a compact JWS apart; `None` where it is none.
pub(crate) fn parse(token: &str) -> Option<Parsed<'_>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let json = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
    let parsed = Parsed {
        header: json(header)?,
        payload: json(payload)?,
        signed,
        signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
    };
    (parsed.header.is_object() && parsed.payload.is_object()).then_some(parsed)
}

/// Whether a published key of a client (a JWK) signed the token; ES256 and RS256 are known.
pub(crate) fn signed_by(parsed: &Parsed<'_>, jwk: &Value) -> bool {
    let part = |name: &str| jwk[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let named = jwk.member("kid").is_none_or(|id| parsed.header.member("kid").is_none_or(|wanted| wanted == id));
    if !named {
        return false;
    }
    match (parsed.header.at("alg").as_str(), jwk.at("kty").as_str()) {
        (Some("ES256"), Some("EC")) => {
            let (Some(x), Some(y)) = (part("x"), part("y")) else { return false };
            let point: Vec<u8> = std::iter::once(4).chain(x).chain(y).collect();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(parsed.signed.as_bytes(), &parsed.signature)
                .is_ok()
        }
        (Some("RS256"), Some("RSA")) => {
            let (Some(n), Some(e)) = (part("n"), part("e")) else { return false };
            RsaPublicKeyComponents { n: &n, e: &e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, parsed.signed.as_bytes(), &parsed.signature)
                .is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_tokens_verify_until_their_key_is_gone() {
        let keys = Keys::new().expect("randomness");
        let token = keys.sign("at+jwt", &json!({"sub": "a"})).expect("signed");
        assert!(keys.signed(&parse(&token).expect("compact")));
        for _ in 0..RETIRED {
            keys.rotate();
            assert!(keys.signed(&parse(&token).expect("compact")));
        }
        keys.rotate();
        assert!(!keys.signed(&parse(&token).expect("compact")));
        assert_eq!(keys.published()["keys"].as_array().map(Vec::len), Some(RETIRED + 1));
    }

    #[test]
    fn nodes_sign_with_each_others_keys() {
        let (one, other) = (Keys::new().expect("randomness"), Keys::new().expect("randomness"));
        assert!(one.rotate() && other.take_over(&one.written()));
        let token = other.sign("at+jwt", &json!({"sub": "a"})).expect("signed");
        assert!(one.signed(&parse(&token).expect("compact")));
        assert_eq!(one.published(), other.published());
        assert!(!other.take_over("nonsense") && !other.take_over(""));
    }

    #[test]
    fn a_changed_token_does_not_verify() {
        let keys = Keys::new().expect("randomness");
        let token = keys.sign("at+jwt", &json!({"sub": "a"})).expect("signed");
        let (head, signature) = token.rsplit_once('.').expect("compact");
        let (header, _) = head.split_once('.').expect("compact");
        let forged = format!("{header}.{}.{signature}", encode(&json!({"sub": "b"})));
        assert!(!keys.signed(&parse(&forged).expect("compact")));
        let none = format!("{}.{}.", encode(&json!({"alg": "none"})), encode(&json!({"sub": "a"})));
        assert!(!keys.signed(&parse(&none).expect("compact")));
        let other = Keys::new().expect("randomness");
        assert!(!other.signed(&parse(&token).expect("compact")));
        assert!(signed_by(&parse(&token).expect("compact"), &keys.published()["keys"][0]));
        assert!(!signed_by(&parse(&token).expect("compact"), &other.published()["keys"][0]));
    }

    /// The ES256 example of RFC 7515 appendix A.3.
    #[test]
    fn the_published_example_verifies() {
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
            c19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert!(signed_by(&parse(token).expect("compact"), &jwk));
    }
}
