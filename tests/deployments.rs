//! Targets with several nodes and restarts: what a deployment that is right shows, and what one that is wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_rehearsal::client::{Restarted, Restarts, Target};
use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::rehearsal::{Rehearsal, Selection, Stage, rehearse};
use mcp_rehearsal::scenario::{Action, RestartHow, Scenario};
use mcp_rehearsal::server::{RunningServer, ServerConfig, StoreConfig, start};
use mcp_rehearsal::verdict::{Case, Cell, Summary};
use mcp_rehearsal::{profile, scenario};
use redis_server::RedisServer;
use tokio::runtime::Handle;

#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;

const PATIENCE: Duration = Duration::from_secs(30);

fn about_nodes(scenario: &Scenario) -> bool {
    let asks = ["nodes", "restart", "restart-store"];
    scenario.needs.iter().any(|need| asks.contains(&need.as_str()))
}

/// Plays the scenarios about nodes and restarts that `plays` takes, with some clients.
async fn played(stage: Stage, clients: &[&str], plays: impl Fn(&Scenario) -> bool) -> Summary {
    let scenarios = scenario::shipped().into_iter().filter(about_nodes).filter(plays);
    let profiles = profile::shipped().expect("profiles load").into_iter();
    let selection = Selection {
        scenarios: scenarios.map(Arc::new).collect(),
        profiles: profiles.filter(|known| clients.is_empty() || clients.contains(&known.id())).map(Arc::new).collect(),
        revisions: Vec::new(),
        target: None,
    };
    let rehearsal =
        Rehearsal { selection, stage, jobs: 4, patience: PATIENCE, seed: 1, allowed_tools: Vec::new(), archive: None };
    rehearse(rehearsal, |_| {}, std::future::pending()).await.expect("the rehearsal begins")
}

fn told(case: &Case) -> String {
    let stories =
        case.stories.iter().map(|story| format!("\n  {}: {} | {}", story.id, story.breach.what, story.breach.actual));
    format!("{} {:?} {:?}{}", case.plan.id(), case.cell, case.reason, stories.collect::<String>())
}

fn of<'s>(summary: &'s Summary, scenario: &str) -> &'s Case {
    let found = summary.cases.iter().find(|case| *case.plan.scenario == *scenario);
    found.unwrap_or_else(|| panic!("{scenario} was not planned"))
}

async fn node(config: ServerConfig) -> RunningServer {
    start(config, HybridClock::new(), Rng::from_system()).await.expect("it starts")
}

