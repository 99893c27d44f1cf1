//! HTTP+SSE of 2024-11-05: an event stream that names a place for POSTs and brings every message of the server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use url::Url;

use super::line::{Line, Out};
use crate::client::exchange::{Answered, Options};
use crate::client::sim::Sim;
use crate::model::{Via, moment};
use crate::wire::Request;

/// Longer than any case: the stream is the session, and ends with it.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(24 * 3600);

impl Sim {
    /// Opens the event stream, and waits until it names the place for messages.
    pub(super) async fn open_events(self: &Arc<Self>, within: Duration) -> Result<Arc<Line>, Answered> {
        let request = Request { via: Via::LegacySse, ..self.bare("GET") };
        let number = self.tap.next_exchange();
        self.state().endpoint = None;
        let options = Options { within: AS_LONG_AS_IT_TAKES, number: Some(number), ..Options::default() };
        let (sim, (done, mut over)) = (Arc::clone(self), oneshot::channel());
        let (head, begun) = oneshot::channel();
        tokio::spawn(async move {
            let answered = sim.exchange_with(request, options, Some(head)).await;
            let line = sim.line.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            if let Some(line) = line.filter(|line| line.opening == number) {
                line.is_over();
            }
            // Nobody waits any more where the stream was opened.
            let _ = done.send(answered);
            sim.announce();
        });
        drop(begun);
        let mut news = self.news.subscribe();
        let limit = moment::passes(within);
        tokio::pin!(limit);
        loop {
            let endpoint = self.state().endpoint.clone();
            if let Some(endpoint) = endpoint {
                return self.messages_to(number, &endpoint);
            }
            tokio::select! {
                answered = &mut over => {
                    // It may have named a place before it was over.
                    let endpoint = self.state().endpoint.clone();
                    let line = endpoint.map(|endpoint| self.messages_to(number, &endpoint)).transpose()?;
                    return match line {
                        Some(line) => {
                            line.is_over();
                            Ok(line)
                        }
                        None => Err(answered.unwrap_or_else(|_| Answered::of(number))),
                    };
                }
                changed = news.changed() => if changed.is_err() { return Err(Answered::of(number)) },
                () = &mut limit => {
                    self.note_once("the event stream did not say where messages are to be sent (`endpoint`)");
                    return Err(Answered::of(number));
                }
            }
        }
    }

    /// The channel of a stream that named this place.
    fn messages_to(&self, opening: u32, endpoint: &str) -> Result<Arc<Line>, Answered> {
        let here = Url::parse(&self.target.url).ok();
        let place = here.as_ref().and_then(|here| here.join(endpoint).ok());
        let Some(place) = place.filter(|place| here.is_some_and(|here| here.origin() == place.origin())) else {
            // Whoever followed it would send what is meant for this server to another one.
            self.note_once("the event stream names a place for messages that is not of this server, so none are sent");
            return Err(Answered::of(opening));
        };
        let target = place.query().map_or_else(|| place.path().to_owned(), |query| format!("{}?{query}", place.path()));
        Ok(Arc::new(Line::new(Via::LegacySse, opening, 0, target, Out::Post)))
    }
}
