//! Dynamic client registration (RFC 7591).

use serde_json::{Map, Value, json};

use super::clients::Client;
use super::error::OAuthError;
use super::issuer::Issuer;
use super::metadata::METHODS;
use super::uris::redirect_problem;
use crate::model::Members as _;
use crate::server::answer::Reply;
use crate::server::fault::Rule;

/// The most redirect URIs of one client.
const MOST_REDIRECTS: usize = 32;
/// Grant types that may be registered.
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];
/// The metadata that is kept and returned; unknown members are ignored (section 2).
const KNOWN: [&str; 17] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "logo_uri",
    "scope",
    "contacts",
    "tos_uri",
    "policy_uri",
    "jwks",
    "jwks_uri",
    "software_id",
    "software_version",
    "application_type",
    "software_statement",
];

/// `POST /register`
pub(crate) async fn register(issuer: &Issuer, body: &[u8]) -> Reply {
    match client(issuer, body) {
        Ok(client) if native(&client) && !issuer.faults.holds(Rule::NativeSchemesAnswered) => {
            Reply::bytes(302, "text/html", b"<p>Back</p>".to_vec()).with("location", "/")
        }
        Ok(client) => answer(issuer, client).await,
        Err(error) => error.reply(),
    }
}

/// Whether some redirect URI has a scheme of its own, as those of editors have.
fn native(client: &Client) -> bool {
    client.redirect_uris.iter().any(|uri| !uri.starts_with("http://") && !uri.starts_with("https://"))
}

async fn answer(issuer: &Issuer, client: Client) -> Reply {
    let mut document = client.metadata.clone();
    document.insert("client_id".to_owned(), json!(client.id));
    document.insert("client_id_issued_at".to_owned(), json!(issuer.now().as_secs()));
    if let Some(secret) = &client.secret {
        document.insert("client_secret".to_owned(), json!(secret));
        document.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    if let Err(error) = issuer.clients.put(client).await {
        return error.reply();
    }
    issuer.counts.registrations.one();
    Reply::json(201, &Value::Object(document)).with("cache-control", "no-store").with("pragma", "no-cache")
}

fn client(issuer: &Issuer, body: &[u8]) -> Result<Client, OAuthError> {
    let wrong = |why: &str| OAuthError::invalid_client_metadata(why);
    let Ok(Value::Object(sent)) = serde_json::from_slice::<Value>(body) else {
        return Err(wrong("the body has to be a JSON object"));
    };
    if sent.keys().any(|name| !KNOWN.contains(&name.as_str())) && !issuer.faults.holds(Rule::UnknownMetadataIgnored) {
        return Err(wrong("a member is unknown"));
    }
    let mut metadata: Map<String, Value> =
        sent.into_iter().filter(|(name, value)| KNOWN.contains(&name.as_str()) && !value.is_null()).collect();
    metadata.shift_remove("software_statement");
    check(&mut metadata)?;
    trusted(&metadata)
        .or_else(|error| if issuer.faults.holds(Rule::RedirectUrisTrusted) { Err(error) } else { Ok(()) })?;
    let list = |name: &str| -> Vec<String> {
        let members = metadata.member(name).and_then(Value::as_array);
        members.into_iter().flatten().filter_map(|member| member.as_str().map(str::to_owned)).collect()
    };
    let redirect_uris = list("redirect_uris");
    if redirect_uris.iter().any(|uri| !uri.starts_with("http")) && !issuer.faults.holds(Rule::NativeSchemesTaken) {
        return Err(OAuthError::invalid_redirect_uri("a redirect URI is neither https nor http on loopback"));
    }
    let method = metadata.at("token_endpoint_auth_method").as_str().unwrap_or_default().to_owned();
    let scopes = metadata.member("scope").and_then(Value::as_str).unwrap_or_default();
    Ok(Client {
        id: issuer.rng.hex(12),
        secret: method.starts_with("client_secret").then(|| issuer.rng.hex(24)),
        grant_types: list("grant_types"),
        redirect_uris,
        scopes: scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        method,
        seen: issuer.now(),
        metadata,
    })
}

/// Checks the metadata of a client, from a registration or a document, and fills in the defaults of section 2.
pub(super) fn check(metadata: &mut Map<String, Value>) -> Result<(), OAuthError> {
    let wrong = |why: &str| OAuthError::invalid_client_metadata(why);
    let default = |metadata: &mut Map<String, Value>, name: &str, value: Value| {
        metadata.entry(name.to_owned()).or_insert(value);
    };
    default(metadata, "token_endpoint_auth_method", json!("client_secret_basic"));
    default(metadata, "grant_types", json!(["authorization_code"]));
    default(metadata, "response_types", json!(["code"]));
    for name in ["redirect_uris", "grant_types", "response_types", "contacts"] {
        let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if metadata.member(name).is_some_and(|value| !texts(value)) {
            return Err(wrong(&format!("{name} has to be an array of strings")));
        }
    }
    for name in ["client_name", "client_uri", "logo_uri", "scope", "tos_uri", "policy_uri", "application_type"] {
        if metadata.member(name).is_some_and(|value| !value.is_string()) {
            return Err(wrong(&format!("{name} has to be a string")));
        }
    }
    if metadata.member("jwks").is_some() && metadata.member("jwks_uri").is_some() {
        return Err(wrong("jwks and jwks_uri exclude each other"));
    }
    let method = metadata.at("token_endpoint_auth_method").as_str().unwrap_or_default();
    if !METHODS.contains(&method) {
        return Err(wrong(&format!("token_endpoint_auth_method has to be one of {}", METHODS.join(", "))));
    }
    if method == "private_key_jwt" && metadata.member("jwks").and_then(|set| set.at("keys").as_array()).is_none() {
        return Err(wrong("private_key_jwt needs the client's keys as jwks"));
    }
    let has = |name: &str, wanted: &str| {
        metadata.member(name).and_then(Value::as_array).is_some_and(|list| list.iter().any(|entry| entry == wanted))
    };
    let grants = metadata.at("grant_types").as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(unknown) = grants.clone().find(|name| !GRANT_TYPES.contains(name)) {
        let shown: String = unknown.chars().take(60).collect();
        return Err(wrong(&format!("the grant type {shown} is not served")));
    }
    if has("grant_types", "authorization_code") && !has("response_types", "code") {
        return Err(wrong("the grant type authorization_code needs the response type code"));
    }
    let redirects: Vec<&str> = metadata
        .member("redirect_uris")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if has("grant_types", "authorization_code") && redirects.is_empty() {
        return Err(OAuthError::invalid_redirect_uri("redirect_uris is missing or empty"));
    }
    if redirects.len() > MOST_REDIRECTS {
        return Err(OAuthError::invalid_redirect_uri(format!("more than {MOST_REDIRECTS} redirect URIs")));
    }
    Ok(())
}

/// Refuses redirect URIs to which nobody should be sent.
pub(super) fn trusted(metadata: &Map<String, Value>) -> Result<(), OAuthError> {
    let uris = metadata.member("redirect_uris").and_then(Value::as_array).into_iter().flatten();
    match uris.filter_map(Value::as_str).find_map(redirect_problem) {
        Some(problem) => Err(OAuthError::invalid_redirect_uri(format!("a redirect URI {problem}"))),
        None => Ok(()),
    }
}
