//! Threads that play cases, a few at once on each.
//!
//! A case stays on one thread with its client and its server, which talk with each other all the time: nothing of it is handed
//! from processor to processor. Knows nothing of what is played.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::plan::Planned;
use super::queue::Queue;
use super::run::RehearsalError;
use crate::verdict::Case;

/// How often it is looked for cases that are through. To be told of each would cost the threads a call of the system for it.
const LOOKED_EVERY: Duration = Duration::from_millis(20);

/// Cases that did not begin yet, for all threads.
#[derive(Debug, Clone)]
pub(super) struct Waiting(Arc<Mutex<Queue>>);

impl Waiting {
    /// All of these.
    pub(super) fn new(queue: Queue) -> Self {
        Self(Arc::new(Mutex::new(queue)))
    }

    /// Takes those that are left, so that no thread begins them.
    pub(super) fn rest(&self) -> Vec<(usize, Planned)> {
        self.with(|queue| queue.rest().collect())
    }

    fn with<T>(&self, what: impl FnOnce(&mut Queue) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A case that is through, by its place in the plan, or why none can be played.
type Through = Result<(usize, Case), RehearsalError>;

/// The threads, as long as this is held.
#[derive(Debug)]
pub(super) struct Lanes {
    through: mpsc::UnboundedReceiver<Through>,
    /// Closed when the last thread is through with all of it.
    over: mpsc::Receiver<()>,
    stop: watch::Sender<bool>,
}

impl Lanes {
    /// Plays what waits, so many cases at once on all threads together.
    pub(super) fn start<P, F>(waiting: &Waiting, jobs: usize, play: P) -> Self
    where
        P: Fn(usize, Planned) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Case, RehearsalError>> + Send + 'static,
    {
        let (tell, through) = mpsc::unbounded_channel();
        let (at_work, over) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(false);
        let jobs = jobs.max(1);
        let lanes = thread::available_parallelism().map_or(1, usize::from).min(jobs);
        for lane in 0..lanes {
            let (waiting, play, stopped, tell) = (waiting.clone(), play.clone(), stopped.clone(), tell.clone());
            let width = jobs / lanes + usize::from(lane < jobs % lanes);
            let failed = tell.clone();
            let at_work = at_work.clone();
            let started = thread::Builder::new().name(format!("lane-{lane}")).spawn(move || {
                let _at_work = at_work;
                match runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => {
                        // A task of its own: what wakes the future that a runtime blocks on costs a call of the system.
                        let lane = runtime.spawn(run(waiting, width, play, tell, stopped));
                        // A lane that broke off by a fault of ours leaves the rest to the others.
                        let _ = runtime.block_on(lane);
                        runtime.shutdown_background();
                    }
                    Err(error) => drop(tell.send(Err(RehearsalError::Thread(error)))),
                }
            });
            if let Err(error) = started {
                let _ = failed.send(Err(RehearsalError::Thread(error)));
            }
        }
        Self { through, over, stop }
    }

    /// The cases that are through since the last time, once there are any; none when all are.
    pub(super) async fn next(&mut self) -> Vec<Through> {
        loop {
            let over = self.over.is_closed();
            let through: Vec<Through> = std::iter::from_fn(|| self.through.try_recv().ok()).collect();
            if over || !through.is_empty() {
                return through;
            }
            tokio::select! {
                _ = self.over.recv() => {}
                () = tokio::time::sleep(LOOKED_EVERY) => {}
            }
        }
    }

    /// Has the cases under way dropped; [`Self::next`] gives none once that is done.
    pub(super) fn stop(&self) {
        let _ = self.stop.send(true);
    }
}

/// One thread's share: always so many at once, until none waits.
async fn run<P, F>(
    waiting: Waiting,
    width: usize,
    play: P,
    tell: mpsc::UnboundedSender<Through>,
    mut stopped: watch::Receiver<bool>,
) where
    P: Fn(usize, Planned) -> F + Send + 'static,
    F: Future<Output = Result<Case, RehearsalError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < width
            && let Some((index, planned)) = waiting.with(Queue::next)
        {
            // Boxed, as what is spawned is moved again and again before it begins, and this is large.
            let played = Box::pin(play(index, planned));
            tasks.spawn(async move { played.await.map(|case| (index, case)) });
        }
        let joined = tokio::select! {
            biased;
            // Held by nobody any more is as good as stopped.
            _ = stopped.wait_for(|stopped| *stopped) => break,
            joined = tasks.join_next() => joined,
        };
        match joined {
            Some(Ok(through)) => {
                if let Ok((_, case)) = &through {
                    waiting.with(|queue| queue.learn(case));
                }
                if tell.send(through).is_err() {
                    break;
                }
            }
            // A case that broke off by a fault of ours is missing in the summary, which counts it.
            Some(Err(_)) => {}
            None => break,
        }
    }
    // What they saw by then decides nothing; a case that is through counts all the same.
    while let Some(Ok(through)) = tasks.try_join_next() {
        let _ = tell.send(through);
    }
    tasks.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::super::{Selection, Survey, plans};
    use super::*;
    use crate::model::Revision;

    /// Three cases.
    fn three() -> Waiting {
        let reference = crate::profile::find("reference").expect("profiles load").expect("it is shipped");
        let selection = Selection {
            scenarios: crate::scenario::shipped().into_iter().take(3).map(Arc::new).collect(),
            profiles: vec![Arc::new(reference)],
            revisions: vec![Revision::V2025_11_25],
            target: None,
        };
        let mut queue = Queue::default();
        plans(&selection, &Survey::default()).into_iter().enumerate().for_each(|case| queue.push(case));
        Waiting::new(queue)
    }

    fn over(planned: Planned) -> Case {
        Case::not_applicable(planned.plan, String::new())
    }

    #[tokio::test]
    async fn a_case_that_breaks_off_is_missing_and_the_others_come() {
        let mut lanes = Lanes::start(&three(), 2, |index, planned| async move {
            assert_ne!(index, 1, "it breaks off");
            Ok(over(planned))
        });
        let mut through = Vec::new();
        loop {
            let some = lanes.next().await;
            if some.is_empty() {
                break;
            }
            through.extend(some.into_iter().map(|case| case.expect("played").0));
        }
        through.sort_unstable();
        assert_eq!(through, [0, 2]);
    }

    #[tokio::test]
    async fn what_is_under_way_is_dropped_when_it_stops_and_nothing_begins_any_more() {
        let waiting = three();
        let mut lanes = Lanes::start(&waiting, 1, |index, planned| async move {
            if index > 0 {
                pending::<()>().await;
            }
            Ok(over(planned))
        });
        let one: Vec<usize> = lanes.next().await.into_iter().map(|case| case.expect("played").0).collect();
        assert_eq!(one, [0]);
        lanes.stop();
        let ended = tokio::time::timeout(Duration::from_secs(10), lanes.next()).await.expect("in time");
        assert!(ended.is_empty());
        assert!(waiting.rest().len() <= 2);
    }
}
