//! The steps that are about tokens: requests of OAuth, tokens to order, documents of clients.
//!
//! Owns names and shapes, as `schema` does. Must not know how a step looks on the wire.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::delay::Delay;
use super::expect::Expect;
use super::network::WrittenFault;
use super::schema::{Body, Headers, bodies, present};
use super::words::{NodeChoice, OAuthRequest};
use crate::model::TokenKind;

bodies! {
    /// Send a request of OAuth: the right one at this point, but for what is set here.
    OAuthStep {
        /// Which request.
        request: OAuthRequest,
        /// Parameters (or members of a registration) to add, replace or (null) leave out. A list sends a parameter
        /// several times. `{access}`, `{refresh}`, `{previous-access}`, `{previous-refresh}`, `{code}`, `{verifier}`,
        /// `{client}`, `{secret}`, `{redirect}`, `{resource}` and `{document}` stand for what the client holds;
        /// `{RESOURCE}` is the resource with scheme and host in capitals; `{endpoint}` is the URL of the endpoint,
        /// `{origin}` that without its path.
        #[serde(default)]
        set: BTreeMap<String, Value>,
        /// Headers to add, replace or (null) leave out; the same words in braces are known.
        #[serde(default)]
        headers: Headers,
        /// A text to send in place of the body.
        #[serde(default)]
        body: Option<String>,
        /// HTTP method in place of the right one.
        #[serde(default)]
        method: Option<String>,
        /// Whether the client keeps what it gets: client id, code, tokens.
        #[serde(default)]
        keep: bool,
        /// A name for what the answer gives: `{NAME.client}` and `{NAME.secret}`, `{NAME.code}` and `{NAME.verifier}`,
        /// `{NAME.access}` and `{NAME.refresh}` from here on, for every client.
        #[serde(default)]
        r#as: Option<String>,
    }

    /// Give the client an access token that the issuer signs to order, in place of the one it holds; what is left out
    /// is as it should be. Where nobody signs to order, the rest of the steps is left out.
    #[derive(Default)]
    MintStep {
        /// How it is made.
        #[serde(default)]
        kind: TokenKind,
        /// Whom it is about.
        #[serde(default)]
        subject: Option<String>,
        /// The resource it is for; null for none. The words in braces that `oauth` knows are known here too.
        #[serde(default, deserialize_with = "present")]
        audience: Option<Value>,
        /// Whom it names as its issuer.
        #[serde(default)]
        issuer: Option<String>,
        /// What it may do.
        #[serde(default)]
        scope: Option<String>,
        /// Seconds from now until its end; negative for one that has ended.
        #[serde(default)]
        expires_in: Option<i64>,
        /// Seconds from now until its life begins.
        #[serde(default)]
        not_before: Option<i64>,
    }

    /// Publish a document on this machine for the rest of the case: the right metadata document of this client, but for
    /// what is set here. `{document}` stands for its URL from here on, also as the `client_id` of `oauth`.
    Publish {
        /// Its path; what was published there before is replaced.
        #[serde(default = "client_json")]
        path: String,
        /// Members to add, replace or (null) leave out; the words in braces that `oauth` knows are known here too.
        #[serde(default)]
        set: BTreeMap<String, Value>,
        /// A text to publish in place of the document.
        #[serde(default)]
        body: Option<String>,
        /// HTTP status of the answer.
        #[serde(default = "two_hundred")]
        status: u16,
        /// Headers of the answer beside `content-type: application/json`, or in its place.
        #[serde(default)]
        headers: Headers,
        /// How many spaces are put behind the document.
        #[serde(default)]
        pad: usize,
    }
}

fn two_hundred() -> u16 {
    200
}

fn client_json() -> String {
    "/client.json".to_owned()
}
