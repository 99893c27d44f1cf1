//! Every check there is, and the one loop that runs them.

use std::sync::LazyLock;

use super::{
    Finding, Findings, Outcome, auth, base, features, http, lifecycle, modern, session, shape, sse, stdio, utilities,
};
use crate::model::{Era, Requirement, Via, requirements};
use crate::transcript::View;

/// A pure judgement of one requirement. Its id is the requirement's.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Id of the requirement, which is also the id of the check.
    pub id: &'static str,
    /// Reads the transcript and reports what it shows.
    pub judge: fn(&View<'_>, &mut Findings),
}

/// All checks, a slice for each topic, by area. A new topic file has its line here and nowhere else.
pub static CHECKS: &[&[Check]] = &[
    // base
    base::envelope::CHECKS,
    base::ids::CHECKS,
    base::errors::CHECKS,
    base::batch::CHECKS,
    base::meta::CHECKS,
    base::schema::CHECKS,
    shape::CHECKS,
    // lifecycle
    lifecycle::version::CHECKS,
    lifecycle::offer::CHECKS,
    lifecycle::initialize::CHECKS,
    lifecycle::capabilities::CHECKS,
    // transport.http
    http::origin::CHECKS,
    http::post::CHECKS,
    http::body::CHECKS,
    http::headers::CHECKS,
    http::spelling::CHECKS,
    http::stream::CHECKS,
    http::listen::CHECKS,
    http::early::CHECKS,
    http::resume::CHECKS,
    // transport.http.session-*
    session::identity::CHECKS,
    session::naming::CHECKS,
    session::termination::CHECKS,
    session::uncarried::CHECKS,
    session::kept::CHECKS,
    // transport.stdio
    stdio::output::CHECKS,
    stdio::input::CHECKS,
    stdio::ending::CHECKS,
    // transport.sse
    sse::opening::CHECKS,
    sse::messages::CHECKS,
    sse::access::CHECKS,
    sse::fallback::CHECKS,
    // features
    features::tools::CHECKS,
    features::callable::CHECKS,
    features::results::CHECKS,
    features::resources::CHECKS,
    features::subscriptions::CHECKS,
    features::prompts::CHECKS,
    features::asking::CHECKS,
    features::elicitation::CHECKS,
    // utilities
    utilities::ping::CHECKS,
    utilities::tasks::CHECKS,
    utilities::cancellation::CHECKS,
    utilities::cancelled::CHECKS,
    utilities::completion::CHECKS,
    utilities::progress::CHECKS,
    utilities::logging::CHECKS,
    utilities::pagination::CHECKS,
    // the modern era: base, lifecycle, patterns, and what transports and features have of it
    modern::metadata::CHECKS,
    modern::codes::CHECKS,
    modern::results::CHECKS,
    modern::version::CHECKS,
    modern::discover::CHECKS,
    modern::methods::CHECKS,
    modern::headers::CHECKS,
    modern::mirrored::CHECKS,
    modern::annotations::CHECKS,
    modern::caching::CHECKS,
    modern::input::CHECKS,
    modern::rounds::CHECKS,
    modern::states::CHECKS,
    modern::listen::CHECKS,
    modern::stream::CHECKS,
    modern::delivery::CHECKS,
    modern::tasks::CHECKS,
    modern::task_requests::CHECKS,
    modern::task_states::CHECKS,
    modern::http::CHECKS,
    modern::logs::CHECKS,
    modern::cancel::CHECKS,
    modern::lists::CHECKS,
    modern::absent::CHECKS,
    modern::connections::CHECKS,
    // auth.token
    auth::token_response::CHECKS,
    auth::token_errors::CHECKS,
    auth::token_requests::CHECKS,
    auth::refresh::CHECKS,
    auth::rotation::CHECKS,
    auth::frequency::CHECKS,
    auth::revocation::CHECKS,
    auth::introspection::CHECKS,
    // auth, the authorization server up to the code
    auth::server_metadata::CHECKS,
    auth::registration::CHECKS,
    auth::documents::CHECKS,
    auth::kinds::CHECKS,
    auth::authorize::CHECKS,
    auth::tolerance::CHECKS,
    auth::redirects::CHECKS,
    auth::pkce::CHECKS,
    auth::codes::CHECKS,
    // auth: the protected resource
    auth::discovery::CHECKS,
    auth::places::CHECKS,
    auth::agents::CHECKS,
    auth::resource_metadata::CHECKS,
    auth::challenge::CHECKS,
    auth::refusal::CHECKS,
    auth::admission::CHECKS,
    auth::forged::CHECKS,
    auth::scope::CHECKS,
    auth::demands::CHECKS,
    auth::subject::CHECKS,
];

