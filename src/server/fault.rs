//! Wrong on request: how a fault is committed, and the switch that the rest of the server asks.
//!
//! The catalogue itself is in `faults`, a file for each area. Adding a fault touches one row there, and a rule if it needs one.

use serde_json::Value;

use super::config::ServerError;
use super::faults::faults;
use super::http::{AskCtx, ReplyHead};
use crate::model::{Via, nearest};

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
    pub(crate) how: How,
}

/// Where a fault takes hold.
#[derive(Debug)]
pub(crate) enum How {
    /// Rewrites a message just before it is sent; `null` holds it back.
    Outgoing(fn(&mut Value, &OutCtx<'_>)),
    /// Rewrites an HTTP answer.
    Head(fn(&mut ReplyHead, &AskCtx)),
    /// Switches a rule off.
    Rule(Rule),
}

/// What is known of a message that goes out.
#[derive(Debug)]
pub(crate) struct OutCtx<'a> {
    /// The method of the message, or of the request that it answers.
    pub(crate) method: Option<&'a str>,
}

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
    DocumentErrorsForgotten,
    DocumentIdMatched,
    DocumentRedirectsMatched,
    DocumentsBounded,
    DocumentsChecked,
    DocumentsFresh,
    DocumentsKept,
    EarlyPingAnswered,
    EarlyStreamAnswered,
    ElicitationDeclared,
    ElicitationModeDeclared,
    EmptyBatchRefused,
    EndpointAnnounced,
    EndpointReal,
    EnumsByRevision,
    EofCancels,
    EofEnds,
    EventIdsUnique,
    EveryRequestGuarded,
    ExpiredNamed,
    ExpiryEnforced,
    FeaturesByRevision,
    FreshTokensTaken,
    HeaderNamesCaseless,
    HintOnlyHelps,
    HostChecked,
    IdTypesApart,
    ImplicitRefused,
    IssOnErrors,
    IssuerAtOrigin,
    IssuerChecked,
    IssuerPlain,
    KeepAliveUnseen,
    LegacyGuarded,
    LegacyOriginChecked,
    LevelsTaken,
    LinesUnbroken,
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
    PipedCallsSideBySide,
    PingsApart,
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
    RefreshResourceBound,
    RefreshResourceKept,
    RefreshReturnsToken,
    RefreshRotates,
    RefreshSaysExpiry,
    RefreshScopeKept,
    RefreshScopeRestored,
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
    RevocationCascades,
    RevocationEnds,
    RevocationEnforced,
    RevocationOwnOnly,
    RevocationScoped,
    RevocationTakesForms,
    RevocationWorks,
    RootMetadataOurs,
    RootsDeclared,
    SamplingDeclared,
    SchemeCaseless,
    ScopeEnforced,
    ScopeNotWidened,
    ScopeTold,
    ScopesSteady,
    SecretInBody,
    SecretInHeader,
    ServiceTokensShort,
    SessionBoundToSubject,
    SessionIdRandom,
    SessionIdVisible,
    SessionIssued,
    SessionOutlivesConnection,
    SessionOutlivesToken,
    SessionsManifold,
    SignatureVerified,
    StateEchoed,
    StreamEndEndsSession,
    StreamEndsAfterResponse,
    StreamsForMany,
    StreamsKeptOpen,
    StreamsPrimed,
    SubscribersOnly,
    TargetBound,
    TargetChecked,
    TargetDefaulted,
    TaskParamIgnored,
    TaskStatusSilent,
    TimeoutCancels,
    TokenByPost,
    TokenTypeChecked,
    TokensVerified,
    ToolArgumentsChecked,
    ToolErrorsAreResults,
    ToolNamesExact,
    UnknownClientStays,
    UnknownMetadataIgnored,
    UnknownMethodRefused,
    UnknownParamsIgnored,
    UnknownPromptRefused,
    UnknownRevoked,
    UnknownSessionRefused,
    UnknownToolRefused,
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
pub(crate) struct Faults(Vec<&'static Fault>);

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
        ids.iter().map(find).collect::<Result<_, _>>().map(Self)
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
