//! What a step does: one of the words of the format, with its body.

use super::schema::{
    Await, Body, Cancel, Connect, Disconnect, Invoke, Listen, Negotiate, Notify, Raw, Reconnect, Restart, Shutdown,
    Step, Wait, Word,
};
use super::schema_auth::{MintStep, OAuthStep, Publish};

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `connect`
    Connect(Connect),
    /// `negotiate`
    Negotiate(Negotiate),
    /// `invoke`
    Invoke(Box<Invoke>),
    /// `await`
    Await(Await),
    /// `cancel`
    Cancel(Cancel),
    /// `notify`
    Notify(Notify),
    /// `listen`
    Listen(Listen),
    /// `disconnect`
    Disconnect(Disconnect),
    /// `reconnect`
    Reconnect(Reconnect),
    /// `wait`
    Wait(Wait),
    /// `raw`
    Raw(Box<Raw>),
    /// `together`: several steps at the same time.
    Together(Vec<Step>),
    /// `expire`
    Expire(Word),
    /// `refresh`
    Refresh(Word),
    /// `revoke`
    Revoke(Word),
    /// `restart`
    Restart(Restart),
    /// `oauth`
    OAuth(Box<OAuthStep>),
    /// `mint`
    Mint(Box<MintStep>),
    /// `publish`
    Publish(Box<Publish>),
    /// `shutdown`
    Shutdown(Shutdown),
}

impl Action {
    /// Every word a step may be, in the order of a conversation.
    pub const WORDS: [&str; 20] = [
        "connect",
        "negotiate",
        "invoke",
        "await",
        "cancel",
        "notify",
        "listen",
        "disconnect",
        "reconnect",
        "wait",
        "raw",
        "together",
        "expire",
        "refresh",
        "revoke",
        "restart",
        "oauth",
        "mint",
        "publish",
        "shutdown",
    ];

    /// The word that names the action in a file.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Negotiate(_) => "negotiate",
            Self::Invoke(_) => "invoke",
            Self::Await(_) => "await",
            Self::Cancel(_) => "cancel",
            Self::Notify(_) => "notify",
            Self::Listen(_) => "listen",
            Self::Disconnect(_) => "disconnect",
            Self::Reconnect(_) => "reconnect",
            Self::Wait(_) => "wait",
            Self::Raw(_) => "raw",
            Self::Together(_) => "together",
            Self::Expire(_) => "expire",
            Self::Refresh(_) => "refresh",
            Self::Revoke(_) => "revoke",
            Self::Restart(_) => "restart",
            Self::OAuth(_) => "oauth",
            Self::Mint(_) => "mint",
            Self::Publish(_) => "publish",
            Self::Shutdown(_) => "shutdown",
        }
    }

    pub(super) fn body(&self) -> Option<&dyn Body> {
        Some(match self {
            Self::Connect(body) => body,
            Self::Negotiate(body) => body,
            Self::Invoke(body) => body.as_ref(),
            Self::Await(body) => body,
            Self::Cancel(body) => body,
            Self::Notify(body) => body,
            Self::Listen(body) => body,
            Self::Disconnect(body) => body,
            Self::Reconnect(body) => body,
            Self::Wait(body) => body,
            Self::Raw(body) => body.as_ref(),
            Self::Expire(body) | Self::Refresh(body) | Self::Revoke(body) => body,
            Self::Restart(body) => body,
            Self::OAuth(body) => body.as_ref(),
            Self::Mint(body) => body.as_ref(),
            Self::Publish(body) => body.as_ref(),
            Self::Shutdown(body) => body,
            Self::Together(_) => return None,
        })
    }

    pub(super) fn body_mut(&mut self) -> Option<&mut dyn Body> {
        Some(match self {
            Self::Connect(body) => body,
            Self::Negotiate(body) => body,
            Self::Invoke(body) => body.as_mut(),
            Self::Await(body) => body,
            Self::Cancel(body) => body,
            Self::Notify(body) => body,
            Self::Listen(body) => body,
            Self::Disconnect(body) => body,
            Self::Reconnect(body) => body,
            Self::Wait(body) => body,
            Self::Raw(body) => body.as_mut(),
            Self::Expire(body) | Self::Refresh(body) | Self::Revoke(body) => body,
            Self::Restart(body) => body,
            Self::OAuth(body) => body.as_mut(),
            Self::Mint(body) => body.as_mut(),
            Self::Publish(body) => body.as_mut(),
            Self::Shutdown(body) => body,
            Self::Together(_) => return None,
        })
    }
}
