//! The nodes of a target that has several, and at which of them a client is.
//!
//! All nodes serve one resource: session, ids and tokens of a client are the same at each.

use super::sim::Sim;
use super::target::{Target, TargetError};
use crate::scenario::NodeChoice;
use crate::wire::Place;

/// One of the nodes of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where to connect to.
    pub place: Place,
    /// Value of the `Host` header there.
    pub host: String,
    /// Its host and port, for those who read about it.
    pub address: String,
}

impl Target {
    /// The same target with these nodes, by their URLs. Where `named` is true, its own address is the one that the nodes
    /// are behind: clients go on calling it so, and only connect elsewhere.
    pub fn with_nodes(mut self, urls: &[String], named: bool) -> Result<Self, TargetError> {
        let mut nodes = Vec::new();
        for url in urls {
            let node = Self::parse(url, self.patience)?;
            if node.path != self.path || node.name.starts_with("ws") != self.name.starts_with("ws") {
                return Err(TargetError::Node(url.clone(), self.name));
            }
            let address = node.place.to_string();
            let (place, host) = if named {
                let through = Some(address.clone());
                (Place { tls: node.place.tls, through, ..self.place.clone() }, self.host.clone())
            } else {
                (node.place, node.host)
            };
            nodes.push(Node { place, host, address });
        }
        self.nodes = nodes;
        Ok(self)
    }

    /// Whether a place is the target's own.
    pub(super) fn is_own(&self, place: &Place) -> bool {
        (&place.host, place.port, place.tls) == (&self.place.host, self.place.port, self.place.tls)
    }
}

impl Sim {
    /// Turns to the node that a step is for; for good, or until [`Self::turn_back`].
    pub(super) fn turn_to(&self, choice: Option<NodeChoice>, for_good: bool) {
        let Some(choice) = choice else { return };
        let mut state = self.state();
        let index = match choice {
            NodeChoice::First => 0,
            NodeChoice::Other => (state.home + 1) % self.target.nodes.len().max(1),
        };
        if for_good {
            state.home = index;
        } else {
            state.visits = Some(index);
        }
    }

    /// Back to the node that the client is at.
    pub(super) fn turn_back(&self) {
        self.state().visits = None;
    }

    /// The node that requests go to now: its number, from 1, and where it is. `None` where the target has no nodes.
    pub(super) fn here(&self) -> Option<(u32, Place)> {
        let state = self.state();
        let index = state.visits.unwrap_or(state.home);
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        self.target.nodes.get(index).map(|node| (number, node.place.clone()))
    }

    /// Value of the `Host` header there.
    pub(super) fn host(&self) -> String {
        let state = self.state();
        let node = self.target.nodes.get(state.visits.unwrap_or(state.home));
        node.map_or(&self.target.host, |node| &node.host).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(url: &str, nodes: &[&str], named: bool) -> Result<Target, TargetError> {
        let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
        Target::parse(url, Duration::ZERO).expect("a URL").with_nodes(&nodes, named)
    }

    #[test]
    fn nodes_behind_a_name_are_called_by_it() {
        let target = with("https://mcp.example.com/mcp", &["http://10.0.0.1:8080/mcp"], true).expect("fits");
        let node = &target.nodes[0];
        assert_eq!((node.host.as_str(), node.place.host.as_str()), ("mcp.example.com", "mcp.example.com"));
        assert_eq!((node.place.through.as_deref(), node.place.tls), (Some("10.0.0.1:8080"), false));
        let target = with("http://a:1/mcp", &["http://a:1/mcp", "http://b:2/mcp"], false).expect("fits");
        assert_eq!((target.nodes[1].host.as_str(), &target.nodes[1].place.through), ("b:2", &None));
    }

    #[test]
    fn nodes_serve_one_resource() {
        for wrong in ["http://b:2/other", "ws://b:2/mcp", "b"] {
            assert!(with("http://a:1/mcp", &[wrong], false).is_err(), "{wrong}");
        }
        let told = with("http://a:1/mcp", &["http://b:2/x"], false).expect_err("another path").to_string();
        assert!(told.contains("http://b:2/x") && told.contains("http://a:1/mcp"), "{told}");
    }
}
