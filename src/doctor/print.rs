//! The diagnosis as text for a person, and as JSON for a program.

use serde_json::{Value, json};

use super::diagnosis::{Diagnosis, ForClients, Named, State, Station, Token};
use crate::report::paint::{Paint, sign};
use crate::report::text::{WIDTH, clip, plain, width, wrap};
use crate::verdict::Cell;

/// Columns before the words of a station.
const LABEL: usize = 17;

/// The diagnosis as one JSON document. Its field names are stable within a `format_version`.
pub fn json(diagnosis: &Diagnosis) -> String {
    let mut report = json!({
        "format_version": 1,
        "clear": diagnosis.broken().is_none(),
        "broken_at": diagnosis.broken().map(|station| station.name),
    });
    // Every field is a string, a number or a list of those, which always serialise.
    if let (Some(report), Ok(Value::Object(fields))) = (report.as_object_mut(), serde_json::to_value(diagnosis)) {
        report.extend(fields);
    }
    format!("{report:#}\n")
}

/// The diagnosis for a terminal, with a newline at its end.
pub fn terminal(diagnosis: &Diagnosis, colored: bool) -> String {
    let paint = Paint(colored);
    let mut out = wrap(&headline(diagnosis), WIDTH).into_iter().map(|line| paint.bold(&line)).collect::<Vec<_>>();
    out.push(String::new());
    stations(&mut out, diagnosis, paint);
    table(&mut out, "Resource: who the token is for", &diagnosis.resource, paint);
    table(&mut out, "Issuer: who gives the token", &diagnosis.issuer, paint);
    if let Some(token) = &diagnosis.token {
        claims(&mut out, token, paint);
    }
    for_clients(&mut out, "Forecast: how long a session lasts", &diagnosis.forecast, paint);
    for_clients(&mut out, "Client id: which way each client takes", &diagnosis.registration, paint);
    let all = diagnosis.forecast.iter().chain(&diagnosis.registration);
    if all.clone().any(|group| !group.assumed.is_empty()) {
        out.push(String::new());
        out.push(paint.dim("* assumed: nobody has seen how this client logs in, so it is taken to do as its SDK does"));
    }
    out.push(String::new());
    out.join("\n")
}

fn headline(diagnosis: &Diagnosis) -> String {
    let road = format!("The road to {}, walked as the client `{}`,", plain(&diagnosis.target), diagnosis.client);
    if let Some(broken) = diagnosis.broken() {
        if diagnosis.got_by() {
            return format!("{road} is broken at {}: this client got by, but others stop there.", broken.name);
        }
        return format!("{road} breaks at {}.", broken.name);
    }
    let warned: Vec<&str> =
        diagnosis.stations.iter().filter(|station| station.state == State::Warn).map(|station| station.name).collect();
    // A road that was not walked to the session is not called clear.
    let walked = diagnosis.station("session").is_some_and(|station| station.state != State::NotReached);
    match (walked, warned.as_slice()) {
        (true, []) => format!("{road} is clear."),
        (true, names) => format!("{road} can be walked, with warnings at {}.", names.join(", ")),
        (false, []) => format!("{road} could not be walked to its end; nothing broken was seen."),
        (false, names) => {
            format!(
                "{road} could not be walked to its end; nothing broken was seen, with warnings at {}.",
                names.join(", ")
            )
        }
    }
}

fn cell(state: State) -> Cell {
    match state {
        State::Ok => Cell::Passed,
        State::Warn => Cell::Warned,
        State::Broken => Cell::Failed,
        State::NotReached => Cell::NotApplicable,
    }
}

/// A label, and a text behind it in as many lines as it needs.
fn labelled(out: &mut Vec<String>, label: &str, painted: &str, text: &str) {
    let gap = LABEL.saturating_sub(width(label)).max(1);
    for (at, line) in wrap(&plain(text), WIDTH - LABEL).into_iter().enumerate() {
        if at == 0 {
            out.push(format!("{painted}{}{line}", " ".repeat(gap)));
        } else {
            out.push(format!("{}{line}", " ".repeat(LABEL)));
        }
    }
}

