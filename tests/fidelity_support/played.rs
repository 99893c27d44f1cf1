//! What a simulated client sends in the same situation, from its transcript.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mcp_rehearsal::client::{Drive, Target, TimeControl, drive};
use mcp_rehearsal::model::{HybridClock, Revision, Rng};
use mcp_rehearsal::profile::{self, OpensWith};
use mcp_rehearsal::recording::fidelity::{Sent, body_of};
use mcp_rehearsal::scenario;
use mcp_rehearsal::server::{AuthConfig, Eras, ServerConfig, start};
use mcp_rehearsal::transcript::{Event, EventKind};

use super::Run;
use super::wanted::Wanted;

/// A run of a simulated client.
pub(crate) struct Played {
    pub(crate) events: Vec<Event>,
    /// The origin of the run, with the word for it.
    pub(crate) words: Vec<(String, String)>,
}

pub(crate) async fn play(id: &str, run: Run, wanted: &Wanted) -> Played {
    let mut profile = profile::find(id).expect("profiles load").expect("there is such a profile");
    if run == Run::Modern && profile.modern.value.is_some() {
        let own = profile.opens_with.value.0.clone();
        profile.opens_with.value = OpensWith(std::iter::once(Revision::V2026_07_28).chain(own).collect());
    }
    let eras = if run == Run::Modern { Eras::Both } else { Eras::Legacy };
    let clock = HybridClock::new();
    let auth = (run == Run::Login).then(AuthConfig::default);
    let config = ServerConfig { eras, auth, ..ServerConfig::default() };
    let server = start(config, clock.clone(), Rng::seeded(1)).await.expect("a free port");
    let target = Target {
        time: TimeControl::Shared(clock.clone()),
        speaks_modern: run == Run::Modern,
        asks_for_tokens: run == Run::Login,
        ..Target::parse(&server.url(), Duration::from_secs(5)).expect("an address")
    };
    let text = script(wanted, profile.session_per_call.value.is_some());
    let scenario = scenario::parse("capture", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let (scenario, profile, target) = (Arc::new(scenario), Arc::new(profile), Arc::new(target));
    let events = drive(Drive { scenario, profile, target, clock: Arc::new(clock), rng: Rng::seeded(7) }).await;
    let origin = server.url().trim_end_matches("/mcp").to_owned();
    server.shutdown().await;
    // The capturing server knew one scope less.
    let scopes = ("mcp:write mcp:admin".to_owned(), "mcp:write".to_owned());
    Played { events, words: vec![(origin, "{origin}".to_owned()), scopes] }
}

/// What the user of the real client did, as a scenario.
fn script(wanted: &Wanted, own_sessions: bool) -> String {
    let mut steps = "version: 1\nid: a.capture\ntitle: A capture.\nwhy: A capture.\nera: both\nsteps:\n".to_owned();
    steps.push_str("  - connect\n  - negotiate\n");
    for (method, params) in &wanted.calls {
        if method == "tools/call" {
            let (tool, arguments) = (&params["name"], &params["arguments"]);
            let _ = writeln!(steps, "  - invoke: {{ tool: {tool}, arguments: {arguments} }}");
        } else if !own_sessions {
            let _ = writeln!(steps, "  - invoke: {{ method: {method} }}");
        }
    }
    steps.push_str("  - shutdown\n");
    steps
}

/// The requests in a transcript.
pub(crate) fn sent(events: &[Event]) -> Vec<Sent> {
    let sent = |event: &Event| match &event.kind {
        EventKind::Request { method, target, headers, body, .. } => Some(Sent {
            method: method.clone(),
            path: target.clone(),
            // What a browser does with an address is no habit of the client.
            headers: if target.starts_with("/authorize?") { Vec::new() } else { headers.clone() },
            body: body_of(headers, body.as_ref().map(ToString::to_string).unwrap_or_default().as_str()),
        }),
        _ => None,
    };
    events.iter().filter_map(sent).collect()
}
