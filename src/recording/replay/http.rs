//! Plays over HTTP: each request once what it waited for has happened, on a connection of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use url::Url;

use super::script::{Heard, Part, Stage, parts};
use super::words::{Came, Spelling, Words};
use crate::model::{Clock, Kind, Rng, Via};
use crate::recording::recorder::CLIENT;
use crate::transcript::{End, Event, EventKind, Exchange, View, header};
use crate::wire::{Coding, Connection, Decoder, Frame, MAX_BODY, MAX_EVENTS, Place, Request, Tap, WireError};

/// How long a stream may take to show its head before the next request is sent.
const HEAD_WITHIN: Duration = Duration::from_secs(2);
/// How long a stream may stay open after its response.
const AFTER_RESPONSE: Duration = Duration::from_millis(250);

/// What the tasks share.
#[derive(Debug)]
struct Shared {
    tap: Tap,
    heard: Mutex<Heard>,
    /// The places for messages that event streams named (HTTP+SSE), by the exchanges that opened them.
    posts_to: Mutex<HashMap<u32, String>>,
    news: watch::Sender<u64>,
    patience: Duration,
}

/// An exchange under way.
#[derive(Debug)]
struct Running {
    task: JoinHandle<Came>,
    head: Option<oneshot::Receiver<()>>,
    hang_up: Option<oneshot::Sender<End>>,
}

/// A request ready to be sent.
#[derive(Debug)]
struct Ready {
    place: Place,
    request: Request,
    until: Option<Value>,
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place for messages that the stream of an exchange named.
    fn place_of(&self, line: u32) -> Option<String> {
        self.posts_to.lock().unwrap_or_else(PoisonError::into_inner).get(&line).cloned()
    }

    fn note(&self, exchange: u32, message: &Value) {
        self.heard().note(exchange, message);
        self.news.send_modify(|count| *count += 1);
    }
}

/// Plays everything, and gives what happened. What goes wrong is in the transcript.
pub async fn play_http(recorded: &View<'_>, stage: &Stage, clock: Arc<dyn Clock>, rng: &Rng) -> Vec<Event> {
    let tap = Tap::new(clock);
    for (_, value) in &stage.headers {
        tap.hide("header", value.split_once(' ').map_or(value.as_str(), |(_, secret)| secret));
    }
    let shared = Arc::new(Shared {
        tap,
        heard: Mutex::default(),
        posts_to: Mutex::default(),
        news: watch::Sender::new(0),
        patience: stage.patience,
    });
    let mut player = Player {
        recorded,
        stage,
        origin: origin(recorded),
        endpoint: endpoint(recorded),
        verifier: URL_SAFE_NO_PAD.encode(rng.bytes::<32>()),
        words: Words::default(),
        running: HashMap::new(),
        shared: Arc::clone(&shared),
        unreachable: 0,
    };
    for part in parts(recorded) {
        player.play(&part).await;
        // A server that was never there will not come.
        if player.unreachable > 0 {
            break;
        }
    }
    player.finish().await;
    shared.tap.take()
}

/// The origin by which the recorded client knew its server.
fn origin(recorded: &View<'_>) -> String {
    let host = recorded.exchanges.iter().find_map(|exchange| exchange.sent_header("host")).unwrap_or_default();
    format!("http://{host}")
}

/// The path of the recorded endpoint.
fn endpoint(recorded: &View<'_>) -> String {
    let carries = recorded.messages.iter().find(|msg| !msg.received() && msg.kind != Kind::Other);
    let exchange = carries.map(|msg| &recorded.exchanges[msg.exchange]);
    exchange.map_or("", |exchange| exchange.target.split('?').next().unwrap_or_default()).to_owned()
}

struct Player<'p> {
    recorded: &'p View<'p>,
    stage: &'p Stage,
    origin: String,
    endpoint: String,
    verifier: String,
    words: Words,
    running: HashMap<u32, Running>,
    shared: Arc<Shared>,
    unreachable: u32,
}

