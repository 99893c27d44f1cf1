//! The profiles that come with the program. It must not know what is in them.

use super::error::ProfileError;
use super::load::{Draft, Profile};

/// File names and what they say, as JSON, by name; the build lists whatever is in the folder.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped_profiles.rs"));

/// The profile that stands for no client, and comes first.
const NEUTRAL: &str = "reference";

impl Profile {
    /// Whether it stands for no client.
    pub fn is_neutral(&self) -> bool {
        self.id() == NEUTRAL
    }
}

/// All shipped profiles, the neutral one first, the others by name.
pub fn shipped() -> Result<Vec<Profile>, ProfileError> {
    let mut drafts = FILES.iter().map(|(file, json)| Draft::of_json(file, json)).collect::<Result<Vec<_>, _>>()?;
    let mut profiles: Vec<Profile> = Vec::with_capacity(drafts.len());
    // A profile is put together after those it refers to.
    while !drafts.is_empty() {
        let ready = |draft: &Draft<'_>| draft.refers_to().all(|name| profiles.iter().any(|known| known.id() == name));
        let (now, later): (Vec<_>, Vec<_>) = drafts.into_iter().partition(ready);
        // Where nobody is ready, the first tells which name is unknown, or goes round in a circle.
        let stuck = now.is_empty();
        let (now, later) = if stuck { (later, Vec::new()) } else { (now, later) };
        for draft in now {
            let profile = draft.resolve(&profiles)?;
            profiles.push(profile);
        }
        drafts = later;
    }
    profiles.sort_by(|one, other| (one.id() != NEUTRAL, one.id()).cmp(&(other.id() != NEUTRAL, other.id())));
    Ok(profiles)
}

/// The shipped profile of this name; reads no more files than it needs.
pub fn find(id: &str) -> Result<Option<Profile>, ProfileError> {
    let Some((file, json)) = FILES.iter().find(|(file, _)| file.strip_suffix(".yaml") == Some(id)) else {
        return Ok(None);
    };
    let draft = Draft::of_json(file, json)?;
    let mut others = Vec::new();
    for name in draft.refers_to() {
        others.extend(find(name)?);
    }
    draft.resolve(&others).map(Some)
}

/// Names of the shipped profiles, the neutral one first.
pub fn ids() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<&str> = FILES.iter().filter_map(|(file, _)| file.strip_suffix(".yaml")).collect();
    names.sort_by_key(|name| (*name != NEUTRAL, *name));
    names.into_iter()
}

#[cfg(test)]
mod tests;
