//! Operations as they are generated: with choices that are made only when it is known what there is to choose from.

use std::time::Duration;

use super::deed::{Bearer, Deed, Errand, Flaw, Id, Resource, Scope, Token};
use super::model::{Edge, Side, WORK, World, until};
use super::names::Names;
use super::terms::Terms;

/// Which of those that there are: 0 is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick(pub(crate) u8);

impl Pick {
    fn of(self, count: usize) -> Option<Id> {
        let back = usize::from(self.0).checked_rem(count)?;
        Id::try_from(count - 1 - back).ok()
    }
}

/// Who sends something that is somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    Other,
}

/// The token of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BearerPick {
    /// The newest of the user whose session it is, or of all.
    Own,
    Any(Pick),
    Forged,
    Nothing,
}

/// Something that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    Register,
    Authorise {
        client: Pick,
        other_user: bool,
        wide: bool,
        elsewhere: bool,
    },
    Exchange {
        code: Pick,
        by: Whose,
        flaw: Option<Flaw>,
    },
    Refresh {
        token: Pick,
        by: Whose,
        scope: Option<Scope>,
        resource: Option<Resource>,
    },
    RevokeAccess {
        token: Pick,
        by: Whose,
    },
    RevokeRefresh {
        token: Pick,
        by: Whose,
    },
    Open {
        bearer: BearerPick,
    },
    Call {
        session: Option<Pick>,
        bearer: BearerPick,
        errand: Errand,
    },
    Ask {
        bearer: BearerPick,
        errand: Errand,
    },
    Delete {
        session: Pick,
        bearer: BearerPick,
    },
    Start {
        session: Pick,
        bearer: BearerPick,
    },
    Drop {
        call: Pick,
    },
    Cancel {
        call: Pick,
    },
    Finish {
        call: Pick,
    },
    Pass {
        edge: Edge,
        side: Side,
    },
    Linger(u8),
    Reconnect,
    /// All at once.
    Together(Vec<Op>),
}

impl Op {
    /// The same about the token, or the code, that came before.
    pub(crate) fn one_back(&self) -> Self {
        let back = |pick: Pick| Pick(pick.0.saturating_add(1));
        match self.clone() {
            Self::Exchange { code, by, flaw } => Self::Exchange { code: back(code), by, flaw },
            Self::Refresh { token, by, scope, resource } => Self::Refresh { token: back(token), by, scope, resource },
            Self::RevokeAccess { token, by } => Self::RevokeAccess { token: back(token), by },
            Self::RevokeRefresh { token, by } => Self::RevokeRefresh { token: back(token), by },
            other => other,
        }
    }
}

/// What an operation comes to, given what there is; nothing where there is nothing to choose from.
pub(crate) fn decide(op: &Op, names: &Names, world: &World, terms: &Terms) -> Vec<Deed> {
    match op {
        Op::Together(ops) => ops.iter().filter_map(|op| one(op, names, world, terms)).collect(),
        op => one(op, names, world, terms).into_iter().collect(),
    }
}

