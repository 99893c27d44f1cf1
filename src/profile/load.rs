//! Reads one profile file, fills what it leaves unknown, and refuses contradictions.
//!
//! Owns the list of fields. It must not know which files are shipped.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::model::Via;

use super::error::ProfileError;
use super::habits::{EndBy, EndStep, Extras, Limits, NamesVersion, PreRequest, Progress};
use super::known::Known;
use super::oauth::OAuth;
use super::values::{
    Accepts, Answer, Answers, Authorization, GetStream, Header, KeyOrder, Modern, OnSession404, OpensWith, Probe,
    ProbeSession, Transports,
};

/// Whose behaviour a profile holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Stable name, as given to `--client`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// The vendor's product.
    pub client: String,
    /// Its version, if one was told.
    pub version: Option<String>,
    /// Profile of the SDK it ships; stands in for what is unknown.
    pub sdk: Option<String>,
    /// Day of the last look at it.
    pub seen: String,
    /// Whether many people use it.
    pub popular: bool,
    /// The profile it differs from.
    pub variant_of: Option<String>,
    /// What a reader should know.
    pub note: Option<String>,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// One client, with every unknown filled in.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct Profile {
            /// Whose behaviour it is.
            pub about: About,
            $($(#[$doc])* pub $name: Known<$kind>,)*
        }

        /// The fields as written; `None` is unknown.
        #[derive(Debug, Clone)]
        struct Fields {
            $($name: Option<Known<$kind>>,)*
        }

        impl Fields {
            const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// What a field does not say about its evidence is what `stated` says about all.
            fn take(file: &str, from: &mut Map<String, Value>, stated: &Map<String, Value>) -> Result<Self, ProfileError> {
                for field in from.values_mut().filter_map(Value::as_object_mut) {
                    for (key, value) in stated {
                        field.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                Ok(Self { $($name: take(file, from, "fields.", stringify!($name))?,)* })
            }

            /// What is unknown here is what `base` says.
            fn or_same(self, base: &Profile) -> Self {
                Self { $($name: self.$name.or_else(|| Some(base.$name.clone())),)* }
            }

            /// What is unknown here is assumed to be what `sdk` does.
            fn or_assumed(self, sdk: &Profile) -> Self {
                Self { $($name: self.$name.or_else(|| Some(sdk.$name.assumed_from(&sdk.about.id))),)* }
            }

            fn complete(self, file: &str, about: About) -> Result<Profile, ProfileError> {
                $(let $name = self.$name.ok_or_else(|| ProfileError::new(
                    file,
                    concat!("fields.", stringify!($name)),
                    "is unknown, and there is no other profile to take it from",
                    "give a value, or name `sdk` or `variant-of`",
                ))?;)*
                Ok(Profile { about, $($name,)* })
            }
        }
    };
}

fields! {
    /// Revisions it asks for in `initialize`.
    opens_with: OpensWith,
    /// The transports it speaks, in the order in which it tries them.
    transports: Transports,
    /// `clientInfo` of its `initialize`.
    client_info: Map<String, Value>,
    /// `capabilities` of its `initialize`.
    capabilities: Map<String, Value>,
    /// JSON-RPC id of its `initialize`; later ids count on from there.
    first_request_id: Value,
    /// A request of the newer era before `initialize`.
    probe: Option<Probe>,
    /// How it speaks 2026-07-28; nothing if it does not.
    modern: Option<Modern>,
    /// A whole session before the real one.
    probe_session: Option<ProbeSession>,
    /// `User-Agent`.
    user_agent: String,
    /// Headers of the `initialize` POST, in order.
    headers_initialize: Vec<Header>,
    /// Headers of every later POST, in order.
    headers_post: Vec<Header>,
    /// Headers of the GET that opens the stream, in order.
    headers_get: Vec<Header>,
    /// Headers of the DELETE that ends the session, in order; empty if it never sends one.
    headers_delete: Vec<Header>,
    /// Where the token goes, once there is one.
    authorization: Authorization,
    /// How it gets its token and keeps it.
    oauth: OAuth,
    /// Order of JSON members.
    key_order: KeyOrder,
    /// Which answers to `initialize` it takes.
    accepts_versions: Accepts,
    /// It sends `MCP-Protocol-Version` after the handshake.
    version_header: bool,
    /// The server's own stream.
    get_stream: GetStream,
    /// Methods it calls after the handshake, in order.
    listing: Vec<String>,
    /// It asks for those lists too that the server did not declare.
    lists_unadvertised: bool,
    /// It calls them all at once.
    parallel_listing: bool,
    /// It asks for the next page.
    follows_cursor: bool,
    /// Pause before it opens a broken stream again.
    reconnect_ms: u64,
    /// It says with `Last-Event-ID` how far it got.
    last_event_id: bool,
    /// It ends its session when it leaves.
    delete_on_exit: bool,
    /// What it does when its session is answered with 404.
    on_session_404: OnSession404,
    /// What it answers to requests of the server.
    answers: Answers,
    /// Requests before any handshake.
    pre_requests: Vec<PreRequest>,
    /// How it asks for progress after a handshake, and what its tokens are.
    progress: Progress,
    /// A version that it names in `initialize` in place of one of `opens_with`.
    names_version: Option<NamesVersion>,
    /// What it adds to its messages.
    extras: Extras,
    /// The level of logs that it asks for after the handshake; none if it never does.
    log_level: Option<String>,
    /// The lists that it fetches again when the server says that the tools changed.
    refetches: Vec<String>,
    /// It tells the server to cancel calls that were answered already; the reason that it gives.
    cancels_answered: Option<String>,
    /// It opens a session for each call and ends it after that; what it asks in it after the call. None if it has one
    /// session for all.
    session_per_call: Option<Vec<String>>,
    /// What it can take.
    limits: Limits,
    /// What it does, in order, to end a server that it started; who does nothing more leaves it to itself.
    process_end: Vec<EndStep>,
}

impl Profile {
    /// Its stable name.
    pub fn id(&self) -> &str {
        &self.about.id
    }
}

/// Reads a profile; `others` are the profiles it may refer to (`sdk`, `variant-of`).
pub fn parse(file: &str, text: &str, others: &[Profile]) -> Result<Profile, ProfileError> {
    Draft::read(file, text)?.resolve(others)
}

/// A profile as written, before what is unknown is filled in.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    file: &'a str,
    about: About,
    fields: Fields,
}

