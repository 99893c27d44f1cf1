//! Methods that do not exist, because nobody has them, the server does not, or this revision has them no longer.

use super::flaw::{Ask, sound};
use crate::check::support::server_declared;
use crate::check::wire::{body_error, came, told};
use crate::check::{Check, Findings};
use crate::transcript::View;

/// The checks of this topic.
pub const CHECKS: &[Check] = &[
    Check { id: "transport.http.method-not-found-404", judge: not_found_status },
    Check { id: "transport.http.removed-methods-404", judge: removed },
    Check { id: "utilities.ping.removed", judge: ping },
    Check { id: "features.resources.subscribe-removed", judge: subscribe },
    Check { id: "patterns.tasks-ext.no-list-no-result", judge: tasks_result },
    Check { id: "patterns.tasks-ext.no-list", judge: tasks_list },
    Check { id: "transport.http.endpoint-post", judge: endpoint },
];

/// The methods that this revision defines.
const METHODS: &[&str] = &[
    "server/discover",
    "subscriptions/listen",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// The methods that earlier revisions had and this one has not.
const REMOVED: &[&str] = &[
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

fn code(ask: &Ask<'_>) -> Option<i64> {
    ask.code().or_else(|| body_error(ask.exchange))
}

/// A method that the server does not have is answered with the status and the error for that, both.
fn not_found_status(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(Ask::over_http) {
        let unknown = !METHODS.contains(&ask.method()) && !REMOVED.contains(&ask.method());
        let capability = match ask.method() {
            "tools/list" => Some("tools"),
            "prompts/list" => Some("prompts"),
            "resources/list" => Some("resources"),
            "completion/complete" => Some("completions"),
            _ => None,
        };
        let undeclared = capability.is_some_and(|name| server_declared(view, ask.request, &[name]) == Some(false));
        // A method of one's own may exist; then it is served. So may the list of what nobody declared, which is empty.
        let says_so = code(&ask) == Some(-32601);
        if !says_so && (ask.result().is_some() || !(unknown || undeclared)) {
            continue;
        }
        out.require(says_so && ask.exchange.status == Some(404), || {
            told(
                format!("{} is no method of this server, and the answer does not say so in both ways.", ask.method()),
                &["status 404 with error -32601: the error tells it from an address at which there is nothing"],
                came(ask.exchange),
                "answer unknown methods with status 404 and a JSON-RPC error of code -32601",
                ask.evidence(),
            )
        });
    }
}

fn gone(view: &View<'_>, out: &mut Findings, methods: &[&str], fix: &str) {
    for ask in sound(view).filter(|ask| methods.contains(&ask.method())) {
        out.require(code(&ask) == Some(-32601), || {
            told(
                format!("{} is no method of this revision, and the server did not say so.", ask.method()),
                &["error -32601"],
                came(ask.exchange),
                fix,
                ask.evidence(),
            )
        });
    }
}

/// What was removed is unknown, also over HTTP.
fn removed(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(|ask| ask.over_http() && REMOVED.contains(&ask.method())) {
        let right = ask.exchange.status == Some(404) && code(&ask) == Some(-32601);
        out.require(right, || {
            told(
                format!("{} was asked in the words of this revision, which no longer has it.", ask.method()),
                &["status 404 with error -32601"],
                came(ask.exchange),
                "serve the method to older clients only: those that do not name this revision in _meta",
                ask.evidence(),
            )
        });
    }
}

fn ping(view: &View<'_>, out: &mut Findings) {
    gone(view, out, &["ping"], "answer ping in the handshake era only");
}

fn subscribe(view: &View<'_>, out: &mut Findings) {
    let methods = ["resources/subscribe", "resources/unsubscribe"];
    gone(view, out, &methods, "offer subscriptions/listen with resourceSubscriptions instead");
}

fn tasks_result(view: &View<'_>, out: &mut Findings) {
    gone(view, out, &["tasks/result"], "let tasks/get carry the result of a task that is over");
}

fn tasks_list(view: &View<'_>, out: &mut Findings) {
    gone(view, out, &["tasks/list"], "offer no list of tasks: who has the id of a task may ask for it");
}

/// One path takes every method by POST.
fn endpoint(view: &View<'_>, out: &mut Findings) {
    for ask in sound(view).filter(Ask::over_http) {
        let status = ask.exchange.status;
        let bare = status == Some(405) || (status == Some(404) && code(&ask).is_none());
        out.require(!bare, || {
            told(
                format!("{} by POST was answered as if the endpoint did not take it.", ask.method()),
                &["one path that takes POST for all methods"],
                came(ask.exchange),
                "serve every method at the same path",
                ask.evidence(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::expect_three;
    use crate::transcript::Builder;
    use serde_json::{Value, json};

    fn start() -> Builder {
        Builder::new().modern().discover(json!({"tools": {}}))
    }

    fn unknown(method: &str, status: u16) -> Builder {
        start().probe(&[], method, Value::Null).refuses(status, -32601, Value::Null)
    }

    #[test]
    fn methods_that_are_not_there() {
        let id = "transport.http.method-not-found-404";
        expect_three(id, &unknown("odd/thing", 404), &unknown("odd/thing", 200), &start());
        expect_three(id, &unknown("prompts/list", 404), &unknown("prompts/list", 200), &start());
        for (id, method) in [
            ("transport.http.removed-methods-404", "ping"),
            ("transport.http.removed-methods-404", "initialize"),
            ("utilities.ping.removed", "ping"),
            ("features.resources.subscribe-removed", "resources/subscribe"),
            ("patterns.tasks-ext.no-list-no-result", "tasks/result"),
            ("patterns.tasks-ext.no-list", "tasks/list"),
        ] {
            expect_three(id, &unknown(method, 404), &start().call(method, Value::Null, json!({})), &start());
        }
    }

    #[test]
    fn one_endpoint() {
        let broken = start().probe(&[], "tools/list", Value::Null).answer(405, &[], "");
        expect_three("transport.http.endpoint-post", &start(), &broken, &Builder::new().modern());
    }
}
