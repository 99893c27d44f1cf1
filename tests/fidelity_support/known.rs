//! Where simulated and real clients differ, and why that is.

use mcp_rehearsal::recording::fidelity::Difference;

/// A difference that is known.
pub(crate) struct Known {
    client: &'static str,
    run: &'static str,
    request: &'static str,
    field: &'static str,
    /// Its reason.
    pub(crate) why: &'static str,
}

impl Known {
    /// Whether this is the difference; an empty text fits everything, and others have to be contained.
    pub(crate) fn fits(&self, client: &str, run: &str, difference: &Difference) -> bool {
        (self.client.is_empty() || self.client.split(' ').any(|name| name == client))
            && (self.run.is_empty() || self.run == run)
            && difference.request.contains(self.request)
            && difference.field.contains(self.field)
    }
}

const fn of(
    client: &'static str,
    run: &'static str,
    request: &'static str,
    field: &'static str,
    why: &'static str,
) -> Known {
    Known { client, run, request, field, why }
}

/// All that is known.
pub(crate) fn known() -> &'static [Known] {
    KNOWN
}

/// Where there were two processes of a client, the second does again what the first did.
const TWICE: &str = "a login, and then a run of its own: another process that begins anew";

const KNOWN: &[Known] = &[
    of("claude-code", "", "tools/call", "toolUseId", "the id that the model gave to the use of the tool; made up here"),
    of(
        "codex-cli",
        "",
        "tools/call",
        "/_meta/",
        "what the agent says about its own talk; only part of it, and made up, is said here",
    ),
    of(
        "copilot-cli",
        "modern",
        "server/discover",
        "order of headers",
        "two headers of its probe change places from run to run",
    ),
    of(
        "mcp-remote",
        "",
        "initialize",
        "order of body",
        "its own session and that of its host write messages differently; a profile has one way",
    ),
    of("ts-sdk", "open", "tools/call #2", "/_meta", "the test program asked for progress of this call"),
    of(
        "ts-client-v2-auto",
        "modern",
        "",
        "clientCapabilities/",
        "this run had handlers for what servers ask, and declared them",
    ),
    of(
        "",
        "login",
        "",
        "order of body",
        "members of a form or a JSON object are not put in a client's order where nothing can depend on it",
    ),
    of("claude-code codex-cli opencode gemini-cli ts-sdk mcp-remote", "login", "GET /.well-known/", "request", TWICE),
    of("opencode", "login", "POST", "request", TWICE),
    of("opencode", "login", "POST initialize #2", "", TWICE),
    of("opencode", "login", "tools/call", "", TWICE),
    of("opencode", "login", "notifications/cancelled", "", TWICE),
    of("opencode mcp-remote codex-cli", "login", "GET /mcp #", "", TWICE),
    of(
        "codex-cli qwen-code",
        "login",
        "DELETE",
        "order of headers",
        "the token stands elsewhere with DELETE than with POST; a profile has one place",
    ),
    of(
        "fastmcp",
        "login",
        "GET /authorize",
        "",
        "fetches the page for itself before its browser does; here one of them goes there",
    ),
    of("gemini-cli", "login", "HEAD /mcp", "request", "a HEAD before its login is not played"),
    of("gemini-cli", "login", "", "request", "its broken refresh, by which the run ends, is not played"),
    of("gemini-cli", "login", "tools/call #2", "", "its broken refresh repeats the call as it was"),
    of("mcp-remote", "login", "", "redirect", "its port follows from the address of the server"),
    of(
        "mcp-remote",
        "login",
        "POST initialize",
        "",
        "it looks for a login in a session of its own, which is given up then; here the login comes first",
    ),
    of("mcp-remote", "login", "", "mcp-session-id", "a session more, which is given up"),
    of(
        "py-sdk py-sdk-v1",
        "login",
        "POST authorization_code",
        "",
        "the reference server says that the client is confidential, the capturing server did not say",
    ),
    of(
        "qwen-code",
        "login",
        "GET /.well-known/",
        "",
        "the run had its metadata at the root, and no challenge that names it",
    ),
    of(
        "qwen-code",
        "login",
        "",
        "scope",
        "the run had no metadata of the resource, so that the scopes are those of the authorization server",
    ),
    of("ts-sdk ts-client-v2", "login", "GET /authorize", "query/state", "the test program gave no state"),
];
