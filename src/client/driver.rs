//! Walks a plan: the steps in order, each under its deadline, and gives the transcript.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::network::Network;
use super::sim::{Handed, Named, Sim};
use super::step::Turn;
use super::target::Target;
use crate::model::{Clock, Rng, moment};
use crate::profile::Profile;
use crate::scenario::{Action, FIRST_CLIENT, Scenario, Step};
use crate::transcript::{Event, EventKind};
use crate::wire::Tap;

/// How long readers may take to note that their connection was cut.
const NOTED_WITHIN: Duration = Duration::from_millis(100);

/// Everything one case needs.
#[derive(Debug, Clone)]
pub struct Drive {
    /// What happens.
    pub scenario: Arc<Scenario>,
    /// How it looks on the wire.
    pub profile: Arc<Profile>,
    /// To whom.
    pub target: Arc<Target>,
    /// Under which time.
    pub clock: Arc<dyn Clock>,
    /// Source of made-up ids.
    pub rng: Rng,
}

/// Plays the scenario and gives what happened. Never fails: what goes wrong is in the transcript.
pub async fn drive(drive: Drive) -> Vec<Event> {
    let tap = Arc::new(Tap::new(Arc::clone(&drive.clock)));
    for (kind, secret) in drive.target.secrets() {
        tap.hide(kind, secret);
    }
    let mut clients: HashMap<String, Arc<Sim>> = HashMap::new();
    let (drive, network) = match Network::between(drive).await {
        Ok(between) => between,
        Err(error) => {
            tap.step(0, FIRST_CLIENT, "connect");
            tap.record(FIRST_CLIENT, EventKind::LeftOut { why: error.to_string(), this_too: true });
            return tap.take();
        }
    };
    let mut handed = Handed::default();
    let named = Arc::new(Named::default());
    for step in &drive.scenario.steps {
        if let Some(sim) = clients.values().find(|sim| sim.has_given_up()) {
            let text = "the target stays silent; the rest of the steps was left out".to_owned();
            tap.record(&sim.name, EventKind::Note { text });
            break;
        }
        if clients.values().any(|sim| sim.state().left_out) {
            break;
        }
        tap.step(step.number, step.client(), step.action.word());
        let network = network.as_ref().filter(|_| !step.faults().is_empty());
        if let Some(network) = network {
            network.begin(step, &tap).await;
        }
        match &step.action {
            Action::Together(steps) => {
                let all = steps.iter().map(|step| {
                    let sim = client(&mut clients, step, &drive, (&tap, &named));
                    let turn = turn(step, &drive.target);
                    Box::pin(async move { sim.perform(&step.action, turn).await })
                });
                // Not a task each: so all of them take up tokens and sessions before one of them is answered, even on
                // a machine that is busy.
                join_all(all).await;
            }
            action => {
                let sim = client(&mut clients, step, &drive, (&tap, &named));
                sim.state().handed.or(&handed);
                sim.perform(action, turn(step, &drive.target)).await;
                handed = sim.state().handed.clone();
            }
        }
        if let Some(network) = network {
            network.end(step, &tap, &clients).await;
        }
    }
    for sim in clients.values() {
        sim.close_line().await;
        sim.disconnect();
        sim.state().site = None;
    }
    // Readers that were cut note it within a moment; nothing is waited for beyond that.
    let noted = async {
        for sim in clients.values() {
            sim.until_quiet(NOTED_WITHIN).await;
        }
    };
    let _ = moment::within(NOTED_WITHIN, noted).await;
    tap.take()
}

fn turn(step: &Step, target: &Target) -> Turn {
    let within = step.within().map_or(target.patience, |within| within.length().min(target.patience));
    Turn { number: step.number, within, node: step.node() }
}

fn client(
    clients: &mut HashMap<String, Arc<Sim>>,
    step: &Step,
    drive: &Drive,
    (tap, named): (&Arc<Tap>, &Arc<Named>),
) -> Arc<Sim> {
    let name = step.client();
    let made = || {
        Arc::new(Sim::new(
            name,
            Arc::clone(&drive.profile),
            Arc::clone(&drive.target),
            (Arc::clone(tap), Arc::clone(named)),
            Arc::clone(&drive.clock),
            drive.rng.clone(),
        ))
    };
    Arc::clone(clients.entry(name.to_owned()).or_insert_with(made))
}
