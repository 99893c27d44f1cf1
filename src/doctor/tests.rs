//! Diagnoses of transcripts that were built by hand.

use serde_json::{Value, json};

use super::walk::{AFTER_REFRESH, FORGED};
use super::{Diagnosis, State, diagnose, terminal};
use crate::profile::{find, shipped};
use crate::transcript::{Builder, End, Event, EventKind};

const URL: &str = "http://127.0.0.1:8080/mcp";
const BASE: &str = "http://127.0.0.1:8080";
const REDIRECT: &str = "http://127.0.0.1:33418/callback";

/// A transcript of a walk, of which each part can be left out or changed.
struct Walk {
    builder: Builder,
    exchanges: u32,
}

impl Walk {
    fn new() -> Self {
        Self { builder: Builder::new(), exchanges: 100 }
    }

    fn event(mut self, kind: EventKind) -> Self {
        self.builder = self.builder.event(kind);
        self
    }

    fn step(mut self, step: u32) -> Self {
        self.builder = self.builder.step(step, "invoke");
        self
    }

    fn ask(mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Self {
        self.exchanges += 1;
        let mut all = vec![("host".into(), "127.0.0.1:8080".into())];
        all.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let exchange = self.exchanges;
        self.event(EventKind::Request {
            exchange,
            connection: 1,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: all,
            body: (!body.is_empty()).then(|| body.into()),
            via: crate::model::Via::StreamableHttp,
            channel: None,
            tls: false,
        })
    }

    fn got(self, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let exchange = self.exchanges;
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let walk = self.event(EventKind::Response { exchange, status, headers });
        let walk = if body.is_empty() {
            walk
        } else {
            walk.event(EventKind::Body { exchange, text: body.into(), utf8: true })
        };
        walk.event(EventKind::End { exchange, end: End::Complete })
    }

    fn got_json(self, status: u16, body: &Value) -> Self {
        self.got(status, &[("content-type", "application/json")], &body.to_string())
    }

    /// A message to the endpoint, with a token or without.
    fn call(self, method: &str, token: &str) -> Self {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"protocolVersion": "2025-11-25"}});
        let bearer = format!("Bearer {token}");
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("authorization", &bearer)] };
        self.ask("POST", "/mcp", headers, &body.to_string())
    }

    fn refused(self) -> Self {
        let challenge =
            format!("Bearer resource_metadata=\"{BASE}/.well-known/oauth-protected-resource/mcp\", scope=\"mcp\"");
        self.call("initialize", "").got(401, &[("www-authenticate", &challenge)], "")
    }

    fn discovered(self, scopes: &[&str]) -> Self {
        let resource = json!({"resource": URL, "authorization_servers": [BASE]});
        let server = json!({"issuer": BASE, "authorization_endpoint": format!("{BASE}/a"),
            "token_endpoint": format!("{BASE}/t"), "registration_endpoint": format!("{BASE}/r"),
            "code_challenge_methods_supported": ["S256"], "scopes_supported": scopes});
        self.ask("GET", "/.well-known/oauth-protected-resource/mcp", &[], "")
            .got_json(200, &resource)
            .ask("GET", "/.well-known/oauth-authorization-server", &[], "")
            .got_json(200, &server)
    }

    fn logged_in(self, scope: &str, tokens: &Value) -> Self {
        let redirects = json!([REDIRECT]);
        let query = format!("/a?response_type=code&client_id=c&state=s&scope={scope}&resource={URL}");
        self.ask("POST", "/r", &[], &json!({"redirect_uris": redirects}).to_string())
            .got_json(201, &json!({"client_id": "c", "redirect_uris": redirects}))
            .ask("GET", &query, &[], "")
            .got(302, &[("location", &format!("{REDIRECT}?code=code%231&state=s"))], "")
            .ask("POST", "/t", &[], &format!("grant_type=authorization_code&code=code%231&resource={URL}"))
            .got_json(200, tokens)
    }

    fn claims(self, claims: Value) -> Self {
        self.event(EventKind::Claims { label: "access#1".to_owned(), header: json!({"alg": "ES256"}), claims })
    }

    fn in_session(self) -> Self {
        let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x"}});
        self.call("initialize", "access#1").got_json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result}))
    }

    /// A step that is about the last exchange.
    fn about_it(self) -> Self {
        let exchange = self.exchanges;
        self.event(EventKind::Subject { exchange, id: None })
    }

    fn refresh(self, status: u16, body: &Value) -> Self {
        self.ask("POST", "/t", &[], "grant_type=refresh_token&refresh_token=refresh%231").got_json(status, body)
    }

    fn events(self) -> Vec<Event> {
        self.builder.finish()
    }

    fn told(self) -> Diagnosis {
        let walked = find("reference").expect("profiles").expect("a profile");
        diagnose(URL, &walked, &shipped().expect("profiles"), &self.events())
    }
}