fn target(nodes: &[&RunningServer]) -> Target {
    let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
    Target::parse(&urls[0], PATIENCE).and_then(|target| target.with_nodes(&urls, false)).expect("nodes of one resource")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_on_redis_pass_all_that_they_can_play() {
    let Some(redis) = RedisServer::start() else { return };
    let stage = Stage::embedded(Vec::new()).on(StoreConfig::Redis(redis.url()), 3);
    let summary = played(stage, &[], |_| true).await;
    let own_to_restart = |case: &&Case| *case.plan.scenario != *"deploy.store-restarted";
    let wrong = summary.cases.iter().filter(own_to_restart).filter(|case| case.cell != Cell::Passed);
    // A client that never carries the session, or never resumes, is told so and has nothing to show here.
    let wrong: Vec<String> = wrong.filter(|case| case.cell != Cell::NotApplicable).map(told).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for scenario in scenario::shipped().into_iter().filter(about_nodes).filter(|it| it.id != "deploy.store-restarted") {
        let passed = |case: &&Case| *case.plan.scenario == *scenario.id && case.cell == Cell::Passed;
        assert!(summary.cases.iter().any(|case| passed(&case)), "{} was never played", scenario.id);
    }
    let store = of(&summary, "deploy.store-restarted");
    assert!(store.reason.as_deref().is_some_and(|why| why.contains("`restart-store`")), "{}", told(store));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_target_lacks_is_said_with_what_would_give_it() {
    let summary = played(Stage::embedded(Vec::new()), &["reference"], |_| true).await;
    let reason = |scenario: &str| of(&summary, scenario).reason.clone().unwrap_or_default();
    assert!(reason("deploy.other-node").contains("--store redis://… --nodes 3"), "{}", reason("deploy.other-node"));
    let durable = reason("deploy.restarted-in-mid-session");
    assert!(durable.contains("--store redis://…"), "{durable}");
    assert!(reason("deploy.restarted").contains("--store redis://…"), "{}", reason("deploy.restarted"));
    let server = node(ServerConfig::default()).await;
    let foreign = Target::parse(&server.url(), PATIENCE).expect("a URL");
    let summary = played(Stage::Foreign(Arc::new(foreign)), &["reference"], |_| true).await;
    for (scenario, words) in [
        ("deploy.other-node", "--node URL"),
        ("deploy.restarted", "`restart` in rehearsal.toml"),
        ("deploy.store-restarted", "`restart-store` in rehearsal.toml"),
    ] {
        let case = of(&summary, scenario);
        assert_eq!(case.cell, Cell::NotApplicable);
        assert!(case.reason.as_deref().is_some_and(|why| why.contains(words)), "{}", told(case));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_keep_their_sessions_to_themselves_are_found_out() {
    let (a, b) = (node(ServerConfig::default()).await, node(ServerConfig::default()).await);
    let stage = Stage::Foreign(Arc::new(target(&[&a, &b])));
    let summary = played(stage, &["reference", "cursor"], |_| true).await;
    for scenario in ["deploy.other-node", "deploy.request-by-request", "deploy.deleted-elsewhere"] {
        let case = of(&summary, scenario);
        assert_eq!(case.cell, Cell::Failed, "{}", told(case));
        let story = &case.stories[0];
        assert_eq!(story.id, "transport.http.session-404-after-termination", "{}", told(case));
        let second = b.addr().to_string();
        assert!(story.breach.what.contains(&format!("node 2 ({second})")), "{}", told(case));
        assert!(story.sent.contains("at node"), "{}", story.sent);
    }
    for scenario in ["deploy.resumed-elsewhere", "deploy.cancelled-elsewhere"] {
        let case = of(&summary, scenario);
        assert!(case.cell >= Cell::Warned, "{}", told(case));
    }
}

/// A server that keeps its sessions in its memory, and can be restarted. It runs where the test does, whoever restarts it.
#[derive(Debug)]
struct Forgetful(Mutex<Option<RunningServer>>, Handle);

impl Restarts for Forgetful {
    fn restart(&self, _node: usize, _how: RestartHow) -> Restarted<'_> {
        Box::pin(async move {
            let server = self.0.lock().expect("no panic").take().ok_or_else(|| "it is being restarted".to_owned())?;
            let config = ServerConfig { listen: server.addr(), ..ServerConfig::default() };
            server.shutdown().await;
            let again = self.1.spawn(node(config)).await.map_err(|error| error.to_string())?;
            *self.0.lock().expect("no panic") = Some(again);
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_go_with_a_restart_are_held_against_nobody_who_says_404() {
    let server = node(ServerConfig::default()).await;
    let plain = Target::parse(&server.url(), PATIENCE).expect("a URL");
    let target = Target { restarts: Some(Arc::new(Forgetful(Mutex::new(Some(server)), Handle::current()))), ..plain };
    let summary = played(Stage::Foreign(Arc::new(target)), &[], |scenario| scenario.id == "deploy.restarted").await;
    let wrong: Vec<String> = summary.cases.iter().filter(|case| case.cell > Cell::Passed).map(told).collect();
    assert!(wrong.is_empty() && summary.count(Cell::Passed) >= 5, "{}", wrong.join("\n"));
}

/// A store of the test's own that can be restarted.
#[derive(Debug)]
struct Store(Mutex<Option<RedisServer>>);

impl Restarts for Store {
    fn restart(&self, _node: usize, _how: RestartHow) -> Restarted<'_> {
        Box::pin(async move {
            let mut redis =
                self.0.lock().expect("no panic").take().ok_or_else(|| "it is being restarted".to_owned())?;
            let again = tokio::task::spawn_blocking(move || {
                redis.kill();
                redis.start_again();
                redis
            });
            let redis = again.await.map_err(|error| error.to_string())?;
            *self.0.lock().expect("no panic") = Some(redis);
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_a_store_that_is_killed_and_started_again() {
    let Some(redis) = RedisServer::start_with(&["--appendonly", "yes"]) else { return };
    let config = || ServerConfig { store: StoreConfig::Redis(redis.url()), ..ServerConfig::default() };
    let (a, b) = (node(config()).await, node(config()).await);
    let store = Arc::new(Store(Mutex::new(Some(redis))));
    let target = Target { restarts_store: Some(store), durable: true, ..target(&[&a, &b]) };
    let restarts = |scenario: &Scenario| scenario.id == "deploy.store-restarted";
    let summary = played(Stage::Foreign(Arc::new(target)), &["reference", "cursor", "vscode"], restarts).await;
    let wrong: Vec<String> = summary.cases.iter().filter(|case| case.cell != Cell::Passed).map(told).collect();
    assert!(wrong.is_empty() && summary.cases.len() >= 3, "{} cases: {}", summary.cases.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_does_not_work_is_not_held_against_the_server() {
    let server = node(ServerConfig::default()).await;
    let folder = std::env::temp_dir().join(format!("mcp-rehearsal-deployments-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let config = folder.join("rehearsal.toml");
    let text = format!(
        "[targets.t]\nnodes = [\"{}\"]\nrestart = [\"sh\", \"-c\", \"echo no such unit >&2; exit 4\"]\n",
        server.url()
    );
    std::fs::write(&config, text).expect("written");
    let ran = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["run", "t", "--config"])
        .arg(&config)
        .args(["-s", "deploy.restarted", "-c", "cursor"])
        .output()
        .await
        .expect("the program runs");
    std::fs::remove_dir_all(&folder).expect("a folder of its own");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("no such unit") && told.contains("0 failed"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_named_on_the_command_line() {
    let (a, b) = (node(ServerConfig::default()).await, node(ServerConfig::default()).await);
    let run = async |arguments: &[&str]| {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"));
        let ran = program.arg("run").args(arguments).args(["-s", "deploy.other-node", "-c", "cursor"]).output().await;
        let ran = ran.expect("the program runs");
        let told = [String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)].concat();
        (ran.status.code(), told)
    };
    let (code, told) = run(&["--node", &a.url(), "--node", &b.url()]).await;
    assert_eq!(code, Some(10), "{told}");
    assert!(told.contains("The nodes do not share their sessions"), "{told}");
    let again = format!("mcp-rehearsal run --node {} --node {} -s deploy.other-node -c cursor", a.url(), b.url());
    assert!(told.contains(&again), "{told}");
    let (code, told) = run(&["--node", &a.url(), "--node", "http://127.0.0.1:1/other"]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("all nodes serve one resource"), "{told}");
    let (code, told) = run(&[&a.url(), "--nodes", "3"]).await;
    assert_eq!(code, Some(2), "{told}");
}

#[test]
fn every_restart_comes_after_a_call_and_before_one() {
    for scenario in scenario::shipped().iter().filter(|scenario| about_nodes(scenario)) {
        let restarts = |step: &scenario::Step| matches!(step.action, Action::Restart(_));
        let calls = |step: &scenario::Step| matches!(step.action, Action::Invoke(_));
        let (Some(first), Some(last)) =
            (scenario.steps.iter().position(restarts), scenario.steps.iter().rposition(restarts))
        else {
            continue;
        };
        assert!(scenario.steps[..first].iter().any(calls), "{}: nothing before the restart", scenario.id);
        assert!(scenario.steps[last..].iter().any(calls), "{}: nothing after the restart", scenario.id);
    }
}
