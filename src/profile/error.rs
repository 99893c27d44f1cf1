//! What can be wrong with a profile file, and what to do about it. It must not know how files are read.

/// A profile file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {field}: {problem}; {fix}")]
pub struct ProfileError {
    /// Name of the file.
    pub file: String,
    /// The field at fault, such as `fields.opens_with`; `(file)` if it is the whole of it.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// How to put it right.
    pub fix: String,
}

impl ProfileError {
    pub(super) fn new(
        file: &str,
        field: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), field: field.into(), problem: problem.into(), fix: fix.into() }
    }

    /// The same with the line of the text at which the field stands, if it stands there.
    #[must_use]
    pub(super) fn in_text(self, text: &str) -> Self {
        let name = self.field.rsplit('.').next().unwrap_or_default();
        let deep = self.field.contains('.');
        let key = format!("{name}:");
        let at = text
            .lines()
            .position(|line| line.trim_start().starts_with(&key) && line.starts_with(char::is_whitespace) == deep);
        match at {
            Some(at) => Self { file: format!("{}:{}", self.file, at + 1), ..self },
            None => self,
        }
    }
}
