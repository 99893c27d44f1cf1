//! Wrong on request: how a fault is committed, and the switch that the rest of the server asks.
//!
//! The catalogue itself is in `faults`, a file for each area. Adding a fault touches one row there, and a rule if it needs one.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::answer::{AskCtx, ReplyHead};
use super::config::ServerError;
use super::dispatch::App;
use super::faults::faults;
use super::notes::Notes;
use super::reply::RpcError;
use crate::model::{Members as _, Via, nearest};

/// One way of being wrong.
#[derive(Debug)]
pub struct Fault {
    /// Name, area first.
    pub id: &'static str,
    /// What the server does wrong.
    pub summary: &'static str,
    /// Ids of the requirements it breaks.
    pub caught_by: &'static [&'static str],
    /// The transport that it shows on, where it shows on one alone.
    pub over: Option<Via>,
    /// The client whose habits show it, where the neutral one has none that do.
    pub before: Option<&'static str>,
    pub(crate) how: How,
}

impl Fault {
    /// Whether it strikes nothing but messages of the era without a handshake.
    pub fn is_modern(&self) -> bool {
        matches!(self.how, How::Modern(_) | How::Asked(_))
    }
}

/// Where a fault takes hold.
#[derive(Debug)]
pub(crate) enum How {
    /// Rewrites a message just before it is sent; `null` holds it back.
    Outgoing(fn(&mut Value, &OutCtx<'_>)),
    /// Rewrites an HTTP answer.
    Head(fn(&mut ReplyHead, &AskCtx)),
    /// Rewrites a message of the era without a handshake; an array is sent as so many messages, `null` holds it back.
    Modern(fn(&mut Value, &ModernCtx<'_>)),
    /// Takes a request of that era for another one than it is, or refuses it.
    Asked(fn(&mut AskedOf<'_>) -> Option<(u16, RpcError)>),
    /// Switches a rule off.
    Rule(Rule),
}

/// What is known of a message that goes out.
#[derive(Debug)]
pub(crate) struct OutCtx<'a> {
    /// The method of the message, or of the request that it answers.
    pub(crate) method: Option<&'a str>,
}

/// What is known of a message of the era without a handshake that goes out.
pub(crate) struct ModernCtx<'a> {
    /// The method of the message, or of the request that it answers.
    pub(crate) method: Option<&'a str>,
    /// The request that it answers, or on whose stream it goes out.
    pub(crate) request: &'a Value,
    /// The connection of that request; 0 where its answer is a stream.
    pub(crate) connection: u64,
    /// What the fault remembers.
    pub(crate) notes: &'a Notes,
}

/// A request of the era without a handshake, as the server takes it.
pub(crate) struct AskedOf<'a> {
    /// Its headers; none on a line.
    pub(crate) headers: Option<HeaderMap>,
    /// The request.
    pub(crate) value: Value,
    /// The connection that it came on.
    pub(crate) connection: u64,
    pub(crate) app: &'a App,
    /// What the fault remembers.
    pub(crate) notes: &'a Notes,
}

impl AskedOf<'_> {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get(name)?.to_str().ok()
    }

    /// Replaces a header; nothing on a line.
    pub(crate) fn set_header(&mut self, name: &'static str, value: &str) {
        if let (Some(headers), Ok(value)) = (&mut self.headers, HeaderValue::try_from(value)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.value.at("method").as_str().unwrap_or_default()
    }
}

/// What a request is taken for: its headers, where it has any, and its text.
pub(crate) type Taken = (Option<HeaderMap>, Value);

/// A rule that the correct server keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    AcceptReadAsHttp,
    AccessRevocable,
    AccessRevocationWorks,
    AlgorithmFixed,
    AllMethodsGuarded,
    AudienceDemanded,
    AudienceEnforced,
    AudienceSame,
    BatchAnsweredWhole,
    BatchLinesTaken,
    BatchesTaken,
    BlankLinesSkipped,
    CallsChallenged,
    CallsSideBySide,
    CancelDecidesOnce,
    CancelHonoured,
    CancelKeepsToSession,
    CancelledSilent,
    CapabilitiesOpen,
    CapabilitiesOptional,
    ChangesAnnounced,
    ClientDocumentsRead,
    ClientDocumentsResolved,
    ClientsKept,
    CodeBoundToClient,
    CodeBoundToRedirect,
    CodeExpires,
    CodeOnce,
    CodeReplayRevokes,
    CodeTakenAtOnce,
    CompletionContextTaken,
    CounterOfferLatest,
    CounterOffered,
    CursorBound,
    CursorChecked,
    CursorsLast,
    CursorsTaken,
    DeclinesHandled,
    DeleteClosesStreams,
    DeleteEnds,
    DeleteOffered,
    DeleteScoped,
    DisconnectCancels,
    DocumentErrorsForgotten,
    DocumentIdMatched,
    DocumentRedirectsMatched,
    DocumentsBounded,
    DocumentsChecked,
    DocumentsFresh,
    DocumentsKept,
    EarlyPingAnswered,
    EarlyStreamAnswered,
    EarlyVersionIgnored,
    ElicitationDeclared,
    ElicitationModeDeclared,
    EmptyBatchRefused,
    EndpointAnnounced,
    EndpointReal,
    EnumsByRevision,
    EofCancels,
    EofEnds,
    ErasSideBySide,
    EventIdsUnique,
    EventsToAll,
    EveryRequestGuarded,
    ExpiredNamed,
    ExpiryEnforced,
    ExpiryPrompt,
    FeaturesByRevision,
    FreshTokensTaken,
    GraceEnds,
    HeaderBlanksTrimmed,
    HeaderNamesCaseless,
    HintOnlyHelps,
    HostChecked,
    IdTypesApart,
    ImplicitRefused,
    InitializeOpen,
    IssOnErrors,
    IssuerAtOrigin,
    IssuerChecked,
    IssuerPlain,
    KeepAliveUnseen,
    LegacyGuarded,
    LegacyOriginChecked,
    LevelsTaken,
    LinesUnbroken,
    ListenEndNamed,
    ListenEndsInOrder,
    ListenForgotten,
    ListenGuarded,
    ListenStaysOpen,
    ListsSideBySide,
    LogFiltered,
    LogLevelChecked,
    LongLinesRead,
    LoopbackPortFree,
    LostAnswerRepeated,
    MalformedCallRefused,
    MalformedCancelIgnored,
    MalformedLineSurvived,
    MessagesNamed,
    MetaOpen,
    MetadataAlwaysNamed,
    MetadataAtPath,
    MetadataAtRfc8414,
    MetadataPathInserted,
    MetadataServed,
    MissingResourceRefused,
    NamedScopeSuffices,
    NativeSchemesAnswered,
    NativeSchemesTaken,
    NewStreamTakesOver,
    NoBroadcast,
    NoOutage,
    NotBeforeEnforced,
    NullIdRefused,
    NullIdSurvived,
    OfferUsable,
    OfflineGranted,
    OpenidComplete,
    OriginBeforeBody,
    OriginChecked,
    OriginOptional,
    OutputClean,
    OutputCleanOnError,
    PagesApart,
    ParamsOpen,
    PasswordRefused,
    PingsApart,
    PipedCallsSideBySide,
    PkceDowngradeRefused,
    PkceMethodChecked,
    PkceRequired,
    PkceVerified,
    ProgressIncreases,
    ProgressKeepsToSession,
    ProgressNeedsToken,
    ProgressOffGet,
    ProgressOnOwnStream,
    ProgressStops,
    PromptArgumentsRequired,
    PromptArgumentsText,
    PublicSame,
    QueryTokensIgnored,
    QuestionIdsFresh,
    QuestionIdsGiven,
    QuestionIdsWhole,
    QuestionsTimeOut,
    RedirectExact,
    RedirectQueryKept,
    RedirectUrisTrusted,
    RedirectWhole,
    RefreshBoundToClient,
    RefreshExpires,
    RefreshProven,
    RefreshRenewsLife,
    RefreshResourceBound,
    RefreshResourceKept,
    RefreshReturnsToken,
    RefreshRotates,
    RefreshSaysExpiry,
    RefreshScopeKept,
    RefreshScopeRestored,
    RefreshSideBySide,
    RefreshesUnlimited,
    RefusalCostsNothing,
    RefusalsHandled,
    ReplayFromCursor,
    ReplayOwnStream,
    ResourceBesideScope,
    ResourceCaseFolded,
    ResourceSlashFolded,
    ResourceUrisChecked,
    ResponseOnOwnStream,
    ResponseOnce,
    ResponseSent,
    ResponsesOnStream,
    RetryBeforeClose,
    ReuseEndsAccess,
    ReuseRefused,
    ReuseRevokesFamily,
    RevocationAtOnce,
    RevocationCascades,
    RevocationEnds,
    RevocationEnforced,
    RevocationNotOvertaken,
    RevocationOwnOnly,
    RevocationScoped,
    RevocationTakesForms,
    RevocationWorks,
    RootMetadataOurs,
    RootsDeclared,
    RootsRefusable,
    RootsRefusedAnyhow,
    SamplingDeclared,
    SchemeCaseless,
    ScopeEnforced,
    ScopeNotWidened,
    ScopeTold,
    ScopesAtOnce,
    ScopesSteady,
    SecretInBody,
    SecretInHeader,
    ServedToTheEnd,
    ServiceTokensShort,
    SessionBoundToSubject,
    SessionIdRandom,
    SessionIdVisible,
    SessionIdsAvoided,
    SessionIssued,
    SessionOutlivesConnection,
    SessionOutlivesToken,
    SessionUseCounts,
    SessionsKept,
    SessionsManifold,
    SignatureVerified,
    SigtermEnds,
    StateEchoed,
    StateExpires,
    StateOfPrincipal,
    StateOfRequest,
    StateVerified,
    StreamEndEndsSession,
    StreamEndsAfterResponse,
    StreamsForMany,
    StreamsKeptOpen,
    StreamsPrimed,
    SubscribersOnly,
    TargetBound,
    TargetChecked,
    TargetDefaulted,
    TaskIdsLong,
    TaskOfOwner,
    TaskParamIgnored,
    TaskStatusSilent,
    TimeoutCancels,
    TokenByPost,
    TokenTypeChecked,
    TokensVerified,
    ToolArgumentsChecked,
    ToolErrorsAreResults,
    ToolNamesExact,
    ToolNamesKept,
    ToolNamesShort,
    UnknownClientStays,
    UnknownMetadataIgnored,
    UnknownMethodRefused,
    UnknownParamsIgnored,
    UnknownPromptRefused,
    UnknownRevoked,
    UnknownSessionRefused,
    UnknownToolRefused,
    UnlistedToolsServed,
    UnsignedRefused,
    UnsubscribeHonoured,
    UpdatesSent,
    VersionEchoed,
    VersionHeaderChecked,
    VersionHeaderOptional,
    WaitsForInitialized,
    WorkOutlivesConnection,
}

/// How many ids are offered in the place of one that nobody knows.
const OFFERED: usize = 5;

/// The faults of one server.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<&'static Fault>, Notes);

impl Faults {
    /// Looks the names up.
    pub(crate) fn named(ids: &[String]) -> Result<Self, ServerError> {
        let find = |id: &String| {
            let unknown = || ServerError::UnknownFault {
                id: id.clone(),
                near: nearest(id, faults().map(|fault| fault.id), OFFERED).join(", "),
            };
            faults().find(|fault| fault.id == id).ok_or_else(unknown)
        };
        ids.iter().map(find).collect::<Result<_, _>>().map(|found| Self(found, Notes::default()))
    }

