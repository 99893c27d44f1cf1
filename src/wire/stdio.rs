//! A server as a process: started in a process group of its own, read line by line, and ended with all it started.
//!
//! Knows processes and lines; nothing of what the lines say. What it started never outlives it, however this ends.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::limits::MAX_BODY;
use crate::transcript::Ended;

/// How long the system may take to end what was killed.
const TO_DIE: Duration = Duration::from_secs(5);
/// What is kept of the end of standard error, in bytes.
const KEPT: usize = 2 * 1024;

/// How to start a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program, looked up as a shell would.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment besides those of this program.
    pub environment: Vec<(String, String)>,
}

/// A process that was started, with its ends.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub process: Process,
    /// Its standard input.
    pub input: ChildStdin,
    /// Its standard output.
    pub output: Lines<ChildStdout>,
}

/// A process with its group; all of it is killed where this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    errors: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// How a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// With SIGINT.
    Interrupt,
    /// With SIGTERM.
    Terminate,
}

impl Command {
    /// Starts it; `Err` says in plain words why it cannot be.
    pub fn start(&self) -> Result<Started, String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let refused =
            |reason: String| format!("`{}` cannot be started: {reason}; is it installed, and found?", self.program);
        let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
        let group = Group::of(&child);
        let ends = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(stderr)) = ends else { return Err(refused("it has no pipes".to_owned())) };
        let errors = Arc::default();
        let reader = tokio::spawn(keep_tail(stderr, Arc::clone(&errors)));
        Ok(Started { process: Process { child, group, errors, reader }, input, output: Lines::new(output) })
    }
}

async fn keep_tail(mut stderr: ChildStderr, errors: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let mut kept = errors.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&piece[..length]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

impl Process {
    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The last that it wrote to standard error.
    pub fn last_words(&self) -> String {
        let kept = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim().to_owned()
    }

    /// Whether it ends within this time.
    pub async fn ends_within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.child.wait()).await.is_ok()
    }

    /// Asks it, and all that it started, to end.
    pub fn ask_to_end(&self, how: Asked) {
        self.group.signal(how);
    }

    /// Kills what is left of it and of what it started. Gives its exit code, and whether something that it had started
    /// had to be killed.
    pub async fn be_over(mut self) -> (Option<i32>, bool) {
        if !self.has_ended() {
            // One that is gone already needs no killing.
            let _ = self.child.start_kill();
        }
        let status = tokio::time::timeout(TO_DIE, self.child.wait()).await;
        let left_others = self.group.kill();
        (status.ok().and_then(Result::ok).and_then(|status| status.code()), left_others)
    }

    /// Sees it end, its input being closed already: waits so long, asks with SIGTERM, waits again, kills
    /// (2025-11-25 basic/lifecycle#shutdown). Gives what made it end, its exit code, and whether something that it had
    /// started had to be killed.
    pub async fn end(mut self, by_itself: bool, to_exit: Duration) -> (Ended, Option<i32>, bool) {
        let mut how = if by_itself { Ended::ByItself } else { Ended::InputClosed };
        let mut status = tokio::time::timeout(to_exit, self.child.wait()).await;
        if status.is_err() && self.group.signal(Asked::Terminate) {
            how = Ended::Sigterm;
            status = tokio::time::timeout(to_exit, self.child.wait()).await;
        }
        if status.is_err() {
            how = Ended::Sigkill;
            // One that is gone already needs no killing.
            let _ = self.child.start_kill();
            status = tokio::time::timeout(TO_DIE, self.child.wait()).await;
        }
        let left_others = self.group.kill();
        (how, status.ok().and_then(Result::ok).and_then(|status| status.code()), left_others)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.reader.abort();
        self.group.kill();
    }
}

/// Lines of a stream, each with a bound.
#[derive(Debug)]
pub struct Lines<R> {
    stream: R,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    seen: usize,
    ended: bool,
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A line without its end, and whether it was UTF-8.
    Line(String, bool),
    /// A line that passes the bound, in bytes.
    TooLong(usize),
    /// Nothing more comes.
    Ended,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// From the beginning of the stream.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new(), seen: 0, ended: false }
    }

    /// The next line. Nothing is lost where this is dropped meanwhile.
    pub async fn next(&mut self) -> Output {
        loop {
            if let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.seen + at + 1);
                self.seen = 0;
                return told(&line[..line.len() - 1]);
            }
            self.seen = self.buffer.len();
            if self.seen > MAX_BODY {
                return Output::TooLong(self.seen);
            }
            if self.ended {
                self.seen = 0;
                let rest = self.buffer.split();
                return if rest.is_empty() { Output::Ended } else { told(&rest) };
            }
            self.buffer.reserve(8192);
            // A pipe that cannot be read any more has ended.
            self.ended = matches!(self.stream.read_buf(&mut self.buffer).await, Ok(0) | Err(_));
        }
    }
}

