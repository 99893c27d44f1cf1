//! The steps `expire`, `refresh` and `revoke`.

use std::sync::Arc;
use std::time::Duration;

use crate::client::sim::Sim;
use crate::client::step::Turn;
use crate::client::target::TimeControl;
use crate::scenario::{Delay, MintStep, Word};

/// How long after its end a token is certainly over, whatever leeway the server grants (RFC 7519 section 4.1.4: no more
/// than a few minutes).
const BEYOND: Duration = Duration::from_mins(10);

/// How long after its end a token is over at most servers; more is not waited for in real time.
const SOON: Duration = Duration::from_secs(30);

impl Sim {
    /// Lets the access token end, in the first way that works on this target.
    pub(in crate::client) async fn expire(self: &Arc<Self>, _step: &Word, turn: Turn) {
        let (held, ends) = {
            let state = self.state();
            (state.credential.access.is_some(), state.credential.ends)
        };
        let ends = match ends {
            Some(ends) => ends,
            None if held => {
                self.leave_out("the token could not be expired: nobody said when it ends".to_owned());
                return;
            }
            None => {
                self.note("nothing can expire: there is no token");
                return;
            }
        };
        let beyond = if matches!(self.target.time, TimeControl::None) { SOON } else { BEYOND };
        let left = ends.saturating_sub(self.clock.elapsed()) + beyond;
        let too_long = matches!(self.target.time, TimeControl::None) && left > self.target.patience;
        if too_long && self.target.minter.is_some() {
            self.note("nobody can move the target's clock, so the issuer signs a token that ended an hour ago");
            self.mint(&MintStep { expires_in: Some(-3600), ..MintStep::default() }).await;
            self.state().credential.ends = Some(self.clock.elapsed());
            return;
        }
        if too_long {
            let text = format!(
                "the token could not be expired: it lives {} s more, the target's clock cannot be moved, and --patience \
                 is {} s",
                left.as_secs(),
                self.target.patience.as_secs()
            );
            self.leave_out(text);
            return;
        }
        self.let_pass(&Delay::of(left)).await;
        let _ = turn;
    }

    /// Refreshes, whatever the profile would do by itself.
    pub(in crate::client) async fn refresh(self: &Arc<Self>, turn: Turn) {
        self.state().last_fetch = None;
        let _turn = self.credentials.lock().await;
        self.renew(turn.within).await;
        self.about_last_fetch(turn);
    }

    /// Ends the grant at the server.
    pub(in crate::client) async fn revoke(self: &Arc<Self>, turn: Turn) {
        self.state().last_fetch = None;
        let _turn = self.credentials.lock().await;
        self.sign_out(turn.within).await;
        self.about_last_fetch(turn);
    }

    fn about_last_fetch(&self, turn: Turn) {
        let last = self.state().last_fetch;
        if let Some(exchange) = last {
            self.subject(turn, exchange, None);
        }
    }
}
