//! Who is let in with which token, and what becomes of sessions.

use std::time::Duration;

use super::judge::{Case, Judged, failed};
use super::rules::{
    ANSWERED, AUDIENCE, Broken, EVERY_REQUEST, EXPIRED, EXPIRY, INVALID, MISSING, OPENS, RECOVERS, REVOKED, SCOPE,
    SERVED, SESSION_APART, SESSION_BLINK, SESSION_DELETES, SESSION_FOREIGN, SESSION_IDLE, SESSION_OVER, SESSION_SCOPED,
    SESSION_TOKEN, SESSION_UNKNOWN, SESSION_USER, WORKS,
};
use super::world::{Session, Sure, World, lives};
use crate::fuzz::deed::{Bearer, Errand, Id, Resource, Seen};
use crate::fuzz::terms::Terms;

/// Why a request has to be refused: the status, the rule that serving it breaks, and the one that another status breaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    status: u16,
    served: &'static str,
    misnamed: &'static str,
    situation: &'static str,
    sure: Sure,
}

fn refusal(status: u16, served: &'static str, misnamed: &'static str, situation: &'static str) -> Refusal {
    Refusal { status, served, misnamed, situation, sure: Sure::Yes }
}

/// Who is behind a token, and what speaks against letting them in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admission {
    pub(super) user: Option<u8>,
    pub(super) refusal: Option<Refusal>,
    may_write: bool,
    /// The rule that a refusal breaks where nothing speaks against it.
    right: &'static str,
}

/// Looks at a token.
pub(super) fn admit(world: &World, terms: &Terms, bearer: Bearer, in_session: bool) -> Admission {
    let nobody = |refusal| Admission { user: None, refusal: Some(refusal), may_write: false, right: SERVED };
    let id = match bearer {
        Bearer::Access(id) => id,
        Bearer::Forged => return nobody(refusal(401, INVALID, INVALID, "forged token")),
        Bearer::Nothing if !terms.guarded => {
            return Admission { user: Some(0), refusal: None, may_write: true, right: WORKS };
        }
        Bearer::Nothing => {
            let rule = if in_session { EVERY_REQUEST } else { MISSING };
            return nobody(refusal(401, rule, MISSING, "no token"));
        }
    };
    let Some((access, grant)) = world.access.get(&id).zip(world.grant_of(id)) else {
        return nobody(refusal(401, INVALID, INVALID, "token of another order"));
    };
    let end = access.ends + terms.leeway;
    let why = if access.revoked { Some(super::world::Why::Itself) } else { grant.ended };
    let found = if grant.resource != Resource::Here {
        Some(refusal(401, AUDIENCE, INVALID, "token for another resource"))
    } else if let Some(why) = why {
        Some(refusal(401, why.of_access(), REVOKED, "revoked token"))
    } else if lives(world.now, end, Duration::ZERO) == Sure::No {
        Some(refusal(401, EXPIRY, EXPIRED, "expired token"))
    } else if world.now + terms.early >= access.ends {
        Some(Refusal { sure: Sure::Perhaps, ..refusal(401, EXPIRY, EXPIRED, "token within the leeway") })
    } else {
        None
    };
    let found =
        found.map(|found| if terms.excepts(found.served) { Refusal { sure: Sure::Perhaps, ..found } } else { found });
    let right = grant.suspect.unwrap_or(if access.refreshed { RECOVERS } else { SERVED });
    Admission { user: Some(grant.user), refusal: found, may_write: access.scope.may_write(), right }
}

/// What a session says to a request that its sender may make.
fn enter(world: &World, terms: &Terms, session: Option<Id>, bearer: Bearer, user: Option<u8>) -> Option<Refusal> {
    let Some(session) = session.and_then(|id| world.sessions.get(&id)) else {
        return Some(refusal(404, SESSION_UNKNOWN, SESSION_UNKNOWN, "unknown session"));
    };
    if session.deleted {
        return Some(refusal(404, SESSION_OVER, SESSION_OVER, "deleted session"));
    }
    if Some(session.user) != user {
        return Some(refusal(404, SESSION_USER, SESSION_USER, "session of another user"));
    }
    if session.gone {
        return Some(refusal(404, SESSION_IDLE, SESSION_UNKNOWN, "idle session"));
    }
    let client = |bearer: Bearer| match bearer {
        Bearer::Access(id) => world.grant_of(id).map(|grant| grant.client),
        Bearer::Forged | Bearer::Nothing => None,
    };
    match idle(world.now, session, terms) {
        // A server may bind sessions to the client as well.
        Sure::Yes if !terms.strict && client(bearer) != client(session.opened_with) => Some(Refusal {
            sure: Sure::Perhaps,
            ..refusal(404, SESSION_USER, SESSION_USER, "session of another client")
        }),
        Sure::Yes => None,
        Sure::Perhaps => {
            Some(Refusal { sure: Sure::Perhaps, ..refusal(404, SESSION_IDLE, SESSION_UNKNOWN, "session about to end") })
        }
        Sure::No => Some(refusal(404, SESSION_IDLE, SESSION_UNKNOWN, "idle session")),
    }
}

