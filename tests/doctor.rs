//! `doctor` on servers that are wrong in one way each: the road, and what is told about it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_rehearsal::client::Target;
use mcp_rehearsal::doctor::{Diagnosis, State, examine, json, terminal};
use mcp_rehearsal::model::{HybridClock, Rng, WallClock};
use mcp_rehearsal::profile;
use mcp_rehearsal::server::{AuthConfig, RefreshPolicy, ServerConfig, TokenFormat, start};
use serde_json::{Value, json as value};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

#[expect(dead_code, reason = "another test uses the rest")]
mod hostile;

use hostile::{Hostile, Then, run};

/// What a request of the road is answered with instead; it gets the base address.
type Answer = Box<dyn Fn(&str) -> ResponseTemplate + Send + Sync>;

/// A server and its authorization server that are right, but for what is put in the place of some answers.
#[derive(Default)]
struct Town {
    instead: HashMap<&'static str, Answer>,
}

const RESOURCE: &str = "resource metadata";
const SERVER: &str = "server metadata";
const OPENID: &str = "openid metadata";
const REGISTER: &str = "register";
const AUTHORIZE: &str = "authorize";
const CODE: &str = "code";
const REFRESH: &str = "refresh";
const CALL: &str = "call";
const FRESH: &str = "call with a token";

