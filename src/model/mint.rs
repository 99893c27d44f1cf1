//! Tokens to order: what one is to be like, and who can make it.
//!
//! The words that the side that orders and the side that signs share; neither knows the other.

use serde::{Deserialize, Serialize};

/// How a token is made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// As it should be.
    #[default]
    Right,
    /// It names the published key, but another one signed it.
    WrongKey,
    /// A key signed it that nobody published, and that it names.
    UnknownKid,
    /// Nobody signed it: `alg` is `none`.
    Unsigned,
    /// HS256 with the published key as if that were a secret (RFC 8725 section 2.1).
    HmacWithPublicKey,
    /// It tells a client who logged in, and opens nothing.
    IdToken,
}

/// Whom a token is for: a text, null for nobody, or left out.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// The only resource that the issuer knows.
    #[default]
    #[serde(skip)]
    Usual,
    /// This one.
    Named(String),
    /// Nobody.
    Nobody,
}

impl Audience {
    /// Whether nothing is said about it.
    fn is_usual(&self) -> bool {
        *self == Self::Usual
    }

    /// The one that is named.
    pub fn named(&self) -> Option<&str> {
        if let Self::Named(name) = self { Some(name) } else { None }
    }
}

/// What a token is to be like; what is left out is as it should be.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenOrder {
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The resource it is for.
    #[serde(skip_serializing_if = "Audience::is_usual")]
    pub audience: Audience,
    /// Whom it names as its issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Seconds from now until its end; negative for one that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
    /// Seconds from now until its life begins; negative for one that began before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// How it is made.
    pub kind: TokenKind,
}

/// Somebody who signs tokens to order.
pub trait Mint: std::fmt::Debug + Send + Sync {
    /// The token, or in plain words why there is none.
    fn mint(&self, order: &TokenOrder) -> Result<String, String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_says_only_what_is_wanted() {
        let order = |value| serde_json::from_value::<TokenOrder>(value).expect("an order");
        assert_eq!(order(json!({})), TokenOrder::default());
        let nobody = order(json!({"audience": null, "kind": "wrong-key"}));
        assert_eq!((&nobody.audience, nobody.kind), (&Audience::Nobody, TokenKind::WrongKey));
        assert_eq!(serde_json::to_value(&nobody).expect("JSON"), json!({"audience": null, "kind": "wrong-key"}));
        assert_eq!(order(json!({"audience": "a"})).audience.named(), Some("a"));
        assert!(serde_json::from_value::<TokenOrder>(json!({"audience": 1})).is_err());
        assert!(serde_json::from_value::<TokenOrder>(json!({"audiense": "x"})).is_err());
    }
}