impl<'a> Draft<'a> {
    pub(super) fn read(file: &'a str, text: &str) -> Result<Self, ProfileError> {
        let top = serde_saphyr::from_str(text).map_err(|error| {
            ProfileError::new(file, "(file)", format!("is not readable YAML: {error}"), "correct the YAML")
        })?;
        Self::of(file, top)
    }

    /// The same, where the file was made into JSON.
    pub(super) fn of_json(file: &'a str, json: &str) -> Result<Self, ProfileError> {
        let top = serde_json::from_str(json).map_err(|error| {
            ProfileError::new(file, "(file)", format!("is not readable JSON: {error}"), "build the program anew")
        })?;
        Self::of(file, top)
    }

    fn of(file: &'a str, mut top: Map<String, Value>) -> Result<Self, ProfileError> {
        let about = About {
            id: need(file, &mut top, "id")?,
            title: need(file, &mut top, "title")?,
            client: need(file, &mut top, "client")?,
            version: take(file, &mut top, "", "version")?,
            sdk: take(file, &mut top, "", "sdk")?,
            seen: need(file, &mut top, "seen")?,
            popular: need(file, &mut top, "popular")?,
            variant_of: take(file, &mut top, "", "variant-of")?,
            note: take(file, &mut top, "", "note")?,
        };
        let stated: Map<String, Value> = take(file, &mut top, "", "stated")?.unwrap_or_default();
        if let Some(other) = stated.keys().find(|key| !matches!(key.as_str(), "evidence" | "date" | "ref")) {
            return Err(ProfileError::new(
                file,
                format!("stated.{other}"),
                "says nothing about evidence",
                "it holds `evidence`, `date` and `ref` for the fields that do not say them",
            ));
        }
        let mut rest: Map<String, Value> = need(file, &mut top, "fields")?;
        refuse_rest(
            file,
            "",
            &top,
            "id, title, client, version, sdk, seen, popular, variant-of, note, stated, fields",
        )?;
        let fields = Fields::take(file, &mut rest, &stated)?;
        refuse_rest(file, "fields.", &rest, &Fields::NAMES.join(", "))?;
        Ok(Self { file, about, fields })
    }

