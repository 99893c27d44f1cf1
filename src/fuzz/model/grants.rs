//! Codes, grants, refresh tokens and their rotation, revocation.

use super::judge::{Case, Judged};
use super::rules::{
    Broken, CLIENT_KNOWN, CODE_CLIENT, CODE_LIFE, CODE_ONCE, CODE_REDIRECT, CODE_VERIFIER, CODE_WORKS, ERROR_FORMAT,
    EXPIRES_IN, GRANT_ERROR, ISOLATED, REFRESH_CLIENT, REFRESH_LIFE, REFRESH_LIFE_ERROR, REFRESH_OLD, REFRESH_RACE,
    REFRESH_RESOURCE, REFRESH_ROTATES, REFRESH_SCOPE, REFRESH_SCOPE_KEPT, REFRESH_SCOPE_SAME, REFRESH_WORKS,
    REVOKE_ACCESS, REVOKE_OWN, TOKEN_MEMBERS, Want,
};
use std::time::Duration;

use super::world::{Access, Grant, Refresh, Sure, Why, World, lives};
use crate::fuzz::deed::{Flaw, Id, Resource, Scope, Seen, Token};

/// Why a request has to be refused, with which error, and which rules stand for that: one for taking it, one for another
/// error.
struct Reason {
    error: &'static str,
    taken: &'static str,
    misnamed: &'static str,
    situation: &'static str,
    sure: Sure,
}

impl Reason {
    fn grant(taken: &'static str, situation: &'static str) -> Self {
        Self { error: "invalid_grant", taken, misnamed: GRANT_ERROR, situation, sure: Sure::Yes }
    }
}

/// Judges a refusal by the reasons for one.
fn refused(case: Case<'_>, reasons: &[Reason], right: &Broken) -> Result<(), Broken> {
    let Seen::Refused { status, error } = case.seen else {
        return Err(Broken::of(TOKEN_MEMBERS, format!("a token response or an error, not {}", case.seen)));
    };
    let Some(first) = reasons.first() else {
        if error == "invalid_client" {
            return Err(Broken::success(CLIENT_KNOWN, "tokens: the client is registered"));
        }
        return Err(right.clone());
    };
    if !reasons.iter().any(|reason| reason.error == error) {
        if error == "invalid_client" {
            return Err(Broken::error(CLIENT_KNOWN, first.error));
        }
        // Where nothing is wrong with the grant, this is no other name for what is.
        if error == "invalid_grant" {
            return Err(Broken { invariant: right.invariant, ..Broken::error(ERROR_FORMAT, first.error) });
        }
        return Err(Broken::error(first.misnamed, first.error));
    }
    if *status == 400 { Ok(()) } else { Err(Broken::error(ERROR_FORMAT, first.error)) }
}

/// What a token response says.
struct Given {
    access: Id,
    refresh: Option<Id>,
    scope: Option<Scope>,
    ends: Duration,
}

/// Judges a token response: by the reasons against one, and by its members.
fn given(case: Case<'_>, now: Duration, reasons: &[Reason]) -> Result<Given, Broken> {
    let Seen::Tokens { access, refresh, scope, expires_in } = case.seen else {
        return Err(Broken::of(TOKEN_MEMBERS, format!("a token response, not {}", case.seen)));
    };
    if let Some(reason) = reasons.iter().find(|reason| reason.sure == Sure::Yes) {
        return Err(Broken::error(reason.taken, reason.error));
    }
    if expires_in.is_none() {
        return Err(Broken { want: Want::Lifetime, ..Broken::of(EXPIRES_IN, "expires_in in the token response") });
    }
    let ends = now + expires_in.map_or(case.terms.access, Duration::from_secs);
    // What the scopes of others mean, nobody knows.
    let scope = scope.filter(|_| case.terms.strict);
    Ok(Given { access: *access, refresh: *refresh, scope, ends })
}

