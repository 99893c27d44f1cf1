//! Which redirect URIs may be registered, when a requested one matches, and when two resources are the same.
//!
//! Pure functions of texts.

use url::{Host, Url};

/// Schemes whose URIs run code or read files wherever they are opened.
const DANGEROUS: [&str; 7] = ["javascript", "data", "file", "vbscript", "about", "blob", "ftp"];

/// Whether a host is this machine: a loopback address, or `localhost`, which clients register as well.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Why a redirect URI cannot be registered; `None` if it can. Allowed are https, http on loopback (RFC 8252 section
/// 7.3) and private-use schemes (section 7.1), never with a fragment (RFC 6749 section 3.1.2).
pub(crate) fn redirect_problem(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else { return Some("is no absolute URI") };
    if url.fragment().is_some() {
        return Some("has a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds credentials");
    }
    match url.scheme() {
        "https" => None,
        "http" if is_loopback(&url) => None,
        "http" => Some("is http, and not on this machine"),
        scheme if DANGEROUS.contains(&scheme) => Some("has a scheme that cannot be trusted"),
        _ => None,
    }
}

/// Whether a requested redirect URI is the registered one: letter by letter, but for the port of a loopback address
/// (RFC 8252 section 7.3).
pub(crate) fn redirect_matches(registered: &str, requested: &str) -> bool {
    if registered == requested {
        return true;
    }
    let (Ok(mut registered), Ok(mut requested)) = (Url::parse(registered), Url::parse(requested)) else { return false };
    if registered.scheme() != "http" || !is_loopback(&registered) || !is_loopback(&requested) {
        return false;
    }
    // Ports of http URLs with a host can always be taken away.
    let _ = registered.set_port(None);
    let _ = requested.set_port(None);
    registered == requested
}

/// A resource indicator in its canonical form: scheme and host in lower case, no default port, no slash at the end; an
/// error where it is no absolute URI or has a fragment (RFC 8707 section 2).
pub(crate) fn canonical_resource(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no absolute URI")?;
    if url.fragment().is_some() {
        return Err("has a fragment");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The redirect with further query parameters; a query it has already is kept (RFC 6749 section 3.1.2).
pub(crate) fn with_query(redirect: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name, value);
    }
    let joint = if redirect.contains('?') { '&' } else { '?' };
    format!("{redirect}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_registered() {
        for fine in [
            "https://app.example.com/cb",
            "http://127.0.0.1:3000/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "cursor://anysphere.cursor-retrieval/oauth/callback",
            "com.example.app:/cb",
        ] {
            assert_eq!(redirect_problem(fine), None, "{fine}");
        }
        for wrong in [
            "http://app.example.com/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "/cb",
            "https://a.example/cb#x",
            "https://u:p@a.example/",
            "http://localhost.evil.example/",
        ] {
            assert!(redirect_problem(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_may_differ() {
        assert!(redirect_matches("http://127.0.0.1/cb", "http://127.0.0.1:5173/cb"));
        assert!(redirect_matches("http://localhost:1/cb", "http://localhost:2/cb"));
        for (registered, requested) in [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example:444/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/other"),
            ("http://127.0.0.1/cb", "https://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://evil.example/cb"),
        ] {
            assert!(!redirect_matches(registered, requested), "{registered} {requested}");
        }
    }

    #[test]
    fn resources_compare_by_their_canonical_form() {
        assert_eq!(
            canonical_resource("HTTPS://MCP.Example.com:443/mcp/").as_deref(),
            Ok("https://mcp.example.com/mcp")
        );
        assert_eq!(canonical_resource("https://h").as_deref(), Ok("https://h"));
        assert!(canonical_resource("/mcp").is_err() && canonical_resource("https://h/#x").is_err());
    }

    #[test]
    fn a_query_is_kept() {
        assert_eq!(with_query("https://h/cb?x=1", &[("code", "a b")]), "https://h/cb?x=1&code=a+b");
        assert_eq!(with_query("app:/cb", &[("code", "c")]), "app:/cb?code=c");
    }
}
