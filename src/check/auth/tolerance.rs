//! Authorization and token requests that are right in sense and unusual in form: a resource with a slash at the end, or
//! beside scopes, and the wish that the person consents.

use super::asked::{Answer, Ask, asks_under, granted_otherwise};
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "auth.authorization.resource-slash-tolerance", judge: slash },
    Check { id: "auth.authorization.resource-beside-scope", judge: beside_scope },
    Check { id: "auth.authorization.prompt-tolerance", judge: prompt },
];

/// What the resource is called in its metadata, where that and the asked name differ by slashes at the end only.
fn otherwise_spelled(view: &View<'_>, asked: &str) -> Option<String> {
    let documents = wire::resource_metadata(view).filter_map(wire::document);
    let mut names = documents.filter_map(|found| found.at("resource").as_str());
    names.find(|name| *name != asked && name.trim_end_matches('/') == asked.trim_end_matches('/')).map(str::to_owned)
}

/// Judges the answer to a request for a resource that is spelled with a slash too many or too few.
fn judge_spelling(out: &mut Findings, exchange: &Exchange, asked: &str, known: &str, error: &str, description: &str) {
    // Who tells the right spelling has helped as well.
    let told_how = description.split_whitespace().any(|word| word.trim_matches(['"', '\'', ',', ';', '.']) == known);
    out.require(error != "invalid_target" || told_how, || {
        told(
            format!("The resource {asked} is refused, and all that it differs in from {known} is a slash at its end."),
            &["the answer that the other spelling gets", "a refusal that says which spelling is right"],
            format!("{}, {error}: {description}", came(exchange)),
            "compare resources without the slash at their end; many clients write URLs without a path with one",
            exchange.evidence(),
        )
    });
}

fn slash(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out) {
        let Some(asked) = ask.param("resource") else { continue };
        let Some(known) = otherwise_spelled(view, asked) else { continue };
        match &ask.answer {
            Answer::Code(_) => out.pass(),
            Answer::Error(error) => {
                let description = ask.got("error_description").unwrap_or_default();
                judge_spelling(out, ask.exchange, asked, &known, error, description);
            }
            _ => out.inconclusive(),
        }
    }
    for exchange in wire::token_requests(view) {
        let form = wire::form(exchange);
        let Some(asked) = wire::param(form, "resource").filter(|_| out.covers(wire::around(view, exchange))) else {
            continue;
        };
        let (Some(known), Some(answer)) = (otherwise_spelled(view, asked), wire::document(exchange)) else { continue };
        let text = |name: &str| answer[name].as_str().unwrap_or_default();
        judge_spelling(out, exchange, asked, &known, text("error"), text("error_description"));
    }
}

/// Whether the metadata of the resource calls it so.
fn stated(view: &View<'_>, resource: &str) -> bool {
    wire::resource_metadata(view).filter_map(wire::document).any(|found| found.at("resource") == resource)
}

/// A parameter of a request that is there and not empty.
fn given<'a>(ask: &'a Ask<'_>, name: &str) -> Option<&'a str> {
    ask.param(name).filter(|value| !value.is_empty())
}

fn beside_scope(view: &View<'_>, out: &mut Findings) {
    let asks = asks_under(view, out);
    for ask in &asks {
        let (Some(resource), Some(scope)) = (given(ask, "resource"), given(ask, "scope")) else { continue };
        let same_client =
            |other: &&Ask<'_>| other.code().is_some() && other.param("client_id") == ask.param("client_id");
        let alone = |one: &str, value: &str, other: &str| {
            asks.iter().filter(same_client).any(|seen| given(seen, one) == Some(value) && given(seen, other).is_none())
        };
        match &ask.answer {
            Answer::Code(_) => out.pass(),
            Answer::Error(error)
                if ["invalid_target", "invalid_scope", "invalid_request"].contains(&error.as_str()) =>
            {
                // What is refused alone as well is refused for itself, and a resource that nobody knows may be so.
                let known = stated(view, resource) || alone("resource", resource, "scope");
                if !known || !alone("scope", scope, "resource") {
                    continue;
                }
                out.breach(told(
                    format!("The scope {scope} is granted alone, and refused together with the resource {resource}."),
                    &["a code, as for the scope alone"],
                    format!("{error}: {}", ask.got("error_description").unwrap_or_default()),
                    "take the resource and the scopes as two things: MCP clients always send both",
                    ask.exchange.evidence(),
                ));
            }
            _ => {}
        }
    }
}

