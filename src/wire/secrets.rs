//! Where secrets stand in what OAuth puts on the wire, so that they get their labels before anything is kept.
//!
//! Finds; it keeps nothing.

use serde_json::Value;
use url::form_urlencoded;

/// Members and parameters that hold secrets, each with the kind of its label.
const KINDS: [(&str, &str); 18] = [
    ("access_token", "access"),
    ("refresh_token", "refresh"),
    ("id_token", "id-token"),
    ("client_secret", "client-secret"),
    ("registration_access_token", "registration"),
    ("code", "code"),
    ("code_verifier", "verifier"),
    ("client_assertion", "assertion"),
    ("token", "token"),
    ("password", "password"),
    ("assertion", "assertion"),
    ("subject_token", "token"),
    ("actor_token", "token"),
    ("id_token_hint", "id-token"),
    ("device_code", "code"),
    ("api_key", "key"),
    ("apikey", "key"),
    ("api-key", "key"),
];

/// A secret and the kind of its label.
pub(super) type Found = (&'static str, String);

/// Words in the names of headers that carry a key of their user.
const IN_NAMES: [&str; 11] = [
    "api-key",
    "apikey",
    "api_key",
    "access-token",
    "auth-token",
    "private-token",
    "subscription-key",
    "functions-key",
    "x-token",
    "secret",
    "password",
];

/// Whether a header of this name, in lower case, carries a key of its user.
pub(super) fn is_name_of_secret(name: &str) -> bool {
    // Nearly every message has these, and looking for each word in each of them took a fiftieth of a whole rehearsal.
    let common = matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "connection"
            | "content-length"
            | "content-type"
            | "date"
            | "host"
            | "mcp-method"
            | "mcp-name"
            | "mcp-protocol-version"
            | "sec-fetch-mode"
            | "transfer-encoding"
            | "user-agent"
    );
    !common && IN_NAMES.iter().any(|word| name.contains(word))
}

fn kind_of(name: &str) -> Option<&'static str> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Secrets in a JSON object, such as a token response. A JSON-RPC message has none at its top, and no token response speaks of `jsonrpc`.
pub(super) fn in_json(text: &str) -> Vec<Found> {
    if text.len() > 1_000_000 || text.contains("\"jsonrpc\"") || !KINDS.iter().any(|(name, _)| text.contains(name)) {
        return Vec::new();
    }
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else { return Vec::new() };
    let secret = |(name, value): (String, Value)| Some((kind_of(&name)?, value.as_str()?.to_owned()));
    members.into_iter().filter_map(secret).collect()
}

/// Secrets in a form.
pub(super) fn in_form(text: &str) -> Vec<Found> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs.filter_map(|(name, value)| Some((kind_of(&name)?, value.into_owned()))).collect()
}

/// Secrets in the query of a URL or of a request's path, and in its fragment.
pub(super) fn in_query(place: &str) -> Vec<Found> {
    place.split(['?', '#']).skip(1).flat_map(in_form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_where_oauth_puts_them() {
        let json = in_json(r#"{"access_token":"aaaaaaaa","expires_in":1,"refresh_token":"bbbbbbbb"}"#);
        assert_eq!(json, [("access", "aaaaaaaa".to_owned()), ("refresh", "bbbbbbbb".to_owned())]);
        assert!(in_json(r#"{"jsonrpc":"2.0","error":{"code":1},"code":"x"}"#).is_empty());
        assert_eq!(in_form("grant_type=a&code=c%2Fd")[0], ("code", "c/d".to_owned()));
        assert_eq!(in_query("http://h/cb?state=s&code=xyz")[0], ("code", "xyz".to_owned()));
        assert_eq!(in_query("http://h/cb#access_token=xyz")[0], ("access", "xyz".to_owned()));
        assert!(in_query("/mcp").is_empty());
        assert_eq!(in_query("/mcp?api_key=abcdefgh")[0], ("key", "abcdefgh".to_owned()));
        assert!(is_name_of_secret("x-api-key") && !is_name_of_secret("x-request-id"));
    }
}
