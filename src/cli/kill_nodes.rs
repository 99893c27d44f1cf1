//! `kill-nodes`: two nodes on one store; again and again one of them is killed in the middle of many calls. Hidden; for
//! `scripts/campaign-kill`.
//!
//! Each call has to be answered once, or its client has to learn that it will not be: from the other node, or, where the
//! connection broke before the first event, from that. Each session has to live on.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::output::{ExitCode, out, say};
use super::peer::{Events, Peer, http, request};
use crate::model::Rng;

/// How long a node may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// How many sessions share the calls of a round.
const SESSIONS: usize = 20;
/// The longest that a call works, in milliseconds.
const LONGEST_MS: u64 = 1_500;

/// Arguments of `kill-nodes`.
#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// The store, such as `redis://127.0.0.1:6379/0`.
    store: String,
    /// How often a node is killed.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// How many calls are under way then.
    #[arg(long, default_value_t = 200)]
    calls: usize,
    /// Seed of the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The node that ran it answered, maybe by way of the other one.
    Answered,
    /// The other node said that nobody will answer it.
    Unanswered,
    /// The connection broke before anything came.
    Broken,
}

#[derive(Debug, Default)]
struct Tally {
    answered: u64,
    unanswered: u64,
    broken: u64,
}

/// A node in a process of its own.
struct Node {
    child: Child,
    url: String,
}

impl Node {
    async fn start(store: &str, name: &str) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--node-name", name, "--store", store])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let told = child.stdout.take().ok_or("the node says nothing")?;
        let mut lines = BufReader::new(told).lines();
        let line = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await.map_err(|_| "a node does not start")?;
        let line = line.map_err(|error| error.to_string())?.ok_or("a node ended at once")?;
        let url = line.strip_prefix("serving ").ok_or_else(|| format!("a node said: {line}"))?.trim().to_owned();
        Ok(Self { child, url })
    }
}

pub(super) async fn kill_nodes(args: KillArgs) -> ExitCode {
    match run(&args).await {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Failures
        }
    }
}

async fn run(args: &KillArgs) -> Result<(), String> {
    let (http, rng) = (http()?, Rng::seeded(args.seed));
    let other = Node::start(&args.store, "stays").await?;
    let mut tally = Tally::default();
    for round in 1..=args.rounds {
        let mut node = Node::start(&args.store, "killed").await?;
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(Peer::open(&http, &node.url).await?);
        }
        let mut calls = JoinSet::new();
        for number in 0..args.calls {
            let (peer, id) = (sessions[number % SESSIONS].clone(), number as u64 + 1);
            let (first, second, ms) = (node.url.clone(), other.url.clone(), 200 + rng.next_u64() % LONGEST_MS);
            calls.spawn(async move { call(&peer, id, ms, &first, &second).await });
        }
        tokio::time::sleep(Duration::from_millis(100 + rng.next_u64() % LONGEST_MS)).await;
        node.child.kill().await.map_err(|error| error.to_string())?;
        while let Some(ended) = calls.join_next().await {
            match ended.map_err(|error| error.to_string())?.map_err(|why| format!("round {round}: {why}"))? {
                End::Answered => tally.answered += 1,
                End::Unanswered => tally.unanswered += 1,
                End::Broken => tally.broken += 1,
            }
        }
        for peer in &sessions {
            let answer = peer.post(&other.url, &request(1, "ping", &json!({}))).await?;
            if answer.status() != 200 {
                return Err(format!("round {round}: a session is lost: {}", answer.status()));
            }
        }
    }
    let Tally { answered, unanswered, broken } = tally;
    out(&format!(
        "{} kills, {} calls: {answered} answered once, {unanswered} reported as unanswered, {broken} broken before the \
         first event; every session lives on",
        args.rounds,
        answered + unanswered + broken
    ));
    Ok(())
}

/// Makes a call at one node and goes on at the other where that breaks.
async fn call(peer: &Peer, id: u64, ms: u64, first: &str, second: &str) -> Result<End, String> {
    let params = json!({"name": "test_slow", "arguments": {"ms": ms}});
    let Ok(response) = peer.post(first, &request(id, "tools/call", &params)).await else { return Ok(End::Broken) };
    let mut last = None;
    let mut answers = Vec::new();
    read(Events::of(response), &mut last, &mut answers).await?;
    if answers.is_empty() {
        let Some(before) = last.clone() else { return Ok(End::Broken) };
        let response = peer.listen(second, Some(&before)).await?;
        if response.status() != 200 {
            return Err(format!("call {id} cannot be resumed: {}", response.status()));
        }
        read(Events::of(response), &mut last, &mut answers).await?;
    }
    match answers.as_slice() {
        [answer] if answer["id"] != id => Err(format!("call {id} got the answer of another: {answer}")),
        [answer] if answer["result"].is_object() => Ok(End::Answered),
        [_] => Ok(End::Unanswered),
        [] => Err(format!("call {id} was left in the dark")),
        _ => Err(format!("call {id} was answered {} times", answers.len())),
    }
}

/// Reads a stream to its end: the id of the last event, and all responses.
async fn read(mut events: Events, last: &mut Option<String>, answers: &mut Vec<Value>) -> Result<(), String> {
    while let Some((id, data)) = events.next().await {
        *last = Some(id);
        if !data.is_empty() {
            let message: Value = serde_json::from_str(&data).map_err(|_| format!("no JSON: {data}"))?;
            if message.get("method").is_none() {
                answers.push(message);
            }
        }
    }
    Ok(())
}
