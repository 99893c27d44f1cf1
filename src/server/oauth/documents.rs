//! Client ID metadata documents: fetched from the URL that is the `client_id`, guarded, bounded, cached.
//!
//! The guard against server-side request forgery: https only, no redirects, no address of this machine or of a private
//! network, the address that was checked is the one that is asked, 5 KiB, 5 s.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use url::{Host, Url};

use super::clients::Client;
use super::error::OAuthError;
use super::register::{check, trusted};
use crate::model::Members as _;
use crate::server::fault::{Faults, Rule};
use crate::server::store::Shared;

/// The largest document.
const MOST_BYTES: usize = 5 * 1024;
/// The longest that a document is waited for.
const WITHIN: Duration = Duration::from_secs(5);
/// The longest that a document is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most documents that are kept.
const MOST_DOCUMENTS: usize = 1000;

/// The documents of clients.
#[derive(Debug)]
pub(crate) struct Documents {
    /// Whether http on this machine is allowed; for rehearsals only.
    loopback: bool,
    /// Documents that need not be fetched; for rehearsals only.
    given: Vec<Value>,
    kept: Mutex<HashMap<String, (Arc<Client>, Duration)>>,
    /// What could not be used before; only a fault asks.
    failed: Mutex<HashSet<String>>,
    faults: Arc<Faults>,
    /// Where other nodes see what this one has fetched.
    shared: Option<Shared>,
}

impl Documents {
    pub(crate) fn new(loopback: bool, given: &[Value], faults: Arc<Faults>) -> Self {
        Self { loopback, given: given.to_vec(), kept: Mutex::default(), failed: Mutex::default(), faults, shared: None }
    }

    /// The same, with what was fetched kept where other nodes see it.
    pub(crate) fn shared(self, shared: Shared) -> Self {
        Self { shared: Some(shared), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Arc<Client>, Duration)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a `client_id` can be the URL of a document at all.
    pub(crate) fn is_document_url(id: &str) -> bool {
        id.starts_with("https://") || id.starts_with("http://")
    }

    /// A client of whose document nothing is known; only a fault asks.
    pub(crate) fn unread(id: &str, now: Duration) -> Client {
        Client {
            id: id.to_owned(),
            secret: None,
            method: "none".to_owned(),
            redirect_uris: Vec::new(),
            grant_types: vec!["authorization_code".to_owned()],
            scopes: Vec::new(),
            metadata: Map::new(),
            seen: now,
        }
    }

    /// The client that a document describes.
    pub(crate) async fn client(&self, id: &str, now: Duration) -> Result<Arc<Client>, OAuthError> {
        if let Some((client, _)) = self.lock().get(id).filter(|(_, until)| *until > now) {
            return Ok(Arc::clone(client));
        }
        // Neither failures nor wrong documents are kept.
        let forgets = self.faults.holds(Rule::DocumentErrorsForgotten);
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if !forgets && failed().contains(id) {
            return Err(refused("it could not be used before"));
        }
        if let Some(client) = self.fetched_elsewhere(id, now).await? {
            return Ok(Arc::new(client));
        }
        let (client, max_age) = self.read(id, now).await.inspect_err(|_| {
            if !forgets && failed().len() < MOST_DOCUMENTS {
                failed().insert(id.to_owned());
            }
        })?;
        let client = Arc::new(client);
        if let Some(shared) = self.shared.as_ref().filter(|_| max_age > Duration::ZERO) {
            let (keep, kept) = (max_age.min(KEPT), Client::clone(&client));
            let written =
                serde_json::to_string(&(now + keep, kept)).map_err(|_| refused("it cannot be written down"))?;
            shared.put(&key(id), &written, keep).await?;
        } else if max_age > Duration::ZERO {
            let mut kept = self.lock();
            kept.retain(|_, (_, until)| *until > now);
            if kept.len() < MOST_DOCUMENTS {
                kept.insert(id.to_owned(), (Arc::clone(&client), now + max_age.min(KEPT)));
            }
        }
        Ok(client)
    }

    /// The client of a document that another node has fetched.
    async fn fetched_elsewhere(&self, id: &str, now: Duration) -> Result<Option<Client>, OAuthError> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let read = |text: String| serde_json::from_str::<(Duration, Client)>(&text).ok();
        let kept = shared.text(&key(id)).await?.and_then(read);
        Ok(kept.filter(|(until, _)| *until > now).map(|(_, client)| client))
    }

