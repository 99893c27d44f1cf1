//! Errors of the OAuth endpoints: the codes of the RFCs, and the HTTP answer each of them gets.

use serde_json::json;

use crate::server::answer::Reply;

/// An error as the RFCs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    /// The `error` member.
    pub(crate) code: &'static str,
    /// The `error_description` member: a sentence for the developer, without any secret.
    pub(crate) description: String,
    /// HTTP status where the error is not sent by redirect.
    pub(crate) status: u16,
    /// Whether the client tried HTTP Basic, which then has to be challenged (RFC 6749 section 5.2).
    pub(crate) basic: bool,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:literal;)+) => {
        impl OAuthError {
            $($(#[$doc])* pub(crate) fn $name(description: impl Into<String>) -> Self {
                Self { code: $code, description: description.into(), status: $status, basic: false }
            })+
        }
    };
}

errors! {
    /// RFC 6749 section 5.2.
    invalid_request "invalid_request" 400;
    /// RFC 6749 section 5.2.
    invalid_client "invalid_client" 401;
    /// RFC 6749 section 5.2.
    invalid_grant "invalid_grant" 400;
    /// RFC 6749 section 5.2.
    unauthorized_client "unauthorized_client" 400;
    /// RFC 6749 section 5.2.
    unsupported_grant_type "unsupported_grant_type" 400;
    /// RFC 6749 section 5.2.
    invalid_scope "invalid_scope" 400;
    /// RFC 8707 section 2.
    invalid_target "invalid_target" 400;
    /// RFC 6749 section 4.1.2.1.
    access_denied "access_denied" 400;
    /// RFC 6749 section 4.1.2.1.
    unsupported_response_type "unsupported_response_type" 400;
    /// RFC 7591 section 3.2.2.
    invalid_redirect_uri "invalid_redirect_uri" 400;
    /// RFC 7591 section 3.2.2.
    invalid_client_metadata "invalid_client_metadata" 400;
}

impl OAuthError {
    /// The answer of an endpoint that speaks JSON (RFC 6749 section 5.2).
    pub(crate) fn reply(&self) -> Reply {
        let body = json!({"error": self.code, "error_description": self.description});
        let reply = Reply::json(self.status, &body).with("cache-control", "no-store").with("pragma", "no-cache");
        let reply = if self.status == 503 { reply.with("retry-after", "1") } else { reply };
        if self.basic { reply.with("www-authenticate", "Basic realm=\"token\"") } else { reply }
    }
}
