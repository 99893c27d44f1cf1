//! The reference authorization server and the endpoint behind it, over real sockets, on a clock that can be moved.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::server::{
    AuthConfig, Consent, KnownClient, RefreshPolicy, RunningServer, ServerConfig, TokenFormat, start,
};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// 43 characters, as RFC 7636 wants them, and what SHA-256 makes of them.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:7777/callback";

struct Peer {
    server: RunningServer,
    http: Client,
    base: String,
    resource: String,
    client: String,
}

async fn peer(auth: AuthConfig) -> Peer {
    let config = ServerConfig { control: true, auth: Some(auth), ..ServerConfig::default() };
    let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("client");
    let base = format!("http://{}", server.addr());
    let mut peer = Peer { resource: server.url(), server, http, base, client: String::new() };
    let registration = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "client_name": "Test"});
    if let Some(id) = peer.register(&registration).await.1["client_id"].as_str() {
        id.clone_into(&mut peer.client);
    }
    peer
}

async fn json_of(answer: Response) -> (StatusCode, Value) {
    let status = answer.status();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

impl Peer {
    async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.base)).send().await.expect("answer")
    }

    async fn register(&self, body: &Value) -> (StatusCode, Value) {
        json_of(self.http.post(format!("{}/register", self.base)).json(body).send().await.expect("answer")).await
    }

    /// The place to which the authorization endpoint redirects, or the status where it does not.
    async fn authorize(&self, extra: &[(&str, &str)]) -> Result<url::Url, StatusCode> {
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client.as_str()),
            ("redirect_uri", REDIRECT),
            ("state", "st/1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", self.resource.as_str()),
            ("scope", "mcp:read"),
        ];
        pairs.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
        pairs.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let answer = self.get(&format!("/authorize?{query}")).await;
        let place = answer.headers().get("location").map(|place| place.to_str().expect("ascii").to_owned());
        place.map(|place| place.parse().expect("a URL")).ok_or(answer.status())
    }

    async fn code(&self, extra: &[(&str, &str)]) -> String {
        let place = self.authorize(extra).await.expect("a redirect");
        param(&place, "code").unwrap_or_else(|| panic!("no code in {place}"))
    }

    async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> (StatusCode, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let ask = self.http.post(format!("{}{path}", self.base));
        let ask = ask.header("content-type", "application/x-www-form-urlencoded").body(body);
        json_of(ask.send().await.expect("answer")).await
    }

    async fn exchange(&self, code: &str, verifier: &str) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client.as_str()),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ];
        self.form("/token", &pairs).await
    }

    async fn tokens(&self, extra: &[(&str, &str)]) -> Value {
        let (status, tokens) = self.exchange(&self.code(extra).await, VERIFIER).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    async fn refresh(&self, token: &Value, extra: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut pairs = vec![
            ("grant_type", "refresh_token"),
            ("client_id", self.client.as_str()),
            ("refresh_token", token.as_str().expect("a refresh token")),
        ];
        pairs.extend(extra);
        self.form("/token", &pairs).await
    }

    /// A ping or a tool call in a session, or the handshake of one.
    async fn call(&self, token: &Value, session: Option<&str>, message: &Value) -> Response {
        let mut ask =
            self.http.post(&self.resource).json(message).header("accept", "application/json, text/event-stream");
        if let Some(token) = token.as_str() {
            ask = ask.bearer_auth(token);
        }
        if let Some(session) = session {
            ask = ask.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
        }
        ask.send().await.expect("answer")
    }

    async fn session(&self, token: &Value) -> String {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
        let answer = self.call(token, None, &hello).await;
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().expect("ascii").to_owned();
        let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.call(token, Some(&session), &done).await.status(), 202);
        session
    }

    async fn ping(&self, token: &Value, session: &str) -> Response {
        self.call(token, Some(session), &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await
    }
}

