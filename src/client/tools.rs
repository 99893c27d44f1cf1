//! What a client knows of the server's tools: its own list, what it left out of it, and by which name it calls one.
//!
//! What it can take, and when it fetches the list again, is the profile's.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::exchange::Answered;
use super::sim::Sim;
use crate::model::Members as _;
use crate::transcript::EventKind;

/// The tools of a client as it last fetched them.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// What it hands on, by name.
    own: Vec<String>,
    /// What it does not hand on, and why.
    left_out: Vec<(String, String)>,
    /// How many lists are being fetched again.
    fetching: u32,
}

impl Tools {
    /// The name that the client calls for a tool of the scenario: that very name or one that begins so, where the list
    /// has one; what was left out counts too, for then it is that which cannot be called.
    fn listed(&self, tool: &str) -> Option<&str> {
        let own = || self.own.iter().map(String::as_str);
        let all = || own().chain(self.left_out.iter().map(|(name, _)| name.as_str()));
        own().find(|name| *name == tool).or_else(|| all().find(|name| name.starts_with(tool)))
    }
}

impl Sim {
    /// Takes in a page of the list of tools; `first` begins the list anew. Tells what of it the client will not use.
    pub(super) fn take_tools(&self, answered: &Answered, first: bool) {
        let mut pages = answered.messages.iter().filter_map(|message| message.at("result").at("tools").as_array());
        let Some(page) = pages.next() else { return };
        let limits = &self.profile.limits.value;
        let mut said = Vec::new();
        {
            let mut state = self.state();
            if first {
                state.tools = Tools { fetching: state.tools.fetching, ..Tools::default() };
            }
            let tools = &mut state.tools;
            for name in page.iter().filter_map(|tool| tool.at("name").as_str()) {
                let too_long = limits.tool_name.filter(|most| name.chars().count() > *most);
                let too_many = limits.tools.filter(|most| tools.own.len() >= *most);
                let why = match (too_long, too_many) {
                    (None, None) => {
                        tools.own.push(name.to_owned());
                        continue;
                    }
                    (Some(most), _) => format!("its name has more than {most} letters"),
                    (None, Some(most)) => format!("there are {most} before it, and this client hands on no more"),
                };
                if too_long.is_some() || said.is_empty() {
                    said.push(format!("the client leaves out the tool `{name}`: {why}"));
                }
                tools.left_out.push((name.to_owned(), why));
            }
        }
        for text in said {
            self.note_once(&text);
        }
    }

    /// The name that the client calls for a tool that the scenario names: as it stands, or as its own list has it.
    pub(super) fn name_of_tool(&self, tool: &str, as_listed: bool) -> String {
        let state = self.state();
        state.tools.listed(tool).filter(|_| as_listed).unwrap_or(tool).to_owned()
    }

    /// Whether a call is of a tool that the client left out of its list, so that there is no such call; records it.
    pub(super) fn leaves_out(&self, method: &str, params: Option<&Value>) -> bool {
        let Some(tool) = params.and_then(|params| params.at("name").as_str()).filter(|_| method == "tools/call") else {
            return false;
        };
        let why = self.state().tools.left_out.iter().find(|(name, _)| name == tool).map(|(_, why)| why.clone());
        let Some(why) = why else { return false };
        self.record(EventKind::Unreachable { tool: tool.to_owned(), why });
        true
    }

    /// Begins and (`false`) ends a fetch of lists that were said to have changed.
    pub(super) fn fetches_again(&self, begins: bool) {
        {
            let mut state = self.state();
            let fetching = &mut state.tools.fetching;
            *fetching = if begins { *fetching + 1 } else { fetching.saturating_sub(1) };
        }
        self.announce();
    }

    /// Waits until the client has its list, where it is fetching it again.
    pub(super) async fn has_fetched(self: &Arc<Self>, within: Duration) {
        self.until(within, |state| state.tools.fetching == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_called_by_the_name_that_the_list_has() {
        let own = ["echo_loud", "echo", "sum_2"].map(str::to_owned).to_vec();
        let tools = Tools { own, left_out: vec![("late_tool".to_owned(), "too many".to_owned())], fetching: 0 };
        let named = ["echo", "echo_", "sum", "late", "none"].map(|tool| tools.listed(tool));
        assert_eq!(named, [Some("echo"), Some("echo_loud"), Some("sum_2"), Some("late_tool"), None]);
    }
}
