//! How a client gets its token and keeps it, as data. It must not know HTTP or any server.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::values::Header;

/// How a login begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begins {
    /// With the challenge of a refused request.
    Challenge,
    /// With the metadata of the resource, before any request.
    Metadata,
    /// With the challenge of a GET that is sent for it alone.
    Get,
}

/// Where the metadata of a resource is looked for when no challenge names it (RFC 9728 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// `/.well-known/oauth-protected-resource` before the path.
    PathInserted,
    /// The same behind the path.
    PathAppended,
    /// The same without the path.
    Root,
}

/// How a client comes by its `client_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// The URL of its metadata document, where the server takes that.
    Document,
    /// Dynamic registration (RFC 7591).
    Dynamic,
}

/// Which scopes are asked for first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeFrom {
    /// Those of the challenge, or else those that the resource supports.
    Challenge,
    /// All that the resource supports.
    Supported,
    /// None.
    Nothing,
}

/// A request that may carry `resource` (RFC 8707).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarriesResource {
    /// The authorization request.
    Authorize,
    /// The exchange of the code.
    Token,
    /// A refresh.
    Refresh,
}

/// What a client does on 403 with `insufficient_scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStepUp {
    /// A new authorization for the scopes of both, and the call once more.
    Reauthorize,
    /// A refresh, which brings the same scopes, and the call once more.
    Refresh,
    /// Nothing; the call has failed.
    Fail,
}

/// What a client does when its refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadRefresh {
    /// A new authorization.
    Reauthorize,
    /// Nothing; the person has to log in again.
    GiveUp,
}

/// Headers of the requests around a token; templates as in [`Header`], of which `{host}` and `{length}` have a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthHeaders {
    /// Of the GET that a login begins with; empty for those of the GET that opens the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Header>,
    /// Of a GET for metadata.
    pub metadata: Vec<Header>,
    /// Of a GET for the metadata of an authorization server, where they are others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_metadata: Vec<Header>,
    /// Of a registration; empty where none was seen.
    pub registration: Vec<Header>,
    /// Of a token request.
    pub token: Vec<Header>,
}

/// How a client gets its token and keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits of a client, not a state")]
pub struct OAuth {
    /// How a login begins.
    pub begins: Begins,
    /// Where the metadata of the resource is looked for, in order, when no challenge names it.
    pub resource_metadata: Vec<Place>,
    /// It does not look at the `resource_metadata` of a challenge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_challenge: bool,
    /// It goes no further with metadata whose `resource` is not its URL, letter for letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_resource: bool,
    /// Ways to a `client_id`, in order; none if it knows no login at all.
    pub registration: Vec<Registration>,
    /// URL of its metadata document.
    pub document: Option<String>,
    /// Redirect URIs in that document, where they are not those that it would register.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub document_redirect_uris: Vec<String>,
    /// It shows its document only where the server lists `none` among the ways to prove oneself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub document_wants_none: bool,
    /// `client_name` of its registration.
    pub client_name: String,
    /// Its redirect URI.
    pub redirect_uri: String,
    /// Redirect URIs that it registers besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_redirect_uris: Vec<String>,
    /// Members of its registration beside those that follow from the others; they replace what follows.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub registers_with: Map<String, Value>,
    /// Its registration names the scopes that it is going to ask for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registers_scope: bool,
    /// It takes no answer to an authorization request without `iss` (RFC 9207), whether or not the server announced it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_iss: bool,
    /// Headers of those requests, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<OAuthHeaders>,
    /// `User-Agent` of its requests for metadata, registration and tokens, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// `token_endpoint_auth_method` of its registration, where it names one.
    pub client_auth: Option<String>,
    /// `application_type` of its registration, where it names one.
    pub application_type: Option<String>,
    /// Which scopes it asks for first.
    pub scope: ScopeFrom,
    /// It asks for `offline_access` where the server supports that.
    pub offline_access: bool,
    /// `prompt` of its authorization request.
    pub prompt: Option<String>,
    /// Requests that carry `resource`.
    pub resource_in: Vec<CarriesResource>,
    /// It refreshes before a request when fewer seconds than this are left; `null` for only on 401.
    pub refresh_before_s: Option<u64>,
    /// It refreshes as another client: one that it registers for that, with these members; the request that was refused
    /// is repeated with the old token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshes_as: Option<Map<String, Value>>,
    /// What it does on 403 with `insufficient_scope`.
    pub on_step_up: OnStepUp,
    /// What it does when its refresh token is refused.
    pub on_dead_refresh: OnDeadRefresh,
    /// Its request ids count from the beginning again after a login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_anew: bool,
    /// It revokes its tokens when it leaves.
    pub revokes: bool,
    /// It uses no metadata of an authorization server that names another issuer than the one it was found for (RFC 8414
    /// section 3.3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_issuer: bool,
}