    /// The client of a document that is fetched now, and how long it may be kept.
    async fn read(&self, id: &str, now: Duration) -> Result<(Client, Duration), OAuthError> {
        let (document, told) = self.fetch(id).await.map_err(|why| refused(&why))?;
        let max_age = match (self.faults.holds(Rule::DocumentsFresh), self.faults.holds(Rule::DocumentsKept)) {
            (false, _) => KEPT,
            (_, false) => Duration::ZERO,
            _ => told,
        };
        let lax = !self.faults.holds(Rule::DocumentsChecked);
        if lax && document.is_empty() {
            return Ok((Self::unread(id, now), max_age));
        }
        if document.member("client_id").and_then(Value::as_str) != Some(id)
            && self.faults.holds(Rule::DocumentIdMatched)
        {
            return Err(refused("its client_id is not its own URL"));
        }
        match client_of(id, document, now) {
            Err(_) if lax => Ok((Self::unread(id, now), max_age)),
            read => read.map(|client| (client, max_age)),
        }
    }

    async fn fetch(&self, id: &str) -> Result<(Map<String, Value>, Duration), String> {
        let url = self.allowed(id)?;
        if let Some(document) = self.given.iter().find(|document| document.at("client_id") == id) {
            return Ok((document.as_object().cloned().unwrap_or_default(), KEPT));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let lookup = tokio::time::timeout(WITHIN, tokio::net::lookup_host((host.trim_matches(['[', ']']), port))).await;
        let found: Vec<SocketAddr> = match lookup {
            Ok(Ok(found)) => found.collect(),
            _ => return Err("its host cannot be found".to_owned()),
        };
        if found.is_empty() || found.iter().any(|address| !self.reachable(address.ip())) {
            return Err("its host is an address of this machine or of a private network".to_owned());
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve_to_addrs(&host, &found)
            .timeout(WITHIN)
            .tls_backend_preconfigured(tls()?)
            .build()
            .map_err(|_| "no connection could be prepared".to_owned())?;
        let request = client.get(url).header("accept", "application/json");
        let mut answer = request.send().await.map_err(|_| "it cannot be fetched".to_owned())?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("it answers {} instead of 200", answer.status().as_u16()));
        }
        let max_age = max_age(answer.headers());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| "it breaks off".to_owned())? {
            body.extend_from_slice(&piece);
            if body.len() > MOST_BYTES && self.faults.holds(Rule::DocumentsBounded) {
                return Err(format!("it is larger than {MOST_BYTES} bytes"));
            }
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(document)) => Ok((document, max_age)),
            _ if !self.faults.holds(Rule::DocumentsChecked) => Ok((Map::new(), max_age)),
            _ => Err("it is no JSON object".to_owned()),
        }
    }

    fn allowed(&self, id: &str) -> Result<Url, String> {
        let url = Url::parse(id).map_err(|_| "its URL does not parse".to_owned())?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err("its URL has no host".to_owned()),
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback && self.loopback) {
            return Err("its URL has to be https".to_owned());
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("its URL may have neither a fragment nor credentials".to_owned());
        }
        // As the specification spells it: a path is needed, and no dot segments, which parsing would hide.
        if url.path() == "/" || url.as_str() != id {
            return Err("its URL needs a path, without dot segments".to_owned());
        }
        Ok(url)
    }

    fn reachable(&self, address: IpAddr) -> bool {
        if address.is_loopback() {
            return self.loopback;
        }
        is_public(address)
    }
}

fn refused(why: &str) -> OAuthError {
    OAuthError::invalid_client(format!("the client's metadata document cannot be used: {why}"))
}

