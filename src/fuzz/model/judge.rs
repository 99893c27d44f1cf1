//! One deed and what was seen of it: the states that explain it, or the rule that is broken.

use super::rules::{ANSWERED, AUTHORISES, Broken, CLIENT_KNOWN, NO_5XX, REGISTERS};
use super::world::{Code, World};
use super::{calls, grants, sessions};
use crate::fuzz::deed::{Deed, Seen};
use crate::fuzz::terms::Terms;

/// What explains a deed.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The states that the server may be in now; never none.
    pub(crate) worlds: Vec<World>,
    /// What the deed met, in a few words.
    pub(crate) situation: &'static str,
}

impl Judged {
    pub(super) fn one(world: World, situation: &'static str) -> Self {
        Self { worlds: vec![world], situation }
    }
}

/// What a ruling needs besides the deed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) terms: &'a Terms,
    pub(super) seen: &'a Seen,
    /// Whether other deeds were under way at the same time.
    pub(super) together: bool,
}

/// Judges one deed in one state.
pub(crate) fn judge(world: &World, deed: &Deed, seen: &Seen, terms: &Terms, together: bool) -> Result<Judged, Broken> {
    if let Seen::Silence(text) = seen {
        return Err(Broken::of(ANSWERED, format!("an answer ({text})")));
    }
    let case = Case { terms, seen, together };
    let mut next = world.clone();
    match *deed {
        Deed::Register => match seen {
            Seen::Client(id) => {
                next.clients.insert(*id);
                Ok(Judged::one(next, "registers"))
            }
            _ => Err(Broken::success(REGISTERS, "201 with a client_id")),
        },
        Deed::Authorise { client, user, scope, resource } => match seen {
            Seen::Code(id) => {
                let ends = world.now + terms.code;
                next.codes.insert(*id, Code { client, user, scope, resource, ends, used: None, tried: false });
                Ok(Judged::one(next, "authorises"))
            }
            Seen::Refused { error, .. } if error == "invalid_client" || error == "unknown client" => {
                Err(Broken::success(CLIENT_KNOWN, "a redirect with a code: the client is registered"))
            }
            _ => Err(Broken::success(AUTHORISES, "a redirect with a code")),
        },
        Deed::Exchange { code, client, flaw } => grants::exchange(world, case, (code, client, flaw)),
        Deed::Refresh { token, client, scope, resource } => {
            grants::refresh(world, case, (token, client), (scope, resource))
        }
        Deed::Revoke { token, client } => grants::revoke(world, case, token, client),
        Deed::Open { bearer } => sessions::open(world, case, bearer),
        Deed::Call { session, bearer, errand } => sessions::call(world, case, session, bearer, errand),
        Deed::Ask { bearer, errand } => sessions::ask(world, case, bearer, errand),
        Deed::Delete { session, bearer } => sessions::delete(world, case, session, bearer),
        Deed::Start { session, bearer } => calls::start(world, case, session, bearer),
        Deed::Drop { call } => Ok(calls::dropped(world, call)),
        Deed::Cancel { call, bearer } => calls::cancel(world, case, call, bearer),
        Deed::Finish { call, bearer, passes, resumes } => calls::finish(world, case, (call, bearer), (passes, resumes)),
        Deed::Pass(length) => {
            next.now += length;
            calls::time_passed(&mut next);
            Ok(Judged::one(next, "time passes"))
        }
        Deed::Reconnect => {
            sessions::reconnected(&mut next);
            calls::connections_ended(&mut next);
            Ok(Judged::one(next, "reconnects"))
        }
    }
}

/// A failure of the server is never right.
pub(super) fn failed(seen: &Seen) -> Option<Broken> {
    match seen {
        Seen::Refused { status: 500.., .. } => Some(Broken::of(NO_5XX, "no failure of the server")),
        _ => None,
    }
}
