//! Transcripts with tokens, by hand, for the unit tests of checks.

use serde_json::{Value, json};

use crate::check::Outcome;
use crate::check::testing::judge;
use crate::model::requirements;
use crate::transcript::{Builder, End, EventKind, Headers};

/// A transcript under construction, after `initialize`.
#[derive(Debug, Clone)]
pub(crate) struct Play {
    builder: Builder,
    next: u32,
}

/// An answer of the token endpoint.
pub(crate) fn tokens(access: &str, refresh: &str) -> Value {
    json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": "r w", "refresh_token": refresh})
}

/// An OAuth error.
pub(crate) fn error(code: &str) -> Value {
    json!({"error": code})
}

impl Play {
    /// A conversation of this revision.
    pub(crate) fn on(revision: &str) -> Self {
        Self { builder: Builder::new().initialize(revision), next: 100 }
    }

    /// A client that has `access#1` and `refresh#1`, given for the scope `r w` and the resource `https://h/mcp`.
    pub(crate) fn logged_in() -> Self {
        Self::on("2025-11-25").first("c", "")
    }

    /// Another grant, of this client, with the tokens `access#1…` and `refresh#1…`.
    pub(crate) fn first(self, client: &str, suffix: &str) -> Self {
        let form = format!("grant_type=authorization_code&code=code{suffix}&resource=https://h/mcp&client_id={client}");
        let (access, refresh) = (format!("access#1{suffix}"), format!("refresh#1{suffix}"));
        self.token(&form, 200, &tokens(&access, &refresh))
    }

    /// Any exchange.
    pub(crate) fn send(
        mut self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
        (status, answer_headers, answer): (u16, &[(&str, &str)], &str),
    ) -> Self {
        let exchange = self.next;
        self.next += 1;
        let pairs = |list: &[(&str, &str)]| -> Headers {
            list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let mut sent = pairs(&[("host", "127.0.0.1:8080"), ("content-type", "application/x-www-form-urlencoded")]);
        sent.extend(pairs(headers));
        self.builder = self
            .builder
            .event(EventKind::Request {
                exchange,
                connection: 1,
                method: method.to_owned(),
                target: target.to_owned(),
                headers: sent,
                body: Some(body.into()),
                via: crate::model::Via::StreamableHttp,
                channel: None,
                tls: false,
            })
            .event(EventKind::Response { exchange, status, headers: pairs(answer_headers) })
            .event(EventKind::Body { exchange, text: answer.into(), utf8: true })
            .event(EventKind::End { exchange, end: End::Complete });
        self
    }

    /// A token request with an answer that may not be kept.
    pub(crate) fn token(self, form: &str, status: u16, answer: &Value) -> Self {
        let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
        self.send(("POST", "/token"), &[], form, (status, &headers, &answer.to_string()))
    }

    /// A refresh by the client `c` with further parameters.
    pub(crate) fn refresh(self, token: &str, more: &str, status: u16, answer: &Value) -> Self {
        self.token(&format!("grant_type=refresh_token&refresh_token={token}&client_id=c{more}"), status, answer)
    }

    /// A refresh that gives the next generation: from `refresh#1` to `access#2` and `refresh#2`.
    pub(crate) fn rotate(self, from: u32) -> Self {
        let answer = tokens(&format!("access#{}", from + 1), &format!("refresh#{}", from + 1));
        self.refresh(&format!("refresh#{from}"), "", 200, &answer)
    }

    /// A refresh that is refused with `invalid_grant`.
    pub(crate) fn dead(self, token: &str) -> Self {
        self.refresh(token, "", 400, &error("invalid_grant"))
    }

    /// A call with an access token.
    pub(crate) fn used(self, token: &str, status: u16) -> Self {
        let bearer = format!("Bearer {token}");
        self.send(("POST", "/mcp"), &[("authorization", &bearer)], "{}", (status, &[], ""))
    }

    /// A revocation by the client `c` with further parameters.
    pub(crate) fn revoke(self, token: &str, more: &str, status: u16) -> Self {
        self.send(("POST", "/revoke"), &[], &format!("token={token}&client_id=c{more}"), (status, &[], "{}"))
    }

    /// An introspection.
    pub(crate) fn introspect(self, token: &str, answer: &Value) -> Self {
        self.send(("POST", "/introspect"), &[], &format!("token={token}"), (200, &[], &answer.to_string()))
    }

    /// A step of the scenario begins.
    pub(crate) fn step(mut self, number: u32) -> Self {
        self.builder = self.builder.step(number, "oauth");
        self
    }

    /// Seconds pass.
    pub(crate) fn later(mut self, seconds: u64) -> Self {
        self.builder = self.builder.pause_ms(seconds * 1_000);
        self
    }

    /// The builder.
    pub(crate) fn built(&self) -> &Builder {
        &self.builder
    }
}

/// One check over a transcript that keeps it, one that breaks it, and one of a client that only logged in (or did
/// less, where logging in already is the occasion).
pub(crate) fn three(id: &str, kept: &Play, broken: &Play) {
    crate::check::support::three(id, kept.built(), broken.built());
}

/// A transcript that gives a check nothing to judge.
pub(crate) fn silent(id: &str, play: &Play) {
    assert!(requirements().get(id).is_some(), "{id}");
    let finding = judge(id, play.built());
    assert_eq!(finding.outcome, Outcome::NotExercised, "{id}: {:#?}", finding.breaches);
}