fn param(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn challenge(answer: &Response) -> String {
    answer.headers()["www-authenticate"].to_str().expect("ascii").to_owned()
}

#[tokio::test]
async fn metadata_is_where_it_belongs_and_says_what_is_so() {
    let peer = peer(AuthConfig::default()).await;
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let (status, document) = json_of(peer.get(path).await).await;
        assert_eq!(status, 200);
        assert_eq!(document["resource"], peer.resource.as_str());
        assert_eq!(document["authorization_servers"], json!([peer.base]));
    }
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let (status, document) = json_of(peer.get(path).await).await;
        assert_eq!((status.as_u16(), &document["issuer"]), (200, &json!(peer.base)));
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    }
    assert_eq!(peer.get("/.well-known/oauth-authorization-server/mcp").await.status(), 404);
    let tenant = self::peer(AuthConfig { issuer_path: "/t1".to_owned(), ..AuthConfig::default() }).await;
    for path in [
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/t1/.well-known/openid-configuration",
    ] {
        let (status, document) = json_of(tenant.get(path).await).await;
        assert_eq!((status.as_u16(), &document["issuer"]), (200, &json!(format!("{}/t1", tenant.base))), "{path}");
        assert_eq!(document["token_endpoint"], format!("{}/t1/token", tenant.base));
    }
    assert_eq!(tenant.get("/.well-known/oauth-authorization-server").await.status(), 404);
}

