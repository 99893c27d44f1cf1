//! The requests of a transcript as they are compared with those of another.

use super::fidelity::{Sent, body_of};
use crate::model::Via;
use crate::transcript::View;

/// What the client sent to the endpoint, in order; only that, or what it sent elsewhere too. A request for which it was sent
/// to log in comes again after that, and counts once.
pub fn requests(view: &View<'_>, elsewhere: bool) -> Vec<Sent> {
    let place = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    let endpoints: Vec<String> = view
        .messages
        .iter()
        .filter(|msg| !msg.received())
        .map(|msg| &view.exchanges[msg.exchange])
        .filter(|exchange| exchange.sent_json().is_some_and(|body| body["jsonrpc"] == "2.0"))
        .map(|exchange| place(&exchange.target))
        .collect();
    view.exchanges
        .iter()
        .filter(|exchange| elsewhere || endpoints.contains(&place(&exchange.target)))
        .filter(|exchange| exchange.status != Some(401))
        // The opening of a process is no request.
        .filter(|exchange| exchange.via != Via::Stdio || exchange.is_message())
        .map(|exchange| Sent {
            method: exchange.method.clone(),
            path: if exchange.via == Via::Stdio { String::new() } else { exchange.target.clone() },
            headers: exchange.headers.clone(),
            body: exchange.body.as_deref().and_then(|body| body_of(&exchange.headers, body)),
        })
        .collect()
}
