//! A client and a server that it started, with the recorder between them: every byte goes on as it came, and each line is
//! an event.
//!
//! Knows processes and lines; nothing of what they say.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::recorder::CLIENT;
use crate::model::{Clock, Via};
use crate::transcript::{End, Ended, EventKind, Headers};
use crate::wire::{MAX_BODY, Tap};

/// How much is read at once, in bytes.
const PIECE: usize = 16 * 1024;
/// How long the server may take to end once its input is closed, before it is made to.
const TO_EXIT: Duration = Duration::from_secs(5);
/// How long the last output of a server that has ended may take to come.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PipesError {
    /// There is no command.
    #[error("the command is empty; write it behind `--`")]
    Empty,
    /// The system refused.
    #[error("`{program}` cannot be started: {source}; is it installed, and found?")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Lines cut out of pieces.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Whether the line under way is too long to be kept.
    dropped: bool,
}

impl Lines {
    /// Takes a piece and gives each line that it completes; `None` stands for one that was too long.
    fn feed(&mut self, mut bytes: &[u8]) -> Vec<Option<(String, bool)>> {
        let mut lines = Vec::new();
        while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..at]);
            lines.push(self.end());
            bytes = &bytes[at + 1..];
        }
        self.keep(bytes);
        lines
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.dropped |= self.buffer.len() + bytes.len() > MAX_BODY;
        if self.dropped {
            self.buffer.clear();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn end(&mut self) -> Option<(String, bool)> {
        let line = std::mem::take(&mut self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let utf8 = std::str::from_utf8(line).is_ok();
        (!std::mem::take(&mut self.dropped)).then(|| (String::from_utf8_lossy(line).into_owned(), utf8))
    }
}

/// One conversation over pipes as it is written down.
#[derive(Debug)]
struct Pipes {
    tap: Arc<Tap>,
    program: String,
    opening: u32,
}

impl Pipes {
    fn sent(&self, line: Option<(String, bool)>) {
        let Some((text, _)) = line else { return self.too_long("client") };
        let exchange = self.tap.next_exchange();
        let request = EventKind::Request {
            exchange,
            connection: 1,
            method: String::new(),
            target: self.program.clone(),
            headers: Headers::new(),
            body: Some(text.into()),
            via: Via::Stdio,
            channel: Some(self.opening),
            tls: false,
        };
        self.tap.record_all(CLIENT, vec![request, EventKind::End { exchange, end: End::Complete }]);
    }

    fn came(&self, line: Option<(String, bool)>) {
        let Some((text, utf8)) = line else { return self.too_long("server") };
        self.tap.record(CLIENT, EventKind::Message { exchange: self.opening, text: text.into(), utf8 });
    }

    fn too_long(&self, who: &str) {
        let why = format!("a line of the {who} has more than {MAX_BODY} bytes, and was not kept");
        self.tap.record(CLIENT, EventKind::LeftOut { why, this_too: false });
    }
}

/// Starts the server and carries everything between it and the client until one of them leaves, or `stop` says so. Gives
/// the server's exit code.
pub async fn between(
    tap: Arc<Tap>,
    clock: Arc<dyn Clock>,
    words: &[String],
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    stop: impl Future<Output = ()>,
) -> Result<Option<i32>, PipesError> {
    let Some((program, arguments)) = words.split_first() else { return Err(PipesError::Empty) };
    let mut command = Command::new(program);
    // What the server says on standard error is for whoever reads it of the client.
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let started = command.spawn();
    let mut child = started.map_err(|source| PipesError::Start { program: program.clone(), source })?;
    let opening = tap.next_exchange();
    tap.record(
        CLIENT,
        EventKind::Request {
            exchange: opening,
            connection: 1,
            method: String::new(),
            // Arguments may hold keys, and are not kept.
            target: program.clone(),
            headers: Headers::new(),
            body: None,
            via: Via::Stdio,
            channel: None,
            tls: false,
        },
    );
    let pipes = Pipes { tap, program: program.clone(), opening };
    let (Some(mut to_server), Some(mut from_server)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(PipesError::Start { program: program.clone(), source: std::io::ErrorKind::BrokenPipe.into() });
    };
    let code = {
        let up = async {
            let (mut piece, mut lines) = (vec![0; PIECE], Lines::default());
            while let Ok(length @ 1..) = input.read(&mut piece).await {
                lines.feed(&piece[..length]).into_iter().for_each(|line| pipes.sent(line));
                if to_server.write_all(&piece[..length]).await.is_err() || to_server.flush().await.is_err() {
                    break;
                }
            }
        };
        let down = async {
            let (mut piece, mut lines) = (vec![0; PIECE], Lines::default());
            while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                lines.feed(&piece[..length]).into_iter().for_each(|line| pipes.came(line));
                // The client may be gone; what the server still says is kept all the same.
                let _ = output.write_all(&piece[..length]).await;
                let _ = output.flush().await;
            }
        };
        let down = down.fuse();
        tokio::pin!(down);
        // A client that asks this program to end, while it still could write, would have asked the server.
        let asked = tokio::select! {
            () = up => false,
            () = &mut down => false,
            () = stop => true,
        };
        let by_itself = !matches!(child.try_wait(), Ok(None));
        drop(to_server);
        let left = clock.elapsed();
        let after = if by_itself { Ended::ByItself } else { see_end(&mut child, &mut down).await };
        let after = if asked && after == Ended::InputClosed { Ended::Sigterm } else { after };
        let took = if by_itself { Duration::ZERO } else { clock.elapsed().saturating_sub(left) };
        // What was written before the end is read to its end.
        if !down.is_terminated() {
            let _ = tokio::time::timeout(LAST_OUTPUT, &mut down).await;
        }
        let code = child.wait().await.ok().and_then(|status| status.code());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let exit = EventKind::Exit { exchange: opening, after, began: None, took_ms, code, left_others: false };
        let end = if by_itself { End::CutShort } else { End::Complete };
        pipes.tap.record_all(CLIENT, vec![exit, EventKind::End { exchange: opening, end }]);
        code
    };
    Ok(code)
}

