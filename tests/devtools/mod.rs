//! A real browser, driven over its debugging protocol: one process for all tests that run at the same time, and for each
//! test a page with cookies and a cache of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::outside::{LOOK, Patience, Program, installed, root};

/// The process; it ends with its last page.
struct Browser {
    _process: Mutex<Program>,
    url: String,
}

/// The browser that tests share.
fn browser() -> Arc<Browser> {
    static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let process = Program::start(Command::new(root().join("scripts/browser")).arg("run"));
        let url = process.line("devtools ");
        let started = Arc::new(Browser { _process: Mutex::new(process), url });
        *shared = Arc::downgrade(&started);
        started
    })
}

/// One page.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
    context: Value,
    session: Option<String>,
    /// Every event that the browser told, oldest first.
    events: Vec<Value>,
    browser: Arc<Browser>,
}

impl Page {
    /// Opens an empty page; `None` where there is no browser.
    pub(crate) async fn open() -> Option<Self> {
        if !installed("scripts/browser", "chromium") {
            return None;
        }
        let mut page = Self::connected(browser()).await;
        let context = page.ask("Target.createBrowserContext", &json!({"disposeOnDetach": true})).await;
        page.context = context["browserContextId"].clone();
        page.attach().await;
        Some(page)
    }

    /// Another page with the same cookies.
    pub(crate) async fn beside(&self) -> Self {
        let mut page = Self::connected(Arc::clone(&self.browser)).await;
        page.context = self.context.clone();
        page.attach().await;
        page
    }

    async fn connected(browser: Arc<Browser>) -> Self {
        let (socket, _) = connect_async(browser.url.as_str()).await.expect("the browser listens");
        Self { socket, last: 0, context: Value::Null, session: None, events: Vec::new(), browser }
    }

    async fn attach(&mut self) {
        let wanted = json!({"url": "about:blank", "browserContextId": self.context});
        let target = self.ask("Target.createTarget", &wanted).await;
        let wanted = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.ask("Target.attachToTarget", &wanted).await;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        self.ask("Page.enable", &json!({})).await;
        self.ask("Network.enable", &json!({})).await;
    }

    /// A command and its result, or what the browser says against it.
    async fn attempt(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).await.expect("the browser listens");
        let patience = Patience::new();
        loop {
            let mut told = self.next(&patience, method).await;
            if told["id"] == self.last {
                return if told["error"].is_null() { Ok(told["result"].take()) } else { Err(told["error"].take()) };
            }
            self.events.push(told);
        }
    }

    /// The next message of the browser, while `what` is waited for.
    async fn next(&mut self, patience: &Patience, what: &str) -> Value {
        loop {
            let told = tokio::time::timeout(patience.left(), self.socket.next()).await;
            let told = told.unwrap_or_else(|_| panic!("{what}: nothing comes")).expect("open").expect("a message");
            if let Message::Text(text) = told {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }

    /// A command that the browser has to take.
    pub(crate) async fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.attempt(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The parameters of all events of a kind so far.
    pub(crate) fn events(&self, method: &str) -> Vec<&Value> {
        self.events.iter().filter(|event| event["method"] == method).map(|event| &event["params"]).collect()
    }

    /// Forgets the events so far.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
    }

    /// Waits for an event of a kind that is as wanted, and gives its parameters.
    pub(crate) async fn hears(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let patience = Patience::new();
        loop {
            if let Some(event) = self.events(method).into_iter().find(|event| wanted(event)) {
                return event.clone();
            }
            let told = self.next(&patience, method).await;
            self.events.push(told);
        }
    }

    /// The value of a JavaScript expression; null while a page makes room for the next.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let wanted = json!({"expression": expression, "returnByValue": true});
        let told = self.attempt("Runtime.evaluate", &wanted).await.unwrap_or_default();
        told["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let patience = Patience::new();
        while self.value(expression).await != true {
            let at = self.value("location.href + ' ' + document.body.innerText").await;
            patience.holds(&format!("{expression} does not come true at {at}"));
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Goes to a URL and waits until there is an element that the selector names.
    pub(crate) async fn go(&mut self, url: &str, selector: &str) {
        self.ask("Page.navigate", &json!({"url": url})).await;
        self.shows(selector).await;
    }

    /// Waits until a whole page has an element that the selector names.
    pub(crate) async fn shows(&mut self, selector: &str) {
        let selector = json!(selector);
        self.until(&format!("document.readyState === 'complete' && document.querySelector({selector}) !== null")).await;
    }

    /// Waits until the browser stands at a URL that begins so; gives the URL.
    pub(crate) async fn arrives(&mut self, start: &str) -> url::Url {
        let start = json!(start);
        self.until(&format!("document.readyState === 'complete' && location.href.startsWith({start})")).await;
        self.place().await
    }

    /// Where the browser stands.
    pub(crate) async fn place(&mut self) -> url::Url {
        self.value("location.href").await.as_str().expect("a text").parse().expect("a URL")
    }

    /// What a person can read.
    pub(crate) async fn text(&mut self) -> String {
        self.value("document.body.innerText").await.as_str().expect("a text").to_owned()
    }

    /// The middle of an element, once a whole page has it.
    pub(crate) async fn middle(&mut self, selector: &str) -> Value {
        self.shows(selector).await;
        let selector = json!(selector);
        let middle = format!(
            "(() => {{ const e = document.querySelector({selector}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        );
        self.value(&middle).await
    }

    /// Clicks on a place with the mouse.
    pub(crate) async fn click_at(&mut self, place: &Value) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", &event).await;
        }
    }

    /// Clicks on an element with the mouse.
    pub(crate) async fn click(&mut self, selector: &str) {
        let place = self.middle(selector).await;
        self.click_at(&place).await;
    }

    /// Presses a key; `text` is what it types.
    pub(crate) async fn press(&mut self, key: &str, number: u32, text: &str) {
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number, "text": text});
            self.ask("Input.dispatchKeyEvent", &event).await;
        }
    }

    /// One step back in the history.
    pub(crate) async fn back(&mut self) {
        let history = self.ask("Page.getNavigationHistory", &json!({})).await;
        let before = history["currentIndex"].as_u64().expect("a number") - 1;
        let entry = &history["entries"][usize::try_from(before).expect("small")]["id"];
        self.ask("Page.navigateToHistoryEntry", &json!({"entryId": entry})).await;
    }

    /// Keeps a picture of the page among the test's temporary files, for whoever wants to look at it.
    pub(crate) async fn picture(&mut self, name: &str) {
        let taken = self.ask("Page.captureScreenshot", &json!({"format": "png"})).await;
        let bytes = STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64");
        fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png")), bytes).expect("written");
    }
}
