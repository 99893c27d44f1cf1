//! How operations are made up: proptest strategies, with weights and a length that the caller may set.

use proptest::prelude::*;
use proptest::strategy::Union;

use super::deed::{Errand, Flaw, Resource, Scope};
use super::model::{Edge, Side};
use super::op::{BearerPick, Op, Pick, Whose};

/// How often each kind of operation comes, beside the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights(Vec<(&'static str, u32)>);

impl Default for Weights {
    fn default() -> Self {
        Self(vec![
            ("register", 3),
            ("authorise", 6),
            ("exchange", 10),
            ("refresh", 18),
            ("revoke", 5),
            ("open", 5),
            ("call", 16),
            ("ask", 5),
            ("delete", 3),
            ("start", 4),
            ("drop", 3),
            ("cancel", 2),
            ("finish", 5),
            ("time", 12),
            ("reconnect", 3),
            ("together", 10),
        ])
    }
}

impl Weights {
    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// How often one comes.
    fn of(&self, name: &str) -> u32 {
        self.0.iter().find(|(known, _)| *known == name).map_or(0, |(_, weight)| *weight)
    }

    /// Whether one comes at all.
    pub(super) fn comes(&self, name: &str) -> bool {
        self.of(name) > 0
    }

    /// Leaves kinds out that make no sense somewhere.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.iter_mut().filter(|(name, _)| names.contains(name)).for_each(|(_, weight)| *weight = 0);
        self
    }

    /// Sets one; says whether there is one of that name.
    pub fn set(&mut self, name: &str, weight: u32) -> bool {
        let found = self.0.iter_mut().find(|(known, _)| *known == name);
        found.map(|(_, known)| *known = weight).is_some()
    }
}

/// Mostly the newest, sometimes the one before, at times any.
fn pick() -> BoxedStrategy<Pick> {
    prop_oneof![6 => Just(Pick(0)), 3 => Just(Pick(1)), 1 => (2_u8..8).prop_map(Pick)].boxed()
}

fn whose() -> BoxedStrategy<Whose> {
    prop_oneof![6 => Just(Whose::Own), 1 => Just(Whose::Other)].boxed()
}

fn bearer() -> BoxedStrategy<BearerPick> {
    prop_oneof![
        8 => Just(BearerPick::Own),
        4 => pick().prop_map(BearerPick::Any),
        1 => Just(BearerPick::Forged),
        1 => Just(BearerPick::Nothing),
    ]
    .boxed()
}

fn errand() -> BoxedStrategy<Errand> {
    prop_oneof![4 => Just(Errand::List), 3 => Just(Errand::Read), 2 => Just(Errand::Write)].boxed()
}

fn exchange() -> BoxedStrategy<Op> {
    let flaw = prop_oneof![8 => Just(None), 1 => Just(Some(Flaw::Verifier)), 1 => Just(Some(Flaw::Redirect))];
    (pick(), whose(), flaw).prop_map(|(code, by, flaw)| Op::Exchange { code, by, flaw }).boxed()
}

fn refresh() -> BoxedStrategy<Op> {
    let scope = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Scope::READ)),
        1 => Just(Some(Scope::WRITE)),
        1 => Just(Some(Scope::ALL)),
    ];
    let resource = prop_oneof![
        6 => Just(None),
        2 => Just(Some(Resource::Here)),
        1 => Just(Some(Resource::Elsewhere)),
    ];
    (pick(), whose(), scope, resource)
        .prop_map(|(token, by, scope, resource)| Op::Refresh { token, by, scope, resource })
        .boxed()
}

fn revoke() -> BoxedStrategy<Op> {
    prop_oneof![
        (pick(), whose()).prop_map(|(token, by)| Op::RevokeRefresh { token, by }),
        (pick(), whose()).prop_map(|(token, by)| Op::RevokeAccess { token, by }),
    ]
    .boxed()
}

fn call() -> BoxedStrategy<Op> {
    let session = prop_oneof![15 => pick().prop_map(Some), 1 => Just(None)];
    (session, bearer(), errand()).prop_map(|(session, bearer, errand)| Op::Call { session, bearer, errand }).boxed()
}

