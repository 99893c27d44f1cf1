//! The authorization endpoint: what comes back to the client, what is ignored, and how the page is guarded.

use serde_json::Value;

use super::asked::{Answer, asks, asks_under, granted_otherwise, redeemed};
use super::wire;
use crate::check::wire::{came, told};
use crate::check::{Breach, Check, Findings};
use crate::model::Members as _;
use crate::transcript::{Exchange, View};

/// The checks of this topic.
pub(crate) static CHECKS: &[Check] = &[
    Check { id: "auth.authorization.state-echo", judge: state },
    Check { id: "auth.authorization.iss-response", judge: iss_sent },
    Check { id: "auth.authorization.iss-value", judge: iss_value },
    Check { id: "auth.authorization.no-implicit", judge: no_implicit },
    Check { id: "auth.authorization.no-password-grant", judge: no_password },
    Check { id: "auth.authorization.no-307", judge: no_307 },
    Check { id: "auth.authorization.no-clickjacking", judge: no_framing },
    Check { id: "auth.authorization.no-cors", judge: no_cors },
    Check { id: "auth.authorization.ignore-unknown-params", judge: unknown_params },
    Check { id: "auth.authorization.resource-case-tolerance", judge: resource_case },
    Check { id: "auth.authorization.resource-invalid-target", judge: invalid_target },
    Check { id: "auth.authorization.resource-audience", judge: audience },
];

/// Parameters of authorization requests that some specification defines.
const KNOWN: [&str; 25] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "response_mode",
    "nonce",
    "display",
    "prompt",
    "max_age",
    "ui_locales",
    "id_token_hint",
    "login_hint",
    "acr_values",
    "claims",
    "claims_locales",
    "registration",
    "request",
    "request_uri",
    "audience",
    "authorization_details",
    "dpop_jkt",
];

/// What came back, with the place that was redirected to.
fn seen(exchange: &Exchange) -> String {
    let place = exchange.got_header("location").map(|place| format!(" to {place}")).unwrap_or_default();
    format!("{}{place}", came(exchange))
}

fn breach(exchange: &Exchange, what: &str, expected: &str, fix: &str) -> Breach {
    told(what.to_owned(), &[expected], seen(exchange), fix, exchange.evidence())
}

fn state(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out).iter().filter(|ask| ask.went_back()) {
        let Some(sent) = ask.param("state").filter(|state| !state.is_empty()) else { continue };
        out.require(ask.got("state") == Some(sent), || {
            breach(
                ask.exchange,
                "The answer does not have the state of the request, so the client has to drop it.",
                &format!("state={sent}"),
                "return state as it came, with codes and with errors",
            )
        });
    }
}

/// Whether the metadata promises `iss` in authorization responses.
fn promises_iss(view: &View<'_>) -> bool {
    let promised = |found: &&Value| found.at("authorization_response_iss_parameter_supported") == true;
    wire::server_documents(view).iter().any(promised)
}

fn iss_sent(view: &View<'_>, out: &mut Findings) {
    // Who promises it in the metadata has to keep it under any revision (RFC 9207 section 2.4: clients refuse otherwise).
    let promised = promises_iss(view);
    for ask in asks(view).iter().filter(|ask| matches!(ask.answer, Answer::Code(_) | Answer::Error(_))) {
        if promised || out.covers(wire::around(view, ask.exchange)) {
            out.require(ask.got("iss").is_some(), || {
                breach(
                    ask.exchange,
                    "The authorization response has no `iss`.",
                    "iss with the issuer identifier, with codes and with errors",
                    "add iss to every authorization response",
                )
            });
        }
    }
}

fn iss_value(view: &View<'_>, out: &mut Findings) {
    let issuers: Vec<String> = wire::server_documents(view)
        .iter()
        .filter_map(|found| found.at("issuer").as_str().map(str::to_owned))
        .collect();
    for ask in asks(view).iter().filter(|_| !issuers.is_empty()) {
        let Some(iss) = ask.got("iss") else { continue };
        if issuers.iter().any(|issuer| issuer == iss) {
            out.pass();
            continue;
        }
        let told = breach(
            ask.exchange,
            "The `iss` of the answer is not the issuer of the metadata, so clients take it for a mix-up.",
            &format!("iss={}", issuers.join(" or ")),
            "send the issuer identifier of the metadata, letter by letter",
        );
        // MCP asks for it since 2026-07-28; before, it is RFC 9207 alone.
        if out.covers(wire::around(view, ask.exchange)) { out.breach(told) } else { out.contested(told) }
    }
}

