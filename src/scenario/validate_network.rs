//! What a scenario may not say of the network: faults that are none, and faults without a healthy call before and after.

use super::action::Action;
use super::schema::Step;
use super::validate::Check;

impl Check<'_> {
    /// Every mistake about network faults.
    pub(super) fn network(&mut self, steps: &[Step]) {
        for step in steps {
            self.written_faults(step);
        }
        let Some((first, last)) = ends(steps) else { return };
        let sides = [
            (&steps[..first], first, "before", "the network did it: put `- negotiate` or `- invoke` before it"),
            (&steps[last + 1..], last, "after", "the server recovered: put `- invoke` after it"),
        ];
        for (side, at, word, why) in sides {
            if !side.iter().any(is_healthy_call) {
                let place = self.key(steps[at].span, "faults");
                self.say(
                    place,
                    format!("no healthy call {word} a network fault"),
                    format!("needs a call without faults {word} it"),
                    format!("only a call that goes well shows that {why}"),
                );
            }
        }
    }

    fn written_faults(&mut self, step: &Step) {
        if let Action::Together(steps) = &step.action {
            for step in steps {
                self.written_faults(step);
            }
            return;
        }
        for mistake in step.written_faults().iter().filter_map(|written| written.mistake().cloned()) {
            let place = self.value(step.span, "faults", &mistake.word);
            self.say(place, mistake.what, "no such fault of a network", mistake.help);
        }
        if matches!(step.action, Action::Mint(_) | Action::Publish(_)) && !step.written_faults().is_empty() {
            let place = self.key(step.span, "faults");
            let message = format!("`{}` sends nothing", step.action.word());
            self.say(place, message, "no network is used here", "put the `faults` at the step that sends something");
        }
    }
}

/// The first and the last step with faults.
fn ends(steps: &[Step]) -> Option<(usize, usize)> {
    let faulty = |step: &Step| match &step.action {
        Action::Together(steps) => steps.iter().any(|step| !step.written_faults().is_empty()),
        _ => !step.written_faults().is_empty(),
    };
    Some((steps.iter().position(faulty)?, steps.iter().rposition(faulty)?))
}

fn is_healthy_call(step: &Step) -> bool {
    match &step.action {
        Action::Together(steps) => steps.iter().any(is_healthy_call),
        Action::Invoke(_) | Action::Negotiate(_) => step.written_faults().is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const HEAD: &str = "version: 1\nid: a.b\ntitle: T\nwhy: W\nsteps:\n  - connect\n";

    fn mistakes(steps: &str) -> String {
        parse("x.yaml", &format!("{HEAD}{steps}")).err().map(|mistakes| mistakes.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_fault_stands_between_healthy_calls() {
        let good = "  - negotiate\n  - invoke: { faults: [ latency: 5ms ] }\n  - invoke\n";
        assert_eq!(mistakes(good), "");
        let never_after = mistakes("  - negotiate\n  - wait: { for: 1s, faults: [ reset ] }\n  - shutdown\n");
        assert!(never_after.contains("no healthy call after a network fault"), "{never_after}");
        let never_before = mistakes("  - negotiate: { faults: [ reset ] }\n  - invoke\n");
        assert!(never_before.contains("no healthy call before a network fault"), "{never_before}");
        assert!(never_before.contains("^^^^^^"), "{never_before}");
        let inside = "  - negotiate\n  - together: [ invoke, invoke: { faults: [ latency: 1ms ] } ]\n  - invoke\n";
        assert_eq!(mistakes(inside), "");
    }

    #[test]
    fn all_faults_that_are_none_are_told_where_they_stand() {
        let told = mistakes(
            "  - negotiate\n  - invoke: { faults: [ latenzy: 5ms, cut: { after: soon } ] }\n  - invoke\n  - mint: { faults: [ reset ] }\n  - invoke\n",
        );
        for words in [
            "unknown network fault `latenzy`",
            "did you mean `latency`?",
            "`soon` is no `after` of `cut`",
            "`mint` sends nothing",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
