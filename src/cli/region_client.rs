//! A client that moves between two regions in mid-session, and what it met there. For `regions`.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::peer::{Events, Peer, request};
use crate::model::{Clock as _, WallClock};

/// How often a client calls in one go.
const CALLS: u64 = 5;
/// How much longer than the lag a session has been there before its client moves.
const SETTLED: Duration = Duration::from_millis(500);

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
    /// Sessions that could be opened in the second region, by clients that stay there, of all that were asked for.
    own: (usize, usize),
    /// How long calls took in those.
    own_took: Vec<Duration>,
    /// How long a write took to be at the replica.
    pub(super) replicated: Option<Duration>,
}

impl Tally {
    /// The head of a table, in Markdown.
    pub(super) const HEAD: &str = "| way | lag | answered | lost (404) | put off (503) | median | p95 | old log level | \
                                   not resumed | alive after DELETE | replicated after | own sessions | median there |";
    pub(super) const RULE: &str =
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

    /// Adds what another client met.
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.lost += other.lost;
        self.put_off += other.put_off;
        self.took.extend(other.took);
        self.own_took.extend(other.own_took);
        let pairs = [
            (&mut self.old_level, other.old_level),
            (&mut self.not_resumed, other.not_resumed),
            (&mut self.undead, other.undead),
            (&mut self.own, other.own),
        ];
        for (mine, more) in pairs {
            *mine = (mine.0 + more.0, mine.1 + more.1);
        }
    }

    /// One line of the table.
    pub(super) fn row(&self, way: &str, lag: u64) -> String {
        let share = |part: usize| format!("{} %", (part * 100 + self.calls / 2) / self.calls.max(1));
        let of = |(part, all): (usize, usize)| if all == 0 { "–".to_owned() } else { format!("{part} of {all}") };
        let at = |took: &[Duration], percent: usize| {
            let mut took = took.to_vec();
            took.sort_unstable();
            let found = took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
            found.map_or_else(|| "–".to_owned(), |took| format!("{} ms", took.as_millis()))
        };
        let replicated = self.replicated.map_or_else(|| "–".to_owned(), |lag| format!("{} ms", lag.as_millis()));
        format!(
            "| {way} | {lag} ms | {} | {} | {} | {} | {} | {} | {} | {} | {replicated} | {} | {} |",
            share(self.answered),
            share(self.lost),
            share(self.put_off),
            at(&self.took, 50),
            at(&self.took, 95),
            of(self.old_level),
            of(self.not_resumed),
            of(self.undead),
            of(self.own),
            at(&self.own_took, 50),
        )
    }

    /// Notes an answer.
    fn note(&mut self, answer: &Result<Response, String>, took: Duration) {
        self.calls += 1;
        match answer.as_ref().map(|answer| answer.status().as_u16()) {
            Ok(200) => {
                self.answered += 1;
                self.took.push(took);
            }
            Ok(404) => self.lost += 1,
            Ok(503) => self.put_off += 1,
            _ => {}
        }
    }
}

/// Opens sessions in the first region and, once they have been there for a while, goes on with them in the second; opens one
/// there as well.
pub(super) async fn move_once(http: &Client, first: &str, second: &str, lag: Duration) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let (peer, short) = (Peer::open(http, first).await?, Peer::open(http, first).await?);
    tokio::time::sleep(lag + SETTLED).await;
    calls(&peer, second, |answer, took| tally.note(answer, took)).await;
    let level = peer.post(first, &request(1, "logging/setLevel", &json!({"level": "warning"}))).await?;
    level.bytes().await.map_err(|error| error.to_string())?;
    let logs = request(2, "tools/call", &json!({"name": "test_tool_with_logging"}));
    if let Ok(answer) = peer.post(second, &logs).await
        && answer.status() == 200
    {
        // It logs only below the level that was set.
        tally.old_level = (usize::from(read(answer).await.len() > 1), 1);
    }
    resume(&peer, first, second, &mut tally).await?;
    if short.delete(first).await?.status().is_success() {
        let late = short.post(second, &request(30, "ping", &json!({}))).await;
        // What was put off tells nothing.
        let status = late.as_ref().map_or(503, |answer| answer.status().as_u16());
        tally.undead = (usize::from(status == 200), usize::from(status != 503));
    }
    let own = Peer::open(http, second).await;
    tally.own = (usize::from(own.is_ok()), 1);
    if let Ok(own) = own {
        calls(&own, second, |answer, took| {
            if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
                tally.own_took.push(took);
            }
        })
        .await;
    }
    Ok(tally)
}

/// Calls in the second region without any session, and goes on there with a request that was begun in the first.
pub(super) async fn move_stateless(http: &Client, first: &str, second: &str, lag: Duration) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let (peer, clock) = (Peer::stateless(http), WallClock::new());
    let tool = "test_input_required_result_request_state";
    let asked = peer.call(first, 1, "tools/call", json!({"name": tool})).await?;
    let asked: Value = asked.json().await.map_err(|error| error.to_string())?;
    let state = asked["result"]["requestState"].as_str().ok_or_else(|| format!("no state came: {asked}"))?.to_owned();
    tokio::time::sleep(lag + SETTLED).await;
    for number in 0..CALLS {
        let began = clock.elapsed();
        let answer = peer.call(second, 10 + number, "tools/call", json!({"name": "test_simple_text"})).await;
        tally.note(&answer, clock.elapsed().saturating_sub(began));
    }
    let inputs = json!({"confirm": {"action": "accept", "content": {"ok": true}}});
    let params = json!({"name": tool, "inputResponses": inputs, "requestState": state});
    let ended: Value = match peer.call(second, 20, "tools/call", params).await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    };
    tally.not_resumed = (usize::from(ended["result"]["resultType"] != "complete"), 1);
    // A log level holds for its own request, so that none can be old.
    let answer = peer.call(second, 21, "tools/call", json!({"name": "test_tool_with_logging"})).await;
    if let Ok(answer) = answer {
        tally.old_level = (usize::from(read(answer).await.len() > 1), 1);
    }
    Ok(tally)
}

/// Calls a few times, one after the other.
async fn calls(peer: &Peer, url: &str, mut note: impl FnMut(&Result<Response, String>, Duration)) {
    let clock = WallClock::new();
    for number in 0..CALLS {
        let began = clock.elapsed();
        let answer = peer.post(url, &request(10 + number, "ping", &json!({}))).await;
        note(&answer, clock.elapsed().saturating_sub(began));
    }
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
        Ok(answer) if answer.status() == 200 => read(answer).await,
        Ok(_) | Err(_) => Vec::new(),
    };
    let whole = told.iter().any(|message| message["id"] == 20 && message["result"].is_object());
    tally.not_resumed = (usize::from(!whole), 1);
    Ok(())
}

/// Reads all messages of an answer.
async fn read(answer: Response) -> Vec<Value> {
    let streams = answer.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    if !streams {
        return answer.json().await.into_iter().collect();
    }
    let (mut events, mut said) = (Events::of(answer), Vec::new());
    while let Some((_, data)) = events.next().await {
        said.extend(serde_json::from_str::<Value>(&data));
    }
    said
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
        assert_eq!(row, "| central | 50 ms | 50 % | 25 % | 0 % | 30 ms | 30 ms | – | – | 1 of 2 | – | – | – |");
        assert_eq!(row.matches('|').count(), Tally::HEAD.matches('|').count());
    }
}