fn no_implicit(view: &View<'_>, out: &mut Findings) {
    for ask in asks_under(view, out) {
        let implicit = ask.param("response_type").is_some_and(|kind| kind.split(' ').any(|word| word == "token"));
        if !implicit || ask.exchange.status.is_none() {
            continue;
        }
        let given = wire::param(ask.exchange.handed_over(), "access_token").is_some();
        out.require(!given, || {
            breach(
                ask.exchange,
                "An access token is handed over in a URL (the implicit grant).",
                "unsupported_response_type",
                "offer the response type code only",
            )
        });
    }
}

fn no_password(view: &View<'_>, out: &mut Findings) {
    for exchange in wire::token_requests(view) {
        let password = wire::param(wire::form(exchange), "grant_type") == Some("password");
        if !password || !out.covers(wire::around(view, exchange)) {
            continue;
        }
        if exchange.status.is_none() {
            out.inconclusive();
            continue;
        }
        // A wrong password is refused as invalid_grant by those who would take the right one.
        let code = wire::document(exchange).unwrap_or_default().at("error").as_str().unwrap_or_default().to_owned();
        let told = || {
            breach(
                exchange,
                "The token endpoint takes a person's password.",
                "unsupported_grant_type",
                "take the password grant away",
            )
        };
        if exchange.is_success() {
            out.breach(told());
        } else if code == "invalid_grant" {
            out.contested(told());
        } else {
            out.pass();
        }
    }
}

fn no_307(view: &View<'_>, out: &mut Findings) {
    for exchange in wire::authorization_requests(view) {
        let redirected = exchange.status.is_some_and(|status| (300..400).contains(&status));
        if !redirected || !out.covers(wire::around(view, exchange)) {
            continue;
        }
        if !matches!(exchange.status, Some(307 | 308)) {
            out.pass();
            continue;
        }
        let told = breach(
            exchange,
            "The redirect has a status that makes a browser send a submitted form, passwords and all, to the client.",
            "302 or 303",
            "redirect with 303 or 302",
        );
        // A GET carries no form; where one redirect is so, that of the login page may be, too.
        if exchange.method == "GET" { out.contested(told) } else { out.breach(told) }
    }
}

fn no_framing(view: &View<'_>, out: &mut Findings) {
    for exchange in wire::authorization_requests(view) {
        if exchange.media_type() != Some("text/html") || !out.covers(wire::around(view, exchange)) {
            continue;
        }
        let options = exchange.got_header("x-frame-options").unwrap_or_default().to_ascii_lowercase();
        let policy = exchange.got_header("content-security-policy").unwrap_or_default().to_ascii_lowercase();
        if ["deny", "sameorigin"].contains(&options.trim()) || policy.contains("frame-ancestors") {
            out.pass();
            continue;
        }
        let told = breach(
            exchange,
            "A page of the authorization endpoint can be put into a frame of another page.",
            "Content-Security-Policy with frame-ancestors, or X-Frame-Options",
            "forbid framing on every page of the authorization server",
        );
        // On a page that only says what went wrong there is nothing to click.
        if exchange.is_success() { out.breach(told) } else { out.contested(told) }
    }
}

fn no_cors(view: &View<'_>, out: &mut Findings) {
    for exchange in wire::authorization_requests(view) {
        if exchange.status.is_none() || !out.covers(wire::around(view, exchange)) {
            continue;
        }
        let allowed = exchange.got_header("access-control-allow-origin").is_some();
        // Without an Origin there is nothing that CORS could answer.
        if allowed {
            out.breach(breach(
                exchange,
                "The authorization endpoint lets scripts of other pages read its answers.",
                "no Access-Control-Allow-Origin",
                "leave CORS off at the authorization endpoint: clients redirect to it, they do not call it",
            ));
        } else if exchange.sent_header("origin").is_some() {
            out.pass();
        }
    }
}

fn unknown_params(view: &View<'_>, out: &mut Findings) {
    let asks = asks_under(view, out);
    for ask in &asks {
        let unknown: Vec<&str> =
            ask.params.iter().map(|(name, _)| name.as_str()).filter(|name| !KNOWN.contains(name)).collect();
        if unknown.is_empty() {
            continue;
        }
        if ask.code().is_some() {
            out.pass();
        } else if matches!(ask.answer, Answer::Error(_) | Answer::Refused) && granted_otherwise(&asks, ask) {
            out.breach(breach(
                ask.exchange,
                &format!("The request is refused, and all that is unusual about it is {}.", unknown.join(", ")),
                "a code: unknown parameters are ignored",
                "ignore parameters that are not known",
            ));
        } else {
            out.inconclusive();
        }
    }
}

