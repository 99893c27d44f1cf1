//! Over which transport each part of a recording went: at the proxy that shows only as the traffic goes on.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::model::{Via, id_text};
use crate::transcript::{End, Ended, Event, EventKind};

/// The path of what an `endpoint` event names, whether it is a path or a whole URL.
fn path(place: &str) -> String {
    let local = match place.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => place,
    };
    local.to_owned()
}

/// The events with the transport told: what a stream that begins with `endpoint` opened is HTTP+SSE (2024-11-05
/// basic/transports#http-with-sse), and so is what is posted to the place that it names.
#[must_use]
pub fn over_transports(mut events: Vec<Event>) -> Vec<Event> {
    let mut lines: HashMap<String, u32> = HashMap::new();
    let mut streams: Vec<u32> = Vec::new();
    for event in &events {
        if let EventKind::Sse { exchange, event: Some(kind), data: Some(data), .. } = &event.kind
            && kind == "endpoint"
            && !streams.contains(exchange)
        {
            streams.push(*exchange);
            lines.insert(path(data), *exchange);
        }
    }
    if streams.is_empty() {
        return left_unanswered(events);
    }
    let mut line_of: HashMap<u32, u32> = streams.iter().map(|stream| (*stream, *stream)).collect();
    for event in &mut events {
        if let EventKind::Request { exchange, method, target, via, channel, .. } = &mut event.kind {
            if streams.contains(exchange) {
                *via = Via::LegacySse;
            } else if let Some(line) = lines.get(target.as_str()).filter(|_| method == "POST") {
                (*via, *channel) = (Via::LegacySse, Some(*line));
                line_of.insert(*exchange, *line);
            }
        }
        // Ids on one stream say nothing of those on another.
        let line = event.kind.exchange().and_then(|exchange| line_of.get(&exchange));
        if let Some(at) = line.and_then(|line| streams.iter().position(|stream| stream == line)).filter(|at| *at > 0) {
            event.client = format!("{}{}", event.client, at + 1).into();
        }
    }
    left_unanswered(events)
}

/// On a channel a message is written and that is all; where its response had not come when the client left, the client let
/// go of it.
fn left_unanswered(mut events: Vec<Event>) -> Vec<Event> {
    let mut left: HashSet<u32> = HashSet::new();
    let mut waiting: HashMap<(u32, String), u32> = HashMap::new();
    let id_of = |text: &str| {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        message.get("id").map(|id| (message.get("method").is_some(), id_text(id)))
    };
    for event in &events {
        match &event.kind {
            EventKind::Request { exchange, body: Some(body), channel: Some(line), .. } => {
                if let Some((true, id)) = id_of(body) {
                    waiting.insert((*line, id), *exchange);
                }
            }
            EventKind::Sse { exchange, data: Some(text), .. } | EventKind::Message { exchange, text, .. } => {
                if let Some((false, id)) = id_of(text) {
                    waiting.remove(&(*exchange, id));
                }
            }
            EventKind::End { exchange, end: End::ClosedByUs | End::Unread(_) } => {
                left.extend(waiting.iter().filter(|((line, _), _)| line == exchange).map(|(_, asked)| *asked));
            }
            EventKind::Exit { exchange, after, .. } if *after != Ended::ByItself => {
                left.extend(waiting.iter().filter(|((line, _), _)| line == exchange).map(|(_, asked)| *asked));
            }
            _ => {}
        }
    }
    for event in &mut events {
        if let EventKind::End { exchange, end } = &mut event.kind
            && *end == End::Complete
            && left.contains(exchange)
        {
            *end = End::ClosedByUs;
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Builder, View};
    use serde_json::json;

    #[test]
    fn a_stream_with_an_endpoint_is_a_channel() {
        let get = Builder::new().request("GET", &[], None).stream();
        let open = get.event(EventKind::Sse {
            exchange: 1,
            id: None,
            event: Some("endpoint".to_owned()),
            data: Some("http://127.0.0.1:8080/messages?id=1".into()),
            retry: None,
        });
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let asked = open.outside("POST", "/messages?id=1", &[], Some(&message)).answer(202, &[], "");
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
        let events = asked.event(EventKind::Sse {
            exchange: 1,
            id: None,
            event: Some("message".to_owned()),
            data: Some(answer.into()),
            retry: None,
        });
        let events = over_transports(events.finish());
        let view = View::new(&events);
        assert!(view.exchanges.iter().all(|exchange| exchange.via == Via::LegacySse));
        assert_eq!(view.calls.iter().map(|call| call.responses.len()).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_waits_when_the_client_leaves_was_let_go() {
        let ask = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let start = Builder::new().channel(Via::Stdio).post(&ask(1)).json(200, &json!({"id": 1, "result": {}}));
        let asked = start.post(&ask(2)).end(End::Complete);
        let ends = |after: Ended| {
            let exit = EventKind::Exit { exchange: 1, after, began: None, took_ms: 0, code: None, left_others: false };
            let events = over_transports(asked.clone().event(exit).finish());
            let view = View::new(&events);
            view.exchanges.iter().skip(1).map(|exchange| exchange.end.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ends(Ended::InputClosed), [Some(End::Complete), Some(End::ClosedByUs)]);
        assert_eq!(ends(Ended::ByItself), [Some(End::Complete), Some(End::Complete)]);
    }

    #[test]
    fn two_streams_at_a_time_are_two_clients() {
        let opens = |builder: Builder, exchange: u32| {
            builder.request("GET", &[], None).stream().event(EventKind::Sse {
                exchange,
                id: None,
                event: Some("endpoint".to_owned()),
                data: Some(format!("/messages?id={exchange}").into()),
                retry: None,
            })
        };
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        let mut builder = opens(opens(Builder::new(), 1), 2);
        for stream in [1, 2] {
            builder = builder.outside("POST", &format!("/messages?id={stream}"), &[], Some(&ping)).answer(202, &[], "");
        }
        for exchange in [1, 2] {
            let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
            let data = Some(answer.into());
            builder = builder.event(EventKind::Sse { exchange, id: None, event: None, data, retry: None });
        }
        let events = over_transports(builder.finish());
        let view = View::new(&events);
        assert_eq!(view.calls.iter().map(|call| call.responses.len()).collect::<Vec<_>>(), [1, 1]);
    }
}
