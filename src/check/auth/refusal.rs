//! Who has to stay outside: requests without a token, and with one that is wrong, over or revoked.

use super::vault::{Credential, Vault, rpc_method};
use super::{forged, wire as oauth};
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.401-missing", judge: missing },
    Check { id: "auth.resource-server.401-invalid", judge: invalid },
    Check { id: "auth.resource-server.validate-tokens", judge: validated },
    Check { id: "auth.resource-server.401-expired", judge: expired },
    Check { id: "auth.resource-server.expiry-enforced", judge: expiry },
    Check { id: "auth.resource-server.401-revoked", judge: revoked },
    Check { id: "auth.resource-server.400-malformed", judge: malformed },
    Check { id: "auth.resource-server.every-request", judge: every_request },
    Check { id: "auth.resource-server.all-methods", judge: all_methods },
    Check { id: "transport.http.session-not-authentication", judge: session_alone },
];

/// The most that clocks may differ (RFC 7519 section 4.1.4: no more than a few minutes).
const LEEWAY_S: u64 = 300;

/// Each request with a credential that is asked about, with the revision that governs it.
fn each(view: &View<'_>, out: &mut Findings, mut look: impl FnMut(&Vault<'_>, &mut Findings, &Exchange, Credential)) {
    let Some(vault) = Vault::open(view) else { return };
    for (exchange, credential) in vault.asked() {
        if out.covers(oauth::around(view, exchange)) {
            look(&vault, out, exchange, credential);
        }
    }
}

fn breach(deed: &str, exchange: &Exchange, expected: &str, fix: &str) -> Breach {
    let how = match exchange.status {
        Some(200..=299) => "and the server served it.".to_owned(),
        Some(status) => format!("and the server answered with status {status}."),
        None => "and the server gave no answer.".to_owned(),
    };
    told(format!("{deed}, {how}"), &[expected], came(exchange), fix, exchange.evidence())
}

const CHALLENGE: &str = "status 401 with a Bearer challenge";

fn missing(view: &View<'_>, out: &mut Findings) {
    each(view, out, |_, out, exchange, credential| {
        // What is served openly, or not served by this method at all, is no refusal for want of a token.
        let refused = matches!(exchange.status, Some(300..=403 | 407 | 500));
        if credential == Credential::Absent && refused {
            out.require(exchange.status == Some(401), || {
                let fix = "answer 401 where a token is needed and none came: clients log in on that status only";
                breach("A request came without a token", exchange, CHALLENGE, fix)
            });
        }
    });
}

fn invalid(view: &View<'_>, out: &mut Findings) {
    each(view, out, |_, out, exchange, credential| {
        let deed = match credential {
            Credential::Unknown => "A request carried a token that nobody had issued",
            // Where it is served, what is wrong with it says which requirement is broken.
            Credential::Forged if !exchange.is_success() => "A request carried a forged token",
            _ => return,
        };
        if exchange.status == Some(401) {
            return out.pass();
        }
        let fix = "verify each token, and answer 401 with error=\"invalid_token\" to those that do not verify";
        let breach = breach(deed, exchange, CHALLENGE, fix);
        // Whether nonsense is a bad token or a badly formed request is for the server to say.
        if exchange.status == Some(400) { out.contested(breach) } else { out.breach(breach) }
    });
}

fn validated(view: &View<'_>, out: &mut Findings) {
    each(view, out, |_, out, exchange, credential| {
        if credential == Credential::Unknown {
            out.require(!exchange.is_success(), || {
                let fix = "verify the token before the request is looked at";
                breach("A request carried a token that nobody had issued", exchange, "a refusal", fix)
            });
        }
    });
    forged::each(view, out, &["not-yet-valid"], |out, exchange| {
        let fix = "look at nbf as well as at exp (RFC 7519 section 4.1.5)";
        // Resource servers are told to validate tokens, not that this claim is part of it.
        out.contested(breach("A request carried a token whose life had not begun", exchange, "a refusal", fix));
    });
}

/// An expired token: what has to come is told by `holds`.
fn over(view: &View<'_>, out: &mut Findings, holds: fn(&Exchange) -> bool) {
    each(view, out, |_, out, exchange, credential| {
        let Credential::Expired(beyond) = credential else { return };
        // A method that is not offered says nothing about the token.
        if exchange.method != "POST" && matches!(exchange.status, Some(404 | 405)) {
            return;
        }
        if holds(exchange) {
            return out.pass();
        }
        let deed = format!("A request carried a token that had expired {beyond} s before");
        let fix = "check the end of the token on every request, also within a session, and answer 401 with \
                   error=\"invalid_token\": on that clients refresh";
        let breach = breach(&deed, exchange, CHALLENGE, fix);
        if exchange.is_success() && beyond <= LEEWAY_S { out.contested(breach) } else { out.breach(breach) }
    });
}

