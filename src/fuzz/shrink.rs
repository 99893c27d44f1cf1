//! Shrinking: from a lifecycle that breaks a rule to the shortest that breaks the same one.
//!
//! First as the strategies know how, by their value tree; then by leaving out one operation, or two, for as long as that
//! works, because an operation may stand in the way of another's removal.

use super::campaign::Generator;
use super::deed::Errand;
use super::model::Side;
use super::op::Op;
use super::play::Played;

/// How often a lifecycle with deeds at once is tried before it counts as fine: their order is not ours to choose.
const TRIES: usize = 4;
/// How much may be tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// The most runs.
    runs: usize,
    /// Whether the strategies' own way, which goes in small steps, is gone first.
    by_tree: bool,
}

impl Effort {
    /// Where a run takes a millisecond.
    pub(super) const FULL: Self = Self { runs: 4000, by_tree: true };
    /// Where time has to pass in a run: a minute or two.
    pub(super) const BRIEF: Self = Self { runs: 60, by_tree: false };
}

struct Shrinker<R> {
    again: R,
    invariant: &'static str,
    best: (Vec<Op>, Played),
    runs: usize,
    most: usize,
}

impl<R, E> Shrinker<R>
where
    R: AsyncFn(Vec<Op>) -> Result<Played, E>,
{
    /// Whether these break the same rule; if so they are the best so far.
    async fn fails(&mut self, ops: Vec<Op>) -> Result<bool, E> {
        let tries = if ops.iter().any(|op| matches!(op, Op::Together(_))) { TRIES } else { 1 };
        for _ in 0..tries {
            if self.runs >= self.most {
                return Ok(false);
            }
            self.runs += 1;
            let played = (self.again)(ops.clone()).await?;
            if played.broken.as_ref().is_some_and(|broken| broken.invariant == self.invariant) {
                self.best = (ops, played);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Leaves out so many neighbours at each place, wherever that works; says whether it did anywhere.
    async fn without(&mut self, width: usize) -> Result<bool, E> {
        let (mut at, mut shorter) = (0, false);
        while at + width <= self.best.0.len() {
            let mut ops = self.best.0.clone();
            ops.drain(at..at + width);
            if self.fails(ops).await? {
                shorter = true;
            } else {
                at += 1;
            }
        }
        Ok(shorter)
    }

    /// Leaves out any two.
    async fn without_pairs(&mut self) -> Result<bool, E> {
        for first in 0..self.best.0.len() {
            for second in first + 1..self.best.0.len() {
                let mut ops = self.best.0.clone();
                ops.remove(second);
                ops.remove(first);
                if self.fails(ops).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Puts a plainer operation in the place of another.
    async fn plainer(&mut self) -> Result<bool, E> {
        for at in 0..self.best.0.len() {
            for plain in plainer(&self.best.0[at]) {
                let mut ops = self.best.0.clone();
                ops.splice(at..=at, plain);
                if self.fails(ops).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Puts one of the operations in the place of those that are done at once.
    async fn apart(&mut self) -> Result<bool, E> {
        for at in 0..self.best.0.len() {
            let Op::Together(ops) = &self.best.0[at] else { continue };
            let mut fewer: Vec<Op> = ops.clone();
            if fewer.len() > 2 {
                fewer = (0..ops.len())
                    .map(|left_out| {
                        let kept = ops.iter().enumerate().filter(|(at, _)| *at != left_out);
                        Op::Together(kept.map(|(_, op)| op.clone()).collect())
                    })
                    .collect();
            }
            for op in fewer {
                let mut ops = self.best.0.clone();
                ops[at] = op;
                if self.fails(ops).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The plainer operations that one might be replaced by.
fn plainer(op: &Op) -> Vec<Vec<Op>> {
    match op {
        // One after the other is easier to follow than at once, and always goes the same way.
        Op::Together(ops) => {
            let (first, rest) = ops.split_at(1);
            // What came first may have given something newer, by which the others count.
            let older = rest.iter().map(Op::one_back);
            let shifted = first.iter().cloned().chain(older).collect();
            vec![ops.clone(), shifted, ops.iter().rev().cloned().collect()]
        }
        Op::Start { session, bearer } => {
            vec![vec![Op::Call { session: Some(*session), bearer: *bearer, errand: Errand::Read }]]
        }
        Op::Call { session, bearer, errand: Errand::Read } => {
            vec![vec![Op::Call { session: *session, bearer: *bearer, errand: Errand::List }]]
        }
        // On a clock that goes, nobody hits an edge.
        Op::Pass { edge, side: Side::At } => {
            vec![vec![Op::Pass { edge: *edge, side: Side::After }], vec![Op::Pass { edge: *edge, side: Side::Before }]]
        }
        _ => Vec::new(),
    }
}

/// How many operations there are, those at once one by one.
pub(super) fn count(ops: &[Op]) -> usize {
    let one = |op: &Op| if let Op::Together(ops) = op { ops.len() } else { 1 };
    ops.iter().map(one).sum()
}

/// Shrinks the lifecycle of a number; gives how its shortest form went, and how many operations that has.
pub(super) async fn shrink<R, E>(
    generator: &Generator,
    case: u64,
    played: Played,
    effort: Effort,
    again: R,
) -> Result<(Played, usize), E>
where
    R: AsyncFn(Vec<Op>) -> Result<Played, E>,
{
    let (Some(mut tree), Some(broken)) = (generator.tree(case), played.broken.as_ref()) else {
        return Ok((played, 0));
    };
    let invariant = broken.invariant;
    // What comes after the violation was never done.
    let mut shrinker = Shrinker { again, invariant, best: (tree.current(), played), runs: 0, most: effort.runs };
    if effort.by_tree && tree.simplify() {
        loop {
            let go_on = if shrinker.fails(tree.current()).await? { tree.simplify() } else { tree.complicate() };
            if !go_on || shrinker.runs >= effort.runs {
                break;
            }
        }
    }
    loop {
        let mut shorter = false;
        for width in [16, 8, 4, 2, 1] {
            shorter |= shrinker.without(width).await?;
        }
        shorter = shorter || shrinker.apart().await? || shrinker.plainer().await? || shrinker.without_pairs().await?;
        if !shorter {
            break;
        }
    }
    let (ops, played) = shrinker.best;
    Ok((played, count(&ops)))
}