impl Player<'_> {
    async fn play(&mut self, part: &Part) {
        // What was answered is waited for before anything is let go of: a stream may carry the answers.
        for number in part.after.iter().filter(|number| !part.let_go.contains(number)) {
            self.see_end(*number).await;
        }
        for number in &part.let_go {
            self.hang_up(*number);
            self.see_end(*number).await;
        }
        for number in &part.after_head {
            if let Some(head) = self.running.get_mut(number).and_then(|running| running.head.take()) {
                // One without a head in that time is not waited for any longer.
                let _ = tokio::time::timeout(HEAD_WITHIN.min(self.shared.patience), head).await;
            }
        }
        let id = match &part.answers {
            Some(question) => self.asked(question).await,
            None => None,
        };
        let Some(exchange) = self.recorded.exchanges.iter().find(|exchange| exchange.number == part.number) else {
            return;
        };
        let on_line = exchange.via == Via::LegacySse && exchange.channel.is_some();
        if on_line {
            self.see_line(part, exchange.channel).await;
        }
        let ready = self.ready(exchange, part, id.as_ref());
        let (head, seen) = oneshot::channel();
        let (hang_up, asked_to_end) = oneshot::channel();
        let (shared, number) = (Arc::clone(&self.shared), part.number);
        let trust = self.stage.trust.clone();
        let patience = self.shared.patience;
        let opens = exchange.method == "GET";
        let task = tokio::spawn(async move {
            let mut came = Came::default();
            let mut head = Some(head);
            let run = run(&shared, number, &ready, &trust, &mut came, &mut head);
            let end = tokio::select! {
                end = run => end,
                Ok(end) = asked_to_end => end,
                // A stream of the server may stay open for as long as the client wants it.
                () = tokio::time::sleep(patience), if !opens => End::TimedOut,
            };
            finish(&shared, number, end, &came);
            came
        });
        self.running.insert(part.number, Running { task, head: Some(seen), hang_up: Some(hang_up) });
    }

    fn hang_up(&mut self, number: u32) {
        if let Some(hang_up) = self.running.get_mut(&number).and_then(|running| running.hang_up.take()) {
            // An error means that it is over already.
            let _ = hang_up.send(End::ClosedByUs);
        }
    }

    /// Waits for the end of an exchange, and learns from it.
    async fn see_end(&mut self, number: u32) {
        let Some(mut running) = self.running.remove(&number) else { return };
        let ended = tokio::time::timeout(self.shared.patience, &mut running.task).await;
        let came = if let Ok(came) = ended {
            came.unwrap_or_default()
        } else {
            // A stream that the recorded server had ended by then.
            if let Some(hang_up) = running.hang_up.take() {
                let _ = hang_up.send(End::TimedOut);
            }
            running.task.await.unwrap_or_default()
        };
        if came.status == Some(0) {
            self.unreachable += 1;
        }
        if let Some(exchange) = self.recorded.exchanges.iter().find(|exchange| exchange.number == number) {
            self.words.learn(exchange, &came);
        }
    }

    /// Waits until the event stream named its place for messages and brought what it had brought by then.
    async fn see_line(&self, part: &Part, line: Option<u32>) {
        let mut news = self.shared.news.subscribe();
        let ready = async {
            loop {
                let named = line.is_none_or(|line| self.shared.place_of(line).is_some());
                let heard = self.shared.heard().has(&part.answered);
                if (named && heard) || news.changed().await.is_err() {
                    return;
                }
            }
        };
        // What did not come in that time does not come.
        let _ = tokio::time::timeout(self.shared.patience, ready).await;
    }

    /// The id under which the server asked a question now, once it has.
    async fn asked(&self, question: &super::script::Question) -> Option<Value> {
        let mut news = self.shared.news.subscribe();
        let limit = tokio::time::sleep(self.shared.patience);
        tokio::pin!(limit);
        loop {
            if let Some(id) = self.shared.heard().id_of(question) {
                return Some(id);
            }
            tokio::select! {
                changed = news.changed() => changed.ok()?,
                () = &mut limit => return None,
            }
        }
    }

    async fn finish(&mut self) {
        let streams =
            |number: &u32| self.recorded.exchanges.iter().any(|one| one.number == *number && one.method == "GET");
        let (mut streams, mut left): (Vec<u32>, Vec<u32>) = self.running.keys().copied().partition(streams);
        left.sort_unstable();
        streams.sort_unstable();
        for number in left {
            self.see_end(number).await;
        }
        // What the recorded server had answered on a stream is waited for before the stream is left.
        if self.recorded.exchanges.iter().any(|exchange| exchange.via == Via::LegacySse) {
            self.see_line(&Part::last(self.recorded), None).await;
        }
        for number in streams {
            self.hang_up(number);
            self.see_end(number).await;
        }
    }

    /// The recorded request with what stands now for what was recorded.
    fn ready(&self, exchange: &Exchange, part: &Part, id: Option<&Value>) -> Ready {
        let (path, query) = exchange
            .target
            .split_once('?')
            .map_or((exchange.target.as_str(), None), |(path, query)| (path, Some(query)));
        let (place, host, path) = self.place(path);
        let own = self.stage.path.split_once('?').map(|(_, query)| query).filter(|_| path == self.path());
        let query = query.map(|query| self.form(query)).or_else(|| own.map(str::to_owned));
        let mut target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        if let Some(line) = exchange.channel.filter(|_| exchange.via == Via::LegacySse) {
            target = self.shared.place_of(line).unwrap_or(target);
        }
        let is_form = exchange.sent_header("content-type").is_some_and(|kind| kind.contains("form-urlencoded"));
        let body = exchange.body.as_deref().map(|body| {
            let filled = if is_form { self.form(body) } else { self.words.fill(body, Spelling::Json) };
            id.map_or(filled.clone(), |id| with_id(&filled, id))
        });
        let mut request = Request { via: exchange.via, ..Request::to(target, &exchange.method) };
        request.body = body.unwrap_or_default().into_bytes();
        let length = request.body.len();
        let filled = |name: &str, value: &str| Some(self.header(name, value, &host, length)?.into());
        let headers = exchange.headers.iter();
        request.headers = headers.filter_map(|(name, value)| Some((name.clone(), filled(name, value)?))).collect();
        for (name, value) in &self.stage.headers {
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            request.headers.push((name.clone(), value.clone()));
        }
        Ready { place, request, until: part.until.clone() }
    }

    fn path(&self) -> &str {
        self.stage.path.split('?').next().unwrap_or_default()
    }

    /// Where a recorded path is now: at the place that a document of the new server names, at its endpoint, or at the same
    /// path with the new endpoint in it.
    fn place(&self, path: &str) -> (Place, String, String) {
        let here = |path: String| (self.stage.place.clone(), self.stage.host.clone(), path);
        if path == self.endpoint {
            return here(self.path().to_owned());
        }
        let named = self.words.url(&format!("{}{path}", self.origin)).and_then(|url| Url::parse(url).ok());
        if let Some(url) = named {
            let host = url.host_str().unwrap_or_default().to_owned();
            let port = url.port_or_known_default().unwrap_or(80);
            let shown = url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            let place = Place { host, port, tls: url.scheme() == "https", through: None, inlet: None };
            return (place, shown, url.path().to_owned());
        }
        // Metadata of a resource has the path of the endpoint in its own.
        let renamed = match path.strip_suffix(self.endpoint.as_str()) {
            Some(before) if before.contains("/.well-known/") && self.endpoint.len() > 1 => {
                format!("{before}{}", self.path())
            }
            _ => path.to_owned(),
        };
        here(renamed)
    }

    fn header(&self, name: &str, value: &str, host: &str, length: usize) -> Option<String> {
        Some(match name.to_ascii_lowercase().as_str() {
            "host" => host.to_owned(),
            "content-length" => length.to_string(),
            "accept-encoding" => "gzip, deflate".to_owned(),
            "cookie" => return None,
            "authorization" => match value.split_once(' ') {
                Some((scheme, _)) if scheme.eq_ignore_ascii_case("basic") => format!("{scheme} {}", self.basic()?),
                Some((scheme, label)) => format!("{scheme} {}", self.words.get(label)?),
                None => return None,
            },
            // A key that was hidden when it was recorded is not there to be sent.
            _ if value.starts_with("header#") => return None,
            _ => self.words.fill(value, Spelling::Plain).replace(&self.origin, &self.new_origin()),
        })
    }

    /// The credentials of a client that was registered anew, as RFC 6749 section 2.3.1 has them.
    fn basic(&self) -> Option<String> {
        let find = |name: &str| {
            let recorded = self.recorded.exchanges.iter().find_map(|exchange| exchange.got_json()?[name].as_str())?;
            self.words.get(recorded).map(str::to_owned)
        };
        Some(STANDARD.encode(format!("{}:{}", find("client_id")?, find("client_secret")?)))
    }

    fn new_origin(&self) -> String {
        let scheme = if self.stage.place.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.stage.host)
    }

    /// A query or a form, each value by itself.
    fn form(&self, text: &str) -> String {
        let challenge = || URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()));
        let resource = format!("{}{}", self.origin, self.endpoint);
        let pairs = url::form_urlencoded::parse(text.as_bytes()).map(|(name, value)| {
            let new = match &*name {
                "code_challenge" => challenge(),
                "code_verifier" => self.verifier.clone(),
                "resource" if value == resource => format!("{}{}", self.new_origin(), self.path()),
                _ => self.words.fill(&value, Spelling::Plain).replace(&self.origin, &self.new_origin()),
            };
            (name.into_owned(), new)
        });
        let pairs: Vec<(String, String)> = pairs.collect();
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// A message under another id.
fn with_id(body: &str, id: &Value) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(mut message) if message.is_object() => {
            message["id"] = id.clone();
            message.to_string()
        }
        _ => body.to_owned(),
    }
}

