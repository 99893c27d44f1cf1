//! Colours, decided by a value rather than by the process-wide switch that `colored` keeps: that one is on for good.

use std::sync::Once;

use colored::{ColoredString, Colorize as _};

use crate::verdict::Cell;

/// Paints, or leaves text as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, text: &str, style: impl FnOnce(&str) -> ColoredString) -> String {
        static ON: Once = Once::new();
        if !self.0 || text.is_empty() {
            return text.to_owned();
        }
        ON.call_once(|| colored::control::set_override(true));
        style(text).to_string()
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with(text, |text| text.bold())
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with(text, |text| text.dimmed())
    }

    pub(crate) fn cell(self, cell: Cell, text: &str) -> String {
        self.with(text, |text| match cell {
            Cell::NotApplicable => text.dimmed(),
            Cell::Passed => text.green(),
            Cell::Inconclusive => text.cyan(),
            Cell::Warned => text.yellow(),
            Cell::Failed => text.red().bold(),
        })
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
