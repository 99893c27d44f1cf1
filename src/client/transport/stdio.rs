//! stdio: the server is a process, and a line is a message (2025-11-25 basic/transports#stdio).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{ChildStdin, ChildStdout};

use super::line::{Line, Out};
use crate::client::exchange::Answered;
use crate::client::sim::Sim;
use crate::model::Via;
use crate::profile::{EndBy, EndStep};
use crate::transcript::{End, Ended, EventKind, Headers};
use crate::wire::{Asked, Command, Lines, Output, Process, Started};

/// The most that a server may take to exit, whatever its client does about it next, and after all that it does.
const TO_EXIT: Duration = Duration::from_secs(5);

/// How long what is just being written, such as an answer to the server, may take when the process is to end.
const LAST_WRITE: Duration = Duration::from_millis(250);

impl Sim {
    /// Starts the server.
    pub(super) fn open_process(self: &Arc<Self>, command: &Command) -> Result<Arc<Line>, Answered> {
        let (number, connection) = (self.tap.next_exchange(), self.next_connection());
        self.tap.record(
            &self.name,
            EventKind::Request {
                exchange: number,
                connection,
                method: String::new(),
                target: self.target.name.clone(),
                headers: Headers::new(),
                body: None,
                via: Via::Stdio,
                channel: None,
                tls: false,
            },
        );
        let Started { process, input, output } = match command.start() {
            Ok(started) => started,
            Err(reason) => {
                self.tap.record(&self.name, EventKind::End { exchange: number, end: End::Failed(reason) });
                return Err(Answered::of(number));
            }
        };
        let out = Out::Pipe(tokio::sync::Mutex::new(Some(input)), Mutex::new(Some(Box::new(process))));
        let line = Arc::new(Line::new(Via::Stdio, number, connection, command.program.clone(), out));
        self.state().live += 1;
        tokio::spawn(read(Arc::clone(self), Arc::clone(&line), output));
        Ok(line)
    }

    /// Ends the process and records how it went.
    pub(super) async fn end_process(
        self: &Arc<Self>,
        line: &Line,
        input: &tokio::sync::Mutex<Option<ChildStdin>>,
        process: &Mutex<Option<Box<Process>>>,
    ) {
        let Some(mut process) = process.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let by_itself = process.has_ended();
        let words = process.last_words();
        let asked = self.clock.elapsed();
        let (after, began) = if by_itself { (Ended::ByItself, None) } else { self.see_end(&mut process, input).await };
        let took = if by_itself { Duration::ZERO } else { self.clock.elapsed().saturating_sub(asked) };
        // What the client leaves running does not outlive the rehearsal.
        let (code, left_others) = process.be_over().await;
        close(input).await;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // What was written before the end is read to its end.
        self.see_line_end(line, Duration::from_secs(1)).await;
        let exchange = line.opening;
        self.tap.record(&self.name, EventKind::Exit { exchange, after, began, took_ms, code, left_others });
        if by_itself && !words.is_empty() {
            let text = format!("the server ended by itself; the last on its standard error: {words}");
            self.tap.record(&self.name, EventKind::Note { text });
        }
        let end = if after == Ended::ByItself { End::CutShort } else { End::Complete };
        self.tap.record(&self.name, EventKind::End { exchange, end });
    }

    /// Does what this client does to end a process. Gives what ended it, and what the client began with, where that was
    /// something else than to close its input.
    async fn see_end(
        &self,
        process: &mut Process,
        input: &tokio::sync::Mutex<Option<ChildStdin>>,
    ) -> (Ended, Option<Ended>) {
        let longest = TO_EXIT.min(self.target.patience);
        let (mut how, mut began, mut past) = (Ended::Nothing, None, None);
        for EndStep { does, after_ms } in self.profile.process_end.value.iter().copied() {
            let wait = past.map(|past| Duration::from_millis(after_ms - past).min(longest));
            past = Some(after_ms);
            let at_once = wait == Some(Duration::ZERO);
            if let Some(wait) = wait.filter(|wait| !wait.is_zero())
                && process.ends_within(wait).await
            {
                return (how, began);
            }
            let deed = match does {
                EndBy::CloseInput | EndBy::Leave => {
                    close(input).await;
                    Ended::InputClosed
                }
                EndBy::Interrupt => {
                    process.ask_to_end(Asked::Interrupt);
                    Ended::Sigint
                }
                EndBy::Terminate => {
                    process.ask_to_end(Asked::Terminate);
                    Ended::Sigterm
                }
                EndBy::Kill => return (Ended::Sigkill, began),
            };
            if wait.is_none() {
                began = Some(deed).filter(|deed| *deed != Ended::InputClosed);
            }
            // Of two things that are done at the same moment the first counts.
            if !at_once {
                how = deed;
            }
        }
        // The client has gone by now, or does nothing more; a server that is about to end gets the time to.
        if process.ends_within(longest).await { (how, began) } else { (Ended::Nothing, began) }
    }
}

/// Closes the input of a process. A write that hangs holds it; then it stays open.
async fn close(input: &tokio::sync::Mutex<Option<ChildStdin>>) {
    if let Ok(mut input) = tokio::time::timeout(LAST_WRITE, input.lock()).await {
        *input = None;
    }
}

async fn read(sim: Arc<Sim>, line: Arc<Line>, mut output: Lines<ChildStdout>) {
    let mut dropped = sim.drop_all.subscribe();
    dropped.mark_unchanged();
    loop {
        let next = tokio::select! {
            next = output.next() => next,
            _ = dropped.changed() => break,
        };
        let too_much = match next {
            Output::Line(text, utf8) => sim.receive(line.opening, text, utf8),
            Output::TooLong(bytes) => Some(End::TooLarge(bytes)),
            Output::Ended => break,
        };
        if let Some(end) = too_much {
            // The rest stays unread; a server that writes on is stopped by its full pipe until it is ended.
            sim.tap.record(&sim.name, EventKind::End { exchange: line.opening, end });
            break;
        }
    }
    line.is_over();
    sim.state().live -= 1;
    sim.announce();
}
