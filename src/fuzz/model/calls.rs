//! Calls that take a while: their streams, broken connections, cancellation.

use std::time::Duration;

use super::judge::{Case, Judged, failed};
use super::rules::{Broken, CALL_ANSWERED, CALL_RESUMES, CALL_SURVIVES, CANCEL_SILENT, NO_REPEATS};
use super::sessions::{against, note_use, over_by, served};
use super::world::{Call, Sure, World};
use crate::fuzz::deed::{Bearer, Errand, Id, Seen};

/// How long such a call takes.
pub(crate) const WORK: Duration = Duration::from_secs(10);

/// A call begins.
pub(super) fn start(world: &World, case: Case<'_>, session: Id, bearer: Bearer) -> Result<Judged, Broken> {
    let (against, right) = against(world, case, Some(session), bearer, Errand::Read);
    let (ok, situation) = served(case, &against, right, "200 and a stream")?;
    let mut next = world.clone();
    over_by(&mut next, case, Some(session), &against);
    note_use(&mut next, Some(session), ok, None);
    if let (true, Seen::Call(id), Bearer::Access(bearer)) = (ok, case.seen, bearer) {
        let done = world.now + WORK;
        next.calls.insert(*id, Call { session, bearer, done, dropped: false, cancelled: Sure::No, read: false });
    }
    Ok(Judged::one(next, situation))
}

/// The connection of a call broke.
pub(super) fn dropped(world: &World, call: Id) -> Judged {
    let mut next = world.clone();
    if let Some(call) = next.calls.get_mut(&call) {
        call.dropped = true;
    }
    Judged::one(next, "a call is under way")
}

/// Every connection ended, those of calls too.
pub(super) fn connections_ended(world: &mut World) {
    world.calls.values_mut().for_each(|call| call.dropped = true);
}

/// Sessions in which something goes on are not idle.
pub(super) fn time_passed(world: &mut World) {
    let now = world.now;
    let busy: Vec<Id> = world.calls.values().filter(|call| !call.read).map(|call| call.session).collect();
    for id in busy {
        if let Some(session) = world.sessions.get_mut(&id) {
            session.perhaps_used = now;
        }
    }
}

/// A call is cancelled.
pub(super) fn cancel(world: &World, case: Case<'_>, call: Id, bearer: Bearer) -> Result<Judged, Broken> {
    let Some(session) = world.calls.get(&call).map(|call| call.session) else {
        return Ok(Judged::one(world.clone(), "call of another order"));
    };
    let (against, right) = against(world, case, Some(session), bearer, Errand::List);
    let (ok, situation) = served(case, &against, right, "202")?;
    let mut next = world.clone();
    over_by(&mut next, case, Some(session), &against);
    note_use(&mut next, Some(session), ok, None);
    if let Some(call) = next.calls.get_mut(&call).filter(|_| ok) {
        // One that comes when the work is done may still be in time, as nobody has seen the response yet.
        let now = if call.done > world.now { Sure::Yes } else { Sure::Perhaps };
        call.cancelled = call.cancelled.max(now);
    }
    Ok(Judged::one(next, situation))
}

/// The time of a call passes and its stream is read to the end.
pub(super) fn finish(
    world: &World,
    case: Case<'_>,
    (id, bearer): (Id, Bearer),
    (passes, resumes): (Duration, bool),
) -> Result<Judged, Broken> {
    let mut next = world.clone();
    next.now += passes;
    time_passed(&mut next);
    let Some(call) = next.calls.get_mut(&id) else { return Ok(Judged::one(next, "call of another order")) };
    call.read = true;
    let (session, cancelled) = (call.session, call.cancelled);
    if let Some(broken) = failed(case.seen) {
        return Err(broken);
    }
    let deleted = next.sessions.get(&session).is_none_or(|session| session.deleted || session.gone);
    if resumes {
        let (against, _) = against(&next, case, Some(session), bearer, Errand::List);
        if matches!(case.seen, Seen::Refused { .. }) {
            // What a cancelled call said may be forgotten.
            return if against.is_empty() && cancelled == Sure::No {
                Err(Broken::success(CALL_RESUMES, "200 and what the stream said since"))
            } else {
                Ok(Judged::one(next, "cannot be resumed"))
            };
        }
        note_use(&mut next, Some(session), true, None);
    }
    let Seen::Stream { responses, repeated } = case.seen else {
        return Err(Broken::of(CALL_ANSWERED, "a stream of events"));
    };
    if *repeated {
        return Err(Broken::of(NO_REPEATS, "every event once, in order"));
    }
    match (*responses, cancelled, deleted) {
        (0 | 1, _, true) => Ok(Judged::one(next, "session was ended")),
        (0, Sure::Yes | Sure::Perhaps, _) => Ok(Judged::one(next, "cancelled call")),
        (_, Sure::Yes, _) => Err(Broken::responses(CANCEL_SILENT, 0)),
        (1, Sure::No | Sure::Perhaps, _) => {
            Ok(Judged::one(next, if resumes { "broken stream" } else { "whole stream" }))
        }
        (0, Sure::No, _) if resumes => Err(Broken::responses(CALL_SURVIVES, 1)),
        (0, Sure::No, _) => Err(Broken::responses(CALL_ANSWERED, 1)),
        _ => Err(Broken::responses(super::rules::ANSWERED, 1)),
    }
}
