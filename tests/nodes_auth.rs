//! An issuer at several nodes: whichever of them is asked, a code is good once, a family of refresh tokens is one family,
//! and a token is good or not.

use std::time::Duration;

use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::server::{AuthConfig, Consent, RunningServer, ServerConfig, StoreConfig, TokenFormat, start};
use redis_server::RedisServer;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;

const REDIRECT: &str = "http://127.0.0.1:7777/callback";
/// 43 characters, as RFC 7636 wants them, and what SHA-256 makes of them.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn node(redis: &RedisServer, clock: &HybridClock, auth: AuthConfig) -> RunningServer {
    let config = ServerConfig {
        store: StoreConfig::Redis(redis.url()),
        // Behind one name, as nodes are.
        public_url: Some("https://mcp.example.com".to_owned()),
        auth: Some(auth),
        control: true,
        ..ServerConfig::default()
    };
    start(config, clock.clone(), Rng::from_system()).await.expect("it starts")
}

fn http() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("client")
}

async fn register(http: &Client, node: &RunningServer) -> String {
    let registration = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"]});
    let answer =
        http.post(format!("http://{}/register", node.addr())).json(&registration).send().await.expect("answer");
    let registered: Value = answer.json().await.expect("json");
    registered["client_id"].as_str().expect("an id").to_owned()
}

fn authorize_url(node: &RunningServer, client: &str) -> String {
    format!(
        "http://{}/authorize?response_type=code&client_id={client}&code_challenge={CHALLENGE}&code_challenge_method=S256",
        node.addr()
    )
}

fn code_in(location: &str) -> String {
    let code = location.split("code=").nth(1).and_then(|rest| rest.split('&').next());
    code.expect("a code").to_owned()
}

async fn authorize(http: &Client, node: &RunningServer, client: &str) -> String {
    let answer = http.get(authorize_url(node, client)).send().await.expect("answer");
    code_in(answer.headers()["location"].to_str().expect("ascii"))
}

fn post_form(http: &Client, node: &RunningServer, place: &str, form: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let ask = http.post(format!("http://{}/{place}", node.addr()));
    ask.header("content-type", "application/x-www-form-urlencoded").body(body)
}

async fn token(http: &Client, node: &RunningServer, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let answer = post_form(http, node, "token", form).send().await.expect("answer");
    (answer.status(), answer.json().await.expect("json"))
}

async fn redeem(http: &Client, node: &RunningServer, client: &str, code: &str) -> (StatusCode, Value) {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("client_id", client), ("code_verifier", VERIFIER)];
    token(http, node, &form).await
}

async fn refresh(http: &Client, node: &RunningServer, client: &str, held: &str) -> (StatusCode, Value) {
    token(http, node, &[("grant_type", "refresh_token"), ("refresh_token", held), ("client_id", client)]).await
}

/// The status of a handshake with a token.
async fn knock(http: &Client, node: &RunningServer, access: &Value) -> StatusCode {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let ask = http.post(node.url()).header("accept", "application/json, text/event-stream").json(&hello);
    ask.bearer_auth(access.as_str().expect("a token")).send().await.expect("answer").status()
}