fn expired(view: &View<'_>, out: &mut Findings) {
    over(view, out, |exchange| exchange.status == Some(401));
}

fn expiry(view: &View<'_>, out: &mut Findings) {
    over(view, out, |exchange| !exchange.is_success());
}

fn revoked(view: &View<'_>, out: &mut Findings) {
    each(view, out, |_, out, exchange, credential| {
        if credential == Credential::Revoked {
            out.require(exchange.status == Some(401), || {
                let fix = "ask for the state of the token, or keep a list of revoked ones, and answer 401";
                breach("A request carried a token that had been revoked", exchange, CHALLENGE, fix)
            });
        }
    });
}

fn malformed(view: &View<'_>, out: &mut Findings) {
    each(view, out, |_, out, exchange, credential| {
        // 401 is as common as 400, and says as much.
        if credential == Credential::Malformed && exchange.status != Some(401) {
            out.require(exchange.status == Some(400), || {
                let fix =
                    "answer 400 with error=\"invalid_request\" to an Authorization header that breaks its grammar";
                breach("A request carried a malformed Authorization header", exchange, "status 400 (or 401)", fix)
            });
        }
    });
}

/// Whether this client was served with a token before and, as some methods may be open to all, refused without one for
/// the same method.
fn asks_for_tokens(view: &View<'_>, vault: &Vault<'_>, exchange: &Exchange) -> bool {
    let earlier = || {
        let same = |other: &&Exchange| other.conversation == exchange.conversation && other.seq < exchange.seq;
        view.exchanges.iter().filter(same)
    };
    let refused = |other: &Exchange| {
        other.status == Some(401)
            && other.sent_header("authorization").is_none()
            && rpc_method(other) == rpc_method(exchange)
    };
    earlier().any(|other| other.is_success() && vault.token(other).is_some())
        && (exchange.method != "POST" || earlier().any(refused))
}

/// Requests without a token in a conversation that was opened with one.
fn tokenless(view: &View<'_>, out: &mut Findings, post: bool, fix: &str) {
    each(view, out, |vault, out, exchange, credential| {
        let opened = exchange.conversation.map(|index| &view.exchanges[view.conversations[index].opened]);
        let with_token = if exchange.modern {
            asks_for_tokens(view, vault, exchange)
        } else {
            opened.is_some_and(|opened| vault.token(opened).is_some() && opened.seq < exchange.seq)
        };
        if credential != Credential::Absent || !with_token || (exchange.method == "POST") != post {
            return;
        }
        // A method that is not offered at all is no way in.
        if exchange.status != Some(401) && !exchange.is_success() {
            return;
        }
        out.require(exchange.status == Some(401), || {
            let deed = format!("A {} came without a token in a session that was opened with one", exchange.method);
            breach(&deed, exchange, CHALLENGE, fix)
        });
    });
}

fn every_request(view: &View<'_>, out: &mut Findings) {
    tokenless(view, out, true, "ask for the token on every request, not once for a session or connection");
}

fn all_methods(view: &View<'_>, out: &mut Findings) {
    tokenless(view, out, false, "guard GET and DELETE of the endpoint as POST is guarded");
}

fn session_alone(view: &View<'_>, out: &mut Findings) {
    tokenless(view, out, true, "never take the session id for a proof of who sends the request");
}

