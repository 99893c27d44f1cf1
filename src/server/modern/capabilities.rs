//! What a request has to have declared before its client is asked for something. Only what this very request says counts.

use serde_json::{Value, json};

use crate::model::Members as _;
use crate::server::reply::{RpcError, code};

/// The extension that lets calls become tasks.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// One thing that a client may be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Sampling,
    Roots,
    /// Elicitation with a form; an empty `elicitation` stands for it.
    Form,
    /// Elicitation with a page.
    Page,
    Tasks,
}

impl Need {
    /// What a request of the server needs.
    pub(crate) fn of(method: &str, params: &Value) -> Option<Self> {
        match method {
            "sampling/createMessage" => Some(Self::Sampling),
            "roots/list" => Some(Self::Roots),
            "elicitation/create" if params.at("mode") == "url" => Some(Self::Page),
            "elicitation/create" => Some(Self::Form),
            _ => None,
        }
    }

    /// Whether it is declared.
    pub(crate) fn declared(self, capabilities: &Value) -> bool {
        let has = |name: &str| capabilities.get(name).is_some_and(Value::is_object);
        let mode = |name: &str| capabilities.at("elicitation").get(name).is_some_and(Value::is_object);
        match self {
            Self::Sampling => has("sampling"),
            Self::Roots => has("roots"),
            Self::Form => has("elicitation") && (mode("form") || !mode("url")),
            Self::Page => mode("url"),
            Self::Tasks => capabilities.at("extensions").get(TASKS).is_some_and(Value::is_object),
        }
    }

    /// The refusal of a request that lacks it.
    pub(crate) fn missing(self) -> RpcError {
        let (name, required) = match self {
            Self::Sampling => ("sampling", json!({"sampling": {}})),
            Self::Roots => ("roots", json!({"roots": {}})),
            Self::Form => ("elicitation", json!({"elicitation": {"form": {}}})),
            Self::Page => ("elicitation.url", json!({"elicitation": {"url": {}}})),
            Self::Tasks => (TASKS, json!({"extensions": {TASKS: {}}})),
        };
        RpcError {
            code: code::MISSING_CAPABILITY,
            message: format!("This request needs the client capability {name}, which it does not declare"),
            data: Some(json!({"requiredCapabilities": required})),
        }
    }

    /// Refuses a request that lacks it.
    pub(crate) fn demand(self, capabilities: &Value) -> Result<(), RpcError> {
        if self.declared(capabilities) { Ok(()) } else { Err(self.missing()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_elicitation_stands_for_forms_alone() {
        let declared = |need: Need, capabilities: Value| need.declared(&capabilities);
        assert!(declared(Need::Form, json!({"elicitation": {}})) && !declared(Need::Page, json!({"elicitation": {}})));
        assert!(declared(Need::Page, json!({"elicitation": {"url": {}}})));
        assert!(!declared(Need::Form, json!({"elicitation": {"url": {}}})));
        assert!(!declared(Need::Sampling, json!({"sampling": true})) && !declared(Need::Roots, json!({})));
    }

    #[test]
    fn the_older_tasks_are_no_extension() {
        assert!(!Need::Tasks.declared(&json!({"tasks": {"list": {}}})));
        assert!(Need::Tasks.declared(&json!({"extensions": {TASKS: {}}})));
        let data = Need::Tasks.missing().data.expect("data");
        assert!(data["requiredCapabilities"]["extensions"][TASKS].is_object());
    }
}
