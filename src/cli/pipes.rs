//! Standard input and output as asynchronous streams, each with a thread of its own: reading and writing them blocks, and
//! a process that is to end does not wait for either.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What is under way between a thread and its stream, in bytes.
const BUFFER: usize = 64 * 1024;
/// How long what was written last may take to be read.
const LAST: Duration = Duration::from_millis(500);

/// What comes in on standard input.
pub(super) fn standard_input() -> DuplexStream {
    let (mut inside, outside) = tokio::io::duplex(BUFFER);
    let runtime = Handle::current();
    std::thread::spawn(move || {
        let mut bytes = vec![0; BUFFER];
        // An input that is broken has ended.
        while let Ok(read @ 1..) = std::io::stdin().read(&mut bytes) {
            if runtime.block_on(inside.write_all(&bytes[..read])).is_err() {
                return;
            }
        }
    });
    outside
}

/// What goes out on standard output, and what tells that all of it has.
pub(super) fn standard_output() -> (DuplexStream, Written) {
    let (mut inside, outside) = tokio::io::duplex(BUFFER);
    let (done, written) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::spawn(move || {
        let mut bytes = vec![0; BUFFER];
        while let Ok(read @ 1..) = runtime.block_on(inside.read(&mut bytes)) {
            let mut stdout = std::io::stdout().lock();
            if stdout.write_all(&bytes[..read]).is_err() || stdout.flush().is_err() {
                break;
            }
        }
        // Whoever has stopped waiting does not need to know.
        let _ = done.send(());
    });
    (outside, Written(written))
}

/// Tells when standard output has everything.
#[derive(Debug)]
pub(super) struct Written(oneshot::Receiver<()>);

impl Written {
    /// Waits for it, though not for a reader that does not read.
    pub(super) async fn all(self) {
        // What is not read by then is given up.
        let _ = tokio::time::timeout(LAST, self.0).await;
    }
}
