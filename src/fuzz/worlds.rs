//! History checking: the states that explain what was seen so far, in any legal order of what was under way at once.
//!
//! A round is a set of deeds that overlap. It is explained if there is an order of them, keeping those apart of which one
//! was over before the other began, in which the model allows each outcome (linearisability, by the search of Wing and
//! Gong). Pure.

use super::deed::{Deed, Seen};
use super::model::{Broken, World, judge};
use super::terms::Terms;

/// The most states that are followed at once.
const MOST: usize = 64;

/// A deed, its outcome, and when it began and was over, counted in beginnings and ends of the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) deed: Deed,
    pub(crate) seen: Seen,
    pub(crate) began: u32,
    pub(crate) over: u32,
}

/// How a round went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Explained; what each deed met, where that can be told.
    Fine(Vec<(Deed, &'static str, &'static str)>),
    Broken(Broken),
    /// There are more states than can be followed.
    TooMany,
}

/// Every state that the server may be in.
#[derive(Debug, Clone)]
pub(crate) struct Worlds(Vec<World>);

impl Worlds {
    /// The beginning.
    pub(crate) fn new() -> Self {
        Self(vec![World::default()])
    }

    /// One of the states.
    pub(crate) fn any(&self) -> &World {
        &self.0[0]
    }

    /// Takes a round in.
    pub(crate) fn take(&mut self, acts: &[Act], terms: &Terms) -> Verdict {
        let mut search = Search { acts, terms, found: Vec::new(), deepest: None, met: Vec::new(), full: false };
        for world in &self.0 {
            let mut left: Vec<usize> = (0..acts.len()).collect();
            search.explore(world, &mut left, &mut Vec::new());
        }
        if search.full {
            return Verdict::TooMany;
        }
        if search.found.is_empty() {
            let (_, broken) = search.deepest.unwrap_or_else(|| (0, Broken::of(super::model::NOTHING, "some order")));
            return Verdict::Broken(broken);
        }
        self.0 = search.found;
        Verdict::Fine(search.met)
    }
}

struct Search<'a> {
    acts: &'a [Act],
    terms: &'a Terms,
    found: Vec<World>,
    /// The rule that the order got furthest with which broke one.
    deepest: Option<(usize, Broken)>,
    met: Vec<(Deed, &'static str, &'static str)>,
    full: bool,
}

