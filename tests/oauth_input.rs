//! Whatever is sent to any endpoint of the reference server that deals with tokens: an error of the RFCs, never a 5xx,
//! never a word of what was secret in it, and bounded time.

use std::time::Duration;

use mcp_rehearsal::model::{Clock as _, HybridClock, Rng, WallClock};
use mcp_rehearsal::server::{AuthConfig, RunningServer, ServerConfig, start};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const FORM: &str = "application/x-www-form-urlencoded";
const REDIRECT: &str = "http://127.0.0.1:7777/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// How long a head or a body may take here.
const WITHIN: Duration = Duration::from_millis(300);
/// What every request carries somewhere, and no answer may repeat.
const SECRET: &str = "a-secret-nobody-may-repeat";

/// Errors that RFC 6749 (4.1.2.1, 5.2), 7009 (2.2.1), 7591 (3.2.2), 8707 (2) and 6750 (3.1) know.
const KNOWN: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "unsupported_token_type",
    "invalid_redirect_uri",
    "invalid_client_metadata",
    "unsupported_response_type",
    "access_denied",
    "invalid_token",
    "insufficient_scope",
];

/// (method, path, content type) of each endpoint.
const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("POST", "/token", FORM),
    ("POST", "/revoke", FORM),
    ("POST", "/introspect", FORM),
    ("POST", "/consent", FORM),
    ("POST", "/register", "application/json"),
    ("GET", "/authorize", ""),
    ("GET", "/jwks", ""),
    ("GET", "/.well-known/oauth-authorization-server", ""),
    ("GET", "/.well-known/openid-configuration", ""),
    ("GET", "/.well-known/oauth-protected-resource/mcp", ""),
];

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// What no answer may be, whatever it answers.
    fn is_decent(&self, what: &str) {
        assert!((200..500).contains(&self.status), "{what}: {} {}", self.status, self.body);
        assert!(!self.body.contains(SECRET), "{what}: the secret comes back: {}", self.body);
        let told = self.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("location:"));
        assert!(!told.collect::<String>().contains(SECRET), "{what}: the secret comes back in {}", self.head);
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        if let Some(error) = json["error"].as_str() {
            assert!(KNOWN.contains(&error), "{what}: no RFC knows the error {error}");
        }
    }
}

async fn server() -> RunningServer {
    let config = ServerConfig { auth: Some(AuthConfig::default()), body_within: WITHIN, ..ServerConfig::default() };
    start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port")
}

/// Sends bytes as they are and reads until the server closes; `None` where nothing came.
async fn raw(server: &RunningServer, bytes: &[u8]) -> Option<Answer> {
    let mut socket = TcpStream::connect(server.addr()).await.expect("somebody listens");
    // A server may refuse and hang up before it has everything.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server neither answers nor hangs up");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

async fn send(server: &RunningServer, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut bytes = format!(
        "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
        server.addr(),
        body.len()
    );
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        bytes.extend([name, ": ", value, "\r\n"]);
    }
    let bytes = [bytes.as_bytes(), b"\r\n", body].concat();
    raw(server, &bytes).await.unwrap_or_else(|| panic!("no answer to {line}"))
}

#[tokio::test]
async fn another_method_is_refused_with_the_right_one() {
    let server = server().await;
    for (right, path, kind) in ENDPOINTS {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            let tolerated = method == *right || (*right == "GET" && method == "HEAD");
            if tolerated {
                continue;
            }
            let what = format!("{method} {path}");
            let answer = send(&server, &what, &[("content-type", kind)], b"").await;
            answer.is_decent(&what);
            // OAuth 2.1 lets the authorization endpoint take POST as well.
            assert!(answer.status == 405 || *path == "/authorize", "{what}: {}", answer.status);
            let allows = answer.head.to_ascii_lowercase().contains(&format!("allow: {}", right.to_ascii_lowercase()));
            assert!(answer.status != 405 || allows, "{what}: {}", answer.head);
        }
    }
}

