//! `bench-shapes`: how long it takes to judge the shape of a message. Hidden; for `scripts/bench-shapes`.
//!
//! The messages are those that the reference client and the embedded server exchange in the shipped scenarios, under
//! every revision: what is measured is what a rehearsal pays.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::output::{ExitCode, out, say};
use crate::check::shape::{Reading, Sender, read};
use crate::client::{Drive, Target, TimeControl, drive};
use crate::model::{Clock as _, HybridClock, Revision, Rng, WallClock};
use crate::profile::{self, OpensWith, Profile};
use crate::scenario::{self, Scenario};
use crate::server::{ServerConfig, start};
use crate::transcript::View;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `bench-shapes`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// How often each message is judged.
    #[arg(long, default_value_t = 200)]
    times: u32,
}

/// A message with what its judgement needs.
struct Sample {
    revision: Revision,
    sender: Sender,
    value: Value,
    answers: Option<String>,
}

pub(super) async fn bench(args: BenchArgs) -> ExitCode {
    match Box::pin(run(&args)).await {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::Failures
        }
    }
}

async fn run(args: &BenchArgs) -> Result<(), String> {
    let reference = profile::find("reference").map_err(|error| error.to_string())?.ok_or("no reference profile")?;
    let needs_nothing_odd =
        |scenario: &Scenario| !scenario.needs.iter().any(|need| matches!(need.as_str(), "auth" | "nodes" | "restart"));
    let scenarios: Vec<Arc<Scenario>> =
        scenario::shipped().into_iter().filter(needs_nothing_odd).map(Arc::new).collect();
    let mut samples = Vec::new();
    for revision in Revision::ALL.into_iter().filter(|revision| revision.facts().streamable_http) {
        let mut asking = Profile::clone(&reference);
        asking.opens_with.value = OpensWith(vec![revision]);
        let asking = Arc::new(asking);
        for scenario in scenarios.iter().filter(|scenario| scenario.era.include(revision.facts().era)) {
            samples.extend(played(scenario, &asking).await?);
        }
    }
    let bytes: usize = samples.iter().map(|sample| sample.value.to_string().len()).sum();
    let clock = WallClock::new();
    let mut misfits = 0_usize;
    for _ in 0..args.times {
        for Sample { revision, sender, value, answers } in &samples {
            let reading = black_box(read(*revision, black_box(value), *sender, answers.as_deref()));
            misfits += usize::from(matches!(reading, Reading::Misfit(_)));
        }
    }
    let judged = samples.len() as u128 * u128::from(args.times.max(1));
    let nanoseconds = clock.elapsed().as_nanos() / judged.max(1);
    out(&format!(
        "{} messages of {} bytes on average, each judged {} times: {}.{:02} µs a message, {} misfits",
        samples.len(),
        bytes / samples.len().max(1),
        args.times,
        nanoseconds / 1000,
        nanoseconds % 1000 / 10,
        misfits / usize::try_from(args.times.max(1)).unwrap_or(1),
    ));
    Ok(())
}

/// The messages of one scenario.
async fn played(scenario: &Arc<Scenario>, profile: &Arc<Profile>) -> Result<Vec<Sample>, String> {
    let clock = HybridClock::new();
    let server =
        start(ServerConfig::default(), clock.clone(), Rng::seeded(1)).await.map_err(|error| error.to_string())?;
    let mut target = Target::parse(&server.url(), PATIENCE).map_err(|error| error.to_string())?;
    target.time = TimeControl::Shared(clock.clone());
    let (scenario, profile, target) = (Arc::clone(scenario), Arc::clone(profile), Arc::new(target));
    let events = drive(Drive { scenario, profile, target, clock: Arc::new(clock), rng: Rng::seeded(1) }).await;
    server.shutdown().await;
    let view = View::new(&events);
    let asked = |index: usize| {
        let call = view.calls.iter().find(|call| call.responses.contains(&index))?;
        view.messages[call.request].method().map(str::to_owned)
    };
    let samples = view.messages.iter().enumerate().filter_map(|(index, msg)| {
        let sender = if msg.received() { Sender::Server } else { Sender::Client };
        Some(Sample { revision: msg.revision?, sender, value: Value::clone(&msg.value), answers: asked(index) })
    });
    Ok(samples.collect())
}
