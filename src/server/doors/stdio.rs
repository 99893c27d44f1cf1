//! Standard input and output: one message on a line, one conversation in the life of the process.
//!
//! The streams are parameters, so that a pipe inside a process does as well.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::Channel;
use super::lines::{Line, Lines};
use crate::model::{HybridClock, Members as _, Rng, Via};
use crate::server::config::{ServerConfig, ServerError};
use crate::server::dispatch::App;
use crate::server::fault::Rule;
use crate::server::http::MAX_BODY;
use crate::server::lifecycle;
use crate::server::message::Unusable;
use crate::server::reply::code;
use crate::server::running::assemble;
use crate::server::session::Reader;
use crate::server::sse::Frame;

/// How long calls get to end by themselves when the input has ended.
const LAST_CALLS: Duration = Duration::from_millis(200);
/// How long the output gets to be read to its end after that.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often it is looked whether calls are running.
const LOOK: Duration = Duration::from_millis(5);
/// What a fault takes for the longest line.
const SHORT_LINE: usize = 64 * 1024;

/// Serves one client until its input ends or its output is broken; what is running then is cancelled. Ends within a
/// second after that, whatever the client does. No authorization is asked for, since whoever starts a process has its
/// pipes.
pub async fn serve_io<R, W>(
    config: ServerConfig,
    reader: R,
    writer: W,
    clock: HybridClock,
    rng: Rng,
) -> Result<(), ServerError>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let app = assemble(&ServerConfig { auth: None, ..config }, clock, rng).await?;
    // As long as somebody listens for the signal it does nothing by itself.
    #[cfg(unix)]
    let _listened_for = (!app.faults.holds(Rule::SigtermEnds))
        .then(|| tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()));
    app.count_session();
    let (channel, frames) = Channel::new(lifecycle::session_id(&app), Via::Stdio, None);
    app.channels.insert(Arc::clone(&channel));
    let serving = Serving { app: Arc::clone(&app), channel: Arc::clone(&channel) };
    let mut writing = pin!(write(&app, &channel, frames, writer));
    let mut lines = Lines::new(BufReader::new(reader), MAX_BODY);
    let hearing = async {
        listen(&app, &channel, &mut lines).await;
        last_calls(&app, &channel).await;
    };
    let unread = tokio::select! {
        () = hearing => true,
        // The output is broken, or nothing is to be said any more.
        () = &mut writing => false,
    };
    drop(serving);
    if unread {
        // What nobody reads by then is lost.
        let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    }
    Ok(())
}

/// Ends what runs for the client, also where the serving is broken off.
#[derive(Debug)]
struct Serving {
    app: Arc<App>,
    channel: Arc<Channel>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.channel.end_soon(&self.app);
    }
}

/// Acts on the lines of the client until there are no more.
async fn listen<R: AsyncRead + Unpin>(app: &Arc<App>, channel: &Channel, lines: &mut Lines<BufReader<R>>) {
    loop {
        // Who does not read for so long has gone.
        if tokio::time::timeout(app.config.body_within, channel.unclogged()).await.is_err() {
            return;
        }
        // Nobody tells of an input that is broken; it ends, that is all.
        let Ok(Some(line)) = lines.next().await else { return };
        if !heard(app, channel, &line).await {
            return;
        }
    }
}

/// Acts on a line; says whether the next one is wanted.
async fn heard(app: &Arc<App>, channel: &Channel, line: &Line) -> bool {
    let text = match line {
        Line::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {
            return app.faults.holds(Rule::BlankLinesSkipped);
        }
        Line::Text(text) if text.len() > SHORT_LINE && !app.faults.holds(Rule::LongLinesRead) => return true,
        Line::Text(text) => text,
        Line::TooLong => {
            let unusable = Unusable::new(None, code::INVALID_REQUEST, "The line is too long");
            channel.tell(app, channel.refused(&unusable).answer, None);
            return true;
        }
    };
    while is_held_up(app, text) && channel.working() > 0 {
        tokio::time::sleep(LOOK).await;
    }
    if let Err(refused) = channel.take(app, text, None).await {
        let broken = refused.answer.at("error").at("code") == code::PARSE;
        channel.tell(app, refused.answer, None);
        return !broken || app.faults.holds(Rule::MalformedLineSurvived);
    }
    true
}

/// Whether a fault holds a request up until the one before it is answered.
fn is_held_up(app: &App, text: &[u8]) -> bool {
    if app.faults.holds(Rule::PipedCallsSideBySide) {
        return false;
    }
    let message: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    message.member("method").is_some() && message.member("id").is_some()
}

/// Lets calls end that are about to; faults do not know an end.
async fn last_calls(app: &App, channel: &Channel) {
    if !app.faults.holds(Rule::SigtermEnds) {
        std::future::pending::<()>().await;
    }
    let rule = if channel.working() > 0 { Rule::EofCancels } else { Rule::EofEnds };
    if !app.faults.holds(rule) {
        std::future::pending::<()>().await;
    }
    let all = async {
        while channel.working() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What still runs is cancelled.
    let _ = tokio::time::timeout(LAST_CALLS, all).await;
}

/// Writes what there is to say, a line each, until there is no more or nobody reads.
async fn write<W: AsyncWrite + Unpin>(app: &App, channel: &Channel, mut frames: Reader, mut writer: W) {
    if !app.faults.holds(Rule::OutputClean) && writer.write_all(b"Starting the server\n").await.is_err() {
        return;
    }
    while let Some(frame) = frames.recv().await {
        if let Frame::Event { data, .. } = &frame
            && (writer.write_all(&line(app, data)).await.is_err() || writer.flush().await.is_err())
        {
            return;
        }
        channel.delivered(&frame);
    }
    // A pipe that is closed already cannot be closed better.
    let _ = writer.shutdown().await;
}

/// A message as it is written, or as the faults have it.
fn line(app: &App, data: &str) -> Vec<u8> {
    let broken = !app.faults.holds(Rule::LinesUnbroken) && data.contains("\"notifications/progress\"");
    let mut text = if broken { data.replacen(',', ",\n", 1) } else { data.to_owned() };
    text.push('\n');
    if !app.faults.holds(Rule::OutputCleanOnError) && (data.contains("\"error\":") || data.contains("\"isError\":true"))
    {
        text.insert_str(0, "Traceback (most recent call last):\n");
    }
    text.into_bytes()
}
