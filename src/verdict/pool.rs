//! Texts that many cases hold, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use super::Case;

/// Equal texts become one.
#[derive(Debug, Default)]
pub struct Pool(HashSet<Arc<str>>);

impl Pool {
    /// Lets a case hold what others hold already.
    pub fn share(&mut self, case: &mut Case) {
        for text in &mut case.sent {
            match self.0.get(text) {
                Some(known) => *text = Arc::clone(known),
                None => drop(self.0.insert(Arc::clone(text))),
            }
        }
    }
}
