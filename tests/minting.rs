//! Tokens that the authorization server mints on demand: they are as ordered, and a resource server that nobody here
//! wrote takes the right ones and refuses each of the forged ones.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{Program, Serve, http, installed, root};

const MINT: &str = "/authorization/mint";

/// What stands in a token.
struct Opened {
    header: Value,
    payload: Value,
    signature: Vec<u8>,
}

impl Opened {
    fn new(token: &str) -> Self {
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().expect("three parts");
        let json = |text: &str| serde_json::from_slice(&part(text)).expect("JSON");
        Self { header: json(header), payload: json(payload), signature: part(signature) }
    }

    /// When it was issued, when its life begins, and when that ends.
    fn times(&self) -> [i64; 3] {
        ["iat", "nbf", "exp"].map(|name| self.payload[name].as_i64().expect("seconds"))
    }
}

fn mint(issuer: &Serve, order: &Value) -> String {
    issuer.control(MINT, Some(order))["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn tokens_are_minted_as_ordered() {
    let issuer = Serve::start(&["issuer", "--resource", "http://localhost:8000/mcp"]);
    let minted = |order: Value| Opened::new(&mint(&issuer, &order));
    let keys: Value =
        serde_json::from_str(&http("GET", &format!("{}/jwks", issuer.url("issuer")), &[], None).1).expect("JSON");
    let published = &keys["keys"][0]["kid"];
    let right = minted(json!({}));
    assert_eq!(right.header, json!({"typ": "at+jwt", "alg": "ES256", "kid": published}));
    let claims = ["aud", "iss", "sub", "scope"];
    let told = |token: &Opened| claims.map(|name| token.payload[name].as_str().unwrap_or_default().to_owned());
    assert_eq!(told(&right), ["http://localhost:8000/mcp", issuer.url("issuer"), "user-1", "mcp:read"]);
    let [iat, nbf, exp] = right.times();
    assert_eq!((nbf - iat, exp - iat), (0, 3600));
    let other = minted(json!({"subject": "ada", "audience": "https://a.example/mcp", "issuer": "https://b.example",
        "scope": "mcp:write", "expires_in": -60}));
    assert_eq!(told(&other), ["https://a.example/mcp", "https://b.example", "ada", "mcp:write"]);
    let [iat, nbf, exp] = other.times();
    assert!(iat <= nbf && nbf <= exp, "nothing but its end is wrong: {}", other.payload);
    let [iat, nbf, _] = minted(json!({"not_before": 600})).times();
    assert_eq!(nbf - iat, 600);
    for (kind, algorithm, named, signature) in [
        ("right", "ES256", true, 64),
        ("wrong-key", "ES256", true, 64),
        ("unknown-kid", "ES256", false, 64),
        ("unsigned", "none", false, 0),
        ("hmac-with-public-key", "HS256", true, 32),
        ("id-token", "ES256", true, 64),
    ] {
        let token = minted(json!({"kind": kind}));
        assert_eq!((&token.header["alg"], &token.header["kid"] == published), (&json!(algorithm), named), "{kind}");
        assert_eq!(token.signature.len(), signature, "{kind}");
        let tells_of_a_login = token.header["typ"] == "JWT" && token.payload.get("scope").is_none();
        assert_eq!(tells_of_a_login, kind == "id-token", "{kind}");
    }
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let issuer = Serve::start(&["issuer"]);
    let url = |serve: &Serve| format!("{}{MINT}", serve.url("control"));
    for order in [json!({"kind": "strange"}), json!({"audiense": "x"}), json!([]), json!({"expires_in": "soon"})] {
        let (status, answer) = http("POST", &url(&issuer), &[], Some(&order));
        assert!(status == 400 && answer.contains("error"), "{order}: {status} {answer}");
    }
    let unguarded = Serve::start(&[]);
    assert_eq!(http("POST", &url(&unguarded), &[], Some(&json!({}))).0, 404, "there is nobody who could mint");
}

/// The handshake with a token.
fn knock(resource: &str, token: &str) -> u16 {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json, text/event-stream")];
    http("POST", resource, &headers, Some(&hello)).0
}

#[test]
fn a_foreign_resource_server_tells_them_apart() {
    if !installed("scripts/foreign", "guarded") {
        return;
    }
    let issuer = Serve::start(&["issuer"]);
    let mut command = Command::new(root().join("scripts/foreign"));
    command.args(["run", "guarded", "--until-eof"]).env("ISSUER", issuer.url("issuer")).stderr(Stdio::null());
    let server = Program::start(&mut command);
    let resource = format!("http://127.0.0.1:{}/mcp", server.line("listening on "));
    let try_one = |changes: Value| {
        let mut order = json!({"audience": resource});
        for (name, value) in changes.as_object().expect("changes") {
            order[name] = value.clone();
        }
        knock(&resource, &mint(&issuer, &order))
    };
    assert_eq!(try_one(json!({})), 200, "the right one");
    for forged in [
        json!({"expires_in": -60}),
        json!({"not_before": 600}),
        json!({"audience": "http://127.0.0.1:1/mcp"}),
        json!({"issuer": "http://127.0.0.1:1"}),
        json!({"kind": "unsigned"}),
        json!({"kind": "wrong-key"}),
        json!({"kind": "unknown-kid"}),
        json!({"kind": "hmac-with-public-key"}),
    ] {
        assert_eq!(try_one(forged.clone()), 401, "{forged}");
    }
    assert_eq!(try_one(json!({"scope": "mcp:other"})), 403, "the right one with too little scope");
    // For its audience; that server does not look at `typ`.
    assert_eq!(try_one(json!({"kind": "id-token", "audience": "minted"})), 401);
    issuer.control("/authorization/rotate-keys", Some(&json!({})));
    assert_eq!(try_one(json!({})), 200, "the right one under a new key");
}