#[tokio::test]
async fn bodies_of_every_kind_are_borne() {
    let server = server().await;
    let long = format!("grant_type={SECRET}{}", "x".repeat(20_000));
    let many = format!("token={SECRET}&").repeat(2000);
    let deep = format!("{}{SECRET}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no form", SECRET.into()),
        ("not UTF-8", [b"grant_type=", SECRET.as_bytes(), &[0xff, 0xfe, 0x00]].concat()),
        ("escaped bytes that are not UTF-8", format!("grant_type=%ff%fe&token={SECRET}").into()),
        ("broken escapes", format!("grant_type=%&%zz=%1&token={SECRET}").into()),
        (
            "parameters twice",
            format!("grant_type=a&grant_type=b&token={SECRET}&token={SECRET}&client_id=x&client_id=y").into(),
        ),
        ("empty parameters", format!("grant_type=&token=&client_id=&client_secret=&x={SECRET}").into()),
        ("overlong", long.into()),
        ("many parameters", many.into()),
        ("deep", deep.into()),
        ("another JSON", json!([SECRET]).to_string().into()),
        (
            "wrong types",
            json!({"redirect_uris": SECRET, "grant_types": 1, "client_name": {"a": SECRET}}).to_string().into(),
        ),
        ("null bytes", vec![0; 100]),
        ("huge", vec![b'x'; 1 << 20]),
    ];
    for (method, path, right) in ENDPOINTS {
        for kind in [*right, "text/plain", "application/json", FORM, "multipart/form-data", "nonsense"] {
            for (name, body) in &bodies {
                let what = format!("{method} {path} with {name} as {kind}");
                let answer = send(&server, &format!("{method} {path}"), &[("content-type", kind)], body).await;
                answer.is_decent(&what);
                assert!(answer.status >= 400 || *method == "GET", "{what}: {}", answer.status);
                if name == &"huge" && *method == "POST" {
                    assert!(matches!(answer.status, 413 | 400 | 401 | 415), "{what}: {}", answer.status);
                }
            }
        }
    }
}

#[tokio::test]
async fn queries_of_every_kind_are_borne() {
    let server = server().await;
    let long = "x".repeat(20_000);
    for query in [
        String::new(),
        format!("response_type=code&client_id={SECRET}&redirect_uri={REDIRECT}"),
        format!("response_type=code&response_type=code&client_id={SECRET}"),
        format!("response_type=code&client_id=%ff%fe&state={SECRET}"),
        format!("response_type=token&client_id=x&redirect_uri=javascript:alert(1)&state={SECRET}"),
        format!("response_type=code&client_id=http://127.0.0.1:1/{SECRET}&redirect_uri={REDIRECT}"),
        format!("response_type=code&client_id={long}&state={SECRET}"),
        format!("code={SECRET}&%%%&=&&=a"),
    ] {
        let line = format!("GET /authorize?{query}");
        let answer = send(&server, &line, &[], b"").await;
        answer.is_decent(&line);
        assert!((400..500).contains(&answer.status), "{line:.80}: {}", answer.status);
        assert!(!answer.head.to_ascii_lowercase().contains("location:"), "nobody is sent anywhere: {line:.80}");
    }
}

#[tokio::test]
async fn slow_senders_are_not_waited_for() {
    let server = server().await;
    let watch = WallClock::new();
    for (method, path, kind) in ENDPOINTS.iter().chain(&[("POST", "/mcp", "application/json")]) {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", server.addr());
        // Half a head, and a body that never comes whole.
        assert!(raw(&server, head.as_bytes()).await.is_none_or(|answer| answer.status == 408), "{path}: half a head");
        if *method == "POST" {
            let begun = format!("{head}content-type: {kind}\r\ncontent-length: 100\r\nconnection: close\r\n\r\ngrant");
            let answer = raw(&server, begun.as_bytes()).await.expect("an answer");
            // The endpoint refuses for want of a token before it looks at a body.
            let wanted = if *path == "/mcp" { 401 } else { 408 };
            assert_eq!(answer.status, wanted, "{path}: {}", answer.body);
        }
    }
    assert!(watch.elapsed() < Duration::from_secs(20), "{:?}", watch.elapsed());
}

