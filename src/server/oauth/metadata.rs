//! What the servers say of themselves: RFC 8414 with its OpenID alias, RFC 9728, and the signing keys.

use serde_json::{Value, json};

use super::config::RefreshPolicy;
use super::front::Endpoint;
use super::issuer::{Issuer, OFFLINE, SCOPES};
use crate::server::fault::{Faults, Rule};

/// Ways a client may prove itself at the token endpoint.
pub(crate) const METHODS: [&str; 4] = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];

/// The metadata of the authorization server (RFC 8414 section 2).
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
    });
    if issuer.config.registration {
        document["registration_endpoint"] = json!(issuer.endpoint("register"));
    }
    document
}

/// The same as OpenID discovery document, with what OpenID Connect Discovery section 3 requires besides.
pub(crate) fn openid(issuer: &Issuer) -> Value {
    let mut document = authorization_server(issuer);
    document["subject_types_supported"] = json!(["public"]);
    document["id_token_signing_alg_values_supported"] = json!(["ES256"]);
    if let Some(members) = document.as_object_mut().filter(|_| !issuer.faults.holds(Rule::OpenidComplete)) {
        members.shift_remove("registration_endpoint");
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

/// Which metadata of an issuer with this path is served at a place: RFC 8414 section 3.1 puts the path behind the
/// well-known part, OpenID before it; for the OpenID document both places work.
pub(crate) fn document_at(path: &str, issuer_path: &str, faults: &Faults) -> Option<Endpoint> {
    const OPENID: &str = "/.well-known/openid-configuration";
    let inserted = faults.holds(Rule::MetadataPathInserted);
    let behind = if inserted { issuer_path } else { "" };
    if path.strip_prefix("/.well-known/oauth-authorization-server") == Some(behind) {
        return faults.holds(Rule::MetadataAtRfc8414).then_some(Endpoint::Metadata);
    }
    let openid =
        (inserted && path.strip_prefix(OPENID) == Some(issuer_path)) || path.strip_suffix(OPENID) == Some(issuer_path);
    openid.then_some(Endpoint::Openid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_found_where_the_rfcs_put_it() {
        let faults = Faults::named(&[]).expect("none");
        for (path, endpoint) in [
            ("/.well-known/oauth-authorization-server", Endpoint::Metadata),
            ("/.well-known/openid-configuration", Endpoint::Openid),
        ] {
            assert_eq!(document_at(path, "", &faults), Some(endpoint));
            assert_eq!(document_at(&format!("{path}/t1"), "/t1", &faults), Some(endpoint));
            assert_eq!(document_at(path, "/t1", &faults), None);
            assert_eq!(document_at(&format!("{path}/t1"), "", &faults), None);
        }
        assert_eq!(document_at("/t1/.well-known/openid-configuration", "/t1", &faults), Some(Endpoint::Openid));
        assert_eq!(document_at("/t1/.well-known/oauth-authorization-server", "/t1", &faults), None);
    }
}
