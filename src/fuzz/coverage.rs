//! How much of the model lifecycles have seen: states from afar, and transitions. Pure.

use std::collections::{BTreeMap, HashSet};

use super::play::{Played, Transition};

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    shapes: HashSet<u64>,
    transitions: BTreeMap<Transition, u64>,
}

impl Coverage {
    /// Takes a lifecycle in.
    pub(crate) fn add(&mut self, played: &Played) {
        self.shapes.extend(&played.shapes);
        for transition in &played.transitions {
            *self.transitions.entry(*transition).or_default() += 1;
        }
    }

    /// How many states, told apart from afar.
    pub fn states(&self) -> usize {
        self.shapes.len()
    }

    /// How many transitions: deeds by what they met and how they went.
    pub fn transitions(&self) -> usize {
        self.transitions.len()
    }

    /// Every transition with the number of lifecycles that had it.
    pub fn lines(&self) -> Vec<String> {
        let line = |((deed, situation, outcome), count): (&Transition, &u64)| {
            format!("{deed:<10} {situation:<36} {outcome:<8} {count}")
        };
        self.transitions.iter().map(line).collect()
    }
}