/// What the resource calls itself in its metadata.
fn resources(view: &View<'_>) -> Vec<String> {
    let named = wire::resource_metadata(view).filter_map(wire::document);
    named.filter_map(|found| found.at("resource").as_str().map(str::to_owned)).collect()
}

/// A resource with scheme and host in lower case, without a slash at its end.
fn canonical(text: &str) -> Option<String> {
    let url: url::Url = text.parse().ok()?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn resource_case(view: &View<'_>, out: &mut Findings) {
    let known = resources(view);
    for ask in asks_under(view, out) {
        let Some(asked) = ask.param("resource").filter(|asked| !known.iter().any(|one| one == asked)) else { continue };
        let same = known.iter().any(|one| one.eq_ignore_ascii_case(asked) && canonical(one) == canonical(asked));
        if !same {
            continue;
        }
        match &ask.answer {
            Answer::Code(_) => out.pass(),
            Answer::Error(code) if code == "invalid_target" => out.breach(breach(
                ask.exchange,
                "A resource is refused because its scheme or host is in upper case.",
                "a code: scheme and host have no case",
                "compare resources in their canonical form",
            )),
            _ => out.inconclusive(),
        }
    }
}

/// Whether a resource can be nobody's: no absolute URI, or a host below `.invalid` (RFC 6761 section 6.4). What else an
/// authorization server gives tokens for is not known from outside.
fn foreign(known: &[String], asked: &str) -> bool {
    let host = asked.parse::<url::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    !known.is_empty() && host.is_none_or(|host| host.ends_with(".invalid"))
}

fn invalid_target(view: &View<'_>, out: &mut Findings) {
    let known = resources(view);
    for ask in asks_under(view, out) {
        let Some(asked) = ask.param("resource").filter(|asked| !asked.is_empty() && foreign(&known, asked)) else {
            continue;
        };
        match &ask.answer {
            Answer::Error(code) if code == "invalid_target" => out.pass(),
            Answer::Error(_) | Answer::Code(_) => out.breach(breach(
                ask.exchange,
                &format!("The resource {asked} is none of this server's, and the request is not refused for it."),
                "error=invalid_target",
                "refuse resources that the server does not issue tokens for",
            )),
            _ => out.inconclusive(),
        }
    }
}

/// Whether an audience names a resource.
fn names(audience: &Value, resource: &str) -> bool {
    let same = |value: &Value| value.as_str().and_then(canonical) == canonical(resource);
    audience.as_array().map_or_else(|| same(audience), |list| list.iter().any(same))
}

fn audience(view: &View<'_>, out: &mut Findings) {
    let asks = asks_under(view, out);
    let redeemed = redeemed(view, &asks);
    for exchange in wire::to(view, "introspection_endpoint", "/introspect") {
        let form = wire::form(exchange);
        let Some(token) = wire::param(form, "token") else { continue };
        let from = redeemed.iter().find(|seen| seen.access().as_deref() == Some(token));
        let Some(resource) = from.and_then(|seen| seen.from.param("resource")) else { continue };
        let found = wire::document(exchange).filter(|found| found.at("active") == true).unwrap_or_default();
        // Introspection need not tell the audience.
        if found.at("aud").is_null() {
            continue;
        }
        out.require(names(found.at("aud"), resource), || {
            breach(
                exchange,
                &format!("The token was asked for {resource}, and is for something else."),
                "the resource that was asked for as audience",
                "restrict tokens to the resource of the request",
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked::play::{self, BACK, asked, asked_with, back, begun, redeem, resource, tokens};
    use super::*;
    use crate::check::Outcome;
    use crate::check::testing::{expect_three, judge};
    use crate::transcript::Builder;

    const GRANTED: &str = "?code=code#1&state=s1&iss=http://127.0.0.1:8080";
    const NOW: &str = "2025-11-25";

    fn ask(changes: &[(&str, &str)]) -> Builder {
        asked(begun(NOW), changes)
    }

    #[test]
    fn state_comes_back() {
        let id = "auth.authorization.state-echo";
        let silent = back(ask(&[("state", "")]), "?code=code#1");
        expect_three(id, &back(ask(&[]), GRANTED), &back(ask(&[]), "?code=code#1&state=S1"), &silent);
        assert_eq!(judge(id, &back(ask(&[]), "?error=access_denied")).outcome, Outcome::Fail);
    }

    #[test]
    fn iss_comes_and_is_the_issuer() {
        let answered = |rest: &str| back(asked(begun("2026-07-28"), &[]), rest);
        let kept = answered(GRANTED);
        let silent = begun("2026-07-28");
        expect_three("auth.authorization.iss-response", &kept, &answered("?error=access_denied"), &silent);
        let id = "auth.authorization.iss-value";
        expect_three(id, &kept, &answered("?code=code#1&iss=http://127.0.0.1:8080/"), &silent);
        let earlier = back(ask(&[]), "?code=code#1&iss=http://127.0.0.1:8080/");
        assert_eq!(judge(id, &earlier).outcome, Outcome::Warn);
    }

    #[test]
    fn grants_that_are_gone() {
        let implicit = || ask(&[("response_type", "token")]);
        let kept = back(implicit(), "?error=unsupported_response_type&state=s1");
        let broken = back(implicit(), "#access_token=access#1&token_type=Bearer");
        expect_three("auth.authorization.no-implicit", &kept, &broken, &back(ask(&[]), GRANTED));
        let id = "auth.authorization.no-password-grant";
        let password = [("grant_type", "password"), ("code", ""), ("code_verifier", "")];
        let tried = |status, answer: &Value| redeem(begun(NOW), &password, status, answer);
        let kept = tried(400, &play::error("unsupported_grant_type"));
        expect_three(id, &kept, &tried(200, &tokens()), &begun(NOW));
        assert_eq!(judge(id, &tried(400, &play::error("invalid_grant"))).outcome, Outcome::Warn);
    }

    #[test]
    fn redirects_after_forms() {
        let id = "auth.authorization.no-307";
        let posted = |status| {
            let form = begun(NOW).outside("POST", "/authorize", &[], Some("user=a"));
            form.answer(status, &[("location", &format!("{BACK}{GRANTED}"))], "")
        };
        expect_three(id, &posted(303), &posted(307), &begun(NOW));
        let got = ask(&[]).answer(307, &[("location", &format!("{BACK}{GRANTED}"))], "");
        assert_eq!(judge(id, &got).outcome, Outcome::Warn, "there is no form to send on");
    }

    #[test]
    fn pages_are_guarded() {
        let id = "auth.authorization.no-clickjacking";
        let page = |status, more: (&str, &str)| ask(&[]).answer(status, &[("content-type", "text/html"), more], "<p>");
        for guard in [("x-frame-options", "DENY"), ("content-security-policy", "frame-ancestors 'none'")] {
            expect_three(id, &page(200, guard), &page(200, ("x-other", "1")), &back(ask(&[]), GRANTED));
        }
        assert_eq!(judge(id, &page(400, ("x-other", "1"))).outcome, Outcome::Warn);
        let id = "auth.authorization.no-cors";
        let foreign = || asked_with(begun(NOW), &[], &[("origin", "https://app.example.com")]);
        let open = foreign().answer(200, &[("access-control-allow-origin", "*")], "");
        expect_three(id, &back(foreign(), GRANTED), &open, &back(ask(&[]), GRANTED));
    }

    #[test]
    fn unknown_parameters_are_ignored() {
        let id = "auth.authorization.ignore-unknown-params";
        let ordinary = || back(ask(&[]), GRANTED);
        let odd = || asked(ordinary(), &[("x_colour", "green")]);
        let refused = back(odd(), "?error=invalid_request&state=s1");
        expect_three(id, &back(odd(), GRANTED), &refused, &ordinary());
        let alone = back(ask(&[("x_colour", "green")]), "?error=invalid_request");
        assert_eq!(judge(id, &alone).outcome, Outcome::Inconclusive);
    }

    #[test]
    fn resources() {
        let begun = || resource(begun(NOW), &json!(["http://127.0.0.1:8080"]));
        let ask = |resource: &str| asked(begun(), &[("resource", resource)]);
        let right = || back(ask("http://127.0.0.1:8080/mcp"), GRANTED);
        let shouted = || ask("HTTP://127.0.0.1:8080/mcp");
        let refused = "?error=invalid_target&state=s1";
        expect_three(
            "auth.authorization.resource-case-tolerance",
            &back(shouted(), GRANTED),
            &back(shouted(), refused),
            &right(),
        );
        let foreign = || ask("https://nowhere.invalid/mcp");
        expect_three(
            "auth.authorization.resource-invalid-target",
            &back(foreign(), refused),
            &back(foreign(), GRANTED),
            &right(),
        );
        let looked = |audience: Value| {
            let token = redeem(right(), &[], 200, &tokens());
            token.outside("POST", "/introspect", &[], Some("token=access%231")).json(200, &audience)
        };
        let kept = looked(json!({"active": true, "aud": ["http://127.0.0.1:8080/mcp/"]}));
        let broken = looked(json!({"active": true, "aud": "https://other.example.com"}));
        expect_three("auth.authorization.resource-audience", &kept, &broken, &looked(json!({"active": true})));
    }
}