/// `prompt=consent` (OpenID Connect Core section 3.1.2.1) is done or ignored, but no reason to refuse.
fn prompt(view: &View<'_>, out: &mut Findings) {
    let asks = asks_under(view, out);
    for ask in asks.iter().filter(|ask| ask.param("prompt") == Some("consent")) {
        match &ask.answer {
            Answer::Code(_) => out.pass(),
            Answer::Error(error) if error == "invalid_request" && granted_otherwise(&asks, ask) => out.breach(told(
                "A request is refused for prompt=consent, and is granted without it.".to_owned(),
                &["a code, or the page on which the person consents"],
                format!("{error}: {}", ask.got("error_description").unwrap_or_default()),
                "ask the person where a client wants it, or ignore the parameter: many clients always send it",
                ask.exchange.evidence(),
            )),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::play::{asked, back, begun, redeem, resource, tokens};
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const SLASH: &str = "http://127.0.0.1:8080/mcp/";
    const PLAIN: &str = "http://127.0.0.1:8080/mcp";

    fn known() -> Builder {
        resource(begun("2025-11-25"), &json!(["http://127.0.0.1:8080"]))
    }

    fn asks(builder: Builder, pairs: &[(&str, &str)], rest: &str) -> Builder {
        back(asked(builder, pairs), rest)
    }

    #[test]
    fn a_slash_more_is_the_same_resource() {
        let id = "auth.authorization.resource-slash-tolerance";
        let with = |rest: &str| asks(known(), &[("resource", SLASH)], rest);
        let silent = asks(known(), &[("resource", PLAIN)], "?error=invalid_target");
        let refusal = "?error=invalid_target&error_description=no+such+resource";
        expect_three(id, &with("?code=code%231"), &with(refusal), &silent);
        let helpful = "?error=invalid_target&error_description=the+resource+is+http://127.0.0.1:8080/mcp.";
        assert_eq!(judge(id, &with(helpful)).outcome, Outcome::Pass);
        let redeemed = |status, answer: &serde_json::Value| redeem(known(), &[("resource", SLASH)], status, answer);
        assert_eq!(judge(id, &redeemed(400, &json!({"error": "invalid_target"}))).outcome, Outcome::Warn);
        assert_eq!(judge(id, &redeemed(200, &tokens())).outcome, Outcome::Pass);
    }

    #[test]
    fn resource_and_scope_go_together() {
        let id = "auth.authorization.resource-beside-scope";
        let both = [("resource", PLAIN), ("scope", "a b")];
        let alone = asks(known(), &[("scope", "a b")], "?code=code%231");
        let refused = "?error=invalid_target";
        expect_three(
            id,
            &asks(known(), &both, "?code=code%231"),
            &asks(alone.clone(), &both, refused),
            &asks(known(), &both, refused),
        );
        let other = asks(known(), &[("scope", "a")], "?code=code%231");
        assert_eq!(judge(id, &asks(other, &both, refused)).outcome, Outcome::NotExercised);
    }

    #[test]
    fn consent_may_be_asked_for() {
        let id = "auth.authorization.prompt-tolerance";
        let plain = || asks(known(), &[], "?code=code%231");
        let wished = |rest: &str| asks(plain(), &[("prompt", "consent")], rest);
        expect_three(id, &wished("?code=code%231"), &wished("?error=invalid_request"), &plain());
        assert_eq!(judge(id, &wished("?error=access_denied")).outcome, Outcome::NotExercised);
        let alone = asks(known(), &[("prompt", "consent")], "?error=invalid_request");
        assert_eq!(judge(id, &alone).outcome, Outcome::NotExercised, "something else may be wrong");
    }
}
