//! A client that moves between two regions in mid-session, and what it met there. For `regions`.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::peer::{Events, Peer, request};
use crate::model::{Clock as _, WallClock};

/// How often it calls in the second region right after it came there.
const CALLS: usize = 5;

/// What some clients met in the second region.
#[derive(Debug, Default)]
pub(super) struct Tally {
    calls: usize,
    answered: usize,
    /// 404: the session is not known there.
    lost: usize,
    /// 503: the store does not answer in time.
    put_off: usize,
    /// How long answered calls took.
    took: Vec<Duration>,
    /// Calls that worked with a log level that had been changed before in the first region, of all that were answered.
    old_level: (usize, usize),
    /// Streams that could not be resumed, or not to their result, of all that were.
    not_resumed: (usize, usize),
    /// Sessions that were still served after they had been deleted in the first region, of all that were.
    undead: (usize, usize),
    /// How long a write took to be at the replica.
    pub(super) replicated: Option<Duration>,
}

impl Tally {
    /// The head of a table, in Markdown.
    pub(super) const HEAD: &str = "| way | lag | answered | lost (404) | put off (503) | median | p95 | old log level | \
                                   not resumed | alive after DELETE | replicated after |";
    pub(super) const RULE: &str = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

    /// Adds what another client met.
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.lost += other.lost;
        self.put_off += other.put_off;
        self.took.extend(other.took);
        let pairs = [
            (&mut self.old_level, other.old_level),
            (&mut self.not_resumed, other.not_resumed),
            (&mut self.undead, other.undead),
        ];
        for (mine, more) in pairs {
            *mine = (mine.0 + more.0, mine.1 + more.1);
        }
    }

    /// One line of the table.
    pub(super) fn row(&self, way: &str, lag: u64) -> String {
        let share = |part: usize| format!("{} %", (part * 100 + self.calls / 2) / self.calls.max(1));
        let of = |(part, all): (usize, usize)| if all == 0 { "–".to_owned() } else { format!("{part} of {all}") };
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = |percent: usize| {
            let found = took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
            found.map_or_else(|| "–".to_owned(), |took| format!("{} ms", took.as_millis()))
        };
        let replicated = self.replicated.map_or_else(|| "–".to_owned(), |lag| format!("{} ms", lag.as_millis()));
        format!(
            "| {way} | {lag} ms | {} | {} | {} | {} | {} | {} | {} | {} | {replicated} |",
            share(self.answered),
            share(self.lost),
            share(self.put_off),
            at(50),
            at(95),
            of(self.old_level),
            of(self.not_resumed),
            of(self.undead),
        )
    }

    /// Notes an answer; says whether it is a good one.
    fn note(&mut self, answer: &Result<Response, String>, took: Duration) -> bool {
        self.calls += 1;
        match answer.as_ref().map(|answer| answer.status().as_u16()) {
            Ok(200) => {
                self.answered += 1;
                self.took.push(took);
                return true;
            }
            Ok(404) => self.lost += 1,
            Ok(503) => self.put_off += 1,
            _ => {}
        }
        false
    }
}

/// Opens a session in the first region, changes something, and goes on in the second.
pub(super) async fn move_once(http: &Client, first: &str, second: &str) -> Result<Tally, String> {
    let (mut tally, clock) = (Tally::default(), WallClock::new());
    let peer = Peer::open(http, first).await?;
    let quiet = peer.post(first, &request(1, "logging/setLevel", &json!({"level": "warning"}))).await?;
    quiet.bytes().await.map_err(|error| error.to_string())?;
    let logs = request(2, "tools/call", &json!({"name": "test_tool_with_logging"}));
    if let Ok(answer) = peer.post(second, &logs).await
        && answer.status() == 200
    {
        let (_, said) = read(answer).await;
        // It logs only below the level that was set.
        tally.old_level = (usize::from(said.len() > 1), 1);
    }
    for number in 0..CALLS {
        let began = clock.elapsed();
        let answer = peer.post(second, &request(10 + number as u64, "ping", &json!({}))).await;
        let took = clock.elapsed().saturating_sub(began);
        tally.note(&answer, took);
    }
    resume(&peer, first, second, &mut tally).await?;
    let gone = peer.delete(first).await?;
    if gone.status().is_success() {
        let late = peer.post(second, &request(30, "ping", &json!({}))).await;
        // What was put off tells nothing.
        let status = late.as_ref().map_or(503, |answer| answer.status().as_u16());
        tally.undead = (usize::from(status == 200), usize::from(status != 503));
    }
    Ok(tally)
}

/// A call begins in the first region, and its stream is gone on with in the second.
async fn resume(peer: &Peer, first: &str, second: &str, tally: &mut Tally) -> Result<(), String> {
    let params = json!({"name": "test_tool_with_progress", "_meta": {"progressToken": "moved"}});
    let mut call = Events::of(peer.post(first, &request(20, "tools/call", &params)).await?);
    let mut last = None;
    // The first event opens the stream, the second is the first that says something.
    for _ in 0..2 {
        last = call.next().await.map(|(id, _)| id).or(last);
    }
    drop(call);
    let Some(last) = last else { return Ok(()) };
    let answer = peer.listen(second, Some(&last)).await;
    let told = match answer {
        Ok(answer) if answer.status() == 200 => read(answer).await.1,
        Ok(_) | Err(_) => Vec::new(),
    };
    let whole = told.iter().any(|message| message["id"] == 20 && message["result"].is_object());
    tally.not_resumed = (usize::from(!whole), 1);
    Ok(())
}

/// Reads an answer to its end: the id of the last event, and all messages.
async fn read(answer: Response) -> (Option<String>, Vec<Value>) {
    let streams = answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    if !streams {
        return (None, answer.json().await.into_iter().collect());
    }
    let (mut events, mut last, mut said) = (Events::of(answer), None, Vec::new());
    while let Some((id, data)) = events.next().await {
        last = Some(id);
        said.extend(serde_json::from_str::<Value>(&data));
    }
    (last, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_shares_and_times() {
        let ms = Duration::from_millis;
        let mut tally = Tally { calls: 3, answered: 2, took: vec![ms(30), ms(10)], undead: (1, 1), ..Tally::default() };
        tally.add(Tally { calls: 1, lost: 1, undead: (0, 1), ..Tally::default() });
        let row = tally.row("central", 50);
        assert_eq!(row, "| central | 50 ms | 50 % | 25 % | 0 % | 30 ms | 30 ms | – | – | 1 of 2 | – |");
        assert_eq!(row.matches('|').count(), Tally::HEAD.matches('|').count());
    }
}
