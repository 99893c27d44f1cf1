//! How long a moment is: real time, and then a turn for whoever is ready. It must not know what is waited for.
//!
//! Many cases share a thread with their servers. One that keeps it busy for longer than a limit lets the limit of the others pass
//! before anybody had a turn; what they wait for may be lying there, a few steps of other tasks away.

use std::future::Future;
use std::time::Duration;

/// Turns of all that is ready: a request takes fewer from the client through the server and back.
const TURNS: u32 = 64;

/// Completes once so much real time is over and everything that was ready by then had its turns.
pub(crate) async fn passes(limit: Duration) {
    tokio::time::sleep(limit).await;
    turns(TURNS).await;
}

/// Completes once everything that is ready had so many turns.
pub(crate) async fn turns(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// What this comes to, or `None` where it takes longer than a moment of that length.
pub(crate) async fn within<F: Future>(limit: Duration, what: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = what => Some(done),
        () = passes(limit) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1);

    /// Comes after some turns of another task, on a thread that is kept busy for longer than the limit at first.
    async fn on_a_busy_thread(turns: u32) -> bool {
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let _ = tell.send(());
        });
        std::thread::sleep(LIMIT * 5);
        told.await.is_ok()
    }

    #[tokio::test]
    async fn a_busy_thread_does_not_take_the_time_of_others() {
        assert!(tokio::time::timeout(LIMIT, on_a_busy_thread(10)).await.is_err(), "what a limit alone makes of it");
        assert_eq!(within(LIMIT, on_a_busy_thread(10)).await, Some(true));
    }

    #[tokio::test]
    async fn a_moment_ends() {
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
    }
}
