//! Tokens that were made to order with something wrong about them: who takes one has a hole.
//!
//! A refusal proves something only where a right token from the same hand was served before.

use super::vault::{Vault, served};
use super::wire as oauth;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.resource-server.jwt-signature", judge: signature },
    Check { id: "auth.resource-server.jwt-type", judge: kind },
    Check { id: "auth.resource-server.issuer", judge: issuer },
    Check { id: "auth.resource-server.no-foreign-tokens", judge: foreign },
    Check { id: "auth.resource-server.audience-missing", judge: nobody },
    Check { id: "auth.resource-server.only-own-tokens", judge: own },
];

/// Each request with a token that has one of these flaws: it passes where a token with no other flaw was refused, and
/// `caught` tells of one that was served.
pub(super) fn each(
    view: &View<'_>,
    out: &mut Findings,
    wanted: &[&str],
    mut caught: impl FnMut(&mut Findings, &Exchange),
) {
    let Some(vault) = Vault::open(view).filter(Vault::has_orders) else { return };
    let asked: Vec<u32> = vault.asked().map(|(exchange, _)| exchange.number).collect();
    for (index, exchange) in view.exchanges.iter().enumerate() {
        let flaws = vault.flaws(exchange);
        let concerned = flaws.iter().any(|flaw| wanted.contains(&flaw.as_str())) && asked.contains(&exchange.number);
        if !concerned || !out.covers(oauth::around(view, exchange)) {
            continue;
        }
        if served(view, index, exchange) {
            caught(out, exchange);
        } else if flaws.len() == 1 && matches!(exchange.status, Some(400..=403)) {
            out.pass();
        }
    }
}

fn breach(what: &str, exchange: &Exchange, fix: &str) -> Breach {
    told(what.to_owned(), &["status 401 with a Bearer challenge"], came(exchange), fix, exchange.evidence())
}

fn signature(view: &View<'_>, out: &mut Findings) {
    let fix = "verify each token with a published key of the issuer and with the algorithms that you expect of it; what \
               the token itself says about algorithm and key decides nothing";
    for (flaw, what) in [
        ("unsigned", "A token that nobody had signed (alg none) was served."),
        ("algorithm", "A token was served that is signed with HS256 and the public key as its secret."),
        ("wrong-key", "A token was served that names the issuer's key and is signed by another."),
        ("unknown-kid", "A token was served that is signed by a key that the issuer never published."),
    ] {
        each(view, out, &[flaw], |out, exchange| out.breach(breach(what, exchange, fix)));
    }
}

fn kind(view: &View<'_>, out: &mut Findings) {
    each(view, out, &["id-token"], |out, exchange| {
        let fix = "take tokens with the type at+jwt only, or at least none whose audience is a client";
        out.breach(breach("An ID token, made for a client, was served as if it were an access token.", exchange, fix));
    });
}

fn issuer(view: &View<'_>, out: &mut Findings) {
    each(view, out, &["issuer"], |out, exchange| {
        let fix = "compare iss with the issuers in authorization_servers, each with its own keys";
        out.breach(breach("A token was served that names another issuer.", exchange, fix));
    });
}

fn foreign(view: &View<'_>, out: &mut Findings) {
    each(view, out, &["issuer"], |out, exchange| {
        let fix = "accept only tokens that your own authorization server issued for you";
        out.breach(breach("A token of another authorization server was accepted.", exchange, fix));
    });
}

fn nobody(view: &View<'_>, out: &mut Findings) {
    each(view, out, &["no-audience"], |out, exchange| {
        let fix = "refuse tokens without aud, unless something else about them says that they are for this server";
        // It may know otherwise: from an issuer that serves nobody else, say.
        out.contested(breach("A token that names no recipient was served.", exchange, fix));
    });
}

fn own(view: &View<'_>, out: &mut Findings) {
    each(view, out, &["audience"], |out, exchange| {
        let fix = "ask of each token whether it is valid for this very resource";
        out.breach(breach("A token that is valid for another resource only was accepted.", exchange, fix));
    });
}

