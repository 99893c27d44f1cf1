//! One lifecycle: decide, send, understand, compare, deed by deed.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::ask::{LEGACY, Writer, understand};
use super::deed::{Bearer, Deed, Id, Seen};
use super::ground::Standing;
use super::link::{Answer, Answered, Events};
use super::model::{Broken, World};
use super::names::Names;
use super::op::{BearerPick, Op, Pick, Whose, decide};
use super::terms::Terms;
use super::worlds::{Act, Verdict, Worlds};
use crate::model::{Clock as _, Rng};
use crate::wire::Frame;

/// How long the first event of a stream may take, and what may follow a response.
const SOON: Duration = Duration::from_millis(200);

/// A transition of the model: a deed, what it met, and how it went.
pub(crate) type Transition = (&'static str, &'static str, &'static str);

/// Deeds that were under way at once, and when they were sent, since the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) at: Duration,
    pub(crate) acts: Vec<Act>,
}

/// How a lifecycle went.
#[derive(Debug, Clone, Default)]
pub(crate) struct Played {
    /// What was done, the preamble first.
    pub(crate) rounds: Vec<Round>,
    /// The rule that the last round broke.
    pub(crate) broken: Option<Broken>,
    /// A state before the last round that explains all before it.
    pub(crate) before: World,
    /// How many operations were done after the preamble, and how many requests were made in all.
    pub(crate) operations: u64,
    pub(crate) requests: u64,
    pub(crate) transitions: HashSet<Transition>,
    pub(crate) shapes: HashSet<u64>,
    /// Whether it was given up because the model could not follow.
    pub(crate) lost: bool,
}

/// What comes before the operations: a client registers, logs in and opens a session.
pub(crate) fn preamble(terms: &Terms) -> Vec<Op> {
    let newest = Pick(0);
    if !terms.guarded {
        return vec![Op::Open { bearer: BearerPick::Nothing }];
    }
    vec![
        Op::Register,
        Op::Authorise { client: newest, other_user: false, wide: false, elsewhere: false },
        Op::Exchange { code: newest, by: Whose::Own, flaw: None },
        Op::Open { bearer: BearerPick::Own },
    ]
}

/// A call whose answer is streamed.
struct Stream {
    session: Id,
    request: u32,
    events: Option<Events>,
    last: Option<String>,
    ids: HashSet<String>,
    progress: f64,
    responses: u32,
    repeated: bool,
}

impl Stream {
    fn take(&mut self, frame: &Frame) {
        let Frame::Event { id, data, .. } = frame else { return };
        if let Some(id) = id {
            self.repeated |= !self.ids.insert(id.clone());
            self.last = Some(id.clone());
        }
        let message: Value = data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        if message["id"] == json!(self.request) && (message.get("result").is_some() || message.get("error").is_some()) {
            self.responses += 1;
        } else if let Some(progress) = message["params"]["progress"].as_f64() {
            self.repeated |= progress <= self.progress;
            self.progress = progress;
        }
    }
}

/// A lifecycle under way.
struct Player<'a> {
    standing: &'a Standing,
    names: Names,
    rng: Rng,
    next_id: u32,
    streams: BTreeMap<Id, Stream>,
    played: Played,
}

