//! What the servers say of themselves: RFC 8414 with its OpenID alias, RFC 9728, and the signing keys.

use serde_json::{Value, json};

use super::config::RefreshPolicy;
use super::issuer::{Issuer, OFFLINE, SCOPES};

/// Ways a client may prove itself at the token endpoint.
pub(crate) const METHODS: [&str; 4] = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];

/// The metadata of the authorization server (RFC 8414 section 2), which serves as OpenID discovery document as well.
pub(crate) fn authorization_server(issuer: &Issuer) -> Value {
    let mut scopes = SCOPES.to_vec();
    if issuer.config.refresh != RefreshPolicy::Never {
        scopes.push(OFFLINE);
    }
    let mut document = json!({
        "issuer": issuer.identifier(),
        "authorization_endpoint": issuer.endpoint("authorize"),
        "token_endpoint": issuer.endpoint("token"),
        "revocation_endpoint": issuer.endpoint("revoke"),
        "introspection_endpoint": issuer.endpoint("introspect"),
        "jwks_uri": issuer.endpoint("jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
        "revocation_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_methods_supported": METHODS[1..],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": scopes,
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": issuer.config.client_documents,
        // What OpenID Connect Discovery section 3 requires of the alias.
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    if issuer.config.registration {
        document["registration_endpoint"] = json!(issuer.endpoint("register"));
    }
    document
}

/// The metadata of a protected resource (RFC 9728 section 2).
pub(crate) fn protected_resource(resource: &str, authorization_server: &str) -> Value {
    json!({
        "resource": resource,
        "authorization_servers": [authorization_server],
        "scopes_supported": SCOPES,
        "bearer_methods_supported": ["header"],
        "resource_name": "Reference server",
    })
}

/// Where the metadata of an issuer with this path is served: path-inserted as RFC 8414 section 3.1 says, the same for
/// the OpenID alias, and the OpenID way behind the path.
pub(crate) fn is_metadata_path(path: &str, issuer_path: &str) -> bool {
    path.strip_prefix("/.well-known/oauth-authorization-server") == Some(issuer_path)
        || path.strip_prefix("/.well-known/openid-configuration") == Some(issuer_path)
        || path.strip_suffix("/.well-known/openid-configuration") == Some(issuer_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_found_where_the_rfcs_put_it() {
        for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
            assert!(is_metadata_path(path, ""));
            assert!(is_metadata_path(&format!("{path}/t1"), "/t1"));
            assert!(!is_metadata_path(path, "/t1"));
            assert!(!is_metadata_path(&format!("{path}/t1"), ""));
        }
        assert!(is_metadata_path("/t1/.well-known/openid-configuration", "/t1"));
        assert!(!is_metadata_path("/t1/.well-known/oauth-authorization-server", "/t1"));
    }
}