fn form(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn json_body(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

fn html(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw("<html><h1>A page</h1></html>", "text/html")
}

fn resource_document(base: &str) -> Value {
    value!({"resource": format!("{base}/mcp"), "authorization_servers": [base], "scopes_supported": ["mcp"]})
}

fn server_document(base: &str) -> Value {
    value!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/oauth/authorize"),
        "token_endpoint": format!("{base}/oauth/token"),
        "registration_endpoint": format!("{base}/oauth/register"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    })
}

fn tokens(number: u32) -> Value {
    value!({"access_token": format!("access-token-{number}"), "token_type": "Bearer", "expires_in": 600,
        "refresh_token": format!("refresh-token-{number}")})
}

impl Town {
    fn with(what: &'static str, answer: impl Fn(&str) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        Self::default().and(what, answer)
    }

    fn and(mut self, what: &'static str, answer: impl Fn(&str) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        self.instead.insert(what, Box::new(answer));
        self
    }

    /// The metadata of the authorization server, changed.
    fn server(change: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Self {
        Self::with(SERVER, move |base| {
            let mut document = server_document(base);
            change(base, &mut document);
            json_body(200, &document)
        })
    }

    /// The answer to the code, changed.
    fn code(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::with(CODE, move |_| {
            let mut document = tokens(1);
            change(&mut document);
            json_body(200, &document)
        })
    }

    fn usual(what: &str, base: &str, request: &Request) -> ResponseTemplate {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match what {
            RESOURCE => json_body(200, &resource_document(base)),
            SERVER => json_body(200, &server_document(base)),
            REGISTER => {
                let mut client = message;
                client["client_id"] = "client-1".into();
                json_body(201, &client)
            }
            AUTHORIZE => {
                let param = |name: &str| form(request.url.query().unwrap_or_default().as_bytes(), name);
                let state = param("state").unwrap_or_default();
                let place = format!("{}?code=code-number-1&state={state}", param("redirect_uri").unwrap_or_default());
                ResponseTemplate::new(302).insert_header("location", place)
            }
            CODE => json_body(200, &tokens(1)),
            REFRESH => json_body(200, &tokens(2)),
            CALL => ResponseTemplate::new(401).insert_header(
                "www-authenticate",
                format!("Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/mcp\""),
            ),
            FRESH => match (request.method.as_str(), message["id"].is_null()) {
                ("GET", _) => ResponseTemplate::new(405),
                ("DELETE", _) => ResponseTemplate::new(200),
                (_, true) => ResponseTemplate::new(202),
                _ => {
                    let result = value!({"protocolVersion": "2025-11-25", "capabilities": {},
                        "serverInfo": {"name": "town", "version": "1"}});
                    let answer = value!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                    json_body(200, &answer).insert_header("mcp-session-id", "session-number-1")
                }
            },
            _ => ResponseTemplate::new(404),
        }
    }
}

impl Respond for Town {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let base = format!("http://{host}");
        let token = request.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let what = match request.url.path() {
            "/mcp" if token.starts_with("Bearer ") && !token.contains("made-up") => FRESH,
            "/mcp" => CALL,
            "/.well-known/oauth-protected-resource/mcp" => RESOURCE,
            "/.well-known/oauth-authorization-server" => SERVER,
            "/.well-known/openid-configuration" => OPENID,
            "/oauth/register" => REGISTER,
            "/oauth/authorize" => AUTHORIZE,
            "/oauth/token" if form(&request.body, "grant_type").as_deref() == Some("refresh_token") => REFRESH,
            "/oauth/token" => CODE,
            _ => "nothing",
        };
        self.instead.get(what).map_or_else(|| Self::usual(what, &base, request), |answer| answer(&base))
    }
}

async fn walked(url: &str, client: &str, patience: Duration) -> Diagnosis {
    let target = Target::parse(url, patience).expect("a target");
    let profile = profile::find(client).expect("profiles").expect("a profile");
    examine(target, profile, Arc::new(WallClock::new()), Rng::seeded(1)).await.expect("a diagnosis")
}

async fn visited(town: Town) -> Diagnosis {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(town).mount(&server).await;
    walked(&format!("{}/mcp", server.uri()), "reference", Duration::from_secs(5)).await
}

/// The text with a snapshot of its own. What is said about each client is no matter of most of them.
fn held(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[port]");
    settings.add_filter(r"at_[\w-]{20,}", "[token id]");
    settings.add_filter(r"\b1\d{9}\b", "[time]");
    settings.add_filter(r"kid  \S+", "kid  [key]");
    settings.add_filter(r"client_id  \S+", "client_id  [client]");
    settings.bind(|| insta::assert_snapshot!(format!("doctor_{name}"), text));
}

fn road(diagnosis: &Diagnosis) -> String {
    let text = terminal(diagnosis, false);
    let end = ["\n\nForecast", "\n\nClient id"].iter().filter_map(|title| text.find(title)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Where the road is to break, or to be warned about, and the words that say so.
async fn told(name: &str, town: Town, station: &str, state: State, words: &str) {
    let diagnosis = visited(town).await;
    let text = road(&diagnosis);
    let found = diagnosis.station(station).expect("a station");
    assert_eq!(found.state, state, "{name}: {station} of\n{text}");
    assert!(found.seen.iter().any(|seen| seen.contains(words)), "{name}: `{words}` in\n{text}");
    assert!(!found.change.is_empty(), "{name}: nothing is said about what to change\n{text}");
    if state == State::Broken {
        assert_eq!(diagnosis.broken().map(|broken| broken.name), Some(station), "{name}:\n{text}");
    }
    held(name, &text);
}

#[tokio::test]
async fn a_right_server_is_clear() {
    let diagnosis = visited(Town::default()).await;
    assert!(diagnosis.stations.iter().all(|station| station.state == State::Ok), "{}", terminal(&diagnosis, false));
    held("clear", &road(&diagnosis));
}

#[tokio::test]
async fn metadata_of_the_resource() {
    use State::{Broken, Warn};
    let place = "discovery";
    let town = |answer: fn() -> ResponseTemplate| Town::with(RESOURCE, move |_| answer()).and(SERVER, |_| html(404));
    told("prm_html", town(|| html(200)), place, Broken, "a web page, not with JSON").await;
    told("prm_401", town(|| ResponseTemplate::new(401)), place, Broken, "is refused (401)").await;
    told("prm_403", town(|| ResponseTemplate::new(403)), place, Broken, "is refused (403)").await;
    told("prm_500", town(|| ResponseTemplate::new(500)), place, Broken, "fails with status 500").await;
    told("prm_502_html", town(|| html(502)), place, Broken, "fails with status 502").await;
    let moved = || ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1/elsewhere");
    told("prm_redirect", town(moved), place, Broken, "redirects (302)").await;
    let cut = || ResponseTemplate::new(200).set_body_raw(r#"{"resource":"http:"#, "application/json");
    told("prm_truncated", town(cut), place, Broken, "breaks off in the middle").await;
    let elsewhere = Town::with(RESOURCE, |base| {
        json_body(200, &value!({"resource": "http://internal:8000/mcp", "authorization_servers": [base]}))
    });
    told("prm_other_resource", elsewhere, place, Broken, "is of another resource").await;
    let nobody = Town::with(RESOURCE, |base| json_body(200, &value!({"resource": format!("{base}/mcp")})));
    told("prm_no_server", nobody, place, Broken, "names no authorization server").await;
    let plain = Town::with(RESOURCE, |base| {
        ResponseTemplate::new(200).set_body_raw(resource_document(base).to_string(), "text/plain")
    });
    told("prm_text_plain", plain, place, Warn, "is sent as text/plain").await;
    // Without metadata of the resource, the rule of 2025-03-26 still gets this client on.
    told("prm_nowhere", Town::with(RESOURCE, |_| html(404)), place, Warn, "is nowhere").await;
}

#[tokio::test]
async fn metadata_that_never_ends() {
    let flood = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"a\":\"";
    let endless = Hostile::at_once(flood, Then::Flood(b"aaaaaaaa".to_vec())).start().await;
    let town = Town::with(CALL, move |_| {
        ResponseTemplate::new(401).insert_header("www-authenticate", format!("Bearer resource_metadata=\"{endless}\""))
    });
    told("prm_endless", town.and(SERVER, |_| html(404)), "discovery", State::Broken, "the answer is too large").await;
}

#[tokio::test]
async fn metadata_of_the_authorization_server() {
    use State::{Broken, Warn};
    let place = "discovery";
    told("as_502_html", Town::with(SERVER, |_| html(502)), place, Broken, "fails with status 502").await;
    let cut = Town::with(SERVER, |_| ResponseTemplate::new(200).set_body_raw("{\"issuer\":", "application/json"));
    told("as_truncated", cut, place, Broken, "breaks off in the middle").await;
    told("as_nowhere", Town::with(SERVER, |_| html(404)), place, Broken, "at none of the 2 known places").await;
    let slash = Town::server(|base, document| document["issuer"] = format!("{base}/").into());
    told("issuer_slash", slash, place, Warn, "a slash at the end apart").await;
    let host = Town::server(|_, document| document["issuer"] = "https://login.example.com".into());
    told("issuer_other_host", host, place, Broken, "clients must not use such metadata").await;
    let dropped = Town::server(|base, document| document["issuer"] = base.into()).and(RESOURCE, |base| {
        json_body(
            200,
            &value!({"resource": format!("{base}/mcp"), "authorization_servers": [format!("{base}/tenant")]}),
        )
    });
    let dropped = dropped.and("nothing", |base| json_body(200, &server_document(base)));
    told("issuer_path_dropped", dropped, place, Broken, "clients must not use such metadata").await;
    let no_pkce =
        |document: &mut Value| document.as_object_mut().map(|all| all.remove("code_challenge_methods_supported"));
    let quiet = Town::server(move |_, document| drop(no_pkce(document)));
    told("no_pkce", quiet, place, Warn, "does not say that it supports PKCE").await;
    let openid = Town::with(SERVER, |_| html(404)).and(OPENID, move |base| {
        let mut document = server_document(base);
        no_pkce(&mut document);
        json_body(200, &document)
    });
    told("no_pkce_openid", openid, place, Broken, "does not say that it supports PKCE").await;
    let shut =
        Town::server(|_, document| drop(document.as_object_mut().map(|all| all.remove("registration_endpoint"))));
    told("no_registration", shut, "registration", Broken, "no client can register itself").await;
}

#[tokio::test]
async fn logins() {
    use State::{Broken, Warn};
    let refused = value!({"error": "invalid_redirect_uri", "error_description": "only https"});
    let town = Town::with(REGISTER, move |_| json_body(400, &refused));
    told("registration_refused", town, "registration", Broken, "`invalid_redirect_uri` (only https)").await;
    let forgetful = Town::with(AUTHORIZE, |_| {
        let place = "http://127.0.0.1:33418/callback?code=code-number-1";
        ResponseTemplate::new(302).insert_header("location", place)
    });
    told("state_lost", forgetful, "authorization", Broken, "the state that came back").await;
    told("token_502_html", Town::with(CODE, |_| html(502)), "token", Broken, "fails with status 502 and a web page")
        .await;
    let endless = Town::code(|document| drop(document.as_object_mut().map(|all| all.remove("expires_in"))));
    told("no_expires_in", endless, "token", Warn, "does not say when the token ends").await;
    let odd = Town::code(|document| document["token_type"] = "mac".into());
    told("wrong_token_type", odd, "token", Broken, "is of the type `mac`").await;
    let deaf = Town::with(FRESH, |_| {
        let challenge = "Bearer error=\"invalid_token\", error_description=\"audience mismatch\"";
        ResponseTemplate::new(401).insert_header("www-authenticate", challenge)
    });
    told("fresh_token_refused", deaf, "audience", Broken, "refuses the token that was just issued").await;
    let part = |claims: &Value| URL_SAFE_NO_PAD.encode(claims.to_string());
    let claims = value!({"iss": "http://login.example.com", "aud": "api://default", "iat": 1_000, "exp": 1_600});
    let jwt = format!("{}.{}.c2lnbmF0dXJl", part(&value!({"alg": "RS256"})), part(&claims));
    let foreign = Town::code(move |document| document["access_token"] = jwt.clone().into());
    told("foreign_audience", foreign, "audience", Warn, "the token is for api://default").await;
    let trusting = Town::with(CALL, |_| ResponseTemplate::new(403));
    told("forbidden_not_unauthorized", trusting, "challenge", Broken, "refused with 403").await;
}

#[tokio::test]
async fn a_place_on_https_that_speaks_no_tls_is_told() {
    let secure = |base: &str| base.replacen("http://", "https://", 1);
    let named = Town::with(RESOURCE, move |base| {
        let issuer = secure(base);
        json_body(200, &value!({"resource": format!("{base}/mcp"), "authorization_servers": [issuer]}))
    });
    let challenged = Town::with(CALL, move |base| {
        let place = format!("{}/.well-known/oauth-protected-resource/mcp", secure(base));
        ResponseTemplate::new(401).insert_header("www-authenticate", format!("Bearer resource_metadata=\"{place}\""))
    });
    for (name, town) in [("tls_issuer", named), ("tls_resource_metadata", challenged.and(SERVER, |_| html(404)))] {
        let diagnosis = visited(town).await;
        let text = road(&diagnosis);
        let discovery = diagnosis.station("discovery").expect("a station");
        assert!(discovery.state == State::Broken, "{text}");
        assert!(discovery.seen.iter().any(|seen| seen.contains("what answers there is no TLS; is it http?")), "{text}");
        held(name, &text);
    }
}

#[tokio::test]
async fn a_page_for_a_person_is_no_breakage() {
    let diagnosis = visited(Town::with(AUTHORIZE, |_| html(200))).await;
    assert!(diagnosis.broken().is_none(), "{}", terminal(&diagnosis, false));
    assert_eq!(diagnosis.station("authorization").map(|station| station.state), Some(State::Warn));
    assert_eq!(diagnosis.station("token").map(|station| station.state), Some(State::NotReached));
    held("login_page", &road(&diagnosis));
}

#[tokio::test]
async fn refreshes() {
    use State::{Broken, Warn};
    let place = "refresh";
    let none = Town::code(|document| drop(document.as_object_mut().map(|all| all.remove("refresh_token"))));
    told("no_refresh_token", none, place, Warn, "no refresh token was issued").await;
    let stumbles = value!({"error": "invalid_request", "error_description": "unexpected parameter: resource"});
    let town = Town::with(REFRESH, move |_| json_body(400, &stumbles));
    told("refresh_invalid_request", town, place, Broken, "`invalid_request` (unexpected parameter: resource)").await;
    let town = Town::with(REFRESH, |_| ResponseTemplate::new(401));
    told("refresh_401", town, place, Broken, "refuses with status 401").await;
    told("refresh_html", Town::with(REFRESH, |_| html(200)), place, Broken, "a web page, not with JSON").await;
    let dead = value!({"error": "invalid_grant"});
    told(
        "refresh_invalid_grant",
        Town::with(REFRESH, move |_| json_body(400, &dead)),
        place,
        Broken,
        "`invalid_grant`",
    )
    .await;
}

/// The text of the embedded reference server for a client.
async fn reference(auth: AuthConfig, client: &str) -> (Diagnosis, String) {
    let config = ServerConfig { auth: Some(auth), ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
    let diagnosis = walked(&server.url(), client, Duration::from_secs(5)).await;
    server.shutdown().await;
    let text = terminal(&diagnosis, false);
    (diagnosis, text)
}

#[tokio::test]
async fn the_reference_server_is_clear() {
    let jwt = AuthConfig { tokens: TokenFormat::Jwt, ..AuthConfig::default() };
    for (name, auth, client) in
        [("opaque", AuthConfig::default(), "reference"), ("jwt", jwt.clone(), "reference"), ("jwt", jwt, "claude-code")]
    {
        let (diagnosis, text) = reference(auth, client).await;
        assert!(diagnosis.stations.iter().all(|station| station.state == State::Ok), "{text}");
        if client == "reference" {
            held(&format!("reference_{name}"), &text);
        }
    }
}

#[tokio::test]
async fn what_depends_on_the_policy_of_refreshing_is_forecast() {
    let policy = |refresh| AuthConfig { refresh, ..AuthConfig::default() };
    let (diagnosis, text) = reference(policy(RefreshPolicy::OfflineAccess), "reference").await;
    let dies = "the session dies after 3600 s and a person has to log in again: no refresh token is issued unless";
    let told = diagnosis.forecast.iter().find(|group| group.clients.iter().any(|client| client == "reference"));
    assert!(diagnosis.broken().is_none() && told.is_some_and(|group| group.text.starts_with(dies)), "{text}");
    held("reference_offline_access", &text);
    let (diagnosis, text) = reference(policy(RefreshPolicy::OfflineAccess), "codex-cli").await;
    let all_good = diagnosis.stations.iter().all(|station| station.state == State::Ok);
    assert!(all_good && text.contains("lives on: refreshes when less than 30 s are left"), "{text}");
    let (diagnosis, text) = reference(policy(RefreshPolicy::Never), "reference").await;
    assert_eq!(diagnosis.station("refresh").map(|station| station.state), Some(State::Warn), "{text}");
    held("reference_never", &text);
}

#[tokio::test]
async fn no_secret_is_in_the_output() {
    let diagnosis =
        visited(Town::with(CODE, |_| json_body(400, &value!({"error": "x", "code": "code-number-1"})))).await;
    for text in [terminal(&diagnosis, false), json(&diagnosis)] {
        assert!(!text.contains("code-number-1"), "{text}");
    }
    let diagnosis = visited(Town::default()).await;
    assert!(!json(&diagnosis).contains("access-token-1") && !json(&diagnosis).contains("refresh-token-1"));
}

#[tokio::test]
async fn the_command_says_how_it_went() {
    let ran = run(&["doctor"]).await;
    assert!(ran.code == Some(2) && ran.stderr.contains("Usage: mcp-rehearsal doctor"), "{ran:?}");
    for (arguments, words) in [
        (
            ["doctor", "http://127.0.0.1:1/mcp", "--client", "nobody"],
            "no client is called `nobody`; there are: reference",
        ),
        (["doctor", "http://127.0.0.1:1/mcp", "--header", "nothing"], "write it like"),
        (["doctor", "nowhere", "--patience", "1"], "is no URL"),
    ] {
        let ran = run(&arguments).await;
        assert!(ran.code == Some(2) && ran.stderr.contains(words), "{ran:?}");
    }
    let ran = run(&["doctor", "http://127.0.0.1:1/mcp", "--patience", "1"]).await;
    assert!(ran.code == Some(12) && ran.stdout.contains("breaks at reach"), "{ran:?}");

    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Town::code(|document| document["token_type"] = "mac".into())).mount(&server).await;
    let url = format!("{}/mcp", server.uri());
    let ran = run(&["doctor", &url, "--json", "--header", "X-Key: a-secret-key"]).await;
    assert_eq!(ran.code, Some(10), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&report["clear"], &report["broken_at"]), (&value!(false), &value!("token")));
    assert_eq!(report["stations"].as_array().map(Vec::len), Some(9));
    assert!(!ran.stdout.contains("a-secret-key"));
    // The header goes to the target, and to nobody else.
    for request in server.received_requests().await.expect("recorded") {
        let carried = request.headers.get("x-key").is_some_and(|value| value == "a-secret-key");
        assert_eq!(carried, request.url.path() == "/mcp", "{} {}", request.method, request.url);
    }

    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Town::default()).mount(&server).await;
    let ran = run(&["doctor", &format!("{}/mcp", server.uri()), "--color", "always"]).await;
    assert!(ran.code == Some(0) && ran.stdout.contains("is clear.\u{1b}[0m"), "{ran:?}");
}