/// A code for tokens.
pub(super) fn exchange(
    world: &World,
    case: Case<'_>,
    (id, client, flaw): (Id, Id, Option<Flaw>),
) -> Result<Judged, Broken> {
    let mut next = world.clone();
    let Some(code) = next.codes.get_mut(&id) else {
        return Ok(Judged::one(world.clone(), "code of another order"));
    };
    let alive = lives(world.now, code.ends, case.terms.loose);
    let mut reasons = Vec::new();
    if code.used.is_some() {
        reasons.push(Reason::grant(CODE_ONCE, "used code"));
    }
    if code.client != client {
        reasons.push(Reason::grant(CODE_CLIENT, "code of another client"));
    }
    match flaw {
        Some(Flaw::Verifier) => reasons.push(Reason::grant(CODE_VERIFIER, "wrong verifier")),
        Some(Flaw::Redirect) => reasons.push(Reason::grant(CODE_REDIRECT, "other redirect URI")),
        None => {}
    }
    if alive != Sure::Yes {
        let sure = if alive == Sure::No { Sure::Yes } else { Sure::Perhaps };
        reasons.push(Reason { sure, ..Reason::grant(CODE_LIFE, "late code") });
    }
    if code.tried {
        reasons.push(Reason { sure: Sure::Perhaps, ..Reason::grant(CODE_ONCE, "code that was tried in vain") });
    }
    let situation = reasons.first().map_or("fresh code", |reason| reason.situation);
    if case.seen.is_success() {
        let Given { access, refresh, scope, ends } = given(case, world.now, &reasons)?;
        let granted = code.scope;
        if let Some(told) = scope.filter(|told| *told != granted) {
            return Err(Broken::scope(REFRESH_SCOPE_SAME, granted, told));
        }
        code.used = Some(next.grants.len());
        let grant = Grant {
            client: code.client,
            user: code.user,
            scope: granted,
            resource: code.resource,
            ended: None,
            generation: 1,
            current: refresh,
            since: world.now,
            idle_end: world.now + case.terms.refresh,
            narrowed: false,
            suspect: None,
        };
        let number = next.grants.len();
        next.grants.push(grant);
        if let Some(refresh) = refresh {
            next.refresh.insert(refresh, Refresh { grant: number, generation: 1 });
        }
        let access_of = Access { grant: number, scope: granted, ends, revoked: false, refreshed: false };
        next.access.insert(access, access_of);
        return Ok(Judged::one(next, situation));
    }
    refused(case, &reasons, &Broken::success(CODE_WORKS, "tokens for the fresh code"))?;
    let right_otherwise = code.client == client && flaw.is_none();
    let Some(grant) = code.used else {
        code.tried = !case.terms.strict;
        return Ok(Judged::one(next, situation));
    };
    // The second use of a code ends its grant, as long as the server still knows the code.
    let mut ended = next.clone();
    ended.end_grant(grant, Why::CodeReplay, ISOLATED);
    if case.terms.strict {
        return Ok(Judged::one(if right_otherwise { ended } else { next }, situation));
    }
    let sure = right_otherwise && alive == Sure::Yes;
    Ok(Judged { worlds: if sure { vec![ended] } else { vec![next, ended] }, situation })
}

/// A refresh token for tokens.
pub(super) fn refresh(
    world: &World,
    case: Case<'_>,
    (id, client): (Id, Id),
    (scope, resource): (Option<Scope>, Option<Resource>),
) -> Result<Judged, Broken> {
    let known = world.refresh.get(&id).and_then(|token| Some((*token, world.grants.get(token.grant)?)));
    let Some((token, grant)) = known else {
        return Ok(Judged::one(world.clone(), "refresh token of another order"));
    };
    let current = token.generation == grant.generation;
    let repeats = !current && token.generation + 1 == grant.generation;
    let in_grace = if repeats { lives(world.now, grant.since + case.terms.grace, case.terms.loose) } else { Sure::No };
    let alive = lives(world.now, grant.idle_end, case.terms.loose);
    let mut reasons = Vec::new();
    if let Some(why) = grant.ended {
        reasons.push(Reason::grant(why.of_refresh(), "grant that is over"));
    }
    if alive != Sure::Yes {
        let sure = if alive == Sure::No { Sure::Yes } else { Sure::Perhaps };
        let reason = Reason::grant(REFRESH_LIFE, "refresh token that lay unused");
        reasons.push(Reason { sure, misnamed: REFRESH_LIFE_ERROR, ..reason });
    }
    if !current && in_grace != Sure::Yes {
        let sure = if in_grace == Sure::No { Sure::Yes } else { Sure::Perhaps };
        reasons.push(Reason { sure, ..Reason::grant(REFRESH_OLD, "refresh token from before") });
    }
    if grant.client != client {
        reasons.push(Reason::grant(REFRESH_CLIENT, "refresh token of another client"));
    }
    if scope.is_some_and(|scope| !scope.within(grant.scope)) {
        let reason = Reason::grant(REFRESH_SCOPE, "more scope than granted");
        reasons.push(Reason { error: "invalid_scope", misnamed: ERROR_FORMAT, ..reason });
    }
    if resource.is_some_and(|resource| resource != grant.resource) {
        let reason = Reason::grant(REFRESH_RESOURCE, "resource that was not granted");
        reasons.push(Reason { error: "invalid_target", misnamed: ERROR_FORMAT, ..reason });
    }
    let situation = reasons
        .first()
        .map_or(if current { "current refresh token" } else { "within the grace" }, |reason| reason.situation);
    if case.seen.is_success() {
        return rotated(world, case, (id, token), (scope, situation), &reasons);
    }
    let rule = match grant.suspect {
        Some(rule) => rule,
        None if case.together => REFRESH_RACE,
        None => REFRESH_WORKS,
    };
    refused(case, &reasons, &Broken::success(rule, "tokens: the grant lives, and the refresh token is good"))?;
    // Whoever is told that something else is wrong was within the grace.
    let taken_for_reuse = matches!(case.seen, Seen::Refused { error, .. } if error == "invalid_grant");
    let reused = taken_for_reuse && !current && in_grace != Sure::Yes && grant.ended.is_none() && alive != Sure::No;
    if !reused {
        return Ok(Judged::one(world.clone(), situation));
    }
    let mut ended = world.clone();
    ended.end_grant(token.grant, Why::Reuse, ISOLATED);
    // Who asks for what is refused anyway may have been refused for that alone.
    let for_that = (reasons.len() == 1 && in_grace == Sure::No) || case.terms.strict;
    Ok(Judged { worlds: if for_that { vec![ended] } else { vec![world.clone(), ended] }, situation })
}