#[cfg(test)]
mod tests {
    use super::super::samples::{BAD, FIRST, NEWEST, bare, deny, inside, knock, open_server, ping, pong};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, EventKind};

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn without_a_token_it_is_401_in_the_modern_era() {
        let start = || Builder::new().initialize("2026-07-28");
        let asked = || start().probe(&[], "tools/list", serde_json::Value::Null);
        let kept = deny(asked(), 401, FIRST);
        let broken = deny(asked(), 403, FIRST);
        expect_three("auth.resource-server.401-missing", &kept, &broken, &start());
    }

    #[test]
    fn without_a_token_it_is_401() {
        let kept = deny(knock(NEWEST), 401, FIRST);
        let broken = deny(knock(NEWEST), 403, FIRST);
        expect_three("auth.resource-server.401-missing", &kept, &broken, &open_server());
    }

    #[test]
    fn a_token_of_nobody_is_refused() {
        let forged = || ping(inside(NEWEST), "Bearer access#9");
        for id in ["auth.resource-server.401-invalid", "auth.resource-server.validate-tokens"] {
            expect_three(id, &deny(forged(), 401, BAD), &pong(forged()), &inside(NEWEST));
        }
        let id = "auth.resource-server.401-invalid";
        assert_eq!(judge(id, &deny(forged(), 403, BAD)).outcome, Outcome::Fail);
        assert_eq!(judge(id, &deny(forged(), 400, BAD)).outcome, Outcome::Warn);
        // Where no login was seen, any token may be a good one.
        let early = ping(Builder::new().initialize(NEWEST), "Bearer access#9").answer(401, &[], "");
        assert_eq!(judge(id, &early).outcome, Outcome::NotExercised);
    }

    #[test]
    fn a_token_ends_at_its_end() {
        let late = |ms| ping(inside(NEWEST).pause_ms(HOUR_MS + ms), "Bearer access#1");
        let id = "auth.resource-server.401-expired";
        expect_three(
            id,
            &deny(late(400_000), 401, BAD),
            &pong(late(400_000)),
            &pong(ping(inside(NEWEST), "Bearer access#1")),
        );
        assert_eq!(judge(id, &pong(late(60_000))).outcome, Outcome::Warn, "clocks may differ");
        assert_eq!(judge(id, &pong(late(1_000))).outcome, Outcome::NotExercised, "too close to say");
        assert_eq!(judge(id, &deny(late(60_000), 500, BAD)).outcome, Outcome::Fail);
        let moved = inside(NEWEST).event(EventKind::Clock { advanced_ms: HOUR_MS + 400_000 });
        assert_eq!(judge(id, &pong(ping(moved, "Bearer access#1"))).outcome, Outcome::Fail, "its clock was moved");
    }

    #[test]
    fn expiry_is_enforced() {
        let late = || {
            let body = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
            let headers = [("authorization", "Bearer access#1"), ("mcp-protocol-version", "2025-03-26")];
            inside("2025-03-26").pause_ms(HOUR_MS + 400_000).request("POST", &headers, Some(body))
        };
        let id = "auth.resource-server.expiry-enforced";
        expect_three(id, &deny(late(), 401, BAD), &pong(late()), &inside("2025-03-26"));
    }

    #[test]
    fn a_revoked_token_is_refused() {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let revoked = || {
            let builder =
                inside(NEWEST).outside("POST", "/revoke", &form, Some("token=access%231")).answer(200, &[], "");
            ping(builder, "Bearer access#1")
        };
        let id = "auth.resource-server.401-revoked";
        expect_three(id, &deny(revoked(), 401, BAD), &pong(revoked()), &inside(NEWEST));
    }

    #[test]
    fn a_malformed_header_is_a_bad_request() {
        let odd = || ping(inside(NEWEST), "Bearer");
        let id = "auth.resource-server.400-malformed";
        expect_three(id, &deny(odd(), 400, BAD), &deny(odd(), 500, ""), &inside(NEWEST));
        assert_eq!(judge(id, &deny(odd(), 401, BAD)).outcome, Outcome::NotExercised, "401 says as much");
        let shape =
            EventKind::Secret { label: "access#8".to_owned(), length: 9, visible_ascii: false, digits_only: false };
        let words = ping(inside(NEWEST).event(shape), "Bearer access#8");
        assert_eq!(judge(id, &pong(words)).outcome, Outcome::Fail, "two words");
    }

    #[test]
    fn a_session_is_no_token() {
        for id in ["auth.resource-server.every-request", "transport.http.session-not-authentication"] {
            let bare = || ping(inside(NEWEST), "");
            expect_three(id, &deny(bare(), 401, FIRST), &pong(bare()), &inside(NEWEST));
        }
        let id = "auth.resource-server.all-methods";
        let kept = deny(bare(inside(NEWEST), "DELETE", ""), 401, FIRST);
        let broken = bare(inside(NEWEST), "DELETE", "").answer(204, &[], "");
        expect_three(id, &kept, &broken, &inside(NEWEST));
        let absent = bare(inside(NEWEST), "GET", "").answer(405, &[], "");
        assert_eq!(judge(id, &absent).outcome, Outcome::NotExercised);
    }
}
