//! Secrets become stable labels before anything records them.
//!
//! Equal secrets get equal labels, so a reader still sees that a token came back; the value itself never leaves.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use memchr::memmem::Finder;
use url::form_urlencoded;

use super::text::Text;

/// The labels of one rehearsal: `session#1`, `access#2`, …
#[derive(Default)]
pub struct Labels(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_value: HashMap<String, String>,
    /// What to look for in texts, longest first, so that no secret is garbled by one that it begins with.
    sought: Vec<Sought>,
    counts: HashMap<&'static str, u32>,
}

/// A secret as it may stand in a text.
struct Sought {
    value: Finder<'static>,
    /// As a form or a query spells it, where that differs.
    encoded: Option<Finder<'static>>,
    label: String,
}

impl Sought {
    fn new(value: &str, label: &str) -> Self {
        let spelled: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let finder = |text: &str| Finder::new(text).into_owned();
        Self { value: finder(value), encoded: (spelled != value).then(|| finder(&spelled)), label: label.to_owned() }
    }

    /// How long the secret is, in bytes.
    fn length(&self) -> usize {
        self.value.needle().len()
    }
}

/// The text with everything that is found replaced; `None` where nothing is.
fn replaced(text: &str, finder: &Finder<'_>, by: &str) -> Option<String> {
    let mut out = String::new();
    let mut done = 0;
    for at in finder.find_iter(text.as_bytes()) {
        out.push_str(&text[done..at]);
        out.push_str(by);
        done = at + finder.needle().len();
    }
    (done > 0).then(|| out + &text[done..])
}

/// Shorter secrets are not looked for in texts: replacing them would garble ordinary words.
const SHORTEST: usize = 8;

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
        if value.len() >= SHORTEST {
            let at = inner.sought.partition_point(|known| known.length() >= value.len());
            inner.sought.insert(at, Sought::new(value, &label));
        }
        (label, true)
    }

    /// The text with every known secret replaced by its label. Secrets shorter than 8 bytes are left alone.
    ///
    /// Takes the text over, since most texts hold no secret and large ones are dear to copy.
    pub fn redact<T: AsRef<str> + From<String>>(&self, text: T) -> T {
        self.changed(text.as_ref()).map_or(text, T::from)
    }

    /// The same for a text that others hold too.
    pub fn redact_shared(&self, text: Text) -> Text {
        self.changed(&text).map_or(text, Text::from)
    }

    /// The text without its secrets; `None` where it holds none.
    fn changed(&self, text: &str) -> Option<String> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed: Option<String> = None;
        for known in &inner.sought {
            for spelling in std::iter::once(&known.value).chain(&known.encoded) {
                changed = replaced(changed.as_deref().unwrap_or(text), spelling, &known.label).or(changed);
            }
        }
        changed
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
        labels.label("access", "tok-bbbbbbbb+more");
        assert_eq!(labels.redact("tok-bbbbbbbb+more tok-bbbbbbbb%2Bmore".to_owned()), "access#3 access#3");
        assert_eq!(format!("{labels:?}"), "Labels(…)");
    }
}
