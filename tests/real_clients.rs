//! Clients that nobody here wrote log in to the reference server with their own OAuth code, and live through the end of
//! their access tokens. `docs/real-clients.md` says what else was seen.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;

use serde_json::{Value, json};

#[expect(dead_code, reason = "another test uses the rest")]
mod outside;

use outside::{LOOK, Patience, Program, Serve, installed, root};

/// How often an access token ends while a client is looked at.
const ENDS: u64 = 2;

/// A client that is at work, and the server that it calls each second.
struct Scene {
    name: String,
    server: Serve,
    client: Program,
    calls: u64,
}

impl Scene {
    /// Logs the client in; `None` where it cannot be started.
    fn open(name: &str, lifetime: &str) -> Option<Self> {
        if !installed("scripts/real-clients", name) {
            return None;
        }
        let server = Serve::start(&["--auth", "oauth", "--access-ttl", lifetime]);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{lifetime}.log"));
        let mut command = Command::new(root().join("scripts/real-clients"));
        command.args(["run", name, server.url("serving")]).stderr(File::create(log).expect("a log"));
        let client = Program::start(&mut command);
        Some(Self { name: name.to_owned(), server, client, calls: 0 })
    }

    /// Waits for the next call of the tool, none of which may ever fail.
    fn call(&mut self) {
        let patience = Patience::new();
        loop {
            match self.client.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: {line}", self.name));
                    assert_eq!(told["ok"], true, "{}, after {} calls: {told}", self.name, self.calls);
                    self.calls += 1;
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    patience.holds(&format!("{}: silent after {} calls", self.name, self.calls));
                }
                Err(RecvTimeoutError::Disconnected) => panic!("{} ended after {} calls", self.name, self.calls),
            }
        }
    }

    /// Ends the client and tells what the authorization server did: registrations, codes, logins.
    fn close(mut self) -> [u64; 3] {
        assert!(self.client.end().success(), "{}", self.name);
        ["registrations", "codes", "logins"].map(|what| self.server.count(what))
    }
}

/// Lets the client call until it has refreshed twice and was served after that. `early` is whether it renews its token
/// before the server has to refuse it, and `codes` how many it gets: some fetch one that they never use.
fn lives_through_two_expiries(name: &str, lifetime: &str, early: bool, codes: u64) {
    let Some(mut scene) = Scene::open(name, lifetime) else { return };
    scene.call();
    // What makes it log in.
    let before = scene.server.count("challenges");
    let patience = Patience::new();
    while scene.server.count("refreshes") < ENDS {
        patience.holds(&format!("{name} does not refresh in {} calls", scene.calls));
        scene.call();
    }
    scene.call();
    scene.call();
    let refused = scene.server.count("challenges") - before;
    assert_eq!(refused == 0, early, "{name}: {refused} requests were refused after the login");
    assert_eq!(scene.close(), [1, codes, 1], "{name}: nobody is asked again");
}

/// The server's clock runs ahead, so that tokens end which the client takes for good. Some have a second login then,
/// although they hold a refresh token: `logins` is how many of them in all.
fn meets_an_end_that_it_does_not_foresee(name: &str, logins: u64, codes: u64) {
    let Some(mut scene) = Scene::open(name, "10m") else { return };
    for end in 1..=ENDS {
        scene.call();
        // Less than what ends an idle session.
        scene.server.control("/clock", Some(&json!({"advance_ms": 11 * 60 * 1000})));
        let renewals = |scene: &Scene| scene.server.count("refreshes") + scene.server.count("logins") - 1;
        let patience = Patience::new();
        while renewals(&scene) < end {
            patience.holds(&format!("{name} does not renew its token in {} calls", scene.calls));
            scene.call();
        }
        scene.call();
        assert_eq!(renewals(&scene), end, "{name}: one renewal for each end");
    }
    assert_eq!(scene.close(), [1, codes, logins], "{name}");
}

#[test]
fn the_python_sdk_lives_through_two_expiries() {
    lives_through_two_expiries("mcp", "5s", true, 1);
}

#[test]
fn fastmcp_lives_through_two_expiries() {
    lives_through_two_expiries("fastmcp", "5s", true, 2);
}

#[test]
fn the_typescript_sdk_lives_through_two_expiries() {
    lives_through_two_expiries("typescript", "5s", false, 1);
}

/// It renews a minute before the end, and so every three seconds here.
#[test]
fn mcp_remote_lives_through_two_renewals() {
    lives_through_two_expiries("mcp-remote", "63s", true, 1);
}

#[test]
fn the_python_sdk_meets_an_end_that_it_does_not_foresee() {
    meets_an_end_that_it_does_not_foresee("mcp", 3, 3);
}

#[test]
fn fastmcp_meets_an_end_that_it_does_not_foresee() {
    meets_an_end_that_it_does_not_foresee("fastmcp", 3, 6);
}

#[test]
fn the_typescript_sdk_meets_an_end_that_it_does_not_foresee() {
    meets_an_end_that_it_does_not_foresee("typescript", 1, 1);
}

#[test]
fn mcp_remote_meets_an_end_that_it_does_not_foresee() {
    meets_an_end_that_it_does_not_foresee("mcp-remote", 1, 1);
}