/// Waits for the end of a server whose input is closed, while its output is read on, and makes it end.
async fn see_end(child: &mut Child, down: &mut (impl FusedFuture<Output = ()> + Unpin)) -> Ended {
    let wait = async {
        tokio::select! {
            _ = child.wait() => {}
            () = async { down.await; std::future::pending().await } => {}
        }
    };
    if tokio::time::timeout(TO_EXIT, wait).await.is_ok() {
        return Ended::InputClosed;
    }
    // One that is gone already needs no killing.
    let _ = child.start_kill();
    Ended::Sigkill
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::model::WallClock;
    use crate::transcript::View;

    #[test]
    fn lines_are_cut_out_however_they_come() {
        let mut lines = Lines::default();
        assert!(lines.feed(b"ab").is_empty());
        let whole = |text: &str| Some((text.to_owned(), true));
        assert_eq!(lines.feed(b"c\r\n\n\xff\nx"), [whole("abc"), whole(""), Some(("\u{fffd}".to_owned(), false))]);
        lines.feed(&vec![b' '; MAX_BODY]);
        assert_eq!(lines.feed(b"\ny\n"), [None, whole("y")]);
    }

    #[tokio::test]
    async fn what_goes_in_and_out_is_written_down_and_changed_by_nobody() {
        let clock: Arc<dyn Clock> = Arc::new(WallClock::new());
        let tap = Arc::new(Tap::new(Arc::clone(&clock)));
        let words = ["sh", "-c", "read line; echo \"{\\\"id\\\":1,\\\"result\\\":{}}\"; cat >/dev/null; exit 3"];
        let words: Vec<String> = words.map(str::to_owned).into();
        let input = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\nnot json\n".as_slice();
        let mut output = Vec::new();
        let code = between(Arc::clone(&tap), clock, &words, input, &mut output, std::future::pending()).await;
        assert_eq!(code.expect("started"), Some(3));
        assert_eq!(String::from_utf8(output).expect("text"), "{\"id\":1,\"result\":{}}\n");
        let events = tap.take();
        let view = View::new(&events);
        assert_eq!(view.exchanges.len(), 3);
        assert_eq!(view.calls.iter().map(|call| call.responses.len()).collect::<Vec<_>>(), [1]);
        assert_eq!(view.exchanges[0].exit.map(|exit| (exit.after, exit.code)), Some((Ended::InputClosed, Some(3))));
        let missing = ["no-such-program".to_owned()];
        let clock: Arc<dyn Clock> = Arc::new(WallClock::new());
        let tap = Arc::new(Tap::new(Arc::clone(&clock)));
        let refused = between(tap, clock, &missing, input, Vec::new(), std::future::pending()).await;
        assert!(refused.expect_err("not there").to_string().contains("cannot be started"));
    }
}
