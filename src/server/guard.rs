//! What the headers of a request have to say before its body is looked at: host, origin, accept, content type.
//!
//! Pure functions of header texts; they know neither sessions nor faults.

/// The host part of `host` or `host:port`.
fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// Whether an authority names this machine itself.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let name = host_name(authority).to_ascii_lowercase();
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a page of that origin may use the server: only pages of this machine, or of the host that was asked.
pub(crate) fn origin_allowed(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && (is_loopback(authority) || authority.eq_ignore_ascii_case(host))
}

/// Whether an `Accept` header takes the type `kind/sub`; the most specific range decides, and `q=0` refuses.
pub(crate) fn accepts(accept: &str, kind: &str, sub: &str) -> bool {
    let mut best: Option<(u8, bool)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let rank = match media.split_once('/') {
            Some((k, s)) if k == kind && s == sub => 2,
            Some((k, "*")) if k == kind => 1,
            Some(("*", "*")) => 0,
            _ => continue,
        };
        let quality = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, value)| value.trim().parse::<f32>().unwrap_or(0.0));
        if best.is_none_or(|(known, _)| rank >= known) {
            best = Some((rank, quality > 0.0));
        }
    }
    best.is_some_and(|(_, wanted)| wanted)
}

/// Whether a `Content-Type` header says JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_hosts_and_origins_are_told_apart() {
        assert!(is_loopback("localhost:80") && is_loopback("127.0.0.1") && is_loopback("[::1]:9"));
        assert!(!is_loopback("evil.example.com") && !is_loopback("localhost.evil.com"));
        assert!(origin_allowed("http://localhost:3000", "127.0.0.1:80"));
        assert!(origin_allowed("https://app.example.com", "app.example.com"));
        assert!(!origin_allowed("http://evil.example.com", "127.0.0.1:80"));
        assert!(!origin_allowed("null", "127.0.0.1:80"));
    }

    #[test]
    fn accept_is_read_as_http_says() {
        let both = |text: &str| accepts(text, "application", "json") && accepts(text, "text", "event-stream");
        assert!(both("application/json, text/event-stream"));
        assert!(both("text/event-stream;q=0.5,APPLICATION/JSON ; q=0.1"));
        assert!(both("*/*") && both("application/*, text/*"));
        assert!(!both("application/json") && !both("text/event-stream") && !both(""));
        assert!(!both("*/*, text/event-stream;q=0"));
    }

    #[test]
    fn parameters_do_not_hide_json() {
        assert!(is_json("application/json; charset=utf-8") && is_json("Application/JSON"));
        assert!(!is_json("text/plain") && !is_json(""));
    }
}
