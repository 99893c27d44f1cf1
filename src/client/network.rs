//! The network between the simulated clients and the target, where a scenario has it do something.
//!
//! Whatever it does stands in the transcript, so that nobody blames the server for it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::driver::Drive;
use super::sim::Sim;
use super::target::TimeControl;
use crate::model::NetworkFault;
use crate::proxy::{Proxy, ProxyError, Upstream};
use crate::scenario::Step;
use crate::transcript::EventKind;
use crate::wire::Tap;

/// How long clients get to see that a connection is gone, in milliseconds.
const NOTICED_WITHIN_MS: u32 = 100;

/// A network that is told what to do: a proxy in front of each node.
#[derive(Debug)]
pub(super) struct Network {
    proxies: Vec<Proxy>,
}

impl Network {
    /// Puts a network in front of the target, where the scenario has it do something; from then on connections go
    /// through it.
    pub(super) async fn between(drive: Drive) -> Result<(Drive, Option<Self>), ProxyError> {
        if !drive.scenario.has_network_faults() {
            return Ok((drive, None));
        }
        let mut target = super::target::Target::clone(&drive.target);
        let mut proxies = Vec::new();
        let nodes = target.nodes.iter_mut().map(|node| &mut node.place);
        for place in std::iter::once(&mut target.place).chain(nodes) {
            let inlet = place.inlet.as_mut().filter(|_| place.through.is_none() && !place.tls);
            if let (Some(inlet), TimeControl::Shared(clock)) = (inlet, &drive.target.time) {
                let (proxy, way) = Proxy::within(inlet.clone(), clock.clone(), drive.rng.clone());
                *inlet = way;
                proxies.push(proxy);
                continue;
            }
            let upstream = Upstream::plain(place.through.clone().unwrap_or_else(|| place.to_string()));
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let proxy = Proxy::start(listen, vec![upstream], Arc::clone(&drive.clock), drive.rng.clone()).await?;
            place.through = Some(proxy.addr().to_string());
            proxies.push(proxy);
        }
        Ok((Drive { target: Arc::new(target), ..drive }, Some(Self { proxies })))
    }

    /// Begins what the network does while a step runs.
    pub(super) async fn begin(&self, step: &Step, tap: &Tap) {
        let faults = step.faults();
        tap.record(step.client(), EventKind::Network { faults: texts(&faults), on: true });
        for proxy in &self.proxies {
            proxy.set(faults.clone()).await;
        }
    }

    /// Ends it, once the clients have seen what it did.
    pub(super) async fn end(&self, step: &Step, tap: &Tap, clients: &HashMap<String, Arc<Sim>>) {
        for proxy in &self.proxies {
            proxy.clear().await;
        }
        // A connection carries one exchange at a time: more exchanges than connections are some that do not know it yet.
        let unseen = || {
            let live: u32 = clients.values().map(|sim| sim.state().live).sum();
            live as usize > self.proxies.iter().map(|proxy| proxy.counters().open).sum()
        };
        for _ in 0..NOTICED_WITHIN_MS {
            if !unseen() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tap.record(step.client(), EventKind::Network { faults: texts(&step.faults()), on: false });
    }
}

fn texts(faults: &[NetworkFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