/// Plays a lifecycle until it is through or breaks a rule.
pub(crate) async fn play(standing: &Standing, ops: &[Op], terms: &Terms, seed: u64) -> Played {
    let mut player = Player {
        standing,
        names: Names { sessionless: !terms.sessions, ..Names::default() },
        rng: Rng::seeded(seed),
        next_id: 0,
        streams: BTreeMap::new(),
        played: Played::default(),
    };
    let mut worlds = Worlds::new();
    let preamble = preamble(terms);
    for (number, op) in preamble.iter().chain(ops).enumerate() {
        let deeds = decide(op, &player.names, worlds.any(), terms);
        if deeds.is_empty() {
            continue;
        }
        let at = worlds.any().now;
        if number >= preamble.len() {
            player.played.operations += deeds.len() as u64;
        }
        let acts = player.round(&deeds).await;
        if standing.is_foreign() {
            // What was waited for is an act of its own.
            let waited = |act: &Act| if let Deed::Pass(length) = act.deed { length } else { Duration::ZERO };
            let passed = standing.clock.elapsed().saturating_sub(at + acts.iter().map(waited).sum::<Duration>());
            let act = Act { deed: Deed::Pass(passed), seen: Seen::Done, began: 0, over: 1 };
            // Time passes in every state.
            let _ = worlds.take(&[act], terms);
        }
        let before = worlds.any().clone();
        let verdict = worlds.take(&acts, terms);
        player.played.rounds.push(Round { at, acts });
        match verdict {
            Verdict::Fine(met) => {
                let transitions = met.iter().map(|(deed, situation, seen)| (deed.word(), *situation, *seen));
                player.played.transitions.extend(transitions);
                player.played.shapes.insert(worlds.any().shape());
            }
            Verdict::Broken(broken) => {
                player.played.broken = Some(broken);
                player.played.before = before;
                break;
            }
            Verdict::TooMany => {
                player.played.lost = true;
                break;
            }
        }
    }
    player.played
}

/// Reads an answer that comes as a stream to its response, so that it is one whole answer.
async fn whole(answer: &mut Answer, events: Option<Events>, id: u32, patience: Duration) {
    let Some(mut events) = events else { return };
    let message = tokio::time::timeout(patience, events.message(id)).await.ok().flatten();
    answer.body = message.unwrap_or_default().to_string().into_bytes();
}

