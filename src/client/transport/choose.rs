//! Which transport a client speaks with the target, and when it tries another.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::line::Line;
use crate::client::exchange::Answered;
use crate::client::sim::Sim;
use crate::model::{Revision, Via};
use crate::transcript::EventKind;
use crate::wire::Request;

impl Sim {
    /// The transport that is spoken now.
    pub(in crate::client) fn via(&self) -> Via {
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transport other than Streamable HTTP has one channel, which is opened with the first message.
    pub(in crate::client) fn line<'a>(
        self: &'a Arc<Self>,
        within: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Line>, Answered>> + Send + 'a>> {
        Box::pin(async move {
            let _turn = self.opening.lock().await;
            let known = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(line) = known.filter(|line| !line.wants_token()) {
                return Ok(line);
            }
            let line = match (self.via(), &self.target.command) {
                (Via::Stdio, Some(command)) => self.open_process(command)?,
                (Via::WebSocket, _) => self.open_socket(within).await?,
                _ => self.open_events(within).await?,
            };
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&line));
            Ok(line)
        })
    }

    /// The request as it goes out on a channel.
    pub(in crate::client) fn on_line(line: &Line, request: Request) -> Request {
        Request { via: line.via, channel: Some(line.opening), target: line.target.clone(), ..request }
    }

    /// What the client does where `initialize` over Streamable HTTP was refused: whether it tries HTTP+SSE now.
    pub(in crate::client) async fn falls_back(self: &Arc<Self>, answered: &Answered, within: Duration) -> bool {
        let Some(status) = answered.status.filter(|_| self.target.falls_back && self.via() == Via::StreamableHttp)
        else {
            return false;
        };
        let transports = &self.profile.transports.value;
        let revision = self.profile.opens_with.value.0.first().copied().unwrap_or(Revision::V2025_11_25);
        if !transports.order.contains(&Via::LegacySse) || !transports.falls_back_on(status, revision) {
            return false;
        }
        let text = format!("status {status} to initialize: the client tries HTTP+SSE");
        self.tap.record(&self.name, EventKind::Note { text });
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner) = Via::LegacySse;
        if self.line(within).await.is_ok() {
            return true;
        }
        *self.spoken.lock().unwrap_or_else(PoisonError::into_inner) = Via::StreamableHttp;
        false
    }
}