/// A client, and the tokens of one login.
async fn grant(server: &RunningServer) -> (String, String, Value) {
    let registration = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"]})
    .to_string();
    let json = [("content-type", "application/json")];
    let answer = send(server, "POST /register", &json, registration.as_bytes()).await;
    let client: Value = serde_json::from_str(&answer.body).expect("JSON");
    let client = client["client_id"].as_str().expect("an id").to_owned();
    let line = format!(
        "GET /authorize?response_type=code&client_id={client}&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let answer = send(server, &line, &[], b"").await;
    let code = answer.head.split("code=").nth(1).and_then(|rest| rest.split(['&', '\r']).next()).expect("a code");
    let (code, tokens) = (code.to_owned(), exchange(server, &client, code).await);
    (client, code, serde_json::from_str(&tokens.body).expect("JSON"))
}

async fn exchange(server: &RunningServer, client: &str, code: &str) -> Answer {
    let form = format!("grant_type=authorization_code&code={code}&client_id={client}&code_verifier={VERIFIER}");
    send(server, "POST /token", &[("content-type", FORM)], form.as_bytes()).await
}

async fn knock(server: &RunningServer, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json, text/event-stream")];
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let headers = [&headers[..], &[("content-type", "application/json")]].concat();
    send(server, "POST /mcp", &headers, hello.to_string().as_bytes()).await
}

#[tokio::test]
async fn forged_and_truncated_tokens_open_nothing() {
    let server = server().await;
    let (_, _, tokens) = grant(&server).await;
    let access = tokens["access_token"].as_str().expect("a token");
    assert_eq!(knock(&server, access).await.status, 200);
    let mut forged: Vec<String> = (0..access.len()).map(|end| access[..end].to_owned()).collect();
    forged.extend((0..access.len()).map(|at| {
        let other = if access.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &access[..at], &access[at + 1..])
    }));
    forged.extend([format!("{access}x"), format!("x{access}"), access.repeat(2), "x".repeat(9000), "..".to_owned()]);
    forged.push(tokens["refresh_token"].as_str().unwrap_or("none").to_owned());
    for token in forged {
        let answer = knock(&server, &token).await;
        answer.is_decent(&token);
        assert!(matches!(answer.status, 400 | 401 | 431), "{token:.60} was met with {}", answer.status);
        let challenged = answer.head.to_ascii_lowercase().contains("www-authenticate: bearer");
        assert!(challenged || answer.status == 431, "{token:.60}: {}", answer.head);
        assert!(token.len() < 8 || !answer.body.contains(&token), "the token comes back");
    }
}

#[tokio::test]
async fn whatever_is_replayed_is_refused() {
    let server = server().await;
    let (client, code, tokens) = grant(&server).await;
    let refresh = |token: &str| format!("grant_type=refresh_token&refresh_token={token}&client_id={client}");
    let form = [("content-type", FORM)];
    let first = tokens["refresh_token"].as_str().expect("a refresh token").to_owned();
    let answer = send(&server, "POST /token", &form, refresh(&first).as_bytes()).await;
    let second: Value = serde_json::from_str(&answer.body).expect("JSON");
    // The code again: refused, and what it brought is over (OAuth 2.1 section 4.1.3).
    let again = exchange(&server, &client, &code).await;
    assert!(again.status == 400 && again.body.contains("invalid_grant"), "{}", again.body);
    for token in [&first, second["refresh_token"].as_str().expect("a refresh token")] {
        let answer = send(&server, "POST /token", &form, refresh(token).as_bytes()).await;
        assert!(answer.status == 400 && answer.body.contains("invalid_grant"), "{}", answer.body);
    }
    assert_eq!(knock(&server, second["access_token"].as_str().expect("a token")).await.status, 401);
    // A revocation again is no error (RFC 7009 section 2.2).
    let revocation = format!("token={first}&client_id={client}");
    for _ in 0..2 {
        assert_eq!(send(&server, "POST /revoke", &form, revocation.as_bytes()).await.status, 200);
    }
}
