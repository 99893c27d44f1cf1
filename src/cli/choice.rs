//! What `run` is to play: scenarios and clients by name or from files, and the call of scenarios that name none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::output::Color;
use crate::client::SafeCall;
use crate::model::glob;
use crate::profile::Profile;
use crate::scenario::{self, Scenario};

/// The clients that many people use, and the one that stands for none.
pub(super) const POPULAR: &str = "popular";

/// Why nothing is played.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The command line is wrong.
    Usage(String),
    /// A file is.
    Input(String),
    /// There is nothing to play.
    Nothing(String),
}

/// The call to make where a scenario names none: a tool, or `TOOL={…}`.
pub(super) fn safe_call(text: &str) -> Result<SafeCall, Stopped> {
    let (name, arguments) = text.split_once('=').unwrap_or((text, "{}"));
    match serde_json::from_str::<serde_json::Value>(arguments) {
        Ok(arguments) if arguments.is_object() => Ok(SafeCall::Tool { name: name.to_owned(), arguments }),
        _ => Err(Stopped::Usage(format!(
            "`{arguments}` are no arguments of a tool; write them as a JSON object, such as --call 'search={{\"q\":\"x\"}}'"
        ))),
    }
}

/// The scenarios of each place: those of files and folders, then the shipped ones of all patterns. Without any, all that
/// are shipped.
pub(super) fn scenarios(wanted: &[String], color: Color) -> Result<Vec<Arc<Scenario>>, Stopped> {
    let mut chosen: Vec<Arc<Scenario>> = Vec::new();
    let mut patterns: Vec<&str> = Vec::new();
    for wanted in wanted {
        match from_files(wanted, color)? {
            Some(found) => chosen.extend(found.into_iter().map(Arc::new)),
            None => patterns.extend(names(wanted)),
        }
    }
    if wanted.is_empty() {
        patterns.push("*");
    }
    if !patterns.is_empty() {
        let shipped = scenario::shipped();
        let unknown = |pattern: &&&str| !shipped.iter().any(|scenario| glob(pattern, &scenario.id));
        if let Some(pattern) = patterns.iter().find(unknown) {
            return Err(Stopped::Usage(format!("no scenario is called `{pattern}`; `list scenarios` names them")));
        }
        let fits = |scenario: &Scenario| patterns.iter().any(|pattern| glob(pattern, &scenario.id));
        chosen.extend(shipped.into_iter().filter(fits).map(Arc::new));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = chosen.iter().find(|scenario| !seen.insert(&scenario.id)) {
        let text = format!("two of the chosen scenarios are called `{}`; give one of them another id", twice.id);
        return Err(Stopped::Usage(text));
    }
    Ok(chosen)
}

/// The scenarios of a file or folder; `None` where this is neither, but names.
fn from_files(wanted: &str, color: Color) -> Result<Option<Vec<Scenario>>, Stopped> {
    let path = PathBuf::from(wanted);
    let told = |problems: &[scenario::Diagnostics]| {
        let shown: Vec<String> = problems.iter().map(|problem| problem.render(color.on_stderr())).collect();
        Stopped::Input(shown.join("\n"))
    };
    if path.is_dir() {
        let found = scenario::load_dir(&path).map_err(|problems| told(&problems))?;
        if found.is_empty() {
            let text = format!("the folder {wanted} holds no scenarios; they are named *.yaml, *.yml or *.json");
            return Err(Stopped::Nothing(text));
        }
        return Ok(Some(found));
    }
    if path.exists() {
        return scenario::load_file(&path).map(|scenario| Some(vec![scenario])).map_err(|problems| told(&[problems]));
    }
    if wanted.contains(std::path::is_separator) || path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml")
    {
        return Err(Stopped::Input(format!("error: there is no file or folder {wanted}")));
    }
    Ok(None)
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The profiles of these names, of the shipped ones and of those in a file or folder of one's own.
pub(super) fn profiles(wanted: &[String], own: Option<&Path>) -> Result<Vec<Arc<Profile>>, Stopped> {
    let told = |error: crate::profile::ProfileError| Stopped::Input(format!("error: {error}"));
    let mut known = crate::profile::shipped().map_err(told)?;
    if let Some(own) = own {
        known.extend(crate::profile::load(own, &known).map_err(told)?);
    }
    let wanted: Vec<&str> = wanted.iter().flat_map(|list| names(list)).collect();
    let fits = |name: &str, profile: &Profile| match name {
        "all" => true,
        POPULAR => profile.about.popular || profile.is_neutral(),
        name => glob(name, profile.id()),
    };
    for name in &wanted {
        if !known.iter().any(|profile| fits(name, profile)) {
            return Err(Stopped::Usage(format!("no client is called `{name}`; `list clients` names them")));
        }
    }
    let chosen = |profile: &Profile| wanted.iter().any(|name| fits(name, profile));
    Ok(known.into_iter().filter(chosen).map(Arc::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(wanted: &[&str]) -> Result<Vec<String>, Stopped> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        scenarios(&wanted, Color::Never).map(|found| found.iter().map(|scenario| scenario.id.clone()).collect())
    }

    #[test]
    fn names_may_be_in_one_list_or_in_several() {
        let one = ids(&["refresh.at-once, invoke.concurrent"]).expect("both are shipped");
        assert_eq!(one.len(), 2);
        assert_eq!(ids(&["invoke.concurrent", "refresh.at-once"]).expect("both are shipped"), one);
        assert_eq!(ids(&["refresh.at-*", "refresh.at-once"]).expect("once, although named twice").len(), 1);
        let listed = |lists: &[&str]| {
            let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
            profiles(&lists, None).map(|found| found.iter().map(|profile| profile.id().to_owned()).collect::<Vec<_>>())
        };
        let both = listed(&["cursor,py-sdk"]).expect("both are shipped");
        assert_eq!(listed(&["py-sdk", "cursor"]).expect("both are shipped"), both);
        assert!(matches!(listed(&["cursor", "nobody"]), Err(Stopped::Usage(text)) if text.contains("`nobody`")));
    }

    #[test]
    fn a_file_and_names_go_together_but_not_twice_the_same_id() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/refresh/at-once.yaml");
        let found = ids(&[file, "invoke.concurrent"]).expect("a file and a name");
        assert_eq!(found, ["refresh.at-once", "invoke.concurrent"]);
        let twice = ids(&[file, "refresh.*"]);
        assert!(matches!(twice, Err(Stopped::Usage(text)) if text.contains("two of the chosen scenarios")));
    }
}