#[tokio::test]
async fn an_hour_is_lived_through_refreshed_and_revoked() {
    let peer = peer(AuthConfig::default()).await;
    let place = peer.authorize(&[]).await.expect("a redirect");
    assert_eq!((param(&place, "state").as_deref(), param(&place, "iss")), (Some("st/1"), Some(peer.base.clone())));
    let first = peer.tokens(&[]).await;
    assert_eq!((&first["token_type"], &first["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let session = peer.session(&first["access_token"]).await;
    for _ in 0..3 {
        peer.server.clock().advance(Duration::from_secs(1195));
        assert_eq!(peer.ping(&first["access_token"], &session).await.status(), 200);
    }
    peer.server.clock().advance(Duration::from_secs(20));
    let expired = peer.ping(&first["access_token"], &session).await;
    assert_eq!(expired.status(), 401);
    let text = challenge(&expired);
    assert!(
        text.contains("error=\"invalid_token\"") && text.contains("/.well-known/oauth-protected-resource/mcp"),
        "{text}"
    );
    let (status, second) = peer.refresh(&first["refresh_token"], &[]).await;
    assert_eq!(status, 200, "{second}");
    assert_eq!(peer.ping(&second["access_token"], &session).await.status(), 200, "the session outlives its token");
    let pairs = [("token", second["refresh_token"].as_str().expect("token")), ("client_id", peer.client.as_str())];
    assert_eq!(peer.form("/revoke", &pairs).await.0, 200);
    assert_eq!(peer.ping(&second["access_token"], &session).await.status(), 401);
    assert_eq!(peer.refresh(&second["refresh_token"], &[]).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_lost_answer_is_repeated_and_a_reuse_ends_the_family() {
    let peer = peer(AuthConfig::default()).await;
    let first = peer.tokens(&[]).await;
    let other = peer.tokens(&[]).await;
    let (_, second) = peer.refresh(&first["refresh_token"], &[]).await;
    let (status, again) = peer.refresh(&first["refresh_token"], &[]).await;
    assert_eq!((status.as_u16(), &again["refresh_token"]), (200, &second["refresh_token"]));
    let (_, third) = peer.refresh(&second["refresh_token"], &[]).await;
    assert_eq!(peer.refresh(&first["refresh_token"], &[]).await.1["error"], "invalid_grant");
    assert_eq!(peer.refresh(&third["refresh_token"], &[]).await.1["error"], "invalid_grant", "the family has ended");
    assert_eq!(peer.refresh(&other["refresh_token"], &[]).await.0, 200, "other grants live on");
    peer.server.clock().advance(Duration::from_secs(60));
    let (_, later) = peer.refresh(&other["refresh_token"], &[]).await;
    assert_eq!(later["error"], "invalid_grant", "the grace is over");
}

#[tokio::test]
async fn a_code_works_once_and_its_replay_revokes() {
    let peer = peer(AuthConfig::default()).await;
    let code = peer.code(&[]).await;
    assert_eq!(peer.exchange(&code, &"x".repeat(43)).await.1["error"], "invalid_grant");
    let (_, tokens) = peer.exchange(&code, VERIFIER).await;
    let session = peer.session(&tokens["access_token"]).await;
    assert_eq!(peer.exchange(&code, VERIFIER).await.1["error"], "invalid_grant");
    assert_eq!(peer.ping(&tokens["access_token"], &session).await.status(), 401);
    let late = peer.code(&[]).await;
    peer.server.clock().advance(Duration::from_secs(61));
    assert_eq!(peer.exchange(&late, VERIFIER).await.1["error"], "invalid_grant");
    let bare = peer.code(&[]).await;
    let pairs = [("grant_type", "authorization_code"), ("client_id", peer.client.as_str()), ("code", bare.as_str())];
    assert_eq!(peer.form("/token", &pairs).await.1["error"], "invalid_grant", "no verifier");
}

#[tokio::test]
async fn a_refused_refresh_costs_nothing() {
    let peer = peer(AuthConfig::default()).await;
    let tokens = peer.tokens(&[]).await;
    let refused = [
        (("scope", "mcp:read mcp:write"), "invalid_scope"),
        (("scope", "nonsense"), "invalid_scope"),
        (("resource", "https://other.example.com/mcp"), "invalid_target"),
        (("client_id", "somebody"), "invalid_request"),
    ];
    for (pair, error) in refused {
        assert_eq!(peer.refresh(&tokens["refresh_token"], &[pair]).await.1["error"], error, "{pair:?}");
    }
    let upper = peer.resource.replace("http://", "HTTP://");
    assert_eq!(peer.refresh(&tokens["refresh_token"], &[("resource", &upper)]).await.0, 200);
}

#[tokio::test]
async fn tokens_open_only_what_they_are_for() {
    let peer = peer(AuthConfig::default()).await;
    let place = peer.authorize(&[("resource", "https://other.example.com/mcp")]).await.expect("a redirect");
    assert_eq!(param(&place, "error").as_deref(), Some("invalid_target"));
    let mine = peer.tokens(&[]).await;
    let session = peer.session(&mine["access_token"]).await;
    let theirs = peer.tokens(&[("login_hint", "user-2")]).await;
    assert_eq!(peer.ping(&theirs["access_token"], &session).await.status(), 404, "somebody else's session");
    let touch = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "test_touch_resource"}});
    let refused = peer.call(&mine["access_token"], Some(&session), &touch).await;
    assert_eq!(refused.status(), 403);
    let text = challenge(&refused);
    assert!(text.contains("insufficient_scope") && text.contains("scope=\"mcp:write\""), "{text}");
    let more = peer.tokens(&[("scope", "mcp:read mcp:write")]).await;
    assert_eq!(peer.call(&more["access_token"], Some(&session), &touch).await.status(), 200, "stepped up");
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let answer = peer.http.request(method.clone(), &peer.resource).send().await.expect("answer");
        assert_eq!(answer.status(), 401, "{method}");
        assert!(!challenge(&answer).contains("error="), "no error code without credentials");
    }
    let query = format!("{}?access_token={}", peer.resource, mine["access_token"].as_str().expect("token"));
    assert_eq!(peer.http.post(query).send().await.expect("answer").status(), 401);
    for (header, status) in [("Bearer", 400), ("Basic abc", 400), ("Bearer nonsense", 401), ("Bearer a b", 400)] {
        let ask = peer.http.post(&peer.resource).header("authorization", header);
        assert_eq!(ask.send().await.expect("answer").status(), status, "{header}");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_doubtful_place() {
    let peer = peer(AuthConfig::default()).await;
    for extra in [
        [("redirect_uri", "https://evil.example.com/cb")],
        [("redirect_uri", "http://127.0.0.1:7777/other")],
        [("client_id", "nobody")],
    ] {
        assert_eq!(peer.authorize(&extra).await, Err(StatusCode::BAD_REQUEST), "{extra:?}");
    }
    assert!(peer.authorize(&[("redirect_uri", "http://127.0.0.1:9/callback")]).await.is_ok(), "any loopback port");
    for (extra, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "everything"), "invalid_scope"),
        (("resource", "not a uri"), "invalid_target"),
    ] {
        let place = peer.authorize(&[extra]).await.expect("a redirect");
        assert_eq!(param(&place, "error").as_deref(), Some(error), "{extra:?}");
        assert_eq!(param(&place, "state").as_deref(), Some("st/1"));
    }
}

#[tokio::test]
async fn registrations_are_checked() {
    let peer = peer(AuthConfig::default()).await;
    let (status, client) = peer.register(&json!({"redirect_uris": ["cursor://x/cb"], "unknown": 1})).await;
    assert_eq!(status, 201);
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client["client_secret_expires_at"], 0);
    assert!(client["client_secret"].is_string() && client.get("unknown").is_none());
    for (body, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!([]), "invalid_client_metadata"),
        (json!({"redirect_uris": "x"}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["http://a.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": [REDIRECT], "grant_types": ["password"]}), "invalid_client_metadata"),
        (json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "tls"}), "invalid_client_metadata"),
    ] {
        let (status, answer) = peer.register(&body).await;
        assert_eq!((status.as_u16(), &answer["error"]), (400, &json!(error)), "{body}");
    }
    let closed = self::peer(AuthConfig { registration: false, ..AuthConfig::default() }).await;
    assert_eq!(closed.register(&json!({"redirect_uris": [REDIRECT]})).await.0, 404);
    let forget = peer.http.post(format!("{}/control/authorization/forget-clients", peer.base)).send().await;
    assert_eq!(forget.expect("answer").status(), 200);
    assert_eq!(peer.authorize(&[]).await, Err(StatusCode::BAD_REQUEST), "the registration is forgotten");
}

