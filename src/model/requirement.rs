//! The catalogue of what the specification and its RFCs ask of servers, clients and authorization servers.
//!
//! Owns the entries and their strength. It must not know how an entry is checked, nor who broke it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Revision;

/// All entries in one line each, generated from `fixtures/requirements/*.yaml` (a test holds the two together).
const CATALOGUE: &str = include_str!("../../fixtures/requirements/catalogue.json");

/// How strongly an entry is worded (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Absolute.
    #[serde(rename = "MUST")]
    Must,
    /// Absolutely not.
    #[serde(rename = "MUST NOT")]
    MustNot,
    /// There may be reasons against it.
    #[serde(rename = "SHOULD")]
    Should,
    /// There may be reasons for it.
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    /// Free to choose.
    #[serde(rename = "MAY")]
    May,
}

/// Who has to behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The MCP server.
    Server,
    /// The MCP client.
    Client,
    /// The OAuth authorization server.
    AuthorizationServer,
}

/// What an entry rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The text of the MCP specification.
    Spec,
    /// The published JSON Schema of a revision.
    Schema,
    /// An RFC the specification refers to.
    Rfc,
    /// A recommendation of the specification's security pages.
    BestPractice,
    /// An official extension.
    Extension,
    /// An expectation inferred from several places; never a violation of the specification.
    Derived,
}

/// How an entry can be observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Testable {
    /// By talking to the party.
    FromOutside,
    /// Only if the server offers something particular, such as a slow tool.
    NeedsFixture,
    /// Only if its operator does something, such as restarting it.
    NeedsCooperation,
    /// Not at all from the wire.
    NotObservable,
}

/// The step of a connection's life during which an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transition {
    /// Finding and reaching the server.
    Connect,
    /// Agreeing on a revision and capabilities.
    Negotiate,
    /// Using it.
    Invoke,
    /// Something runs out.
    Expire,
    /// Something is renewed.
    Refresh,
    /// Something is withdrawn.
    Revoke,
    /// Coming back.
    Reconnect,
    /// Leaving.
    Shutdown,
    /// All of them.
    Any,
}

/// One thing a party has to do, or not to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Stable name, such as `session.unknown-id-404`.
    #[serde(borrow)]
    pub id: Cow<'static, str>,
    /// Strength of the wording.
    pub level: Level,
    /// Who has to behave.
    pub party: Party,
    /// Chapter of the catalogue; the name of the YAML file.
    #[serde(borrow)]
    pub area: Cow<'static, str>,
    /// Revisions in which it holds, oldest first.
    #[serde(deserialize_with = "read_revisions", serialize_with = "write_revisions")]
    pub revisions: Vec<Revision>,
    /// The requirement in paraphrase.
    #[serde(borrow)]
    pub text: Cow<'static, str>,
    /// Page to read, with anchor.
    #[serde(borrow)]
    pub source: Cow<'static, str>,
    /// What it rests on.
    pub basis: Basis,
    /// How it can be observed.
    pub testable: Testable,
    /// When it matters.
    pub transition: Transition,
}

impl Requirement {
    /// Whether a breach is a failure; otherwise it is a warning.
    ///
    /// Only a MUST or MUST NOT of a normative text may fail somebody.
    pub fn may_fail(&self) -> bool {
        matches!(self.level, Level::Must | Level::MustNot)
            && !matches!(self.basis, Basis::Derived | Basis::BestPractice)
    }

    /// Whether it holds in this revision.
    pub fn holds_in(&self, revision: Revision) -> bool {
        self.revisions.contains(&revision)
    }
}

/// All requirements, by id and in the order of the files.
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<Requirement>,
    by_id: HashMap<Cow<'static, str>, usize>,
}

impl Catalogue {
    fn new(entries: Vec<Requirement>) -> Self {
        let by_id = entries.iter().enumerate().map(|(at, entry)| (entry.id.clone(), at)).collect();
        Self { entries, by_id }
    }

    /// The entry of this name.
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.by_id.get(id).and_then(|at| self.entries.get(*at))
    }

    /// All entries, area by area.
    pub fn iter(&self) -> std::slice::Iter<'_, Requirement> {
        self.entries.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'a> IntoIterator for &'a Catalogue {
    type Item = &'a Requirement;
    type IntoIter = std::slice::Iter<'a, Requirement>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The catalogue; parsed on first use.
///
/// # Panics
///
/// Never in a build whose tests passed: the text is part of the program.
pub fn requirements() -> &'static Catalogue {
    static PARSED: LazyLock<Catalogue> = LazyLock::new(|| {
        Catalogue::new(
            serde_json::from_str(CATALOGUE).expect("the embedded requirement catalogue is checked by a test"),
        )
    });
    &PARSED
}

fn read_revisions<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Revision>, D::Error> {
    let names = Vec::<Cow<'_, str>>::deserialize(input)?;
    names.iter().map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
}

fn write_revisions<S: Serializer>(revisions: &[Revision], output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(revisions.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// An entry as the YAML files write it; the area is the name of the file.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        id: String,
        level: Level,
        party: Party,
        #[serde(deserialize_with = "read_revisions")]
        revisions: Vec<Revision>,
        text: String,
        source: String,
        basis: Basis,
        testable: Testable,
        transition: Transition,
    }

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/requirements")
    }

    fn from_yaml() -> Vec<Requirement> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
            .collect();
        files.sort();
        let mut all = Vec::new();
        for file in files {
            let area = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let entries: Vec<Written> =
                serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            all.extend(entries.into_iter().map(|entry| Requirement {
                id: entry.id.into(),
                level: entry.level,
                party: entry.party,
                area: area.clone().into(),
                revisions: entry.revisions,
                text: entry.text.into(),
                source: entry.source.into(),
                basis: entry.basis,
                testable: entry.testable,
                transition: entry.transition,
            }));
        }
        all
    }

    #[test]
    fn the_embedded_json_equals_the_yaml_files() {
        let entries = from_yaml();
        let lines: Vec<String> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let wanted = format!("[\n{}\n]\n", lines.join(",\n"));
        let file = folder().join("catalogue.json");
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&file, &wanted).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap();
        assert!(written == wanted, "catalogue.json is stale; run the tests once with UPDATE_FIXTURES=1");
    }

    #[test]
    fn every_id_is_unique_and_found() {
        let catalogue = requirements();
        let ids: HashSet<&str> = catalogue.iter().map(|entry| &*entry.id).collect();
        assert_eq!(ids.len(), catalogue.len());
        assert_eq!(catalogue.len(), 1060);
        for entry in catalogue {
            assert_eq!(catalogue.get(&entry.id), Some(entry));
            assert!(!entry.revisions.is_empty(), "{} holds in no revision", entry.id);
        }
        assert_eq!(catalogue.get("no.such-entry"), None);
    }

    #[test]
    fn only_normative_musts_may_fail() {
        for entry in requirements() {
            let strong = matches!(entry.level, Level::Must | Level::MustNot);
            let normative = matches!(entry.basis, Basis::Spec | Basis::Schema | Basis::Rfc | Basis::Extension);
            assert_eq!(entry.may_fail(), strong && normative, "{}", entry.id);
        }
        assert!(requirements().get("base.jsonrpc-envelope").unwrap().may_fail());
    }
}