/// Whether a session lives that nobody has ended.
fn idle(now: Duration, session: &Session, terms: &Terms) -> Sure {
    let early = (session.used + terms.idle).saturating_sub(terms.idle_early);
    let late = session.perhaps_used + terms.idle + terms.loose;
    if now < early {
        Sure::Yes
    } else if now > late {
        Sure::No
    } else {
        Sure::Perhaps
    }
}

/// Judges what came by what speaks against it, in the order in which a server looks. Says whether the request was served.
pub(super) fn served(
    case: Case<'_>,
    against: &[Refusal],
    (right, entry): (&'static str, &'static str),
    expected: &str,
) -> Result<(bool, &'static str), Broken> {
    if let Some(broken) = failed(case.seen) {
        let rule = against.first().map_or(broken.invariant, |refusal| refusal.misnamed);
        return Err(match against.iter().find(|refusal| refusal.sure == Sure::Yes) {
            Some(refusal) => Broken::status(rule, refusal.status),
            None => Broken::success(rule, broken.expected),
        });
    }
    let situation = against.first().map_or("nothing against it", |refusal| refusal.situation);
    if case.seen.is_success() {
        return match against.iter().find(|refusal| refusal.sure == Sure::Yes) {
            Some(refusal) => Err(Broken::status(refusal.served, refusal.status)),
            None => Ok((true, situation)),
        };
    }
    let Seen::Refused { status, .. } = case.seen else { return Err(Broken::success(ANSWERED, expected)) };
    let Some(first) = against.first() else { return Err(Broken::success(right, expected)) };
    if against.iter().any(|refusal| refusal.status == *status) {
        return Ok((false, situation));
    }
    // What only might have been refused was refused for no reason at all.
    let sure = against.iter().any(|refusal| refusal.sure == Sure::Yes);
    if sure && first.status == 401 && matches!(status, 403 | 404) {
        // Whoever looks at scopes and sessions has taken the token.
        return Err(Broken::status(first.served, 401));
    }
    if sure && *status == 401 {
        return Err(Broken::status(entry, first.status));
    }
    Err(if sure { Broken::status(first.misnamed, first.status) } else { Broken::success(right, expected) })
}

/// The rule that a 404 breaks, given what happened to the session.
fn broken_by_404(session: Option<&Session>, bearer: Bearer) -> &'static str {
    let Some(session) = session else { return WORKS };
    match session.suspect {
        Some(rule) => rule,
        None if bearer != session.opened_with => SESSION_TOKEN,
        None => WORKS,
    }
}

/// Opens a session.
pub(super) fn open(world: &World, case: Case<'_>, bearer: Bearer) -> Result<Judged, Broken> {
    let admission = admit(world, case.terms, bearer, false);
    if !case.terms.strict && matches!(case.seen, Seen::Odd(_)) {
        // A server need not have sessions.
        return Ok(Judged::one(world.clone(), "no sessions"));
    }
    let against: Vec<Refusal> = admission.refusal.into_iter().collect();
    let right = if matches!(case.seen, Seen::Refused { status: 401 | 403, .. }) { admission.right } else { OPENS };
    let (ok, situation) = served(case, &against, (right, admission.right), "200 and a session")?;
    let (mut next, now) = (world.clone(), world.now);
    if !ok {
        return Ok(Judged::one(next, situation));
    }
    let (Seen::Session(id), Some(user)) = (case.seen, admission.user) else {
        return Err(Broken::of(OPENS, "a session id"));
    };
    let opened_with = bearer;
    if next.sessions.contains_key(id) {
        return Err(Broken::of(SESSION_APART, format!("a session of its own, not session#{id}")));
    }
    let session =
        Session { user, opened_with, deleted: false, gone: false, used: now, perhaps_used: now, suspect: None };
    next.sessions.insert(*id, session);
    Ok(Judged::one(next, situation))
}