fn told(line: &[u8]) -> Output {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) => Output::Line(text.to_owned(), true),
        Err(_) => Output::Line(String::from_utf8_lossy(line).into_owned(), false),
    }
}

/// The groups that are running, for an end of this program that drops nothing.
static RUNNING: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Kills every process that was started here and still runs.
pub fn kill_all() {
    let running = std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
    for group in running {
        Group(Some(group)).kill();
    }
}

/// A process group, by the id of its first process; `None` where it is over.
#[derive(Debug)]
struct Group(Option<i32>);

impl Group {
    fn of(child: &Child) -> Self {
        // A group of 1 or less would be that of others, or everybody.
        let id = child.id().and_then(|id| i32::try_from(id).ok()).filter(|id| *id > 1);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).extend(id);
        Self(id)
    }

    /// Asks all of it to end; says whether that can be done here.
    #[cfg(unix)]
    fn signal(&self, how: Asked) -> bool {
        let signal = match how {
            Asked::Interrupt => rustix::process::Signal::INT,
            Asked::Terminate => rustix::process::Signal::TERM,
        };
        let group = self.0.and_then(rustix::process::Pid::from_raw);
        group.is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
    }

    /// Asks all of it to end; says whether that can be done here.
    #[cfg(not(unix))]
    fn signal(&self, _how: Asked) -> bool {
        false
    }

    /// Kills what is left of it; says whether anything was.
    fn kill(&mut self) -> bool {
        let Some(id) = self.0.take() else { return false };
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != id);
        kill_group(id)
    }
}

#[cfg(unix)]
fn kill_group(id: i32) -> bool {
    let group = rustix::process::Pid::from_raw(id);
    group.is_some_and(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL).is_ok())
}

#[cfg(not(unix))]
fn kill_group(_id: i32) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    fn shell(script: &str) -> Started {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let command =
            Command { program: "sh".to_owned(), arguments, environment: vec![("WORD".to_owned(), "w".to_owned())] };
        command.start().expect("a shell")
    }

    /// Whether a process of this id is there and not only waits to be looked at by its parent.
    fn lives(id: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    #[tokio::test]
    async fn lines_go_in_and_out_and_the_end_is_told() {
        let Started { mut process, mut input, mut output } =
            shell("echo $WORD; cat; echo last >&2; printf rest; exit 3");
        assert_eq!(output.next().await, Output::Line("w".to_owned(), true));
        input.write_all(b"one\r\n\xff\n").await.expect("written");
        assert_eq!(output.next().await, Output::Line("one".to_owned(), true));
        assert_eq!(output.next().await, Output::Line("\u{fffd}".to_owned(), false));
        assert!(!process.has_ended());
        drop(input);
        assert_eq!(output.next().await, Output::Line("rest".to_owned(), true));
        assert_eq!(output.next().await, Output::Ended);
        while process.last_words() != "last" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(process.end(false, Duration::from_secs(60)).await, (Ended::InputClosed, Some(3), false));
    }

    #[tokio::test]
    async fn whatever_a_server_ignores_it_ends_and_so_does_what_it_started() {
        let script = "trap '' TERM; sleep 600 & echo $!; while :; do sleep 600; done";
        let Started { process, input, mut output } = shell(script);
        let Output::Line(grandchild, _) = output.next().await else { panic!("no line") };
        assert!(lives(&grandchild));
        drop(input);
        let (how, _, left_others) = process.end(false, Duration::from_millis(100)).await;
        assert_eq!((how, left_others), (Ended::Sigkill, true));
        while lives(&grandchild) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_dropped_leaves_nothing_running() {
        let Started { process, mut output, .. } = shell("sleep 600 & echo $!; wait");
        let Output::Line(grandchild, _) = output.next().await else { panic!("no line") };
        drop(process);
        while lives(&grandchild) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_bounded_and_a_missing_program_told() {
        let Started { process: _process, mut output, .. } = shell("while :; do printf '%01000000d' 0; done");
        assert!(matches!(output.next().await, Output::TooLong(_)));
        let missing = Command { program: "no-such-program".to_owned(), ..Command::default() };
        let why = missing.start().expect_err("not there");
        assert!(why.starts_with("`no-such-program` cannot be started: "), "{why}");
    }
}
