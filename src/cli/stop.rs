//! What asks this program to end: Ctrl-C, SIGTERM, a terminal that is closed, a reader that is gone.

/// Waits until it is asked. Where the system does not let us listen, it runs until it is killed.
#[cfg(unix)]
pub(super) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut waiting = tokio::task::JoinSet::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::pipe()] {
        if let Ok(mut asked) = signal(kind) {
            waiting.spawn(async move { asked.recv().await });
        }
    }
    if waiting.join_next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Waits until it is asked.
#[cfg(not(unix))]
pub(super) async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