impl Search<'_> {
    fn explore(&mut self, world: &World, left: &mut Vec<usize>, met: &mut Vec<(Deed, &'static str, &'static str)>) {
        if left.is_empty() {
            if self.found.contains(world) {
                return;
            }
            if self.found.len() >= MOST {
                self.full = true;
                return;
            }
            if self.met.is_empty() {
                self.met.clone_from(met);
            }
            self.found.push(world.clone());
            return;
        }
        for at in 0..left.len() {
            let number = left[at];
            let act = &self.acts[number];
            // What was over before this began has to come first.
            if left.iter().any(|other| self.acts[*other].over < act.began) {
                continue;
            }
            let together = self.acts.len() > 1;
            match judge(world, &act.deed, &act.seen, self.terms, together) {
                Ok(judged) => {
                    left.remove(at);
                    met.push((act.deed, judged.situation, act.seen.word()));
                    for next in &judged.worlds {
                        self.explore(next, left, met);
                    }
                    met.pop();
                    left.insert(at, number);
                }
                Err(broken) => {
                    let depth = self.acts.len() - left.len();
                    if self.deepest.as_ref().is_none_or(|(deepest, _)| *deepest < depth) {
                        self.deepest = Some((depth, Broken { act: number, ..broken }));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::deed::{Bearer, Errand, Resource, Scope, Token};
    use std::time::Duration;

    fn terms() -> Terms {
        Terms::reference()
    }

    fn act(deed: Deed, seen: Seen, began: u32, over: u32) -> Act {
        Act { deed, seen, began, over }
    }

    fn tokens(access: u16, refresh: u16) -> Seen {
        Seen::Tokens { access, refresh: Some(refresh), scope: Some(Scope::READ), expires_in: Some(3600) }
    }

    fn refused(error: &str) -> Seen {
        Seen::Refused { status: 400, error: error.to_owned() }
    }

    fn refresh(token: u16) -> Deed {
        Deed::Refresh { token, client: 0, scope: None, resource: None }
    }

    fn exchange(code: u16) -> Deed {
        Deed::Exchange { code, client: 0, flaw: None }
    }

    fn call(access: u16) -> Deed {
        Deed::Ask { bearer: Bearer::Access(access), errand: Errand::List }
    }

    /// One after the other.
    fn one_by_one(worlds: &mut Worlds, acts: &[(Deed, Seen)]) -> Verdict {
        for (deed, seen) in acts {
            match worlds.take(&[act(*deed, seen.clone(), 0, 1)], &terms()) {
                Verdict::Fine(_) => {}
                other => return other,
            }
        }
        Verdict::Fine(Vec::new())
    }

    /// A client that has logged in.
    fn logged_in() -> Worlds {
        let mut worlds = Worlds::new();
        let authorise = Deed::Authorise { client: 0, user: 0, scope: Scope::READ, resource: Resource::Here };
        let verdict = one_by_one(
            &mut worlds,
            &[(Deed::Register, Seen::Client(0)), (authorise, Seen::Code(0)), (exchange(0), tokens(0, 0))],
        );
        assert_eq!(verdict, Verdict::Fine(Vec::new()));
        worlds
    }

    fn broken(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Broken(broken) => broken.invariant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_code_works_once_and_its_replay_ends_the_grant() {
        let mut worlds = logged_in();
        assert_eq!(
            broken(one_by_one(&mut worlds.clone(), &[(exchange(0), tokens(1, 1))])),
            "auth.authorization.code-one-time"
        );
        let replayed = [(exchange(0), refused("invalid_grant")), (call(0), Seen::Result)];
        assert_eq!(broken(one_by_one(&mut worlds, &replayed)), "auth.authorization.code-replay-revoke");
    }

    #[test]
    fn an_old_refresh_token_ends_its_family_after_the_grace() {
        let mut worlds = logged_in();
        let rotated = [(refresh(0), tokens(1, 1)), (refresh(0), tokens(2, 1))];
        assert_eq!(one_by_one(&mut worlds, &rotated), Verdict::Fine(Vec::new()));
        let late = [(Deed::Pass(Duration::from_secs(25)), Seen::Done), (refresh(0), tokens(3, 1))];
        assert_eq!(broken(one_by_one(&mut worlds.clone(), &late)), "auth.token.refresh-old-invalid");
        let spared = [
            (Deed::Pass(Duration::from_secs(25)), Seen::Done),
            (refresh(0), refused("invalid_grant")),
            (call(2), Seen::Result),
        ];
        assert_eq!(broken(one_by_one(&mut worlds, &spared)), "auth.token.refresh-reuse-revokes-access");
    }

    #[test]
    fn right_at_the_end_both_answers_are_right() {
        for seen in [Seen::Result, Seen::Refused { status: 401, error: "invalid_token".into() }] {
            let edge = [(Deed::Pass(Duration::from_secs(3600)), Seen::Done), (call(0), seen)];
            assert_eq!(one_by_one(&mut logged_in(), &edge), Verdict::Fine(Vec::new()));
        }
        let late = [(Deed::Pass(Duration::from_secs(3606)), Seen::Done), (call(0), Seen::Result)];
        assert_eq!(broken(one_by_one(&mut logged_in(), &late)), "auth.resource-server.expiry-enforced");
    }

    #[test]
    fn of_two_refreshes_at_once_one_wins_in_either_order() {
        for (first, second) in [((1, 1), (2, 1)), ((2, 1), (1, 1))] {
            let round =
                [act(refresh(0), tokens(first.0, first.1), 0, 3), act(refresh(0), tokens(second.0, second.1), 1, 2)];
            assert!(matches!(logged_in().take(&round, &terms()), Verdict::Fine(_)));
        }
        let forked = [act(refresh(0), tokens(1, 1), 0, 3), act(refresh(0), tokens(2, 2), 1, 2)];
        assert_eq!(broken(logged_in().take(&forked, &terms())), "auth.token.refresh-concurrent");
        let locked_out = [act(refresh(0), tokens(1, 1), 0, 3), act(refresh(0), refused("invalid_grant"), 1, 2)];
        assert_eq!(broken(logged_in().take(&locked_out, &terms())), "auth.token.refresh-concurrent");
    }

    #[test]
    fn a_refresh_beside_a_revocation_came_before_or_after_it() {
        let revoke = Deed::Revoke { token: Token::Refresh(0), client: 0 };
        for seen in [tokens(1, 1), refused("invalid_grant")] {
            let mut worlds = logged_in();
            let round = [act(revoke, Seen::Done, 0, 2), act(refresh(0), seen, 1, 3)];
            assert!(matches!(worlds.take(&round, &terms()), Verdict::Fine(_)));
            assert_eq!(broken(one_by_one(&mut worlds, &[(call(0), Seen::Result)])), "auth.token.revocation-cascade");
        }
        let after = [act(revoke, Seen::Done, 0, 1), act(refresh(0), tokens(1, 1), 2, 3)];
        assert_eq!(broken(logged_in().take(&after, &terms())), "auth.token.revocation-refresh");
    }
}