/// What speaks against a request in a session, in the order in which a server looks, and the rules that a refusal breaks:
/// any, and one of the token.
pub(super) fn against(
    world: &World,
    case: Case<'_>,
    session: Option<Id>,
    bearer: Bearer,
    errand: Errand,
) -> (Vec<Refusal>, (&'static str, &'static str)) {
    let admission = admit(world, case.terms, bearer, true);
    let mut against: Vec<Refusal> = admission.refusal.into_iter().collect();
    let let_in = admission.refusal.is_none_or(|refusal| refusal.sure != Sure::Yes);
    if let_in {
        against.extend(enter(world, case.terms, session, bearer, admission.user));
        if errand == Errand::Write && !admission.may_write {
            against.push(refusal(403, SCOPE, SCOPE, "too little scope"));
        }
    }
    let right = match case.seen {
        Seen::Refused { status: 404 | 400, .. } => {
            broken_by_404(session.and_then(|id| world.sessions.get(&id)), bearer)
        }
        Seen::Refused { .. } => admission.right,
        _ => ANSWERED,
    };
    (against, (right, admission.right))
}

/// Notes that a session was named, by somebody who was let in or might have been.
pub(super) fn note_use(world: &mut World, session: Option<Id>, ok: bool, status: Option<u16>) {
    let now = world.now;
    let Some(session) = session.and_then(|id| world.sessions.get_mut(&id)) else { return };
    if ok {
        (session.used, session.perhaps_used) = (now, now);
        session.suspect = None;
    } else if status != Some(401) {
        // A server may look the session up before it looks whose it is.
        session.perhaps_used = now;
    }
}

fn status(case: Case<'_>) -> Option<u16> {
    match case.seen {
        Seen::Refused { status, .. } => Some(*status),
        _ => None,
    }
}

/// A request in a session.
pub(super) fn call(
    world: &World,
    case: Case<'_>,
    session: Option<Id>,
    bearer: Bearer,
    errand: Errand,
) -> Result<Judged, Broken> {
    let (against, right) = against(world, case, session, bearer, errand);
    let (ok, situation) = served(case, &against, right, "200 and the one response")?;
    let mut next = world.clone();
    over_by(&mut next, case, session, &against);
    note_use(&mut next, session, ok, status(case));
    Ok(Judged::one(next, situation))
}

/// A session that might have ended turned out to have.
pub(super) fn over_by(next: &mut World, case: Case<'_>, session: Option<Id>, against: &[Refusal]) {
    // To another client a session may be closed that lives.
    let ends = |refusal: &Refusal| refusal.sure == Sure::Perhaps && refusal.served == SESSION_IDLE;
    let might = against.iter().any(ends);
    if might
        && status(case) == Some(404)
        && let Some(session) = session.and_then(|id| next.sessions.get_mut(&id))
    {
        session.gone = true;
    }
}

/// A request of the era without sessions.
pub(super) fn ask(world: &World, case: Case<'_>, bearer: Bearer, errand: Errand) -> Result<Judged, Broken> {
    let admission = admit(world, case.terms, bearer, false);
    let mut against: Vec<Refusal> = admission.refusal.into_iter().collect();
    let let_in = admission.refusal.is_none_or(|refusal| refusal.sure != Sure::Yes);
    if let_in && errand == Errand::Write && !admission.may_write {
        against.push(refusal(403, SCOPE, SCOPE, "too little scope"));
    }
    let right = if status(case).is_some() { admission.right } else { ANSWERED };
    let (_, situation) = served(case, &against, (right, admission.right), "200 and the one response")?;
    Ok(Judged::one(world.clone(), situation))
}

/// The end of a session.
pub(super) fn delete(world: &World, case: Case<'_>, session: Id, bearer: Bearer) -> Result<Judged, Broken> {
    let (mut against, (right, entry)) = against(world, case, Some(session), bearer, Errand::List);
    if !case.terms.strict && status(case) == Some(405) {
        return Ok(Judged::one(world.clone(), "sessions are not deleted"));
    }
    for refusal in &mut against {
        if refusal.served == SESSION_USER {
            refusal.served = SESSION_FOREIGN;
        }
    }
    let right = if right == ANSWERED { SESSION_DELETES } else { right };
    let (ok, situation) = served(case, &against, (right, entry), "204")?;
    let mut next = world.clone();
    over_by(&mut next, case, Some(session), &against);
    note_use(&mut next, Some(session), false, status(case));
    for (id, other) in &mut next.sessions {
        match (*id == session, ok) {
            (true, true) => other.deleted = true,
            (true, false) => other.suspect = Some(SESSION_FOREIGN),
            (false, true) => other.suspect = Some(SESSION_SCOPED),
            (false, false) => {}
        }
    }
    Ok(Judged::one(next, situation))
}

/// Every connection ended.
pub(super) fn reconnected(world: &mut World) {
    for session in world.sessions.values_mut() {
        session.suspect = Some(SESSION_BLINK);
    }
}
