//! From a transcript to a diagnosis: a pure function. It never sends, waits or reads a clock.

use super::diagnosis::{Diagnosis, State, Station};
use super::road::Road;
use super::walk::{AFTER_REFRESH, FIRST_CALL, FORGED};
use super::{arrival, audience, discovery, forecast, login, refresh, session};
use crate::profile::Profile;
use crate::transcript::{Event, EventKind, Exchange, View};

/// What the walk of `walked` to the endpoint at `url` shows, and what it means for these clients.
pub fn diagnose(url: &str, walked: &Profile, clients: &[Profile], events: &[Event]) -> Diagnosis {
    let view = View::new(events);
    let road = Road::new(&view, url);
    let mut stations = vec![
        arrival::reach(&road),
        arrival::challenge(&road),
        discovery::discovery(&road),
        login::registration(&road, walked),
        login::authorization(&road),
        login::token(&road),
        audience::audience(&road, subject(&view, FORGED)),
        session::session(&road, subject(&view, FIRST_CALL)),
        refresh::refresh(&road, subject(&view, AFTER_REFRESH)),
    ];
    let over = if road.tokens().is_some() { "session" } else { "token" };
    beyond_the_break(&mut stations, over);
    Diagnosis {
        target: url.to_owned(),
        client: walked.id().to_owned(),
        reachable: road.calls.iter().any(|call| call.status.is_some()),
        stations,
        resource: audience::resources(&road),
        issuer: audience::issuers(&road),
        token: audience::token(&road),
        forecast: forecast::sessions(&road, clients),
        registration: forecast::routes(&road, clients),
    }
}

/// The exchange that a step of the walk was about.
fn subject<'v>(view: &'v View<'_>, step: u32) -> Option<&'v Exchange> {
    let number = view.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::Subject { exchange, .. } if event.step == Some(step) => Some(*exchange),
        _ => None,
    })?;
    view.exchanges.iter().find(|exchange| exchange.number == number)
}

/// What comes behind a break says nothing of its own: the client went on, if at all, by guesses. Stations that the
/// client passed nevertheless keep what they say.
fn beyond_the_break(stations: &mut [Station], last: &str) {
    let Some(broken) = stations.iter().position(|station| station.state == State::Broken) else { return };
    let name = stations[broken].name;
    let passed = stations.iter().position(|station| station.name == last).unwrap_or_default();
    let got_through = stations[passed].state == State::Ok || stations[passed].state == State::Warn;
    if got_through && passed > broken {
        return;
    }
    for station in &mut stations[broken + 1..] {
        *station = Station::not_reached(station.name, format!("the road ends at {name}"));
    }
}