/// Writes the end down, and right before it the body.
fn finish(shared: &Shared, exchange: u32, end: End, came: &Came) {
    let body = came.body.as_ref().filter(|body| !body.is_empty());
    let body = body.map(|text| EventKind::Body { exchange, text: text.as_str().into(), utf8: true });
    shared.tap.record_all(CLIENT, body.into_iter().chain([EventKind::End { exchange, end }]).collect());
}

/// One exchange from its connection to the end of its answer.
async fn run(
    shared: &Shared,
    exchange: u32,
    ready: &Ready,
    trust: &crate::wire::Trust,
    came: &mut Came,
    head: &mut Option<oneshot::Sender<()>>,
) -> End {
    let Ready { place, request, until } = ready;
    shared.tap.record(
        CLIENT,
        EventKind::Request {
            exchange,
            connection: exchange,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: (!request.body.is_empty()).then(|| String::from_utf8_lossy(&request.body).into()),
            via: Via::StreamableHttp,
            channel: None,
            tls: place.tls,
        },
    );
    let mut connection = match Connection::open(place, trust, exchange, shared.patience).await {
        Ok(connection) => connection,
        Err(error) => {
            // Stands for a server that is not there.
            came.status = Some(0);
            return End::Failed(error.to_string());
        }
    };
    let told = async {
        connection.send(request).await?;
        connection.head(&request.method).await
    };
    let answer = match told.await {
        Ok(answer) => answer,
        Err(error) => return ended(error),
    };
    shared.tap.record(CLIENT, EventKind::Response { exchange, status: answer.status, headers: answer.headers.clone() });
    came.status = Some(answer.status);
    came.headers.clone_from(&answer.headers);
    if let Some(head) = head.take() {
        // Nobody has to wait for it.
        let _ = head.send(());
    }
    let stream = header(&answer.headers, "content-type")
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
    let mut coding = match Coding::of(&answer.headers, &request.headers) {
        Ok(coding) => coding,
        Err(error) => return End::Unread(error.to_string()),
    };
    let mut decoder = Decoder::new();
    let (mut body, mut taken) = (Vec::new(), 0);
    let mut responded = false;
    loop {
        let next = if responded {
            match tokio::time::timeout(AFTER_RESPONSE, connection.piece()).await {
                Ok(next) => next,
                Err(_) => return End::ClosedByUs,
            }
        } else {
            connection.piece().await
        };
        let piece = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => return ended(error),
        };
        taken += piece.len();
        let data = match coding.decode(&piece) {
            Ok(data) => data,
            Err(error) => return End::Unread(error.to_string()),
        };
        if taken > MAX_BODY || came.events.len() > MAX_EVENTS {
            return End::TooLarge(MAX_BODY);
        }
        if !stream {
            body.extend_from_slice(&data);
            continue;
        }
        for frame in decoder.feed(&data) {
            let Frame::Event { id, event, data, retry } = frame else { continue };
            if let Some(place) = data.as_ref().filter(|_| event.as_deref() == Some("endpoint")) {
                let local =
                    Url::parse(place).map_or_else(|_| place.clone(), |url| url[url::Position::BeforePath..].to_owned());
                shared.posts_to.lock().unwrap_or_else(PoisonError::into_inner).insert(exchange, local);
                shared.news.send_modify(|count| *count += 1);
            }
            if let Some(message) = data.as_deref().and_then(|data| serde_json::from_str::<Value>(data).ok()) {
                shared.note(exchange, &message);
                responded |= until.as_ref().is_some_and(|id| message.get("method").is_none() && message["id"] == *id);
            }
            came.events.push((id.clone(), data.clone()));
            let data = data.map(Into::into);
            shared.tap.record(CLIENT, EventKind::Sse { exchange, id, event, data, retry });
        }
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if let Ok(message) = serde_json::from_str::<Value>(&text) {
        shared.note(exchange, &message);
    }
    came.body = (!text.is_empty()).then_some(text);
    End::Complete
}

fn ended(error: WireError) -> End {
    match error {
        WireError::CutShort | WireError::Closed => End::CutShort,
        other => End::Failed(other.to_string()),
    }
}
