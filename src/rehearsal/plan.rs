//! Which cases there are: scenario × profile × revision.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Survey, needs};
use crate::model::{Era, Revision};
use crate::profile::{OpensWith, Profile};
use crate::scenario::Scenario;
use crate::verdict::{Plan, Pool};

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Scenarios in order.
    pub scenarios: Vec<Arc<Scenario>>,
    /// Profiles in order.
    pub profiles: Vec<Arc<Profile>>,
    /// Revisions to ask for instead of the profiles' own; empty for the profiles' own.
    pub revisions: Vec<Revision>,
    /// The target as it stands in a command, with the options that belong to it; for the embedded server, those that give
    /// it faults.
    pub target: Option<String>,
}

/// A case to play, or why it does not apply.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its names.
    pub plan: Plan,
    /// What happens.
    pub scenario: Arc<Scenario>,
    /// The profile, asking for the one revision of the case.
    pub profile: Arc<Profile>,
    /// Why it does not apply.
    pub skip: Option<String>,
}

/// Every case of the selection, nothing left to guess.
pub fn plans(selection: &Selection, survey: &Survey) -> Vec<Planned> {
    let (mut planned, mut names) = (Vec::new(), Pool::default());
    // One profile for each revision it is played under, shared by all its cases.
    let mut asking: HashMap<(String, Revision), Arc<Profile>> = HashMap::new();
    for scenario in &selection.scenarios {
        for profile in &selection.profiles {
            let chosen = scenario.clients.is_empty() || scenario.clients.iter().any(|name| name == profile.id());
            if !chosen {
                continue;
            }
            let mut own = profile.opens_with.value.0.clone();
            let speaks_modern = profile.modern.value.is_some();
            if speaks_modern && selection.revisions.is_empty() {
                own.push(Revision::V2026_07_28);
            }
            let revisions = if selection.revisions.is_empty() { &own } else { &selection.revisions };
            for revision in revisions {
                let era = revision.facts().era;
                if !scenario.era.include(era) || (era == Era::Modern && !speaks_modern) {
                    continue;
                }
                if !scenario.revisions.is_empty() && !scenario.revisions.iter().any(|name| name == revision.name()) {
                    continue;
                }
                let asking = asking.entry((profile.id().to_owned(), *revision)).or_insert_with(|| {
                    // Where the newer era is not spoken, such a client falls back to what it knows of the older one.
                    let legacy = own.iter().copied().find(|other| era == Era::Modern && other.facts().era != era);
                    let opens_with = OpensWith(std::iter::once(*revision).chain(legacy).collect());
                    if profile.opens_with.value == opens_with {
                        return Arc::clone(profile);
                    }
                    let mut asking = Profile::clone(profile);
                    asking.opens_with.value = opens_with;
                    Arc::new(asking)
                });
                planned.push(Planned {
                    plan: Plan {
                        scenario: names.one(&scenario.id),
                        file: scenario.file.as_deref().map(|file| names.one(file)),
                        title: names.one(&scenario.title),
                        profile: names.one(profile.id()),
                        profile_title: names.one(&profile.about.title),
                        revision: names.one(revision.name()),
                        target: selection.target.as_deref().map(|target| names.one(target)),
                    },
                    skip: needs::unmet(scenario, profile, *revision, survey),
                    scenario: Arc::clone(scenario),
                    profile: Arc::clone(asking),
                });
            }
        }
    }
    planned
}