    /// The name of its file.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// The profiles it refers to.
    pub(super) fn refers_to(&self) -> impl Iterator<Item = &str> {
        [&self.about.variant_of, &self.about.sdk].into_iter().flatten().map(String::as_str)
    }

    pub(super) fn resolve(self, others: &[Profile]) -> Result<Profile, ProfileError> {
        let Self { file, about, mut fields } = self;
        let own_headers = fields.headers_post.is_some();
        if let Some(name) = &about.variant_of {
            fields = fields.or_same(referred(file, "variant-of", name, others)?);
        } else if fields.client_info.is_none() {
            return Err(ProfileError::new(
                file,
                "fields.client_info",
                "is unknown",
                "a client has to say who it is; give the name it uses",
            ));
        }
        if let Some(name) = &about.sdk {
            fields = fields.or_assumed(referred(file, "sdk", name, others)?);
        }
        let mut profile = fields.complete(file, about)?;
        if !own_headers && !profile.version_header.value {
            for headers in [&mut profile.headers_post, &mut profile.headers_get, &mut profile.headers_delete] {
                headers.value.retain(|header| header.value != "{revision}");
            }
        }
        fill_user_agent(&mut profile);
        refuse_contradictions(file, &profile)?;
        Ok(profile)
    }
}

fn take<T: DeserializeOwned>(
    file: &str,
    from: &mut Map<String, Value>,
    prefix: &str,
    name: &str,
) -> Result<Option<T>, ProfileError> {
    match from.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value).map(Some).map_err(|error| {
            ProfileError::new(
                file,
                format!("{prefix}{name}"),
                error.to_string(),
                if prefix.is_empty() {
                    "correct it, or leave it out"
                } else {
                    "write `{ value, evidence, date, ref }`, or null if it is unknown"
                },
            )
        }),
    }
}

fn need<T: DeserializeOwned>(file: &str, from: &mut Map<String, Value>, name: &str) -> Result<T, ProfileError> {
    take(file, from, "", name)?.ok_or_else(|| ProfileError::new(file, name, "is missing", format!("add `{name}`")))
}

fn refuse_rest(file: &str, prefix: &str, rest: &Map<String, Value>, known: &str) -> Result<(), ProfileError> {
    rest.keys().next().map_or(Ok(()), |name| {
        Err(ProfileError::new(
            file,
            format!("{prefix}{name}"),
            "is no field of a profile",
            format!("remove it or use one of: {known}"),
        ))
    })
}

fn referred<'a>(file: &str, field: &str, name: &str, others: &'a [Profile]) -> Result<&'a Profile, ProfileError> {
    others.iter().find(|other| other.id() == name).ok_or_else(|| {
        ProfileError::new(
            file,
            field,
            format!("there is no profile `{name}` before this one"),
            "name a profile that is listed earlier",
        )
    })
}

/// The header lists of an SDK carry that SDK's name; here everybody gets their own.
fn fill_user_agent(profile: &mut Profile) {
    let agent = profile.user_agent.value.clone();
    let probe = profile.probe.value.iter_mut().flat_map(|probe| probe.headers.iter_mut());
    let modern = profile.modern.value.iter_mut().flat_map(|modern| modern.headers.iter_mut());
    let beforehand = profile.pre_requests.value.iter_mut().flat_map(|asked| asked.headers.iter_mut().flatten());
    let headers = profile
        .headers_initialize
        .value
        .iter_mut()
        .chain(&mut profile.headers_post.value)
        .chain(&mut profile.headers_get.value)
        .chain(&mut profile.headers_delete.value)
        .chain(probe)
        .chain(modern);
    for header in headers.filter(|header| header.name.eq_ignore_ascii_case("user-agent")) {
        header.value.clone_from(&agent);
    }
    // Those beside the conversation may name somebody else.
    for header in beforehand.filter(|header| header.value == "{user_agent}") {
        header.value.clone_from(&agent);
    }
}

