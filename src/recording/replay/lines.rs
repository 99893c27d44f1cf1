//! Plays over standard input and output: each message once what had come before it came again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdout;

use super::script::{Heard, Part, Stage, parts};
use super::words::{Spelling, Words};
use crate::model::{Clock, Via};
use crate::recording::recorder::CLIENT;
use crate::transcript::{End, Ended, Event, EventKind, Exchange, Headers, View};
use crate::wire::{Command, Lines, Output, Started, Tap};

/// How long the server may take to exit once its input is closed, and again once it was asked to.
const TO_EXIT: Duration = Duration::from_secs(5);

struct Player<'p> {
    recorded: &'p View<'p>,
    tap: Tap,
    opening: u32,
    heard: Heard,
    words: Words,
    patience: Duration,
    over: bool,
}

/// Starts the server, plays everything, ends the server, and gives what happened.
pub async fn play_lines(recorded: &View<'_>, stage: &Stage, command: &Command, clock: Arc<dyn Clock>) -> Vec<Event> {
    let tap = Tap::new(clock);
    let all = parts(recorded);
    let opening = recorded.exchanges.first().map_or(1, |exchange| exchange.number);
    let words = std::iter::once(&command.program).chain(&command.arguments).cloned().collect::<Vec<_>>().join(" ");
    tap.record(CLIENT, request(opening, words, None, None));
    let Started { process, mut input, mut output } = match command.start() {
        Ok(started) => started,
        Err(reason) => {
            tap.record(CLIENT, EventKind::End { exchange: opening, end: End::Failed(reason) });
            return tap.take();
        }
    };
    let mut player = Player {
        recorded,
        tap,
        opening,
        heard: Heard::default(),
        words: Words::default(),
        patience: stage.patience,
        over: false,
    };
    for part in all.iter().filter(|part| part.number != opening) {
        player.see(part, &mut output).await;
        let Some(text) = player.text(part) else { continue };
        let number = part.number;
        player.tap.record(CLIENT, request(number, command.program.clone(), Some(&text), Some(opening)));
        let sent = async {
            input.write_all(text.as_bytes()).await?;
            input.write_all(b"\n").await?;
            input.flush().await
        };
        let end = match tokio::time::timeout(stage.patience, sent).await {
            Ok(Ok(())) => End::Complete,
            Ok(Err(error)) => End::Failed(error.to_string()),
            Err(_) => End::TimedOut,
        };
        player.tap.record(CLIENT, EventKind::End { exchange: number, end });
    }
    // What the recorded server had answered by the end is waited for here as well.
    player.see_answers(&mut output).await;
    let by_itself = player.over;
    drop(input);
    let (after, code, left_others) = process.end(by_itself, TO_EXIT.min(stage.patience)).await;
    let exit = EventKind::Exit { exchange: opening, after, began: None, took_ms: 0, code, left_others };
    let end = if after == Ended::ByItself { End::CutShort } else { End::Complete };
    player.tap.record_all(CLIENT, vec![exit, EventKind::End { exchange: opening, end }]);
    player.tap.take()
}

fn request(exchange: u32, target: String, body: Option<&str>, channel: Option<u32>) -> EventKind {
    EventKind::Request {
        exchange,
        connection: 1,
        method: String::new(),
        target,
        headers: Headers::new(),
        body: body.map(Into::into),
        via: Via::Stdio,
        channel,
        tls: false,
    }
}

impl Player<'_> {
    /// Reads until everything came that the message waited for, or the time is up.
    async fn see(&mut self, part: &Part, output: &mut Lines<ChildStdout>) {
        let limit = tokio::time::sleep(self.patience);
        tokio::pin!(limit);
        loop {
            let answered = self.heard.has(&part.answered);
            let asked = part.answers.as_ref().is_none_or(|question| self.heard.id_of(question).is_some());
            if self.over || (answered && asked) {
                return;
            }
            tokio::select! {
                line = output.next() => self.take(line),
                () = &mut limit => return,
            }
        }
    }

    async fn see_answers(&mut self, output: &mut Lines<ChildStdout>) {
        self.see(&Part::last(self.recorded), output).await;
    }

    fn take(&mut self, line: Output) {
        let Output::Line(text, utf8) = line else {
            self.over = true;
            return;
        };
        if let Ok(message) = serde_json::from_str::<Value>(&text) {
            self.heard.note(self.opening, &message);
            self.learn(&message);
        }
        self.tap.record(CLIENT, EventKind::Message { exchange: self.opening, text: text.into(), utf8 });
    }

    /// Learns from a response what stands for what was in the recorded one.
    fn learn(&mut self, message: &Value) {
        let recorded = self.recorded.calls.iter().find_map(|call| {
            let request = &self.recorded.messages[call.request];
            let response = call.responses.first().map(|index| &self.recorded.messages[*index])?;
            (request.value["id"] == message["id"]).then_some(&response.value)
        });
        if let Some(recorded) = recorded.filter(|_| message.get("method").is_none()) {
            self.words.learn_members(recorded, message, "");
        }
    }

    /// The line as it is sent now.
    fn text(&self, part: &Part) -> Option<String> {
        let exchange: &Exchange = self.recorded.exchanges.iter().find(|exchange| exchange.number == part.number)?;
        let text = self.words.fill(exchange.body.as_deref()?, Spelling::Json);
        let id = part.answers.as_ref().and_then(|question| self.heard.id_of(question));
        match (id, serde_json::from_str::<Value>(&text)) {
            (Some(id), Ok(mut message)) if message.is_object() => {
                message["id"] = id;
                Some(message.to_string())
            }
            _ => Some(text),
        }
    }
}
