//! The step `mint`: an access token that the issuer signs to order, right or wrong.

use std::sync::Arc;

use serde_json::Value;

use crate::client::control;
use crate::client::sim::Sim;
use crate::client::target::{Target, TimeControl};
use crate::model::{Audience, Members as _, TokenKind, TokenOrder};
use crate::scenario::MintStep;
use crate::transcript::EventKind;

/// A token to order: from whoever signs in this process, or else from the control endpoint of the target. The error
/// says in plain words why there is none.
pub async fn token_to_order(target: &Target, order: &TokenOrder) -> Result<String, String> {
    if let Some(minter) = &target.minter {
        return minter.mint(order);
    }
    let TimeControl::Endpoint(base) = &target.time else {
        return Err("nobody signs tokens to order for this target".to_owned());
    };
    let (status, document) = control::ask(base, "authorization/mint", order).await?;
    let refused = || {
        let why = document.at("error").as_str().unwrap_or("it gives no reason");
        format!("the control endpoint signs no such token (status {status}): {why}")
    };
    document.at("access_token").as_str().map(str::to_owned).ok_or_else(refused)
}

impl Sim {
    /// Gives the client the token that the step describes.
    pub(in crate::client) async fn mint(self: &Arc<Self>, step: &MintStep) {
        let credential = self.state().credential.clone();
        let resource = credential.target().unwrap_or(&self.target.url).to_owned();
        let audience = match &step.audience {
            None if step.kind == TokenKind::IdToken => Audience::Usual,
            None => Audience::Named(resource.clone()),
            Some(Value::String(text)) => Audience::Named(self.fill(&credential, text)),
            Some(_) => Audience::Nobody,
        };
        let order = TokenOrder {
            subject: step.subject.clone(),
            audience,
            issuer: step.issuer.clone(),
            scope: step.scope.clone(),
            expires_in: step.expires_in,
            not_before: step.not_before,
            kind: step.kind,
        };
        let token = match token_to_order(&self.target, &order).await {
            Ok(token) => token,
            Err(why) => return self.leave_out(why),
        };
        let ended_s = order.expires_in.filter(|seconds| *seconds <= 0).map(i64::unsigned_abs);
        let flaws = flaws(&order, &resource);
        {
            let mut state = self.state();
            let held = state.credential.access.replace(token.clone());
            state.credential.previous_access = held;
        }
        self.tap.record(&self.name, EventKind::Minted { label: token, flaws, ended_s });
    }
}

/// What is wrong with the token of an order, for this resource.
fn flaws(order: &TokenOrder, resource: &str) -> Vec<String> {
    let made = match order.kind {
        TokenKind::Right => None,
        TokenKind::WrongKey => Some("wrong-key"),
        TokenKind::UnknownKid => Some("unknown-kid"),
        TokenKind::Unsigned => Some("unsigned"),
        TokenKind::HmacWithPublicKey => Some("algorithm"),
        TokenKind::IdToken => Some("id-token"),
    };
    let audience = match &order.audience {
        Audience::Nobody => Some("no-audience"),
        Audience::Named(other) if other != resource => Some("audience"),
        _ => None,
    };
    let issuer = order.issuer.is_some().then_some("issuer");
    let ended = order.expires_in.is_some_and(|seconds| seconds <= 0).then_some("expired");
    let early = order.not_before.is_some_and(|seconds| seconds > 0).then_some("not-yet-valid");
    [made, audience, issuer, ended, early].into_iter().flatten().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_tells_its_flaws() {
        let usual = || TokenOrder { audience: Audience::Named("http://h/mcp".to_owned()), ..TokenOrder::default() };
        let told = |order: TokenOrder| flaws(&order, "http://h/mcp");
        assert!(told(usual()).is_empty() && told(TokenOrder { not_before: Some(-9), ..usual() }).is_empty());
        assert_eq!(told(TokenOrder { audience: Audience::Nobody, ..usual() }), ["no-audience"]);
        let elsewhere = Audience::Named("http://h/".to_owned());
        let kind = TokenKind::Unsigned;
        assert_eq!(told(TokenOrder { audience: elsewhere, kind, ..usual() }), ["unsigned", "audience"]);
        let worn = TokenOrder { expires_in: Some(-60), not_before: Some(60), ..usual() };
        assert_eq!(told(worn), ["expired", "not-yet-valid"]);
        assert_eq!(told(TokenOrder { issuer: Some("x".to_owned()), ..usual() }), ["issuer"]);
    }

    #[tokio::test]
    async fn where_nobody_signs_there_is_no_token() {
        let target = Target::parse("http://h/mcp", std::time::Duration::ZERO).expect("valid");
        let why = token_to_order(&target, &TokenOrder::default()).await.expect_err("nobody");
        assert!(why.contains("nobody signs"), "{why}");
    }
}