fn tokens(refresh: bool) -> Value {
    let mut tokens = json!({"access_token": "access#1", "token_type": "Bearer", "expires_in": 3600});
    if refresh {
        tokens["refresh_token"] = "refresh#1".into();
    }
    tokens
}

fn state(diagnosis: &Diagnosis, name: &str) -> (State, String) {
    let station = diagnosis.station(name).expect("a station");
    (station.state, station.seen.join("; "))
}

fn forecast<'d>(diagnosis: &'d Diagnosis, client: &str) -> &'d str {
    let group = diagnosis.forecast.iter().find(|group| group.clients.iter().any(|one| one == client));
    &group.expect("a forecast").text
}

#[test]
fn the_whole_road() {
    let diagnosis = Walk::new().refused().discovered(&["mcp"]).logged_in("mcp", &tokens(true)).in_session().told();
    for name in ["reach", "challenge", "discovery", "registration", "authorization", "token", "audience", "session"] {
        assert_eq!(state(&diagnosis, name).0, State::Ok, "{name}: {}", terminal(&diagnosis, false));
    }
    assert!(diagnosis.reachable && diagnosis.broken().is_none());
    // The refresh token was not tried, so nothing is said about it.
    assert_eq!(state(&diagnosis, "refresh").0, State::NotReached);
}

#[test]
fn nothing_came() {
    let diagnosis = diagnose(URL, &find("reference").expect("profiles").expect("a profile"), &[], &[]);
    assert!(!diagnosis.reachable && diagnosis.broken().is_none());
    assert!(diagnosis.stations.iter().all(|station| station.state == State::NotReached));
}

#[test]
fn strings_are_compared_with_the_address() {
    let claims = json!({"iss": format!("{BASE}/"), "aud": [format!("{URL}/"), "other"], "iat": 1, "exp": 61});
    let walk = Walk::new().refused().discovered(&[]).logged_in("mcp", &tokens(true)).claims(claims).in_session();
    let diagnosis = walk.told();
    let differing = |table: &[super::Named]| -> Vec<(&'static str, Option<usize>)> {
        table.iter().filter(|row| row.differs_at.is_some()).map(|row| (row.what, row.differs_at)).collect()
    };
    let issued = "issued (aud of the token)";
    assert_eq!(differing(&diagnosis.resource), [(issued, Some(URL.len())), (issued, Some(0))]);
    assert_eq!(differing(&diagnosis.issuer), [("iss of the token", Some(BASE.len()))]);
    let notes = &diagnosis.token.as_ref().expect("a token").notes;
    assert!(notes[0].starts_with("exp is 60 s after iat, but expires_in says 3600 s"), "{notes:?}");
    let text = terminal(&diagnosis, false);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains("iss of the token")).expect("a line");
    let (above, mark) = (lines[at], lines[at + 1]);
    // The mark stands under the byte that is too much.
    assert_eq!(above.chars().nth(mark.find('^').expect("a mark")), Some('/'), "{text}");
    assert_eq!(above.trim_end().chars().count(), mark.find('^').expect("a mark") + 1);
}

