//! Randomness as a parameter: one seeded generator, shareable, reproducible from its seed.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};

/// A seeded source of random bytes that several tasks may share.
#[derive(Debug, Clone)]
pub struct Rng(Arc<Mutex<ChaCha12Rng>>);

impl Rng {
    /// The same seed gives the same sequence.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha12Rng::seed_from_u64(seed))))
    }

    /// Seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "the one place that takes a seed from the system")]
    pub fn from_system() -> Self {
        Self::seeded(rand::rng().random())
    }

    /// The next 64 random bits.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// `bytes` random bytes as lower-case hexadecimal.
    pub fn hex(&self, bytes: usize) -> String {
        let mut generator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(bytes * 2);
        for _ in 0..bytes {
            let byte: u8 = generator.random();
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        assert_eq!(Rng::seeded(7).hex(16), Rng::seeded(7).hex(16));
        assert_ne!(Rng::seeded(7).hex(16), Rng::seeded(8).hex(16));
        assert_eq!(Rng::seeded(7).hex(16).len(), 32);
    }
}
