//! The catalogue of faults, one row each.

use serde_json::{Value, json};

use super::fault::{Fault, How, OutCtx, Rule};
use super::http::{AskCtx, ReplyHead};

type Ids = &'static [&'static str];

const fn rule(id: &'static str, summary: &'static str, caught_by: Ids, rule: Rule) -> Fault {
    Fault { id, summary, caught_by, how: How::Rule(rule) }
}

const fn out(id: &'static str, summary: &'static str, caught_by: Ids, rewrite: fn(&mut Value, &OutCtx<'_>)) -> Fault {
    Fault { id, summary, caught_by, how: How::Outgoing(rewrite) }
}

const fn head(id: &'static str, summary: &'static str, caught_by: Ids, rewrite: fn(&mut ReplyHead, &AskCtx)) -> Fault {
    Fault { id, summary, caught_by, how: How::Head(rewrite) }
}

/// All faults, by area.
pub static FAULTS: &[Fault] = &[
    rule(
        "session.delete-ignored",
        "DELETE is answered with 204 and the session lives on",
        &["transport.http.session-delete-effective"],
        Rule::DeleteEnds,
    ),
    head("session.delete-405", "DELETE is answered with 405", &["transport.http.session-delete-405"], |reply, ask| {
        if ask.http_method == "DELETE" && ask.session.is_some() {
            reply.status = 405;
        }
    }),
    out(
        "rpc.id-as-string",
        "Responses carry their id as a string",
        &["base.response-echoes-id"],
        |message, context| {
            if context.revision.facts().streamable_http && message.get("method").is_none() {
                message["id"] = json!(message["id"].to_string());
            }
        },
    ),
    out("lifecycle.no-server-info", "serverInfo is missing", &["lifecycle.initialize-result"], |message, context| {
        if context.method == Some("initialize")
            && let Some(result) = message.get_mut("result").and_then(Value::as_object_mut)
        {
            result.shift_remove("serverInfo");
        }
    }),
];