#[tokio::test]
async fn clients_prove_themselves_as_they_registered() {
    let known = |id: &str, secret: &str| KnownClient {
        id: id.to_owned(),
        secret: Some(secret.to_owned()),
        redirect_uris: vec![REDIRECT.to_owned()],
    };
    let peer = peer(AuthConfig { clients: vec![known("app", "s3cret")], ..AuthConfig::default() }).await;
    let machine = [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "s3cret")];
    let (status, tokens) = peer.form("/token", &machine).await;
    assert_eq!(status, 200);
    assert!(tokens.get("refresh_token").is_none());
    peer.session(&tokens["access_token"]).await;
    let basic = |secret: &str| {
        let ask = peer.http.post(format!("{}/token", peer.base)).basic_auth("app", Some(secret));
        ask.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials").send()
    };
    assert_eq!(basic("s3cret").await.expect("answer").status(), 200);
    let refused = basic("wrong").await.expect("answer");
    assert_eq!((refused.status().as_u16(), challenge(&refused).starts_with("Basic")), (401, true));
    let wrong = [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "x")];
    assert_eq!(peer.form("/token", &wrong).await, (StatusCode::UNAUTHORIZED, peer.form("/token", &wrong).await.1));
    let public = [("grant_type", "client_credentials"), ("client_id", peer.client.as_str())];
    assert_eq!(peer.form("/token", &public).await.1["error"], "unauthorized_client");
    let look = |token: Value| {
        let peer = &peer;
        async move {
            let pairs = [("token", token.as_str().expect("token")), ("client_id", "app"), ("client_secret", "s3cret")];
            peer.form("/introspect", &pairs).await.1["active"].clone()
        }
    };
    assert_eq!(look(tokens["access_token"].clone()).await, json!(true));
    peer.server.clock().advance(Duration::from_secs(3700));
    assert_eq!(look(tokens["access_token"].clone()).await, json!(false));
}

#[tokio::test]
async fn the_token_endpoint_bears_anything() {
    let peer = peer(AuthConfig::default()).await;
    let url = format!("{}/token", peer.base);
    let form = "application/x-www-form-urlencoded";
    let long = format!("grant_type={}", "x".repeat(5000));
    for (kind, body, status, error) in [
        (form, "", 400, "invalid_request"),
        (form, "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
        (form, "grant_type=refresh_token", 400, "invalid_request"),
        (form, "grant_type=refresh_token&client_id=nobody&refresh_token=x", 401, "invalid_client"),
        (form, "grant_type=a&grant_type=b", 400, "invalid_request"),
        (form, "grant_type=%ff", 400, "invalid_request"),
        (form, long.as_str(), 400, "invalid_request"),
        ("application/json", "{}", 400, "invalid_request"),
        ("text/plain", "grant_type=refresh_token", 400, "invalid_request"),
    ] {
        let ask = peer.http.post(&url).header("content-type", kind).body(body.to_owned());
        let (found, answer) = json_of(ask.send().await.expect("answer")).await;
        assert_eq!((found.as_u16(), &answer["error"]), (status, &json!(error)), "{body:.60}");
    }
    let get = peer.http.get(&url).send().await.expect("answer");
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().expect("ascii")), (405, "POST"));
    let huge = peer.http.post(&url).header("content-type", form).body("x".repeat(1 << 20)).send().await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status() == 413));
    let tokens = peer.tokens(&[]).await;
    let refresh = tokens["refresh_token"].as_str().expect("token");
    for end in 0..refresh.len() {
        let (_, answer) = peer.refresh(&json!(&refresh[..end.max(1)]), &[]).await;
        assert_eq!(answer["error"], "invalid_grant", "{end}");
        assert!(!answer.to_string().contains(&refresh[..20]));
    }
}