/// A refresh that was granted.
fn rotated(
    world: &World,
    case: Case<'_>,
    (_, token): (Id, Refresh),
    (asked, situation): (Option<Scope>, &'static str),
    reasons: &[Reason],
) -> Result<Judged, Broken> {
    let Given { access, refresh, scope, ends } = given(case, world.now, reasons)?;
    let mut next = world.clone();
    let now = world.now;
    let Some(grant) = next.grants.get_mut(token.grant) else { return Ok(Judged::one(next, situation)) };
    let wanted = asked.unwrap_or(grant.scope);
    if let Some(told) = scope.filter(|told| *told != wanted) {
        let rule = match told.within(wanted) {
            false => REFRESH_SCOPE,
            true if grant.narrowed => REFRESH_SCOPE_KEPT,
            true => REFRESH_SCOPE_SAME,
        };
        return Err(Broken::scope(rule, wanted, told));
    }
    grant.narrowed |= wanted != grant.scope;
    grant.idle_end = now + case.terms.refresh;
    let Some(given) = refresh else {
        return Err(Broken::of(REFRESH_ROTATES, "a new refresh token for a public client"));
    };
    if token.generation == grant.generation {
        if next.refresh.contains_key(&given) {
            return Err(Broken::of(REFRESH_ROTATES, format!("a new refresh token, not refresh#{given} again")));
        }
        grant.generation += 1;
        grant.current = Some(given);
        grant.since = now;
        next.refresh.insert(given, Refresh { grant: token.grant, generation: grant.generation });
    } else if !case.terms.strict && !next.refresh.contains_key(&given) {
        // Some servers have each repetition of a lost answer give a token of its own.
        grant.generation += 1;
        grant.current = Some(given);
        grant.since = now;
        next.refresh.insert(given, Refresh { grant: token.grant, generation: grant.generation });
    } else if grant.current != Some(given) {
        let expected = "the refresh token that the first answer gave: one refresh wins, and its repetition repeats it";
        return Err(Broken::of(REFRESH_RACE, expected));
    }
    next.access.insert(access, Access { grant: token.grant, scope: wanted, ends, revoked: false, refreshed: true });
    Ok(Judged::one(next, situation))
}

/// A revocation.
pub(super) fn revoke(world: &World, case: Case<'_>, token: Token, client: Id) -> Result<Judged, Broken> {
    let number = match token {
        Token::Access(id) => world.access.get(&id).map(|access| access.grant),
        Token::Refresh(id) => world.refresh.get(&id).map(|refresh| refresh.grant),
    };
    let Some((number, grant)) = number.and_then(|number| Some((number, world.grants.get(number)?))) else {
        return Ok(Judged::one(world.clone(), "token of another order"));
    };
    let mut next = world.clone();
    if grant.client != client {
        // Whether it is refused or passed over is the server's choice; that nothing is revoked is not.
        if grant.ended.is_none() {
            next.grants[number].suspect = Some(REVOKE_OWN);
        }
        return match case.seen {
            Seen::Done | Seen::Refused { status: 400..500, .. } => Ok(Judged::one(next, "token of another client")),
            _ => Err(Broken::of(ERROR_FORMAT, "a refusal, or 200 without any effect")),
        };
    }
    if *case.seen != Seen::Done {
        let rule = if matches!(token, Token::Access(_)) { REVOKE_ACCESS } else { super::rules::REVOKE_REFRESH };
        return Err(Broken::success(rule, "200: the token is the client's own"));
    }
    match token {
        Token::Access(id) => {
            if let Some(access) = next.access.get_mut(&id) {
                access.revoked = true;
            }
            // The server may end the whole grant with it (RFC 7009 section 2.1).
            let mut ended = next.clone();
            ended.end_grant(number, Why::Itself, ISOLATED);
            let worlds = if case.terms.strict { vec![next] } else { vec![next, ended] };
            Ok(Judged { worlds, situation: "own access token" })
        }
        Token::Refresh(id) => {
            let current = next.refresh.get(&id).is_some_and(|token| token.generation == grant.generation);
            next.end_grant(number, Why::Revoked, ISOLATED);
            let situation = if current { "own refresh token" } else { "own refresh token from before" };
            // One that is over already is as good as revoked, and a server may leave it at that.
            let over = grant.ended.is_some() || lives(world.now, grant.idle_end, case.terms.loose) != Sure::Yes;
            Ok(Judged {
                worlds: if current || over || case.terms.strict { vec![next] } else { vec![next, world.clone()] },
                situation,
            })
        }
    }
}
