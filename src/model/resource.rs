//! Resource identifiers (RFC 8707, RFC 9728): which endpoint one stands for.

use url::Url;

/// Whether a resource identifier is the endpoint or a parent of it.
pub fn covers(resource: &str, endpoint: &str) -> bool {
    let canonical = |text: &str| Url::parse(text).map(|url| url.as_str().trim_end_matches('/').to_owned());
    let (Ok(resource), Ok(endpoint)) = (canonical(resource), canonical(endpoint)) else { return false };
    endpoint == resource || endpoint.strip_prefix(&resource).is_some_and(|rest| rest.starts_with(['/', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_covers_what_is_below_it() {
        assert!(covers("http://h:1/mcp", "http://h:1/mcp") && covers("HTTP://H:1/", "http://h:1/mcp"));
        assert!(covers("http://h:1/mcp/", "http://h:1/mcp"));
        assert!(!covers("http://h:1/other", "http://h:1/mcp") && !covers("http://h:1/m", "http://h:1/mcp"));
        assert!(!covers("https://evil.example.com/mcp", "http://h:1/mcp") && !covers("", "http://h:1/mcp"));
    }
}