fn one(op: &Op, names: &Names, world: &World, terms: &Terms) -> Option<Deed> {
    let client = |own: Id, whose: Whose| match whose {
        Whose::Own => Some(own),
        Whose::Other => (0..names.clients.len()).rev().filter_map(|at| Id::try_from(at).ok()).find(|id| *id != own),
    };
    let bearer = |pick: BearerPick, session: Option<Id>| match pick {
        // Where nobody looks at tokens, none is sent.
        _ if !terms.guarded => Some(Bearer::Nothing),
        BearerPick::Forged => Some(Bearer::Forged),
        BearerPick::Nothing => Some(Bearer::Nothing),
        BearerPick::Any(pick) => pick.of(names.access.len()).map(Bearer::Access),
        BearerPick::Own => {
            let user = session.and_then(|id| names.sessions.get(usize::from(id))).map(|session| session.user);
            let newest = || Pick(0).of(names.access.len());
            user.map_or_else(newest, |user| names.newest_of(user)).map(Bearer::Access)
        }
    };
    // Which tools there are, and what they do, is known of the reference server alone.
    let allowed = |errand: Errand| if terms.strict { errand } else { Errand::List };
    let living = |pick: Pick| {
        let calls: Vec<Id> = world.calls.iter().filter(|(_, call)| !call.read).map(|(id, _)| *id).collect();
        pick.of(calls.len()).map(|at| calls[usize::from(at)])
    };
    Some(match op {
        Op::Register => Deed::Register,
        Op::Authorise { client, other_user, wide, elsewhere } => Deed::Authorise {
            client: client.of(names.clients.len())?,
            user: u8::from(*other_user && terms.strict),
            scope: if *wide { Scope::WRITE } else { Scope::READ },
            resource: if *elsewhere && terms.strict { Resource::Elsewhere } else { Resource::Here },
        },
        Op::Exchange { code, by, flaw } => {
            let code = code.of(names.codes.len())?;
            let own = names.codes.get(usize::from(code))?.client;
            Deed::Exchange { code, client: client(own, *by)?, flaw: *flaw }
        }
        Op::Refresh { token, by, scope, resource } => {
            let token = token.of(names.refresh.len())?;
            let own = names.refresh.get(usize::from(token))?.client;
            let resource = resource.filter(|resource| terms.strict || *resource == Resource::Here);
            let scope = scope.filter(|_| terms.strict);
            Deed::Refresh { token, client: client(own, *by)?, scope, resource }
        }
        Op::RevokeAccess { token, by } => {
            let token = token.of(names.access.len())?;
            let own = names.access.get(usize::from(token))?.client;
            Deed::Revoke { token: Token::Access(token), client: client(own, *by)? }
        }
        Op::RevokeRefresh { token, by } => {
            let token = token.of(names.refresh.len())?;
            let own = names.refresh.get(usize::from(token))?.client;
            Deed::Revoke { token: Token::Refresh(token), client: client(own, *by)? }
        }
        Op::Open { bearer: pick } => Deed::Open { bearer: bearer(*pick, None)? },
        Op::Call { session, bearer: pick, errand } => {
            let session = match session {
                Some(pick) => Some(pick.of(names.sessions.len())?),
                // Where no session has an id, there is none to make up.
                None => terms.sessions.then_some(None)?,
            };
            Deed::Call { session, bearer: bearer(*pick, session)?, errand: allowed(*errand) }
        }
        Op::Ask { bearer: pick, errand } => Deed::Ask { bearer: bearer(*pick, None)?, errand: allowed(*errand) },
        Op::Delete { .. } if !terms.sessions => return None,
        Op::Delete { session, bearer: pick } => {
            let session = session.of(names.sessions.len())?;
            Deed::Delete { session, bearer: bearer(*pick, Some(session))? }
        }
        Op::Start { session, bearer: pick } => {
            let session = session.of(names.sessions.len())?;
            Deed::Start { session, bearer: bearer(*pick, Some(session))? }
        }
        Op::Drop { call } => Deed::Drop { call: living(*call)? },
        Op::Cancel { call } => {
            let call = living(*call)?;
            Deed::Cancel { call, bearer: bearer(BearerPick::Own, world.calls.get(&call).map(|call| call.session))? }
        }
        Op::Finish { call } => {
            let id = living(*call)?;
            let call = world.calls.get(&id)?;
            let passes = (call.done + Duration::from_secs(1)).saturating_sub(world.now).min(WORK * 2);
            let bearer = bearer(BearerPick::Own, Some(call.session))?;
            Deed::Finish { call: id, bearer, passes, resumes: call.dropped }
        }
        // Where time cannot be moved but has to pass, only what the server says of its tokens is waited for.
        Op::Pass { edge, .. } if !terms.strict && *edge != Edge::Access => return None,
        Op::Linger(_) if !terms.strict => return None,
        Op::Pass { edge, side } => Deed::Pass(until(world, terms, *edge, *side)?),
        Op::Linger(seconds) => Deed::Pass(Duration::from_secs(u64::from(*seconds).max(1))),
        Op::Reconnect => Deed::Reconnect,
        Op::Together(_) => return None,
    })
}
