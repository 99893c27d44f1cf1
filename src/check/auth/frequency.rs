//! How often a grant may be refreshed while its access tokens are short-lived.
//!
//! Some clients refresh before each request as soon as a token has only minutes to live, so that a server whose tokens never
//! live longer is asked by them for each request.

use super::ledger::{Ask, Ledger, under};
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::View;

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[Check { id: "auth.token.refresh-frequency", judge: often }];

/// Tokens that live shorter than this, in seconds, are refreshed before each request by some clients.
const SHORT: u64 = 300;
/// What counts as often, in microseconds between two refreshes.
const LATELY: u64 = 60_000_000;

/// Whether a refusal has no other reason than that the client came too often.
fn slowed(ask: &Ask<'_>) -> bool {
    let named = matches!(ask.error(), Some("slow_down" | "too_many_requests" | "rate_limited"));
    ask.exchange.status == Some(429) || (named && !ask.exchange.is_success())
}

fn often(view: &View<'_>, out: &mut Findings) {
    let ledger = Ledger::new(view);
    for ask in under(&ledger.asks, out) {
        let Some(origin) = ask.presented().and_then(|token| ledger.refresh.get(token)) else { continue };
        let source = &ledger.asks[origin.ask];
        let short = source.answer.at("expires_in").as_u64().is_some_and(|lives| lives < SHORT);
        let again = source.presented().is_some() && ask.exchange.at.saturating_sub(source.done()) < LATELY;
        // Who also does something else wrong may be refused for that.
        if !short || !again || !ask.sound() || !ledger.grants[origin.grant].own(ask) {
            continue;
        }
        if slowed(ask) {
            out.breach(told(
                "A refresh was refused because the grant was refreshed shortly before, while tokens live for minutes only."
                    .to_owned(),
                &["new tokens, as for the refreshes before"],
                came(ask.exchange),
                "let access tokens live longer than five minutes, or let a grant be refreshed as often as its client \
                 makes requests",
                ask.exchange.evidence(),
            ));
        } else if ask.access().is_some() {
            out.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::play::{Play, error, silent, three, tokens};
    use crate::check::Outcome;
    use crate::check::testing::judge;

    const ID: &str = "auth.token.refresh-frequency";

    fn short(generation: u32) -> Value {
        let mut answer = tokens(&format!("access#{generation}"), &format!("refresh#{generation}"));
        answer["expires_in"] = json!(240);
        answer
    }

    /// A client with tokens of four minutes that has refreshed once.
    fn refreshed() -> Play {
        let form = "grant_type=authorization_code&code=code&client_id=c";
        Play::on("2025-11-25").token(form, 200, &short(1)).refresh("refresh#1", "", 200, &short(2))
    }

    #[test]
    fn short_lives_are_refreshed_often() {
        let good = refreshed().refresh("refresh#2", "", 200, &short(3));
        three(ID, &good, &refreshed().refresh("refresh#2", "", 429, &error("slow_down")));
        three(ID, &good, &refreshed().refresh("refresh#2", "", 400, &error("slow_down")));
        silent(ID, &refreshed());
    }

    #[test]
    fn what_has_another_reason_is_not_judged() {
        let later = refreshed().later(120).refresh("refresh#2", "", 429, &error("slow_down"));
        assert_eq!(judge(ID, later.built()).outcome, Outcome::NotExercised, "not often");
        silent(ID, &Play::logged_in().rotate(1).refresh("refresh#2", "", 429, &error("slow_down")));
        silent(ID, &refreshed().dead("refresh#2"));
    }
}
