//! Colours, as a value rather than the process-wide switch that `colored` keeps.

use crate::verdict::Cell;

/// Paints, or leaves text as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn cell(self, cell: Cell, text: &str) -> String {
        let code = match cell {
            Cell::NotApplicable => "2",
            Cell::Passed => "32",
            Cell::Inconclusive => "36",
            Cell::Warned => "33",
            Cell::Failed => "1;31",
        };
        self.wrap(code, text)
    }
}

/// The sign of a cell.
pub(crate) fn sign(cell: Cell) -> &'static str {
    match cell {
        Cell::NotApplicable => "·",
        Cell::Passed => "✓",
        Cell::Inconclusive => "?",
        Cell::Warned => "!",
        Cell::Failed => "✗",
    }
}