#[test]
fn a_made_up_token_that_is_taken_breaks_the_road() {
    let walk = Walk::new().refused().discovered(&[]).logged_in("mcp", &tokens(true)).in_session();
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let taken = walk.step(FORGED).call("ping", "access#2").got_json(200, &answer).about_it().told();
    assert_eq!(state(&taken, "audience").0, State::Broken);
    assert!(state(&taken, "audience").1.contains("takes a made-up token"), "{}", terminal(&taken, false));
}

#[test]
fn a_made_up_token_makes_no_open_server_ask_for_tokens() {
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x"}});
    let open = Walk::new().call("initialize", "").got_json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result}));
    let diagnosis = open.step(FORGED).call("ping", "access#1").got(401, &[], "").about_it().told();
    assert_eq!(
        state(&diagnosis, "challenge"),
        (State::Ok, "none: the server lets everybody in without a token".into())
    );
    assert_eq!(state(&diagnosis, "token").0, State::NotReached);
}

#[test]
fn what_no_refresh_token_means_depends_on_the_client() {
    let walk = |scopes: &[&str]| Walk::new().refused().discovered(scopes).logged_in("mcp", &tokens(false)).in_session();
    let offered = walk(&["mcp", "offline_access"]).told();
    assert_eq!(state(&offered, "refresh").0, State::Warn);
    assert!(forecast(&offered, "ts-sdk").contains("unless offline_access is requested"));
    assert!(forecast(&offered, "codex-cli").starts_with("asks for offline_access, so it may get"));
    let never = walk(&["mcp"]).told();
    assert_eq!(forecast(&never, "ts-sdk"), forecast(&never, "codex-cli"));
    assert!(forecast(&never, "ts-sdk").starts_with("the session dies after 3600 s"));
}

#[test]
fn what_a_short_life_means_depends_on_the_margin() {
    let mut short = tokens(true);
    short["expires_in"] = 120.into();
    let fresh = json!({"access_token": "access#3", "token_type": "Bearer", "expires_in": 120});
    let walk = Walk::new().refused().discovered(&[]).logged_in("mcp", &short).in_session().refresh(200, &fresh);
    let diagnosis = walk.told();
    assert_eq!(state(&diagnosis, "refresh"), (State::Ok, "the refresh works; the refresh token stays the same".into()));
    assert!(forecast(&diagnosis, "claude-code").starts_with("refreshes before every request"));
    assert!(forecast(&diagnosis, "reference").starts_with("lives on: refreshes after a call failed with 401"));
}

#[test]
fn a_session_that_does_not_survive_the_refresh_is_broken() {
    let fresh = json!({"access_token": "access#3", "token_type": "Bearer", "expires_in": 3600});
    let walk = Walk::new().refused().discovered(&[]).logged_in("mcp", &tokens(true)).in_session().refresh(200, &fresh);
    let diagnosis = walk.step(AFTER_REFRESH).call("ping", "access#3").got(404, &[], "").about_it().told();
    assert_eq!(state(&diagnosis, "refresh").0, State::Broken);
    assert!(state(&diagnosis, "refresh").1.contains("the session is gone (404)"), "{}", terminal(&diagnosis, false));
}

#[test]
fn a_refusal_of_the_authorization_ends_the_road() {
    let query = "/a?response_type=code&client_id=c&state=s";
    let place = format!("{REDIRECT}?error=invalid_scope&state=s");
    let walk = Walk::new().refused().discovered(&[]).ask("GET", query, &[], "").got(302, &[("location", &place)], "");
    let diagnosis = walk.told();
    assert_eq!(diagnosis.broken().map(|station| station.name), Some("authorization"));
    assert_eq!(state(&diagnosis, "token"), (State::NotReached, "the road ends at authorization".into()));
}

#[test]
fn what_a_server_sends_cannot_steer_the_terminal() {
    let evil = "\u{1b}[2J\u{202e}evil";
    let error = json!({"error": evil, "error_description": evil});
    let walk = Walk::new().refused().discovered(&[]).logged_in("mcp", &tokens(true)).in_session().refresh(400, &error);
    let text = terminal(&walk.told(), false);
    assert!(text.contains("evil") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
}
