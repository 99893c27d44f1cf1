//! Whether the client got into a conversation.

use super::diagnosis::Station;
use super::road::{NOT_THIS_FAR, Road};
use crate::report::text::clip;
use crate::transcript::Exchange;

/// What became of `initialize` and of the first call.
pub(super) fn session(road: &Road<'_>, call: Option<&Exchange>) -> Station {
    let mut station = Station::new("session");
    let Some(conversation) = road.view.conversations.first() else { return no_conversation(road) };
    let server = &conversation.result["serverInfo"];
    let name = clip(server["name"].as_str().unwrap_or("a server without a name"), 60);
    let kind = if conversation.session.is_some() { "a session" } else { "no session id" };
    station.saw(format!("{name} speaks {}, with {kind}", clip(&conversation.answered, 20)));
    if conversation.revision.is_none() {
        station.warns(
            format!("the version {} is none that clients know", clip(&conversation.answered, 20)),
            "answer initialize with a version that the client asked for, or with the newest that the server knows",
        );
    }
    if let Some(call) = call {
        let what = call.body.as_deref().and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok());
        let what = what.and_then(|message| message["method"].as_str().map(str::to_owned));
        let what = what.unwrap_or_else(|| "call".to_owned());
        if call.is_success() {
            station.saw(format!("{what} is answered"));
        } else {
            station.show(call);
            let status = call.status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
            station.breaks(
                format!("the session was opened, but a {what} in it got {status}"),
                "let sessions and tokens be known to every instance behind the address",
            );
        }
    }
    station
}

fn no_conversation(road: &Road<'_>) -> Station {
    let mut asked = road.view.calls_to("initialize").map(|(request, _)| road.view.exchange_of(request));
    let last = asked.by_ref().last();
    match last {
        // The refusal for want of a token is told at an earlier station.
        Some(last) if last.status.is_some_and(|status| !matches!(status, 401 | 403)) => {
            let mut station = Station::new("session");
            station.show(last);
            let status = last.status.unwrap_or_default();
            station.breaks(
                format!("initialize got status {status}, and no result"),
                "answer initialize with a result (specification, basic/lifecycle)",
            );
            station
        }
        _ => Station::not_reached("session", NOT_THIS_FAR),
    }
}