impl Player<'_> {
    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Does everything of a round at once.
    async fn round(&mut self, deeds: &[Deed]) -> Vec<Act> {
        if let [deed] = deeds {
            let seen = self.one(deed).await;
            return vec![Act { deed: *deed, seen, began: 0, over: 1 }];
        }
        let mut under_way = FuturesUnordered::new();
        let mut began = 0_u32;
        let mut acts: Vec<Option<Act>> = deeds.iter().map(|_| None).collect();
        let mut written = Vec::new();
        for (at, deed) in deeds.iter().enumerate() {
            let (id, verifier) = (self.id(), self.rng.hex(32));
            let writer = Writer { places: &self.standing.places, names: &self.names, id, verifier: &verifier };
            let Some(request) = writer.request(deed) else { continue };
            self.played.requests += 1;
            written.push((id, verifier));
            let (link, place, number) = (&self.standing.link, written.len() - 1, began);
            under_way.push(async move { (at, place, number, link.ask(request).await) });
            began += 1;
        }
        let (mut over, mut answers) = (began, BTreeMap::new());
        while let Some((at, place, began, answered)) = under_way.next().await {
            answers.insert(at, (place, began, over, answered));
            over += 1;
        }
        drop(under_way);
        // Numbers are given in the order of the deeds, so that what comes later does not hang on who was quicker.
        for (at, (place, began, over, answered)) in answers {
            let deed = deeds[at];
            let (id, verifier) = &written[place];
            let seen = match answered {
                Ok((mut answer, events)) => {
                    whole(&mut answer, events, *id, self.standing.link.patience()).await;
                    understand(&deed, &answer, &mut self.names, *id, verifier)
                }
                Err(why) => Seen::Silence(why),
            };
            acts[at] = Some(Act { deed, seen, began, over });
        }
        let acts: Vec<Act> = acts.into_iter().flatten().collect();
        for act in &acts {
            self.introduce(&act.deed, &act.seen).await;
        }
        acts
    }

    /// Does one deed.
    async fn one(&mut self, deed: &Deed) -> Seen {
        match *deed {
            Deed::Pass(length) => {
                if self.standing.is_foreign() {
                    tokio::time::sleep(length).await;
                } else {
                    self.standing.clock.advance(length);
                }
                Seen::Done
            }
            Deed::Reconnect => {
                self.standing.link.hang_up();
                self.streams.values_mut().for_each(|stream| stream.events = None);
                Seen::Done
            }
            Deed::Drop { call } => {
                if let Some(stream) = self.streams.get_mut(&call) {
                    stream.events = None;
                }
                Seen::Done
            }
            Deed::Cancel { call, bearer } => self.cancel(call, bearer).await,
            Deed::Finish { call, bearer, passes, resumes } => self.finish(call, bearer, passes, resumes).await,
            _ => self.exchange(deed).await,
        }
    }

    async fn exchange(&mut self, deed: &Deed) -> Seen {
        let (id, verifier) = (self.id(), self.rng.hex(32));
        let writer = Writer { places: &self.standing.places, names: &self.names, id, verifier: &verifier };
        let Some(request) = writer.request(deed) else { return Seen::Odd("nothing could be sent".to_owned()) };
        self.played.requests += 1;
        let (mut answer, mut events): Answered = match self.standing.link.ask(request).await {
            Ok(answered) => answered,
            Err(why) => return Seen::Silence(why),
        };
        if !matches!(deed, Deed::Start { .. }) {
            whole(&mut answer, events.take(), id, self.standing.link.patience()).await;
        }
        let seen = understand(deed, &answer, &mut self.names, id, &verifier);
        if let (Deed::Start { session, .. }, Seen::Call(call), Some(mut events)) = (deed, &seen, events) {
            let mut stream = Stream {
                session: *session,
                request: id,
                events: None,
                last: None,
                ids: HashSet::new(),
                progress: -1.0,
                responses: 0,
                repeated: false,
            };
            if let Ok(Some(frame)) = tokio::time::timeout(SOON, events.next()).await {
                stream.take(&frame);
            }
            stream.events = Some(events);
            self.streams.insert(*call, stream);
        }
        self.introduce(deed, &seen).await;
        seen
    }

    /// A session that was opened is told that its client is ready.
    async fn introduce(&mut self, deed: &Deed, seen: &Seen) {
        if let (Deed::Open { bearer }, Seen::Session(session)) = (deed, seen) {
            self.tell("notifications/initialized", &json!({}), *session, *bearer).await;
        }
    }

    async fn tell(&mut self, method: &str, params: &Value, session: Id, bearer: Bearer) -> Option<Answered> {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let writer = Writer { places: &self.standing.places, names: &self.names, id: 0, verifier: "" };
        let version = [("mcp-protocol-version", LEGACY)];
        let request = writer.post(&message, Some(writer.session(session)), bearer, &version)?;
        self.played.requests += 1;
        self.standing.link.ask(request).await.ok()
    }

    async fn cancel(&mut self, call: Id, bearer: Bearer) -> Seen {
        let Some((session, request)) = self.streams.get(&call).map(|stream| (stream.session, stream.request)) else {
            return Seen::Odd("no such call".to_owned());
        };
        let told = self.tell("notifications/cancelled", &json!({"requestId": request}), session, bearer).await;
        let Some((answer, _)) = told else { return Seen::Silence("none".to_owned()) };
        understand(&Deed::Cancel { call, bearer }, &answer, &mut self.names, 0, "")
    }

    async fn finish(&mut self, call: Id, bearer: Bearer, passes: Duration, resumes: bool) -> Seen {
        self.standing.clock.advance(passes);
        let Some(mut stream) = self.streams.remove(&call) else { return Seen::Odd("no such call".to_owned()) };
        if resumes {
            let Some(last) = stream.last.clone() else { return Seen::Odd("the stream told no event id".to_owned()) };
            let writer = Writer { places: &self.standing.places, names: &self.names, id: 0, verifier: "" };
            let session = writer.session(stream.session);
            let Some(request) = writer.bare("GET", session, bearer, Some(&last)) else {
                return Seen::Odd("nothing could be sent".to_owned());
            };
            self.played.requests += 1;
            match self.standing.link.ask(request).await {
                Ok((answer, Some(events))) if answer.status == 200 => stream.events = Some(events),
                Ok((answer, _)) => return Seen::Refused { status: answer.status, error: String::new() },
                Err(why) => return Seen::Silence(why),
            }
        }
        let Some(mut events) = stream.events.take() else { return Seen::Odd("the stream was dropped".to_owned()) };
        loop {
            let limit = if stream.responses > 0 { SOON } else { self.standing.link.patience() };
            match tokio::time::timeout(limit, events.next()).await {
                Ok(Some(frame)) => stream.take(&frame),
                Ok(None) | Err(_) => break,
            }
        }
        Seen::Stream { responses: stream.responses, repeated: stream.repeated }
    }
}