    /// Whether the server has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts up from 1 what a fault counts.
    pub(crate) fn count(&self, key: &str) -> u64 {
        self.1.count(key)
    }

    /// Whether the server keeps a rule.
    pub(crate) fn holds(&self, rule: Rule) -> bool {
        !self.0.iter().any(|fault| matches!(fault.how, How::Rule(broken) if broken == rule))
    }

    /// Lets the faults have a message.
    pub(crate) fn outgoing(&self, message: &mut Value, context: &OutCtx<'_>) {
        for fault in &self.0 {
            if let How::Outgoing(rewrite) = fault.how {
                rewrite(message, context);
            }
        }
    }

    /// Lets the faults have a message of the era without a handshake.
    pub(crate) fn modern(&self, message: &mut Value, method: Option<&str>, (request, connection): (&Value, u64)) {
        for fault in &self.0 {
            if let How::Modern(rewrite) = fault.how {
                rewrite(message, &ModernCtx { method, request, connection, notes: &self.1 });
            }
        }
    }

    /// What a request of that era is taken for, where a fault takes it for something else.
    pub(crate) fn asked(
        &self,
        app: &App,
        headers: Option<&HeaderMap>,
        value: &Value,
        connection: u64,
    ) -> Option<Result<Taken, (u16, RpcError)>> {
        let mut asked = None;
        for fault in &self.0 {
            if let How::Asked(rewrite) = fault.how {
                let asked = asked.get_or_insert_with(|| AskedOf {
                    headers: headers.cloned(),
                    value: value.clone(),
                    connection,
                    app,
                    notes: &self.1,
                });
                if let Some(refusal) = rewrite(asked) {
                    return Some(Err(refusal));
                }
            }
        }
        asked.map(|AskedOf { headers, value, .. }| Ok((headers, value)))
    }

    /// Lets the faults have an HTTP answer.
    pub(crate) fn head(&self, head: &mut ReplyHead, ask: &AskCtx) {
        for fault in &self.0 {
            if let How::Head(rewrite) = fault.how {
                rewrite(head, ask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_say_their_area_first() {
        for (index, fault) in faults().enumerate() {
            assert!(fault.id.contains('.') && !fault.summary.is_empty() && !fault.caught_by.is_empty(), "{}", fault.id);
            assert!(faults().skip(index + 1).all(|other| other.id != fault.id), "{}", fault.id);
        }
    }

    #[test]
    fn an_unknown_fault_names_what_is_like_it() {
        let error = Faults::named(&["sesion.deleteignored".to_owned()]).expect_err("unknown").to_string();
        assert!(error.contains("nearest are session.delete-ignored, "), "{error}");
    }
}
