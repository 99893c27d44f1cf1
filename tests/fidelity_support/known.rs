//! Where simulated and real clients differ, and why that is.

use mcp_rehearsal::recording::fidelity::Difference;

/// A difference that is known.
pub(crate) struct Known {
    client: &'static str,
    run: &'static str,
    request: &'static str,
    field: &'static str,
    /// Its reason.
    pub(crate) why: &'static str,
}

impl Known {
    /// Whether this is the difference; an empty text fits everything, and others have to be contained.
    pub(crate) fn fits(&self, client: &str, run: &str, difference: &Difference) -> bool {
        (self.client.is_empty() || self.client.split(' ').any(|name| name == client))
            && (self.run.is_empty() || self.run == run)
            && difference.request.contains(self.request)
            && difference.field.contains(self.field)
    }
}

const fn of(
    client: &'static str,
    run: &'static str,
    request: &'static str,
    field: &'static str,
    why: &'static str,
) -> Known {
    Known { client, run, request, field, why }
}

/// All that is known.
pub(crate) fn known() -> &'static [Known] {
    KNOWN
}

const KNOWN: &[Known] = &[of("none", "", "", "", "nothing")];
