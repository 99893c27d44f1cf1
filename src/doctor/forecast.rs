//! What the walk of one client means for all the others: how long their sessions last, how they get a client id.

use super::diagnosis::ForClients;
use super::refresh::{OFFLINE, asks_offline, works};
use super::road::Road;
use crate::profile::{Evidence, OAuth, OnDeadRefresh, Profile, Registration};

/// Gathers clients of which the same holds; the order is that of the profiles.
fn gather(profiles: &[Profile], says: impl Fn(&OAuth) -> String) -> Vec<ForClients> {
    let mut found: Vec<ForClients> = Vec::new();
    for profile in profiles {
        let text = says(&profile.oauth.value);
        let at = found.iter().position(|one| one.text == text).unwrap_or_else(|| {
            found.push(ForClients { clients: Vec::new(), assumed: Vec::new(), text });
            found.len() - 1
        });
        found[at].clients.push(profile.id().to_owned());
        if profile.oauth.evidence == Evidence::Assumed && profile.id() != "reference" {
            found[at].assumed.push(profile.id().to_owned());
        }
    }
    found
}

/// What is known about the life of a token.
struct Life {
    /// Seconds that the token lasts, where the server says so.
    lasts: Option<u64>,
    /// Whether the walk brought a refresh token.
    refreshable: bool,
    /// Whether the walk asked for `offline_access`.
    asked: bool,
    /// Whether the server lists `offline_access`.
    offered: bool,
    /// Whether the refresh worked.
    works: Option<bool>,
}

/// How long a session lasts under each client.
pub(super) fn sessions(road: &Road<'_>, profiles: &[Profile]) -> Vec<ForClients> {
    let Some(tokens) = road.tokens() else { return Vec::new() };
    let life = Life {
        lasts: tokens["expires_in"].as_u64(),
        refreshable: tokens["refresh_token"].is_string(),
        asked: asks_offline(road.asked("scope").as_deref()),
        offered: road.server_lists("scopes_supported", OFFLINE),
        works: works(road),
    };
    gather(profiles, |does| session(&life, does))
}

fn session(life: &Life, does: &OAuth) -> String {
    let death = match life.lasts {
        Some(seconds) => format!("the session dies after {seconds} s"),
        None => "the session dies when the token ends, which nobody is told beforehand".to_owned(),
    };
    let asks = does.offline_access && life.offered;
    if !life.refreshable {
        return if asks && !life.asked {
            format!(
                "asks for {OFFLINE}, so it may get the refresh token that this walk did not; without one, {death} and a \
                 person has to log in again"
            )
        } else if life.offered && !life.asked {
            format!(
                "{death} and a person has to log in again: no refresh token is issued unless {OFFLINE} is requested, and \
                 this client does not request it"
            )
        } else {
            format!("{death} and a person has to log in again: no refresh token is issued")
        };
    }
    if life.works == Some(false) {
        let then = match does.on_dead_refresh {
            OnDeadRefresh::Reauthorize => "a person has to log in again",
            OnDeadRefresh::GiveUp => "the client gives up until it is connected anew by hand",
        };
        return format!("{death}, since the refresh fails; then {then}");
    }
    if life.asked && !asks {
        return format!(
            "does not ask for {OFFLINE} as this walk did; if the refresh token depends on that, {death} and a person has \
             to log in again"
        );
    }
    match (does.refresh_before_s, life.lasts) {
        (Some(margin), Some(lasts)) if margin >= lasts => format!(
            "refreshes before every request, since it renews tokens that end within {margin} s and these last only \
             {lasts} s"
        ),
        (Some(0), Some(_)) => "lives on: refreshes once the token has ended, before the next request".to_owned(),
        (Some(margin), Some(_)) => format!("lives on: refreshes when less than {margin} s are left"),
        (Some(_), None) => {
            "lives on, but cannot see the end coming without expires_in: refreshes after a call failed with 401"
                .to_owned()
        }
        (None, _) => "lives on: refreshes after a call failed with 401, and repeats the call".to_owned(),
    }
}

/// Which way to a client id each client takes here.
pub(super) fn routes(road: &Road<'_>, profiles: &[Profile]) -> Vec<ForClients> {
    let Some(server) = &road.server else { return Vec::new() };
    let documents = server["client_id_metadata_document_supported"] == true;
    let dynamic = server["registration_endpoint"].is_string();
    let failed = road.registration.filter(|exchange| !exchange.is_success());
    let failed = failed.map(|exchange| match exchange.status {
        Some(status) => format!("registers itself (RFC 7591), which failed here with status {status}"),
        None => "registers itself (RFC 7591), which got no answer here".to_owned(),
    });
    gather(profiles, |does| {
        let works = |way: &&Registration| match way {
            Registration::Document => documents && does.document.is_some(),
            Registration::Dynamic => dynamic,
        };
        match does.registration.iter().find(works) {
            Some(Registration::Document) => "its client ID metadata document".to_owned(),
            Some(Registration::Dynamic) => failed.clone().unwrap_or_else(|| "registers itself (RFC 7591)".to_owned()),
            None => "none: a client id has to be set up by hand, where the client lets one enter it".to_owned(),
        }
    })
}
