//! `bench-sessions`: many sessions at a running server, held or abandoned. Hidden; for `scripts/bench-sessions`.

use std::io::Read as _;

use clap::Args;
use tokio::task::JoinSet;

use super::output::{ExitCode, out, say};
use super::peer::{Events, Peer, http};
use crate::model::{Clock as _, WallClock};

/// Arguments of `bench-sessions`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// The endpoint, such as `http://127.0.0.1:8080/mcp`.
    url: String,
    /// How many sessions.
    #[arg(long, default_value_t = 2_000)]
    sessions: usize,
    /// Open a stream in each, and hold all of them until the end of standard input.
    #[arg(long)]
    streams: bool,
    /// How many at once.
    #[arg(long, default_value_t = 32)]
    clients: usize,
}

pub(super) async fn bench(args: BenchArgs) -> ExitCode {
    match run(&args).await {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Failures
        }
    }
}

async fn run(args: &BenchArgs) -> Result<(), String> {
    let (http, clock) = (http()?, WallClock::new());
    let (mut tasks, mut held, mut begun) = (JoinSet::new(), Vec::new(), 0);
    while held.len() < args.sessions {
        while begun < args.sessions && tasks.len() < args.clients.max(1) {
            let (http, url, streams) = (http.clone(), args.url.clone(), args.streams);
            tasks.spawn(async move { one(&http, &url, streams).await });
            begun += 1;
        }
        let Some(done) = tasks.join_next().await else { break };
        held.push(done.map_err(|error| error.to_string())??);
    }
    let (sessions, took) = (held.len(), clock.elapsed().as_millis());
    out(&format!("{sessions} sessions in {took} ms{}", if args.streams { ", each with an open stream" } else { "" }));
    if args.streams {
        // Nothing is written there; what counts is its end.
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    }
    Ok(())
}

/// Opens a session, and a stream in it that has begun to speak.
async fn one(http: &reqwest::Client, url: &str, streams: bool) -> Result<Option<Events>, String> {
    let peer = Peer::open(http, url).await?;
    if !streams {
        return Ok(None);
    }
    let mut events = Events::of(peer.listen(url, None).await?);
    let first = events.next().await.ok_or("a stream ended at once")?;
    if first.0.is_empty() { Err("a stream began without an event".to_owned()) } else { Ok(Some(events)) }
}
