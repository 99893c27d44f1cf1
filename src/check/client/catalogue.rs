//! Every check of clients, and the loop that runs them.

use super::{answers, envelope, http, lifecycle, login, modern, pipes, session, tokens, utilities};
use crate::check::{Check, Finding, Findings};
use crate::model::requirements;
use crate::transcript::View;

/// All checks of clients, a slice for each topic. A new topic file has its line here and nowhere else.
pub static CLIENT_CHECKS: &[&[Check]] = &[
    envelope::CHECKS,
    lifecycle::CHECKS,
    http::CHECKS,
    session::CHECKS,
    pipes::CHECKS,
    answers::CHECKS,
    utilities::CHECKS,
    modern::CHECKS,
    login::CHECKS,
    tokens::CHECKS,
];

/// Runs every check of clients over a recording; one finding for each check, in order of the catalogue.
pub fn judge_client(view: &View<'_>) -> Vec<Finding> {
    let catalogue = requirements();
    CLIENT_CHECKS
        .iter()
        .flat_map(|topic| topic.iter())
        .filter_map(|check| {
            let mut findings = Findings::new(check.id, catalogue.get(check.id)?);
            (check.judge)(view, &mut findings);
            Some(findings.finish())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::CHECKS;
    use crate::model::Party;
    use std::collections::HashSet;

    #[test]
    fn every_check_is_of_a_requirement_of_clients_and_none_judges_twice() {
        let of_servers: HashSet<&str> = CHECKS.iter().flat_map(|area| area.iter()).map(|check| check.id).collect();
        let mut seen = HashSet::new();
        for check in CLIENT_CHECKS.iter().flat_map(|area| area.iter()) {
            let requirement = requirements().get(check.id).unwrap_or_else(|| panic!("{} is no requirement", check.id));
            assert_eq!(requirement.party, Party::Client, "{}", check.id);
            assert!(seen.insert(check.id) && !of_servers.contains(check.id), "{} is judged twice", check.id);
        }
    }
}
