//! Secrets become stable labels before anything records them.
//!
//! Equal secrets get equal labels, so a reader still sees that a token came back; the value itself never leaves.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use url::form_urlencoded;

/// The labels of one rehearsal: `session#1`, `access#2`, …
#[derive(Default)]
pub struct Labels(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_value: HashMap<String, String>,
    counts: HashMap<&'static str, u32>,
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Labels(…)")
    }
}

impl Labels {
    /// The label of a secret of this kind; made on first sight, the same ever after.
    pub fn label(&self, kind: &'static str, value: &str) -> String {
        self.label_new(kind, value).0
    }

    /// The same, and whether this was its first sight.
    pub fn label_new(&self, kind: &'static str, value: &str) -> (String, bool) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = inner.by_value.get(value) {
            return (label.clone(), false);
        }
        let count = inner.counts.entry(kind).or_insert(0);
        *count += 1;
        let label = format!("{kind}#{count}");
        inner.by_value.insert(value.to_owned(), label.clone());
        (label, true)
    }

    /// The text with every known secret replaced by its label. Secrets shorter than 8 bytes are left alone:
    /// replacing them would garble ordinary words.
    ///
    /// Takes the text over, since most texts hold no secret and large ones are dear to copy.
    pub fn redact(&self, mut text: String) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (value, label) in &inner.by_value {
            if value.len() < 8 {
                continue;
            }
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), label);
            }
            // In a form or a query the same secret may look otherwise.
            if text.contains('%') || text.contains('+') {
                let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                if encoded != *value && text.contains(&encoded) {
                    text = text.replace(&encoded, label);
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_secrets_share_a_label_and_texts_lose_them() {
        let labels = Labels::default();
        assert_eq!(labels.label("access", "tok-aaaaaaaa"), "access#1");
        assert_eq!(labels.label("access", "tok-bbbbbbbb"), "access#2");
        assert_eq!(labels.label("access", "tok-aaaaaaaa"), "access#1");
        assert_eq!(labels.redact("Bearer tok-bbbbbbbb!".to_owned()), "Bearer access#2!");
        assert_eq!(format!("{labels:?}"), "Labels(…)");
    }
}