#[cfg(test)]
mod tests {
    use super::super::samples::{BAD, NEWEST, deny, inside, ping, pong};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::{Builder, EventKind};

    fn minted(builder: Builder, label: &str, flaws: &[&str]) -> Builder {
        let flaws: Vec<String> = flaws.iter().map(|&flaw| flaw.to_owned()).collect();
        let ended_s = flaws.contains(&"expired".to_owned()).then_some(3_600);
        builder.event(EventKind::Minted { label: label.to_owned(), flaws, ended_s })
    }

    /// A conversation in which a right token made to order was served.
    fn proven() -> Builder {
        pong(ping(minted(inside(NEWEST), "access#7", &[]), "Bearer access#7"))
    }

    /// A ping with a token that has these flaws, before its answer.
    fn forged(builder: Builder, flaws: &[&str]) -> Builder {
        ping(minted(builder, "access#8", flaws), "Bearer access#8")
    }

    #[test]
    fn a_forged_token_is_refused() {
        for (id, flaw) in [
            ("auth.resource-server.jwt-signature", "unsigned"),
            ("auth.resource-server.jwt-signature", "algorithm"),
            ("auth.resource-server.jwt-signature", "wrong-key"),
            ("auth.resource-server.jwt-signature", "unknown-kid"),
            ("auth.resource-server.jwt-type", "id-token"),
            ("auth.resource-server.issuer", "issuer"),
            ("auth.resource-server.no-foreign-tokens", "issuer"),
            ("auth.resource-server.only-own-tokens", "audience"),
            ("auth.resource-server.audience", "audience"),
        ] {
            let one = || forged(proven(), &[flaw]);
            expect_three(id, &deny(one(), 401, BAD), &pong(one()), &proven());
        }
    }

    #[test]
    fn a_token_for_nobody_is_refused_or_doubted() {
        let id = "auth.resource-server.audience-missing";
        let one = || forged(proven(), &["no-audience"]);
        assert_eq!(judge(id, &deny(one(), 401, BAD)).outcome, Outcome::Pass);
        assert_eq!(judge(id, &pong(one())).outcome, Outcome::Warn, "its recipient may be known otherwise");
        assert_eq!(judge(id, &proven()).outcome, Outcome::NotExercised);
    }

    #[test]
    fn without_a_right_token_that_was_served_nothing_is_said() {
        let id = "auth.resource-server.jwt-signature";
        let opaque = deny(ping(minted(inside(NEWEST), "access#7", &[]), "Bearer access#7"), 401, BAD);
        for answered in [deny(forged(opaque.clone(), &["unsigned"]), 401, BAD), pong(forged(opaque, &["unsigned"]))] {
            assert_eq!(judge(id, &answered).outcome, Outcome::NotExercised);
            assert_eq!(judge("auth.resource-server.401-invalid", &answered).outcome, Outcome::NotExercised);
        }
        let twice = deny(forged(proven(), &["unsigned", "issuer"]), 401, BAD);
        assert_eq!(judge(id, &twice).outcome, Outcome::NotExercised, "either flaw may be the reason");
        assert_eq!(judge(id, &pong(forged(proven(), &["unsigned", "issuer"]))).outcome, Outcome::Fail);
    }

    #[test]
    fn the_refusal_itself_is_judged_as_ever() {
        let one = || forged(proven(), &["wrong-key"]);
        let id = "auth.resource-server.401-invalid";
        expect_three(id, &deny(one(), 401, BAD), &deny(one(), 500, ""), &proven());
        assert_eq!(judge(id, &pong(one())).outcome, Outcome::NotExercised, "another check tells that it was served");
        let early = || forged(proven(), &["not-yet-valid"]);
        let id = "auth.resource-server.validate-tokens";
        assert_eq!(judge(id, &deny(early(), 401, BAD)).outcome, Outcome::Pass);
        assert_eq!(judge(id, &pong(early())).outcome, Outcome::Warn);
    }

    #[test]
    fn a_token_that_was_made_old_is_over() {
        let old = || forged(proven(), &["expired"]);
        expect_three("auth.resource-server.401-expired", &deny(old(), 401, BAD), &pong(old()), &proven());
    }
}
