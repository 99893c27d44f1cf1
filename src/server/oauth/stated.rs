//! What a signed token says of itself, where no grant stands behind it: as a resource server that only has the
//! published keys sees it (RFC 9068 section 4).

use std::time::Duration;

use ring::hmac;

use super::issuer::{Issuer, SCOPES};
use super::jws::{self, Parsed};
use crate::model::Members as _;
use crate::server::fault::Rule;

/// What such a token is worth.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    /// Whom it is about.
    pub(crate) subject: String,
    /// What it may do.
    pub(crate) scopes: Vec<String>,
    /// The resource it is for.
    pub(crate) audience: Option<String>,
    /// Seconds since the Unix epoch at which it was issued.
    pub(crate) issued: u64,
    /// When its life ends, since the Unix epoch.
    pub(crate) end: Duration,
}

impl Issuer {
    /// Reads and verifies a token by what it says; its audience is for the caller to look at.
    pub(crate) fn stated(&self, token: &str) -> Option<Stated> {
        let parsed = jws::parse(token)?;
        let access = is_access_token(&parsed);
        if !self.authentic(&parsed) || (!access && self.faults.holds(Rule::TokenTypeChecked)) {
            return None;
        }
        let claims = &parsed.payload;
        if claims.at("iss") != self.identifier().as_str() && self.faults.holds(Rule::IssuerChecked) {
            return None;
        }
        let now = self.now();
        let end = Duration::from_secs(claims.at("exp").as_u64()?);
        if end + self.config.leeway <= now && self.faults.holds(Rule::ExpiryEnforced) {
            return None;
        }
        let start = Duration::from_secs(claims.at("nbf").as_u64().unwrap_or(0));
        if start > now + self.config.leeway && self.faults.holds(Rule::NotBeforeEnforced) {
            return None;
        }
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        // Who takes ID tokens asks neither whom they are for nor what they may do.
        let audience = if access { text("aud") } else { self.resources.first().cloned() };
        let scope = if access { text("scope").unwrap_or_default() } else { SCOPES[0].to_owned() };
        Some(Stated {
            subject: text("sub")?,
            scopes: scope.split(' ').map(str::to_owned).collect(),
            audience,
            issued: claims.at("iat").as_u64().unwrap_or(0),
            end,
        })
    }

    /// Whether a published key signed the token, or what a fault takes for that.
    fn authentic(&self, parsed: &Parsed<'_>) -> bool {
        let keys = self.tokens.keys();
        match parsed.header.at("alg").as_str() {
            Some("ES256") => keys.signed(parsed) || !self.faults.holds(Rule::SignatureVerified),
            Some("none") => !self.faults.holds(Rule::UnsignedRefused),
            Some("HS256") if !self.faults.holds(Rule::AlgorithmFixed) => keys.current().is_some_and(|key| {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, key.pem().as_bytes());
                parsed.carries_mac(&secret)
            }),
            _ => false,
        }
    }
}

/// Whether the header says so (RFC 9068 section 4).
pub(crate) fn is_access_token(parsed: &Parsed<'_>) -> bool {
    let kind = parsed.header.at("typ").as_str().unwrap_or_default().to_ascii_lowercase();
    kind == "at+jwt" || kind == "application/at+jwt"
}

/// Whether a text has the shape of a signed token, whoever signed it.
pub(crate) fn is_signed_text(token: &str) -> bool {
    jws::parse(token).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{HybridClock, Rng, TokenKind, TokenOrder};
    use crate::server::fault::Faults;
    use crate::server::oauth::{AuthConfig, minted};

    const RESOURCE: &str = "http://h/mcp";

    fn issuer(faults: &[&str]) -> Issuer {
        let faults: Vec<String> = faults.iter().map(|&id| id.to_owned()).collect();
        let faults = Arc::new(Faults::named(&faults).expect("known"));
        let resources = vec![RESOURCE.to_owned()];
        let (clock, rng) = (HybridClock::new(), Rng::seeded(1));
        Issuer::new(AuthConfig::default(), "http://h".to_owned(), resources, clock, rng, faults).expect("randomness")
    }

    fn taken(issuer: &Issuer, order: &TokenOrder) -> bool {
        issuer.stated(&minted(issuer, order).expect("a token")).is_some()
    }

    #[test]
    fn only_what_is_right_is_taken_and_each_fault_takes_one_thing_more() {
        let of = |kind| TokenOrder { kind, ..TokenOrder::default() };
        let right = issuer(&[]);
        let said = right.stated(&minted(&right, &TokenOrder::default()).expect("a token")).expect("right");
        assert_eq!((said.audience.as_deref(), said.scopes), (Some(RESOURCE), vec!["mcp:read".to_owned()]));
        let strange = Some("https://elsewhere.example.com".to_owned());
        for (order, fault) in [
            (of(TokenKind::WrongKey), "rs.signature-unverified"),
            (of(TokenKind::UnknownKid), "rs.signature-unverified"),
            (of(TokenKind::Unsigned), "rs.unsigned-served"),
            (of(TokenKind::HmacWithPublicKey), "rs.hmac-served"),
            (of(TokenKind::IdToken), "rs.id-token-served"),
            (TokenOrder { issuer: strange, ..TokenOrder::default() }, "rs.issuer-ignored"),
            (TokenOrder { expires_in: Some(-60), ..TokenOrder::default() }, "rs.expired-served"),
            (TokenOrder { not_before: Some(60), ..TokenOrder::default() }, "rs.early-served"),
        ] {
            assert!(!taken(&right, &order) && taken(&issuer(&[fault]), &order), "{order:?}");
        }
        assert!(right.stated("at_nonsense").is_none());
    }
}
