//! `record`: a proxy in front of any server, or a command in front of one, that keeps what a real client says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::output::{ExitCode, out, say};
use super::pipes::{standard_input, standard_output};
use super::proxy::trust;
use super::stop::Stop;
use crate::model::{Clock as _, Rng, WallClock};
use crate::proxy::{Proxy, Upstream, Witness, Wording};
use crate::recording::{Recorder, Shelf, between, day};
use crate::transcript::Recorded;
use crate::wire::Tap;

/// Arguments of `record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// The file to write; where it is there already, the next free name: `x-2.jsonl` after `x.jsonl`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the client connects to.
    #[arg(long, default_value = "127.0.0.1:8081", conflicts_with = "command")]
    listen: SocketAddr,
    /// The server: `http://host:port` or `https://host`. Paths are the client's affair.
    #[arg(long, value_name = "URL", required_unless_present = "command", conflicts_with = "command")]
    upstream: Option<String>,
    /// Another origin by which the server calls itself in what it says of OAuth; may be repeated.
    #[arg(long, value_name = "ORIGIN", requires = "upstream", conflicts_with = "as_is")]
    known_as: Vec<String>,
    /// Change nothing that passes: for a server that knows itself by the address of this proxy.
    #[arg(long, requires = "upstream")]
    as_is: bool,
    /// A file of certificates (PEM) to trust an `https` server by, besides those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A command that starts a server on standard input and output; the client is told to start this program in its place.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn record(args: RecordArgs) -> ExitCode {
    let stop = Stop::listen();
    let clock = Arc::new(WallClock::new());
    // The arguments of a command may hold keys, and are not kept.
    let server = args.upstream.clone().or_else(|| args.command.first().cloned()).unwrap_or_default();
    let recorded = Recorded { on: day(clock.unix()), by: env!("CARGO_PKG_VERSION").to_owned(), server };
    let upstream = match args.upstream.as_deref().map(|text| upstream(text, &args)).transpose() {
        Ok(upstream) => upstream,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    let shelf = match Shelf::create(&args.out, recorded) {
        Ok(shelf) => shelf,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::ReportNotWritten;
        }
    };
    let tap = Arc::new(Tap::into_sink(clock.clone(), Box::new(shelf.clone())));
    let told = if let Some(server) = upstream {
        before_server(&args, server, &shelf, tap, clock, stop).await
    } else {
        let (output, written) = standard_output();
        let ended = between(tap, clock, &args.command, standard_input(), output, stop.asked()).await;
        written.all().await;
        ended.map(drop).map_err(|error| error.to_string())
    };
    let code = match told {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Usage
        }
    };
    match shelf.seal() {
        Ok(()) => code,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::ReportNotWritten
        }
    }
}

/// Is the proxy until it is asked to end.
async fn before_server(
    args: &RecordArgs,
    (server, wording): (Upstream, Option<Wording>),
    shelf: &Shelf,
    tap: Arc<Tap>,
    clock: Arc<WallClock>,
    stop: Stop,
) -> Result<(), String> {
    let witness = Arc::new(Recorder::new(tap));
    let seen = Some(Arc::clone(&witness) as Arc<dyn Witness>);
    let proxy = Proxy::start_before(args.listen, vec![server], clock, Rng::from_system(), seen, wording).await;
    let proxy = proxy.map_err(|error| error.to_string())?;
    out(&format!("listening {}", proxy.addr()));
    out(&format!("upstream  {}", args.upstream.as_deref().unwrap_or_default()));
    out(&format!("recording {}", shelf.path().display()));
    stop.asked().await;
    // What is under way ends with the recording, and not by anybody who is recorded.
    witness.finish();
    drop(proxy);
    Ok(())
}

fn upstream(text: &str, args: &RecordArgs) -> Result<(Upstream, Option<Wording>), String> {
    let tls = trust(text.starts_with("https://"), args.ca.as_deref())?;
    let server = Upstream::parse(text, &tls).map_err(|error| error.to_string())?;
    if args.as_is {
        return Ok((server, None));
    }
    let origins: Vec<String> = std::iter::once(text.to_owned()).chain(args.known_as.iter().cloned()).collect();
    let wording = Wording::of(&origins).ok_or_else(|| {
        format!("`{text}` is no origin; write it like http://localhost:8080 or https://mcp.example.com")
    })?;
    Ok((server, Some(wording)))
}
