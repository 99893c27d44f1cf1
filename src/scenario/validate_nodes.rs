//! What a scenario may not say of the nodes of a target: other nodes and restarts that no `needs` asks for.

use std::collections::HashMap;

use super::action::Action;
use super::schema::{Scenario, Step};
use super::validate::Check;

impl Check<'_> {
    /// Every mistake about nodes and restarts.
    pub(super) fn nodes(&mut self, scenario: &Scenario) {
        let needs = |need: &str| scenario.needs.iter().any(|named| named == need);
        for step in scenario.all_steps() {
            if step.node().is_some() && !needs("nodes") {
                let place = self.key(step.span, "node");
                self.say(
                    place,
                    "`node` without the need `nodes`",
                    "most targets have one node",
                    "add `nodes` to `needs`",
                );
            }
            if let Action::Restart(restart) = &step.action
                && !needs(restart.what.need())
            {
                let (place, need) = (self.word(step.span), restart.what.need());
                let label = "most targets cannot be started again from here";
                self.say(
                    place,
                    format!("`restart` without the need `{need}`"),
                    label,
                    format!("add `{need}` to `needs`"),
                );
            }
            if let Action::Together(steps) = &step.action {
                self.at_once(steps);
            }
        }
    }

    /// A client is at one node at a time, and a server that is started again answers nobody.
    fn at_once(&mut self, steps: &[Step]) {
        let mut places = HashMap::new();
        for step in steps {
            if matches!(step.action, Action::Restart(_)) {
                let place = self.word(step.span);
                self.say(
                    place,
                    "`restart` inside `together`",
                    "nothing else can go on meanwhile",
                    "put it before or after",
                );
            }
            if *places.entry(step.client()).or_insert(step.node()) != step.node() {
                let place = self.word(step.span);
                let message = format!("client `{}` is at two nodes at once", step.client());
                self.say(place, message, "another `node` than that of its other step here", "let another client do it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn mistakes(needs: &str, steps: &str) -> String {
        let head =
            format!("version: 1\nid: a.b\ntitle: T\nwhy: W\nneeds: [{needs}]\nsteps:\n  - connect\n  - negotiate\n");
        parse("x.yaml", &format!("{head}{steps}")).err().map(|mistakes| mistakes.to_string()).unwrap_or_default()
    }

    #[test]
    fn nodes_and_restarts_are_asked_for() {
        let steps =
            "  - reconnect: { node: other }\n  - restart: { how: stop, node: first }\n  - restart\n  - invoke\n";
        assert_eq!(mistakes("nodes, restart", steps), "");
        assert!(mistakes("restart", "  - restart: { what: store }\n").contains("the need `restart-store`"));
        let told = mistakes("session", steps);
        for words in
            ["`node` without the need `nodes`", "`restart` without the need `restart`", "add `restart` to `needs`"]
        {
            assert!(told.contains(words), "{words}: {told}");
        }
        let unknown = mistakes("nodes", "  - invoke: { node: third }\n");
        assert!(unknown.contains("`third`") && unknown.contains("other"), "{unknown}");
    }

    #[test]
    fn a_client_is_at_one_node_at_a_time() {
        let two = "  - together: [ invoke: { node: other }, invoke ]\n";
        assert!(mistakes("nodes", two).contains("client `a` is at two nodes at once"));
        let other = "  - connect: { client: b }\n  - negotiate: { client: b }\n  - together: [ invoke: { node: other }, invoke: { client: b } ]\n";
        assert_eq!(mistakes("nodes", other), "");
        let restart = "  - together: [ invoke, restart: { client: b } ]\n";
        assert!(mistakes("restart", restart).contains("`restart` inside `together`"));
    }
}