fn ask() -> BoxedStrategy<Op> {
    (bearer(), errand()).prop_map(|(bearer, errand)| Op::Ask { bearer, errand }).boxed()
}

fn time() -> BoxedStrategy<Op> {
    let edge = prop_oneof![
        5 => Just(Edge::Access),
        1 => Just(Edge::Code),
        1 => Just(Edge::Refresh),
        4 => Just(Edge::Grace),
        1 => Just(Edge::Idle),
    ];
    let side = prop_oneof![2 => Just(Side::Before), 1 => Just(Side::At), 3 => Just(Side::After)];
    prop_oneof![
        4 => (edge, side).prop_map(|(edge, side)| Op::Pass { edge, side }),
        1 => (1_u8..90).prop_map(Op::Linger),
    ]
    .boxed()
}

/// One kind of operation by its name.
fn kind(name: &str, weights: &Weights) -> BoxedStrategy<Op> {
    match name {
        "register" => Just(Op::Register).boxed(),
        "authorise" => (pick(), any::<bool>(), any::<bool>(), prop_oneof![5 => Just(false), 1 => Just(true)])
            .prop_map(|(client, other_user, wide, elsewhere)| Op::Authorise { client, other_user, wide, elsewhere })
            .boxed(),
        "exchange" => exchange(),
        "refresh" => refresh(),
        "revoke" => revoke(),
        "open" => bearer().prop_map(|bearer| Op::Open { bearer }).boxed(),
        "call" => call(),
        "ask" => ask(),
        "delete" => (pick(), bearer()).prop_map(|(session, bearer)| Op::Delete { session, bearer }).boxed(),
        "start" => (pick(), bearer()).prop_map(|(session, bearer)| Op::Start { session, bearer }).boxed(),
        "drop" => pick().prop_map(|call| Op::Drop { call }).boxed(),
        "cancel" => pick().prop_map(|call| Op::Cancel { call }).boxed(),
        "finish" => pick().prop_map(|call| Op::Finish { call }).boxed(),
        "time" => time(),
        "reconnect" => Just(Op::Reconnect).boxed(),
        _ => together(weights),
    }
}

/// Two or three operations at once, most often about the same token; of kinds that come by themselves, too.
fn together(weights: &Weights) -> BoxedStrategy<Op> {
    const BESIDE: &[(&str, u32)] =
        &[("refresh", 6), ("exchange", 3), ("revoke", 3), ("call", 2), ("open", 1), ("delete", 1)];
    const TWICE: &[(&str, u32)] = &[("refresh", 4), ("exchange", 2)];
    let of = |kinds: &[(&str, u32)]| {
        let some = kinds.iter().filter(|(name, _)| weights.of(name) > 0);
        let some: Vec<_> = some.map(|(name, weight)| (*weight, kind(name, weights))).collect();
        (!some.is_empty()).then(|| Union::new_weighted(some))
    };
    let Some(beside) = of(BESIDE) else { return Just(Op::Reconnect).boxed() };
    let others = proptest::collection::vec(beside, 2..4).prop_map(Op::Together);
    match of(TWICE) {
        Some(twice) => {
            let same = twice.prop_map(|op| Op::Together(vec![op.clone(), op]));
            prop_oneof![1 => same, 1 => others].boxed()
        }
        None => others.boxed(),
    }
}

/// One operation.
pub(crate) fn operation(weights: &Weights) -> BoxedStrategy<Op> {
    let chosen = weights.0.iter().filter(|(_, weight)| *weight > 0);
    let kinds: Vec<(u32, BoxedStrategy<Op>)> = chosen.map(|(name, weight)| (*weight, kind(name, weights))).collect();
    if kinds.is_empty() { Just(Op::Reconnect).boxed() } else { Union::new_weighted(kinds).boxed() }
}

/// A lifecycle of so many operations at most.
pub(crate) fn lifecycle(weights: &Weights, length: usize) -> BoxedStrategy<Vec<Op>> {
    proptest::collection::vec(operation(weights), 1..=length.max(1)).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_weighed() {
        let mut weights = Weights::default();
        assert!(weights.set("refresh", 0) && !weights.set("no-such-kind", 1));
        let kinds: Vec<&str> = weights.names().collect();
        assert_eq!(kinds.len(), 16);
    }
}
