//! Puts the variables of a scenario into its steps, so that nobody after this has to.
//!
//! Must not know what a variable is for. Placeholders without a variable stay; validation has refused them.

use serde_json::Value;

use super::action::Action;
use super::expect::{BodyMatch, Expect, ResultMatch};
use super::interpolate::{Vars, interpolate, interpolate_matcher};
use super::matcher::Matcher;
use super::schema::{Body, Scenario, Step};

/// Replaces every `${name}` in JSON bodies and in expectations.
pub(super) fn resolve(scenario: &mut Scenario) {
    let vars = std::mem::take(&mut scenario.vars);
    if !vars.is_empty() {
        steps(&mut scenario.steps, &vars);
    }
    scenario.vars = vars;
}

fn steps(list: &mut [Step], vars: &Vars) {
    for step in list {
        action(&mut step.action, vars);
        if let Some(expected) = step.action.body_mut().and_then(Body::expect_mut) {
            expect(expected, vars);
        }
    }
}

fn action(action: &mut Action, vars: &Vars) {
    match action {
        Action::Negotiate(body) => json(&mut body.capabilities, vars),
        Action::Invoke(body) => {
            let answer = &mut body.answer;
            let answers = [&mut answer.sampling, &mut answer.elicitation, &mut answer.roots];
            let own = [&mut body.arguments, &mut body.params, &mut body.id, &mut body.progress, &mut body.meta];
            own.into_iter().chain(answers).for_each(|value| json(value, vars));
        }
        Action::Cancel(body) => json(&mut body.id, vars),
        Action::Notify(body) => json(&mut body.params, vars),
        Action::Raw(body) => json(&mut body.message, vars),
        Action::Together(inner) => steps(inner, vars),
        _ => {}
    }
}

fn json(value: &mut Option<Value>, vars: &Vars) {
    if let Some(given) = value
        && let Ok(filled) = interpolate(given, vars)
    {
        *given = filled;
    }
}

fn matcher(given: &mut Matcher, vars: &Vars) {
    if let Ok(filled) = interpolate_matcher(given, vars) {
        *given = filled;
    }
}

fn expect(expected: &mut Expect, vars: &Vars) {
    if let Some(ResultMatch::Subset(subset)) = &mut expected.result {
        matcher(subset, vars);
    }
    if let Some(BodyMatch::Matches(body)) = &mut expected.body {
        matcher(body, vars);
    }
    let error = expected.error.iter_mut().flat_map(|error| [&mut error.message, &mut error.data]);
    let notifications = expected.notifications.iter_mut().map(|wanted| &mut wanted.params);
    let requests = expected.requests.iter_mut().map(|wanted| &mut wanted.params);
    let all = error.chain(notifications).chain(requests).chain(expected.headers.values_mut());
    all.flatten().for_each(|given| matcher(given, vars));
    expected.one_of.iter_mut().for_each(|alternative| expect(alternative, vars));
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_reach_bodies_and_expectations() {
        let text = r#"
version: 1
id: a.b
title: T
why: W
vars: { n: 3, text: { deep: "${n}" } }
steps:
  - connect
  - negotiate
  - together:
      - invoke: { arguments: { n: "${n}" }, expect: { one-of: [{ result: { n: "${n}" } }] } }
"#;
        let scenario = parse("x.yaml", text).unwrap();
        let Action::Together(inner) = &scenario.steps[2].action else { panic!("{scenario:?}") };
        let Action::Invoke(invoke) = &inner[0].action else { panic!("{inner:?}") };
        assert_eq!(invoke.arguments, Some(json!({"n": 3})));
        let Some(ResultMatch::Subset(subset)) = &inner[0].expect().unwrap().one_of[0].result else {
            panic!("{inner:?}")
        };
        assert_eq!(subset.value(), &json!({"n": 3}));
        assert_eq!(scenario.vars["n"], json!(3));
    }
}
