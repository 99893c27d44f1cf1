//! `record`: a proxy in front of any server, or a command in front of one, that keeps what a real client says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::output::{ExitCode, out, say};
use super::pipes::{standard_input, standard_output};
use super::proxy::trust;
use super::stop::asked_to_stop;
use crate::model::{Clock as _, Rng, WallClock};
use crate::proxy::{Proxy, Upstream, Wording};
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
    let clock = Arc::new(WallClock::new());
    let server = args.upstream.clone().unwrap_or_else(|| args.command.join(" "));
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
    let code = match upstream {
        Some((server, wording)) => {
            let recorder = Arc::new(Recorder::new(Arc::clone(&tap)));
            let rng = Rng::from_system();
            let witness = Some(recorder.clone() as Arc<dyn crate::proxy::Witness>);
            match Proxy::start_before(args.listen, vec![server], clock, rng, witness, wording).await {
                Ok(proxy) => {
                    out(&format!("listening {}", proxy.addr()));
                    out(&format!("upstream  {}", args.upstream.as_deref().unwrap_or_default()));
                    out(&format!("recording {}", shelf.path().display()));
                    asked_to_stop().await;
                    // What is under way ends here; the last events are written before the seal.
                    proxy.cut_all().await;
                    drop(proxy);
                    recorder.finish();
                    ExitCode::Ok
                }
                Err(error) => {
                    say(&format!("error: {error}"));
                    ExitCode::Usage
                }
            }
        }
        None => {
            let (output, written) = standard_output();
            let ended = between(tap, clock, &args.command, standard_input(), output, asked_to_stop()).await;
            written.all().await;
            match ended {
                Ok(_) => ExitCode::Ok,
                Err(error) => {
                    say(&format!("error: {error}"));
                    ExitCode::Usage
                }
            }
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

fn upstream(text: &str, args: &RecordArgs) -> Result<(Upstream, Option<Wording>), String> {
    let tls = trust(text.starts_with("https://"), args.ca.as_deref())?;
    let server = Upstream::parse(text, &tls).map_err(|error| error.to_string())?;
    if args.as_is {
        return Ok((server, None));
    }
    let origins: Vec<String> = std::iter::once(text.to_owned()).chain(args.known_as.iter().cloned()).collect();
    let wording = Wording::of(origins).ok_or_else(|| {
        format!("`{text}` is no origin; write it like http://localhost:8080 or https://mcp.example.com")
    })?;
    Ok((server, Some(wording)))
}