#[tokio::test]
async fn signed_tokens_outlive_a_change_of_keys() {
    let peer = peer(AuthConfig { tokens: TokenFormat::Jwt, ..AuthConfig::default() }).await;
    let tokens = peer.tokens(&[]).await;
    let text = tokens["access_token"].as_str().expect("token").to_owned();
    let part = |at: usize| -> Value {
        let piece = text.split('.').nth(at).expect("compact");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(piece).expect("base64url")).expect("JSON")
    };
    assert_eq!((&part(0)["typ"], &part(0)["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!((&part(1)["aud"], &part(1)["iss"]), (&json!(peer.resource), &json!(peer.base)));
    let session = peer.session(&tokens["access_token"]).await;
    let rotate = peer.http.post(format!("{}/control/authorization/rotate-keys", peer.base)).send().await;
    assert_eq!(rotate.expect("answer").status(), 200);
    assert_eq!(peer.ping(&tokens["access_token"], &session).await.status(), 200);
    let (_, keys) = json_of(peer.get("/jwks").await).await;
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    assert!(keys["keys"].as_array().expect("keys").iter().any(|key| key["kid"] == part(0)["kid"]));
}

#[tokio::test]
async fn who_gets_a_refresh_token_is_policy() {
    let offline = peer(AuthConfig { refresh: RefreshPolicy::OfflineAccess, ..AuthConfig::default() }).await;
    assert!(offline.tokens(&[]).await.get("refresh_token").is_none());
    assert!(offline.tokens(&[("scope", "mcp:read offline_access")]).await["refresh_token"].is_string());
    let never = peer(AuthConfig { refresh: RefreshPolicy::Never, ..AuthConfig::default() }).await;
    assert!(never.tokens(&[("scope", "mcp:read offline_access")]).await.get("refresh_token").is_none());
}

#[tokio::test]
async fn a_person_consents_once_in_their_own_browser() {
    let peer = peer(AuthConfig { consent: Consent::Page, ..AuthConfig::default() }).await;
    let query = |client: &str| {
        let pairs = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", "mcp:read offline_access"),
        ];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let ask = async || {
        let page = peer.get(&format!("/authorize?{}", query(&peer.client))).await;
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["x-frame-options"], "DENY");
        let cookie = page.headers()["set-cookie"].to_str().expect("ascii").split(';').next().expect("pair").to_owned();
        let text = page.text().await.expect("text");
        for shown in ["Test", "127.0.0.1", "mcp:read", &peer.resource, "until it is revoked"] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        let id = text.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("id");
        (cookie, id.to_owned())
    };
    let answer = async |cookie: &str, id: &str, word: &str| {
        let body = format!("request={id}&answer={word}&user=ada");
        let ask = peer.http.post(format!("{}/consent", peer.base)).header("cookie", cookie).body(body);
        ask.header("content-type", "application/x-www-form-urlencoded").send().await.expect("answer")
    };
    let (cookie, id) = ask().await;
    let allowed = answer(&cookie, &id, "allow").await;
    let place: url::Url = allowed.headers()["location"].to_str().expect("ascii").parse().expect("a URL");
    assert_eq!(peer.exchange(&param(&place, "code").expect("a code"), VERIFIER).await.0, 200);
    assert_eq!(answer(&cookie, &id, "allow").await.status(), 400, "once");
    let (_, id) = ask().await;
    assert_eq!(answer("consent=other", &id, "allow").await.status(), 400, "another browser");
    let (cookie, id) = ask().await;
    let denied = answer(&cookie, &id, "deny").await;
    let place: url::Url = denied.headers()["location"].to_str().expect("ascii").parse().expect("a URL");
    assert_eq!(param(&place, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_million_refreshes_would_leave_nothing_behind() {
    let peer = peer(AuthConfig::default()).await;
    let mut tokens = peer.tokens(&[]).await;
    for _ in 0..2000 {
        tokens = peer.refresh(&tokens["refresh_token"], &[]).await.1;
    }
    let (_, state) = json_of(peer.get("/control/authorization").await).await;
    assert_eq!(state["grants"], 1);
    assert!(state["codes"].as_u64().is_some_and(|codes| codes <= 1));
}
