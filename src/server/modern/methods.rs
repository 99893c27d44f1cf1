//! The methods of this era: which parameter names what they are about, and which of them may ask back.

/// A method that is served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: &'static str,
    /// The parameter that `Mcp-Name` mirrors, and whether the header may not be missing.
    pub(crate) named_by: Option<(&'static str, bool)>,
    /// Its answer may be that more input is required.
    pub(crate) asks: bool,
    /// It belongs to the tasks extension.
    pub(crate) of_tasks: bool,
}

const PLAIN: Served = Served { name: "", named_by: None, asks: false, of_tasks: false };
const TASKS: Served = Served { named_by: Some(("taskId", false)), of_tasks: true, ..PLAIN };

/// All of them. What a method of the other era is called here is unknown.
static METHODS: &[Served] = &[
    Served { name: "server/discover", ..PLAIN },
    Served { name: "tools/list", ..PLAIN },
    Served { name: "tools/call", named_by: Some(("name", true)), asks: true, ..PLAIN },
    Served { name: "resources/list", ..PLAIN },
    Served { name: "resources/templates/list", ..PLAIN },
    Served { name: "resources/read", named_by: Some(("uri", true)), asks: true, ..PLAIN },
    Served { name: "prompts/list", ..PLAIN },
    Served { name: "prompts/get", named_by: Some(("name", true)), asks: true, ..PLAIN },
    Served { name: "completion/complete", ..PLAIN },
    Served { name: LISTEN, ..PLAIN },
    Served { name: "tasks/get", ..TASKS },
    Served { name: "tasks/update", ..TASKS },
    Served { name: "tasks/cancel", ..TASKS },
];

/// The method that opens a subscription.
pub(crate) const LISTEN: &str = "subscriptions/listen";

/// The method of that name.
pub(crate) fn find(name: &str) -> Option<&'static Served> {
    METHODS.iter().find(|served| served.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_unknown() {
        for removed in [
            "initialize",
            "ping",
            "logging/setLevel",
            "resources/subscribe",
            "resources/unsubscribe",
            "tasks/list",
            "tasks/result",
        ] {
            assert!(find(removed).is_none(), "{removed}");
        }
        assert_eq!(METHODS.iter().filter(|served| served.asks).count(), 3);
    }
}