fn text<'v>(answer: &'v Value, member: &str) -> &'v str {
    answer[member].as_str().unwrap_or_else(|| panic!("{member} is missing: {answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_goes_through_all_nodes_and_a_race_of_refreshes_has_one_winner() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let config = || AuthConfig { tokens: TokenFormat::Jwt, ..AuthConfig::default() };
    let (a, b) = (node(&redis, &clock, config()).await, node(&redis, &clock, config()).await);
    let http = http();
    let client = register(&http, &a).await;
    let code = authorize(&http, &b, &client).await;
    let (status, first) = redeem(&http, &a, &client, &code).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (knock(&http, &a, &first["access_token"]).await, knock(&http, &b, &first["access_token"]).await),
        (StatusCode::OK, StatusCode::OK)
    );
    let mut held = text(&first, "refresh_token").to_owned();
    for _ in 0..20 {
        let (one, other) = tokio::join!(refresh(&http, &a, &client, &held), refresh(&http, &b, &client, &held));
        assert_eq!((one.0, other.0), (StatusCode::OK, StatusCode::OK), "{} {}", one.1, other.1);
        let next = text(&one.1, "refresh_token").to_owned();
        assert_eq!(next, text(&other.1, "refresh_token"), "one generation came into force");
        assert_ne!(next, held);
        held = next;
    }
    // A key that one node made is known to the others, in their tokens and among the published ones.
    let rotated = http.post(format!("http://{}/control/authorization/rotate-keys", a.addr())).send().await;
    assert_eq!(rotated.expect("answer").status(), 200);
    clock.advance(Duration::from_secs(2));
    let (_, new) = refresh(&http, &a, &client, &held).await;
    assert_eq!(knock(&http, &b, &new["access_token"]).await, 200);
    let published = http.get(format!("http://{}/jwks", b.addr())).send().await.expect("answer");
    let published: Value = published.json().await.expect("json");
    assert_eq!(published["keys"].as_array().map(Vec::len), Some(2));
    // An old token is reuse at any node, and ends the family at all of them.
    clock.advance(Duration::from_secs(60));
    let (status, answer) = refresh(&http, &b, &client, text(&first, "refresh_token")).await;
    assert_eq!((status, text(&answer, "error")), (StatusCode::BAD_REQUEST, "invalid_grant"));
    assert_eq!(refresh(&http, &a, &client, text(&new, "refresh_token")).await.0, 400);
    assert_eq!(
        (knock(&http, &a, &new["access_token"]).await, knock(&http, &b, &new["access_token"]).await),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_once_at_all_nodes_together() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let (a, b) = (node(&redis, &clock, AuthConfig::default()).await, node(&redis, &clock, AuthConfig::default()).await);
    let http = http();
    let client = register(&http, &b).await;
    for _ in 0..10 {
        let code = authorize(&http, &a, &client).await;
        let (one, other) = tokio::join!(redeem(&http, &a, &client, &code), redeem(&http, &b, &client, &code));
        let good = [&one, &other].into_iter().filter(|(status, _)| *status == 200).count();
        assert_eq!(good, 1, "{} {}", one.1, other.1);
    }
    let code = authorize(&http, &a, &client).await;
    let (_, given) = redeem(&http, &b, &client, &code).await;
    assert_eq!(knock(&http, &a, &given["access_token"]).await, 200);
    // A replay is reuse, at whichever node.
    assert_eq!(redeem(&http, &a, &client, &code).await.0, 400);
    assert_eq!(knock(&http, &b, &given["access_token"]).await, 401);
    // A token revoked here is revoked there.
    let code = authorize(&http, &a, &client).await;
    let (_, given) = redeem(&http, &b, &client, &code).await;
    let form = [("token", text(&given, "access_token")), ("client_id", client.as_str())];
    let revoked = post_form(&http, &a, "revoke", &form).send().await.expect("answer");
    assert_eq!(
        (revoked.status(), knock(&http, &b, &given["access_token"]).await),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(refresh(&http, &b, &client, text(&given, "refresh_token")).await.0, 200, "the grant lives on");
    // Everything there is has an end, and no token or code is to be read there.
    let keys = redis.ask(&["KEYS", "*"]);
    assert!(!keys.contains(&code) && keys.contains("grant:{"), "{keys}");
    for key in keys.lines().filter(|line| line.contains(':') && !line.starts_with(['*', '$'])) {
        let left = redis.ask(&["PTTL", key]);
        assert!(left.trim().trim_start_matches(':').parse::<i64>().is_ok_and(|left| left > 0), "{key}: {left}");
        let kept = redis.ask(&["HGETALL", key]);
        assert!(!kept.contains(text(&given, "access_token")), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_one_node_is_answered_at_another() {
    let Some(redis) = RedisServer::start() else { return };
    let clock = HybridClock::new();
    let config = || AuthConfig { consent: Consent::Page, ..AuthConfig::default() };
    let (a, b) = (node(&redis, &clock, config()).await, node(&redis, &clock, config()).await);
    let http = http();
    let client = register(&http, &a).await;
    let page = http.get(authorize_url(&a, &client)).send().await.expect("answer");
    let cookie = page.headers()["set-cookie"].to_str().expect("ascii").split(';').next().expect("a cookie").to_owned();
    let id = cookie.trim_start_matches("consent-").split('=').next().expect("an id").to_owned();
    let answer = async |node: &RunningServer, answer: &str| {
        let form = [("request", id.as_str()), ("answer", answer), ("user", "user-7")];
        post_form(&http, node, "consent", &form).header("cookie", &cookie).send().await.expect("answer")
    };
    let (one, other) = tokio::join!(answer(&a, "allow"), answer(&b, "allow"));
    let codes: Vec<String> = [&one, &other]
        .into_iter()
        .filter_map(|sent| sent.headers().get("location"))
        .map(|location| code_in(location.to_str().expect("ascii")))
        .collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    assert_eq!(answer(&b, "deny").await.headers().get("location"), None);
    assert_eq!(redeem(&http, &b, &client, &codes[0]).await.0, 200);
    assert_eq!(answer(&a, "allow").await.headers().get("location"), None, "the code is used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_nobody_loses_a_grant() {
    let Some(mut redis) = RedisServer::start_with(&["--appendonly", "yes"]) else { return };
    let clock = HybridClock::new();
    let a = node(&redis, &clock, AuthConfig::default()).await;
    let http = http();
    let client = register(&http, &a).await;
    let code = authorize(&http, &a, &client).await;
    let (_, given) = redeem(&http, &a, &client, &code).await;
    redis.kill();
    let held = text(&given, "refresh_token");
    let (status, answer) = refresh(&http, &a, &client, held).await;
    assert_eq!((status, text(&answer, "error")), (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"));
    assert_eq!(knock(&http, &a, &given["access_token"]).await, 503);
    assert_eq!(http.get(authorize_url(&a, &client)).send().await.expect("answer").status(), 503);
    redis.start_again();
    let mut answer = refresh(&http, &a, &client, held).await;
    while answer.0 == 503 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = refresh(&http, &a, &client, held).await;
    }
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(knock(&http, &a, &given["access_token"]).await, 200);
}