/// Whether an address belongs to the public network.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = a == 0 || a >= 224 || (a == 192 && b == 0) || (a == 198 && (18..20).contains(&b));
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation() || shared || special)
        }
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(
            || {
                let [first, second, ..] = v6.segments();
                let local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00;
                // 6to4, NAT64 and documentation prefixes lead elsewhere than they look.
                let wrapped =
                    first == 0x2002 || (first == 0x64 && second == 0xff9b) || (first == 0x2001 && second == 0xdb8);
                !(v6.is_loopback() || v6.is_unspecified() || local || wrapped)
            },
            |v4| is_public(IpAddr::V4(v4)),
        ),
    }
}

fn tls() -> Result<rustls::ClientConfig, String> {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| error.to_string())
}

/// How long an answer may be kept (RFC 9111 section 5.2.2); nothing said means not at all.
fn max_age(headers: &reqwest::header::HeaderMap) -> Duration {
    let text =
        headers.get("cache-control").and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let mut directives = text.split(',').map(str::trim);
    if text.contains("no-store") || text.contains("no-cache") {
        return Duration::ZERO;
    }
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The client of a document that names its own URL.
fn client_of(id: &str, mut document: Map<String, Value>, now: Duration) -> Result<Client, OAuthError> {
    if document.member("client_secret").is_some() {
        return Err(refused("it contains a client_secret"));
    }
    document.entry("token_endpoint_auth_method").or_insert_with(|| "none".into());
    let method = document.at("token_endpoint_auth_method").as_str().unwrap_or_default().to_owned();
    if method.starts_with("client_secret") {
        return Err(refused("a document cannot hold a shared secret, so its method cannot be client_secret_*"));
    }
    check(&mut document).and_then(|()| trusted(&document)).map_err(|error| refused(&error.description))?;
    let list = |name: &str| -> Vec<String> {
        let members = document.get(name).and_then(Value::as_array);
        members.into_iter().flatten().filter_map(|member| member.as_str().map(str::to_owned)).collect()
    };
    Ok(Client {
        id: id.to_owned(),
        secret: None,
        method,
        redirect_uris: list("redirect_uris"),
        grant_types: list("grant_types"),
        scopes: Vec::new(),
        seen: now,
        metadata: document,
    })
}

fn key(id: &str) -> String {
    format!("document:{{{id}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_public_addresses_are_asked() {
        for public in ["8.8.8.8", "2606:4700::1111"] {
            assert!(is_public(public.parse().expect("address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
            "64:ff9b::a00:1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().expect("address")), "{private}");
        }
    }

    #[test]
    fn urls_of_documents() {
        let strict = Documents::new(false, &[], Arc::default());
        assert!(strict.allowed("https://app.example.com/client.json").is_ok());
        for wrong in [
            "http://app.example.com/client.json",
            "http://127.0.0.1/client.json",
            "https://app.example.com/",
            "https://app.example.com/a/../client.json",
            "https://u@app.example.com/client.json",
            "https://app.example.com/client.json#x",
        ] {
            assert!(strict.allowed(wrong).is_err(), "{wrong}");
        }
        assert!(Documents::new(true, &[], Arc::default()).allowed("http://127.0.0.1:9/client.json").is_ok());
    }

    #[test]
    fn a_document_holds_no_secret() {
        let id = "https://a.example/c.json";
        let document = |value: Value| value.as_object().cloned().unwrap_or_default();
        let fine = document(json!({"client_id": id, "client_name": "A", "redirect_uris": ["https://a.example/cb"]}));
        let client = client_of(id, fine.clone(), Duration::ZERO).expect("fine");
        assert!(client.public() && client.redirects_to("https://a.example/cb"));
        for (name, value) in [
            ("client_secret", json!("x")),
            ("token_endpoint_auth_method", json!("client_secret_post")),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!(["javascript:x"])),
        ] {
            let mut wrong = fine.clone();
            wrong.insert(name.to_owned(), value);
            assert!(client_of(id, wrong, Duration::ZERO).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn this_machine_is_not_asked() {
        let error = Documents::new(false, &[], Arc::default())
            .client("https://localhost/c.json", Duration::ZERO)
            .await
            .expect_err("refused");
        assert_eq!(error.code, "invalid_client");
        assert!(error.description.contains("private network"), "{}", error.description);
    }
}