fn refuse_contradictions(file: &str, profile: &Profile) -> Result<(), ProfileError> {
    let refuse = |field: &str, problem: &str, fix: &str| {
        Err(ProfileError::new(file, format!("fields.{field}"), problem.to_owned(), fix.to_owned()))
    };
    let carries = |headers: &[Header], template: &str| headers.iter().any(|header| header.value == template);

    if profile.opens_with.value.0.is_empty() {
        return refuse("opens_with", "names no revision", "name at least one");
    }
    let named = profile.names_version.value.as_ref().map(|other| other.instead_of.as_str());
    if named.is_some_and(|named| profile.opens_with.value.0.iter().all(|revision| revision.name() != named)) {
        return refuse(
            "names_version",
            "is said instead of a revision that `opens_with` lacks",
            "name one of `opens_with`",
        );
    }
    let transports = &profile.transports.value;
    if transports.order.is_empty() {
        return refuse("transports", "names no transport", "name at least one");
    }
    if !transports.fallback.is_empty() && !transports.order.contains(&Via::LegacySse) {
        return refuse(
            "transports",
            "falls back to `sse`, which is not in its order",
            "add `sse`, or leave `fallback` empty",
        );
    }
    if !matches!(profile.first_request_id.value, Value::Number(_) | Value::String(_)) {
        return refuse("first_request_id", "is no JSON-RPC id", "give a number or a string");
    }
    for (field, headers) in
        [("headers_initialize", &profile.headers_initialize.value), ("headers_post", &profile.headers_post.value)]
    {
        if !carries(headers, "{host}") || !carries(headers, "{length}") {
            return refuse(field, "lacks `{host}` or `{length}`", "every POST carries Host and Content-Length");
        }
    }
    let modern = profile.modern.value.as_ref().map(|modern| modern.headers.clone()).unwrap_or_default();
    for template in ["{host}", "{length}", "{revision}", "{method}", "{name}"] {
        if !modern.is_empty() && !carries(&modern, template) {
            return refuse(
                "modern",
                &format!("lacks `{template}` in its headers"),
                "every POST of 2026-07-28 carries Host, Content-Length, MCP-Protocol-Version, Mcp-Method and Mcp-Name",
            );
        }
    }
    for (field, headers) in [
        ("headers_initialize", &profile.headers_initialize.value),
        ("headers_post", &profile.headers_post.value),
        ("headers_get", &profile.headers_get.value),
        ("headers_delete", &profile.headers_delete.value),
        ("modern", &modern),
    ] {
        if let Some(bad) = headers.iter().find(|header| !template_is_known(&header.value)) {
            return refuse(
                field,
                &format!("`{}` is no template", bad.value),
                "use {host}, {length}, {session}, {revision}, {method} or {name}",
            );
        }
    }
    if carries(&profile.headers_initialize.value, "{session}") {
        return refuse("headers_initialize", "carries a session before there is one", "remove the header");
    }
    let after = &profile.authorization.value.after;
    if !profile.headers_post.value.iter().any(|header| header.name.eq_ignore_ascii_case(after)) {
        return refuse(
            "authorization",
            &format!("comes after `{after}`, which is not sent"),
            "name a header of `headers_post`",
        );
    }
    if profile.version_header.value != carries(&profile.headers_post.value, "{revision}") {
        return refuse(
            "version_header",
            "disagrees with `headers_post` about the version header",
            "add the header with the value `{revision}` there, or say false here",
        );
    }
    if profile.get_stream.value.opens && profile.headers_get.value.is_empty() {
        return refuse("headers_get", "is empty although `get_stream.opens` is true", "list the headers");
    }
    if profile.delete_on_exit.value && profile.headers_delete.value.is_empty() {
        return refuse("headers_delete", "is empty although `delete_on_exit` is true", "list the headers");
    }
    let ends = &profile.process_end.value;
    if !ends.is_sorted_by_key(|step| step.after_ms) || ends.first().is_none_or(|first| first.does == EndBy::Leave) {
        return refuse(
            "process_end",
            "does not say in order how it begins and goes on",
            "begin with what the client does first, and count `after_ms` from there",
        );
    }
    for (capability, answer) in [
        ("roots", &profile.answers.value.roots),
        ("sampling", &profile.answers.value.sampling),
        ("elicitation", &profile.answers.value.elicitation),
    ] {
        if profile.capabilities.value.contains_key(capability) && matches!(answer, Answer::Error { code: -32601, .. }) {
            return refuse(
                &format!("answers.{capability}"),
                "says \"method not found\" to what `capabilities` declares",
                "answer it, or do not declare it",
            );
        }
    }
    Ok(())
}

fn template_is_known(value: &str) -> bool {
    !value.starts_with('{')
        || matches!(value, "{host}" | "{length}" | "{session}" | "{revision}" | "{method}" | "{name}")
}
