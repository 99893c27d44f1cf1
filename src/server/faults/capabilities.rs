//! Faults of what was declared and what is used.

use super::all::catalogue;
use crate::model::Members as _;
use crate::server::fault::{Fault, How, Rule};
use crate::server::rewrites::{drop_member, undeclare};

pub(super) static FAULTS: &[Fault] = catalogue! {
    "cap.require" breaks ["lifecycle.initialize-result"]
        Rule(Rule::CapabilitiesOptional) "Clients that do not declare sampling are refused";
    "cap.sampling-unasked" breaks ["features.sampling.server-only-if-declared", "features.sampling.server-only-if-declared-early", "lifecycle.capabilities-only-must", "lifecycle.capabilities-only-should"]
        Rule(Rule::SamplingDeclared) "The server asks for sampling that was not declared";
    "cap.elicitation-unasked" breaks ["features.elicitation.server-only-if-declared", "lifecycle.capabilities-only-must"]
        Rule(Rule::ElicitationDeclared) "The server elicits from clients that did not declare it";
    "cap.elicitation-mode-unasked" breaks ["features.elicitation.mode-supported"]
        Rule(Rule::ElicitationModeDeclared) "The server elicits in a mode that was not declared";
    "cap.roots-unasked" breaks ["features.roots.server-only-if-declared", "features.roots.server-check-capability", "lifecycle.capabilities-only-must", "lifecycle.capabilities-only-should"]
        Rule(Rule::RootsDeclared) "The server asks for roots that were not declared";
    "cap.roots-demanded" breaks ["features.roots.server-only-if-declared", "features.roots.server-check-capability", "lifecycle.capabilities-only-must", "lifecycle.capabilities-only-should"]
        Rule(Rule::RootsRefusable) "Before its first call a client that did not declare roots is asked for them, and refused without";
    "cap.roots-one-refusal" breaks ["features.roots.server-only-if-declared", "features.roots.server-check-capability", "lifecycle.capabilities-only-must", "lifecycle.capabilities-only-should"]
        Rule(Rule::RootsRefusedAnyhow) "A client that did not declare roots is asked for them before its first call, and only -32601 is taken for a no";
    "cap.tools-undeclared" breaks ["features.tools.capability", "lifecycle.undeclared-feature-error", "lifecycle.list-changed-declared"]
        Outgoing(|message, context| undeclare(message, context, "tools")) "Tools are served but not declared";
    "cap.resources-undeclared" breaks ["features.resources.capability", "lifecycle.undeclared-feature-error", "lifecycle.list-changed-declared", "features.tools.embedded-resources-capability"]
        Outgoing(|message, context| undeclare(message, context, "resources")) "Resources are served but not declared";
    "cap.prompts-undeclared" breaks ["features.prompts.capability", "lifecycle.undeclared-feature-error", "lifecycle.list-changed-declared"]
        Outgoing(|message, context| undeclare(message, context, "prompts")) "Prompts are served but not declared";
    "cap.list-changed-undeclared" breaks ["lifecycle.list-changed-declared"]
        Outgoing(|message, context| if context.method == Some("initialize") && message.member("result").is_some() {
            for list in ["tools", "prompts", "resources"] {
                drop_member(&mut message["result"]["capabilities"][list], "listChanged");
            }
        }) "Changes of the lists are announced but not declared";
    "cap.logging-undeclared" breaks ["utilities.logging.capability"]
        Outgoing(|message, context| undeclare(message, context, "logging")) "Logs are sent but not declared";
    "cap.completions-undeclared" breaks ["utilities.completion.capability", "utilities.completion.unsupported"]
        Outgoing(|message, context| undeclare(message, context, "completions")) "Completion is served but not declared";
};