/// Runs every check over one transcript; one finding for each check, in order of the catalogue.
///
/// What the network did is not held against the server: the checks do not get to see it.
/// What is asked of Streamable HTTP is judged over what went over it, and of nothing else.
pub fn judge_all(view: &View<'_>) -> Vec<Finding> {
    judged(view, |_| true)
}

/// The same, without the findings on what was not exercised: nine of ten.
pub fn judge_exercised(view: &View<'_>) -> Vec<Finding> {
    judged(view, |finding| finding.outcome != Outcome::NotExercised)
}

fn judged(view: &View<'_>, keep: fn(&Finding) -> bool) -> Vec<Finding> {
    if view.is_disturbed() { judge(&View::undisturbed(view.events), keep) } else { judge(view, keep) }
}

/// What has to occur in a transcript for a check to have something to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    Authorization,
    ModernEra,
}

impl Part {
    fn of(requirement: &Requirement, id: &str) -> Self {
        if id.starts_with("auth.") {
            Self::Authorization
        } else if requirement.revisions.iter().all(|revision| revision.facts().era == Era::Modern) {
            Self::ModernEra
        } else {
            Self::Any
        }
    }
}

/// A check with what is known of it before there is a transcript.
struct Known {
    check: &'static Check,
    requirement: &'static Requirement,
    part: Part,
    of_http: bool,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let catalogue = requirements();
    let checks = CHECKS.iter().flat_map(|area| area.iter());
    let known = checks.filter_map(|check| {
        let (requirement, of_http) = (catalogue.get(check.id)?, check.id.starts_with("transport.http."));
        Some(Known { check, requirement, part: Part::of(requirement, check.id), of_http })
    });
    known.collect()
});

fn judge(view: &View<'_>, keep: fn(&Finding) -> bool) -> Vec<Finding> {
    let authorizes = auth::occurs(view);
    let is_modern = view.is_modern();
    let only_http = view.only(Via::StreamableHttp);
    let over_http = only_http.as_deref().map(|events| view.like(events));
    let over_http = over_http.as_ref().unwrap_or(view);
    let findings = KNOWN.iter().map(|Known { check, requirement, part, of_http }| {
        let mut findings = Findings::new(check.id, requirement);
        // Most transcripts have nothing for the largest of the areas; debug builds make sure of it.
        let idle = match part {
            Part::Any => false,
            Part::Authorization => !authorizes,
            Part::ModernEra => !is_modern,
        };
        if !idle || cfg!(debug_assertions) {
            (check.judge)(if *of_http { over_http } else { view }, &mut findings);
        }
        let finding = findings.finish();
        debug_assert!(!idle || finding.outcome == Outcome::NotExercised, "{} judges what has no part in it", check.id);
        finding
    });
    findings.filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_check_judges_a_requirement_of_the_catalogue_and_none_twice() {
        let mut seen = HashSet::new();
        for check in CHECKS.iter().flat_map(|area| area.iter()) {
            assert!(requirements().get(check.id).is_some(), "{} is no requirement", check.id);
            assert!(seen.insert(check.id), "{} is judged twice", check.id);
        }
    }
}
