//! `JUnit` XML for continuous integration: a suite for each scenario, a test case for each client.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::matrix::distinct;
use super::paint::Paint;
use super::story::{Told, lines};
use super::text::plain;
use crate::verdict::{Case, Cell, Story, Summary};

/// The whole run as one XML document.
pub fn junit(summary: &Summary) -> String {
    let mut report = Report::new("mcp-rehearsal");
    for scenario in distinct(summary.cases.iter().map(|case| &*case.plan.scenario)) {
        let mut suite = TestSuite::new(scenario);
        let cases = summary.cases.iter().filter(|case| *case.plan.scenario == *scenario);
        suite.add_test_cases(cases.map(|case| test_case(summary, case)));
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

fn test_case(summary: &Summary, case: &Case) -> TestCase {
    let name = format!("{}/{}", case.plan.profile, case.plan.revision);
    let mut test = TestCase::new(name, status(summary, case));
    test.set_classname(&*case.plan.scenario);
    test.set_time(case.took);
    let warnings: Vec<&Story> = case.stories.iter().filter(|story| !story.fails).collect();
    if !warnings.is_empty() {
        test.set_system_out(told(summary, case, &warnings));
    }
    test
}

fn status(summary: &Summary, case: &Case) -> TestCaseStatus {
    let mut status = match case.cell {
        Cell::Passed | Cell::Warned => return TestCaseStatus::success(),
        Cell::NotApplicable | Cell::Inconclusive => TestCaseStatus::skipped(),
        Cell::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let failures: Vec<&Story> = case.stories.iter().filter(|story| story.fails).collect();
    match failures.first() {
        Some(first) if case.cell == Cell::Failed => {
            status.set_type(first.id.as_str());
            status.set_message(plain(&first.breach.what));
            status.set_description(told(summary, case, &failures));
        }
        _ if case.cell == Cell::Inconclusive => {
            let reason = case.reason.as_deref().unwrap_or("what was needed to judge it could not be seen");
            status.set_message(format!("inconclusive: {}", plain(reason)));
        }
        _ => {
            status.set_message(plain(case.reason.as_deref().unwrap_or("no reason given")));
        }
    }
    status
}

/// Stories of this case alone, one below the other.
fn told(summary: &Summary, case: &Case, stories: &[&Story]) -> String {
    let told = stories.iter().map(|story| lines(summary, &Told { story, cases: vec![case] }, Paint(false)).join("\n"));
    told.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn suites_are_scenarios() {
        fixture::snapshot("report_junit", &junit(&fixture::summary()));
    }
}
