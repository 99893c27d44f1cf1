//! What simulated clients send, beside what the real ones sent: each captured situation is played against the reference
//! server, and compared request by request.
//!
//! The captures stand beside the project, or where `REHEARSAL_SHARED` says; without them nothing is compared, and the test
//! says so.

mod fidelity_support;

use fidelity_support::{Run, captures, compared, known};

/// The captured clients, and one that was captured in two ways, each with the profile that stands for it.
const CAST: &[(&str, &str)] = &[
    ("ai-sdk-mcp", "ai-sdk-mcp"),
    ("claude-code", "claude-code"),
    ("cline", "cline"),
    ("codex-cli", "codex-cli"),
    ("continue-cli", "continue-cli"),
    ("copilot-cli", "copilot-cli"),
    ("fastmcp", "fastmcp"),
    ("gemini-cli", "gemini-cli"),
    ("langchain", "langchain"),
    ("mcp-inspector-cli", "mcp-inspector-cli"),
    ("mcp-remote", "mcp-remote"),
    ("mcp-use-js", "mcp-use-js"),
    ("mcp-use-py", "mcp-use-py"),
    ("openai-agents", "openai-agents"),
    ("openai-agents-js", "openai-agents-js"),
    ("opencode", "opencode"),
    ("py-sdk", "py-sdk"),
    ("py-sdk-v1", "py-sdk-v1"),
    ("qwen-code", "qwen-code"),
    ("rmcp", "rmcp"),
    ("ts-client-v2", "ts-client-v2"),
    ("ts-client-v2-auto", "ts-client-v2-auto"),
    ("ts-sdk", "ts-sdk"),
];

/// The share of fields that has to agree, in per cent, and for how many clients.
const SHARE: usize = 95;
const CLIENTS: usize = 22;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulated_clients_send_what_real_ones_sent() {
    let Some(folder) = captures() else {
        tell("note: the captures are not here (set REHEARSAL_SHARED); nothing was compared");
        return;
    };
    let (mut lines, mut unexplained, mut good) = (Vec::new(), Vec::new(), 0);
    let mut used = vec![false; known().len()];
    for (client, profile) in CAST {
        let (mut fields, mut equal, mut told) = (0, 0, Vec::new());
        for run in Run::ALL {
            let Some(comparison) = compared(&folder, client, profile, *run).await else { continue };
            fields += comparison.fields;
            equal += comparison.equal();
            told.push(format!("{} {}/{}", run.name(), comparison.equal(), comparison.fields));
            for difference in &comparison.differences {
                let why = known().iter().position(|known| known.fits(client, run.name(), difference));
                match why {
                    Some(at) => used[at] = true,
                    None => unexplained.push(format!(
                        "{client}.{} | {} | {} | wanted {:?} | came {:?}",
                        run.name(),
                        difference.request,
                        difference.field,
                        difference.wanted,
                        difference.came
                    )),
                }
            }
        }
        let percent = equal * 1000 / fields.max(1);
        good += usize::from(percent >= SHARE * 10);
        lines.push(format!(
            "{client:20} {:>3}.{} %  {equal}/{fields}  ({})",
            percent / 10,
            percent % 10,
            told.join(", ")
        ));
    }
    tell(&lines.join("\n"));
    assert!(unexplained.is_empty(), "{} differences without a reason:\n{}", unexplained.len(), unexplained.join("\n"));
    let stale: Vec<&str> = known().iter().zip(&used).filter(|(_, used)| !**used).map(|(known, _)| known.why).collect();
    assert!(stale.is_empty(), "reasons for differences that are no more: {stale:#?}");
    assert!(good >= CLIENTS, "only {good} clients agree in {SHARE} % of the fields:\n{}", lines.join("\n"));
}

#[expect(
    clippy::print_stderr,
    reason = "the shares, and what was left out, have to be visible to whoever runs the test"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}
