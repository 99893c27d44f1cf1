//! Ends the target, or one of its nodes, and starts it again: who can, and the step that has it done.

use std::fmt;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;

use super::sim::Sim;
use super::step::Turn;
use crate::scenario::{Restart, RestartHow, RestartWhat};
use crate::transcript::EventKind;

/// The longest that a restart may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether a node listens again.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long clients get to see that their connections are gone.
const NOTICED_WITHIN: Duration = Duration::from_millis(100);
/// How much of what a command says is told where it fails.
const LAST_WORDS: usize = 300;

/// How a restart went; the error says in plain words why the target does not run again.
pub type Restarted<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Somebody who can end a node of the target, or its store, and start it again.
pub trait Restarts: fmt::Debug + Send + Sync {
    /// Does it, and comes back once the node, counted from 0, or the store, listens again. The runtime that waits for it may
    /// end before the rehearsal does, so what is started must not live on that.
    fn restart(&self, node: usize, how: RestartHow) -> Restarted<'_>;
}

/// A command of the user's that does it. It learns from `MCP_REHEARSAL_NODE` which node is meant, counted from 1, and from
/// `MCP_REHEARSAL_HOW` how it is to end: `kill` or `stop`.
#[derive(Debug)]
pub struct RestartCommand {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where the nodes listen: host and port of each.
    pub addresses: Vec<String>,
}

impl Restarts for RestartCommand {
    fn restart(&self, node: usize, how: RestartHow) -> Restarted<'_> {
        Box::pin(async move {
            let mut command = Command::new(&self.program);
            command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            command.env("MCP_REHEARSAL_NODE", (node + 1).to_string()).env("MCP_REHEARSAL_HOW", how.word());
            let program = &self.program;
            let ran = command.kill_on_drop(true).output().await.map_err(|error| format!("`{program}`: {error}"))?;
            if !ran.status.success() {
                let words = String::from_utf8_lossy(&ran.stderr);
                let from = words.len().saturating_sub(LAST_WORDS);
                let last = words.get(words.ceil_char_boundary(from)..).unwrap_or_default().trim();
                return Err(format!("`{program}` ended with {}: {last}", ran.status));
            }
            let Some(address) = self.addresses.get(node) else { return Ok(()) };
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        })
    }
}

impl Sim {
    /// The step `restart`.
    pub(super) async fn restart(self: &Arc<Self>, step: &Restart, turn: Turn) {
        let store = step.what == RestartWhat::Store;
        let restarts = if store { &self.target.restarts_store } else { &self.target.restarts };
        let Some(restarts) = restarts.clone() else {
            self.leave_this_out("what is to be restarted cannot be from here".to_owned());
            return;
        };
        let node = self.here().map(|(number, _)| number).filter(|_| !store);
        let how = step.how.word().to_owned();
        self.record(EventKind::Restart { node, store, how: how.clone(), on: true });
        let index = node.map_or(0, |number| number as usize - 1);
        let within = if step.within.is_some() { turn.within } else { WITHIN };
        let done = tokio::time::timeout(within, restarts.restart(index, step.how)).await;
        self.until_quiet(NOTICED_WITHIN).await;
        self.record(EventKind::Restart { node, store, how, on: false });
        let which = node.map_or_else(|| "the target".to_owned(), |number| format!("node {number}"));
        let which = if store { "the store".to_owned() } else { which };
        match done {
            Ok(Ok(())) => {}
            Ok(Err(why)) => self.leave_this_out(format!("{which} could not be restarted: {why}")),
            Err(_) => self.leave_this_out(format!("{which} did not run again within {} s", within.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> RestartCommand {
        let arguments = vec!["-c".to_owned(), words.to_owned()];
        RestartCommand { program: "sh".to_owned(), arguments, addresses: Vec::new() }
    }

    #[tokio::test]
    async fn a_command_learns_which_node_and_how() {
        let knows = command("test \"$MCP_REHEARSAL_NODE $MCP_REHEARSAL_HOW\" = '2 stop'");
        assert_eq!(knows.restart(1, RestartHow::Stop).await, Ok(()));
        assert!(knows.restart(0, RestartHow::Stop).await.is_err() && knows.restart(1, RestartHow::Kill).await.is_err());
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let why = command("echo no such unit >&2; exit 4").restart(0, RestartHow::Kill).await.expect_err("it failed");
        assert!(why.contains("no such unit") && why.contains('4'), "{why}");
        let none = RestartCommand { program: "no-such-program".to_owned(), ..command("") };
        let why = none.restart(0, RestartHow::Kill).await.expect_err("there is none");
        assert!(why.contains("no-such-program"), "{why}");
    }

    #[tokio::test]
    async fn a_restart_is_over_once_the_node_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addresses = vec![listener.local_addr().expect("bound").to_string()];
        let quick = RestartCommand { addresses, ..command("true") };
        assert_eq!(quick.restart(0, RestartHow::Kill).await, Ok(()));
        drop(listener);
        let gone = tokio::time::timeout(Duration::from_millis(200), quick.restart(0, RestartHow::Kill)).await;
        assert!(gone.is_err(), "nobody listens");
    }
}