fn stations(out: &mut Vec<String>, diagnosis: &Diagnosis, paint: Paint) {
    let mut rest = diagnosis.stations.as_slice();
    while let Some((station, _)) = rest.split_first() {
        // Stations that nobody came to are told together, where they have the same reason.
        let alike = |other: &&Station| {
            station.state == State::NotReached && other.seen == station.seen && other.state == station.state
        };
        let same = rest.iter().take_while(alike).count().max(1);
        let names: Vec<&str> = rest[..same].iter().map(|station| station.name).collect();
        let sign = sign(cell(station.state));
        if same > 1 {
            let text = format!("{}: {}", names.join(", "), station.seen.join("; "));
            for (at, line) in wrap(&plain(&text), WIDTH - 2).into_iter().enumerate() {
                out.push(paint.dim(&format!("{} {line}", if at == 0 { sign } else { " " })));
            }
        } else {
            one(out, station, paint);
        }
        rest = &rest[same..];
    }
}

fn one(out: &mut Vec<String>, station: &Station, paint: Paint) {
    let label = format!("{} {}", sign(cell(station.state)), station.name);
    let painted = paint.cell(cell(station.state), &label);
    let blank = String::new();
    let good = matches!(station.state, State::Ok | State::NotReached);
    let seen = if good { vec![station.seen.join("; ")] } else { station.seen.clone() };
    for (at, text) in seen.iter().enumerate() {
        let (label, painted) = if at == 0 { (&label, &painted) } else { (&blank, &blank) };
        labelled(out, label, painted, text);
    }
    for text in &station.change {
        labelled(out, "  Change", &paint.bold("  Change"), text);
    }
    if !good {
        for shown in &station.evidence {
            labelled(out, "  Sent", &paint.dim("  Sent"), &shown.request);
            if !station.seen.contains(&shown.answer) {
                labelled(out, "  Answer", &paint.dim("  Answer"), &shown.answer);
            }
        }
    }
}

fn title(out: &mut Vec<String>, text: &str, paint: Paint) {
    out.push(String::new());
    out.push(paint.bold(text));
}

/// Strings are never wrapped, so that they can be compared by eye.
fn table(out: &mut Vec<String>, name: &str, rows: &[Named], paint: Paint) {
    // One string has nothing to be compared with.
    if rows.len() < 2 {
        return;
    }
    title(out, name, paint);
    let column = rows.iter().map(|row| width(row.what)).max().unwrap_or_default() + 4;
    for row in rows {
        let value = clip(&row.value, 200);
        out.push(format!("  {:<gap$}{value}", row.what, gap = column - 2));
        if let (Some(at), Some(difference)) = (row.differs_at, &row.difference) {
            let before = row.value.get(..at).map_or(0, width);
            let mark = format!("^ byte {at}: {}", plain(difference));
            out.push(format!("{}{}", " ".repeat(column + before), paint.cell(Cell::Warned, &mark)));
        }
    }
}

fn claims(out: &mut Vec<String>, token: &Token, paint: Paint) {
    title(
        out,
        if token.claims.is_some() { "Access token: a JWT, here without its signature" } else { "Access token" },
        paint,
    );
    for (name, value) in [("header", &token.header), ("claims", &token.claims)] {
        let Some(Value::Object(members)) = value else { continue };
        let column = members.keys().map(|name| width(name)).max().unwrap_or_default();
        for (at, (member, value)) in members.iter().enumerate() {
            let label = if at == 0 { name } else { "" };
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out.push(format!("  {label:<8}{:<column$}  {}", plain(member), clip(&value, 200)));
        }
    }
    for note in &token.notes {
        out.extend(wrap(&plain(note), WIDTH - 2).into_iter().map(|line| format!("  {line}")));
    }
}

fn for_clients(out: &mut Vec<String>, name: &str, groups: &[ForClients], paint: Paint) {
    if groups.is_empty() {
        return;
    }
    title(out, name, paint);
    for group in groups {
        let names: Vec<String> = group
            .clients
            .iter()
            .map(|client| format!("{client}{}", if group.assumed.contains(client) { "*" } else { "" }))
            .collect();
        out.extend(wrap(&names.join(", "), WIDTH - 2).into_iter().map(|line| format!("  {line}")));
        out.extend(wrap(&plain(&group.text), WIDTH - 6).into_iter().map(|line| format!("      {line}")));
    }
}
