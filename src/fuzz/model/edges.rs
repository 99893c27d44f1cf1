//! The moments at which something ends, and how long it is until just before, at, and just after one.

use std::time::Duration;

use super::world::World;
use crate::fuzz::terms::Terms;

/// What ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Edge {
    Access,
    Code,
    Refresh,
    Grace,
    Idle,
}

/// On which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Before,
    At,
    After,
}

/// How long it is from now until then, for the newest thing of its kind that is still to end; `None` where there is none.
pub(crate) fn until(world: &World, terms: &Terms, edge: Edge, side: Side) -> Option<Duration> {
    let now = world.now;
    // Where an edge is not sharp, its two ends.
    let sharp = |end: Duration| (end, end);
    let mut all: Vec<(Duration, Duration)> = match edge {
        Edge::Access => {
            let ends = world.access.values().map(|access| access.ends);
            ends.map(|end| (end.saturating_sub(terms.early), end + terms.leeway)).collect()
        }
        Edge::Code => world.codes.values().filter(|code| code.used.is_none()).map(|code| sharp(code.ends)).collect(),
        Edge::Refresh => world.grants.iter().map(|grant| sharp(grant.idle_end)).collect(),
        Edge::Grace => {
            let rotated = world.grants.iter().filter(|grant| grant.generation > 1);
            rotated.map(|grant| sharp(grant.since + terms.grace)).collect()
        }
        Edge::Idle => {
            let living = world.sessions.values().filter(|session| !session.deleted && !session.gone);
            let ends = living.map(|session| {
                let early = (session.used + terms.idle).saturating_sub(terms.idle_early);
                (early, session.perhaps_used + terms.idle)
            });
            ends.collect()
        }
    };
    all.sort_unstable();
    let moment = |(early, late): &(Duration, Duration)| match side {
        Side::Before => early.checked_sub(terms.margin),
        Side::At => Some(*early),
        Side::After => Some(*late + terms.margin),
    };
    all.iter().rev().filter_map(moment).find_map(|moment| moment.checked_sub(now).filter(|left| !left.is_zero()))
}
