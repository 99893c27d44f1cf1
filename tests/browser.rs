//! The consent page in a real browser: what a person sees there, where each answer leads, and what other sites cannot do.

use mcp_rehearsal::model::{HybridClock, Rng};
use mcp_rehearsal::server::{AuthConfig, Consent, RunningServer, ServerConfig, start};
use reqwest::Client;
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

mod devtools;
#[expect(dead_code, reason = "other tests use the rest")]
mod outside;

use devtools::Page;

/// 43 characters, as RFC 7636 wants them, and what SHA-256 makes of them.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const STATE: &str = "a/b c&d";
const ALLOW: &str = "button[value=allow]";
const DENY: &str = "button[value=deny]";

/// A server that asks a person, and a client whose own site is on loopback.
struct Stage {
    server: RunningServer,
    site: MockServer,
    http: Client,
    client: String,
    redirect: String,
}

impl Stage {
    /// `redirect` is where the client wants its answers; its own site unless told otherwise.
    async fn open(name: &str, redirect: Option<&str>) -> Self {
        let auth = AuthConfig { consent: Consent::Page, ..AuthConfig::default() };
        let config = ServerConfig { control: true, auth: Some(auth), ..ServerConfig::default() };
        let server = start(config, HybridClock::new(), Rng::seeded(1)).await.expect("a free port");
        let site = MockServer::start().await;
        let page = "<!doctype html><title>Back</title><p>Back at the client.</p>";
        let answer = ResponseTemplate::new(200).set_body_raw(page, "text/html");
        Mock::given(method("GET")).and(path("/callback")).respond_with(answer).mount(&site).await;
        let redirect = redirect.map_or_else(|| format!("{}/callback", site.uri()), str::to_owned);
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("client");
        let mut stage = Self { server, site, http, client: String::new(), redirect };
        let registration = json!({"client_name": name, "redirect_uris": [stage.redirect],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"]});
        let told = stage.http.post(stage.at("/register")).json(&registration).send().await.expect("an answer");
        let told: Value = told.json().await.expect("JSON");
        told["client_id"].as_str().unwrap_or_else(|| panic!("no client: {told}")).clone_into(&mut stage.client);
        stage
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.addr())
    }

    /// The authorization URL, with some parameters different.
    fn authorize(&self, changed: &[(&str, &str)]) -> String {
        let resource = self.server.url();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client.as_str()),
            ("redirect_uri", self.redirect.as_str()),
            ("state", STATE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", resource.as_str()),
            ("scope", "mcp:read mcp:write offline_access"),
        ];
        pairs.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
        pairs.extend(changed);
        Url::parse_with_params(&self.at("/authorize"), pairs).expect("a URL").into()
    }

    /// Status and tokens for a code.
    async fn exchange(&self, code: &str) -> (u16, Value) {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client.as_str()),
            ("code", code),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", VERIFIER),
        ];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let ask = self.http.post(self.at("/token")).header("content-type", "application/x-www-form-urlencoded");
        let answer = ask.body(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// A code is good for tokens, and those open the endpoint.
    async fn opens(&self, code: &str) {
        let (status, tokens) = self.exchange(code).await;
        assert_eq!(status, 200, "{tokens}");
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
        let ask =
            self.http.post(self.server.url()).json(&hello).header("accept", "application/json, text/event-stream");
        let answer =
            ask.bearer_auth(tokens["access_token"].as_str().expect("a token")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    /// How many codes were given out.
    async fn codes(&self) -> u64 {
        let told = self.http.get(self.at("/control/authorization")).send().await.expect("an answer");
        let told: Value = told.json().await.expect("JSON");
        told["counts"]["codes"].as_u64().unwrap_or_else(|| panic!("no codes in {told}"))
    }

    /// Waits until the browser is back at the client, and gives what it brings: the code or error, and the rest checked.
    async fn returns(&self, page: &mut Page, what: &str) -> String {
        let place = page.arrives(&self.redirect).await;
        self.brings(&place, what)
    }

    fn brings(&self, place: &Url, what: &str) -> String {
        let brought =
            |name: &str| place.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        assert_eq!(brought("state").as_deref(), Some(STATE), "{place}");
        assert_eq!(brought("iss"), Some(self.at("")), "{place}");
        brought(what).unwrap_or_else(|| panic!("no {what} in {place}"))
    }
}

/// A browser that shows the page of a client; `None` where there is no browser.
async fn asked(name: &str, redirect: Option<&str>) -> Option<(Page, Stage)> {
    let mut page = Page::open().await?;
    let stage = Stage::open(name, redirect).await;
    page.go(&stage.authorize(&[]), ALLOW).await;
    Some((page, stage))
}

/// A site of somebody else's: by its name, because a browser takes another port of the same host for the same site.
async fn elsewhere(page: String) -> (MockServer, String) {
    let site = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw(page, "text/html");
    Mock::given(method("GET")).respond_with(answer).mount(&site).await;
    let url = site.uri().replace("127.0.0.1", "localhost");
    (site, url)
}

#[tokio::test]
async fn the_page_says_who_wants_what_and_a_name_stays_text() {
    let evil = "<b>Evil</b> & Sons <script>document.title='owned'</script>";
    let Some((mut page, stage)) = asked(evil, None).await else { return };
    let text = page.text().await;
    let host = stage.site.address().to_string();
    for shown in [evil, &host, "mcp:read", "mcp:write", &stage.server.url(), "nobody has checked it", "30 days"] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert_eq!(page.value("document.title").await, "Allow access?");
    assert_eq!(page.value("document.querySelectorAll('script, b').length").await, 0);
    let loaded = page.events("Network.requestWillBeSent");
    assert!(!loaded.is_empty());
    for event in loaded {
        let url = event["request"]["url"].as_str().expect("a URL");
        assert!(url.starts_with(&stage.at("/")), "the page loads {url}");
    }
}

#[tokio::test]
async fn allowing_logs_in_without_any_script() {
    let Some(mut page) = Page::open().await else { return };
    let stage = Stage::open("Scriptless", None).await;
    page.ask("Emulation.setScriptExecutionDisabled", &json!({"value": true})).await;
    page.go(&stage.authorize(&[("login_hint", "ada")]), ALLOW).await;
    assert_eq!(page.value("document.getElementById('user').value").await, "ada");
    page.click(ALLOW).await;
    let code = stage.returns(&mut page, "code").await;
    stage.opens(&code).await;
}

#[tokio::test]
async fn denying_by_the_keyboard_leads_back_with_the_reason() {
    let Some((mut page, stage)) = asked("Keys", None).await else { return };
    let mut stops = Vec::new();
    for _ in 0..3 {
        page.press("Tab", 9, "").await;
        stops.push(page.value("document.activeElement.id + document.activeElement.value").await);
    }
    assert_eq!(stops, ["useruser-1", "allow", "deny"]);
    page.picture("consent-keyboard").await;
    page.press("Enter", 13, "\r").await;
    assert_eq!(stage.returns(&mut page, "error").await, "access_denied");
    assert_eq!(stage.codes().await, 0);
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_in_doubt() {
    let Some(mut page) = Page::open().await else { return };
    let stage = Stage::open("Careful", None).await;
    let other = format!("{}/elsewhere", stage.site.uri());
    for (changed, why) in [
        (("client_id", "nobody"), "the client is unknown"),
        (("redirect_uri", other.as_str()), "redirect_uri is not one"),
    ] {
        let url = stage.authorize(&[changed]);
        page.go(&url, "h1").await;
        let text = page.text().await;
        assert!(text.contains("This request cannot be granted") && text.contains(why), "{text}");
        assert_eq!(page.place().await.as_str(), url);
        assert_eq!(page.value("document.querySelectorAll('form, a, meta[http-equiv]').length").await, 0);
    }
    assert_eq!(stage.site.received_requests().await.expect("recorded").len(), 0);
}

#[tokio::test]
async fn no_site_can_put_the_page_into_a_frame() {
    let Some(mut page) = Page::open().await else { return };
    let stage = Stage::open("Framed", None).await;
    let url = stage.authorize(&[]).replace('&', "&amp;");
    let (_site, trap) = elsewhere(format!("<!doctype html><iframe src=\"{url}\"></iframe>")).await;
    page.ask("Log.enable", &json!({})).await;
    page.go(&trap, "iframe").await;
    let told = page
        .hears("Log.entryAdded", |told| told["entry"]["text"].as_str().is_some_and(|text| text.contains("Framing")))
        .await;
    let why = told["entry"]["text"].as_str().expect("a text");
    assert!(why.contains(&stage.at("/")) && why.contains("frame-ancestors 'none'"), "{why}");
    page.hears("Network.loadingFailed", |told| told["blockedReason"].is_string()).await;
}

#[tokio::test]
async fn an_answer_cannot_be_forged_by_another_site() {
    let Some((mut page, stage)) = asked("Forged", None).await else { return };
    let own = page.value("document.querySelector('[name=request]').value").await;
    // A page that the attacker was shown, and the person's own, which no other site can know.
    let shown = stage.http.get(stage.authorize(&[])).send().await.expect("an answer").text().await.expect("text");
    let theirs =
        shown.split("name=\"request\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
    let mut tab = page.beside().await;
    for id in ["", theirs, own.as_str().expect("a text")] {
        let (_site, trap) = elsewhere(format!(
            "<!doctype html><form method=post action=\"{}\"><input name=request value=\"{id}\">\
             <input name=answer value=allow></form><script>document.forms[0].submit()</script>",
            stage.at("/consent")
        ))
        .await;
        tab.ask("Page.navigate", &json!({"url": trap})).await;
        tab.arrives(&stage.at("/consent")).await;
        assert!(tab.text().await.contains("This page has had its time"));
    }
    assert_eq!(stage.codes().await, 0);
    page.click(ALLOW).await;
    let code = stage.returns(&mut page, "code").await;
    stage.opens(&code).await;
}

#[tokio::test]
async fn two_tabs_do_not_get_in_each_others_way() {
    let Some((mut first, stage)) = asked("Tabs", None).await else { return };
    let mut second = first.beside().await;
    second.go(&stage.authorize(&[("code_challenge", "x".repeat(43).as_str())]), ALLOW).await;
    first.click(ALLOW).await;
    let code = stage.returns(&mut first, "code").await;
    stage.opens(&code).await;
    second.click(DENY).await;
    assert_eq!(stage.returns(&mut second, "error").await, "access_denied");
}

#[tokio::test]
async fn a_double_click_allows_once() {
    let Some((mut page, stage)) = asked("Twice", None).await else { return };
    // The answer to the first click is on its way when the second one comes, and the browser lets go of the first.
    let held = json!({"patterns": [{"urlPattern": stage.at("/consent"), "requestStage": "Response"}]});
    page.ask("Fetch.enable", &held).await;
    let button = page.middle(ALLOW).await;
    page.click_at(&button).await;
    let first = page.hears("Fetch.requestPaused", |_| true).await;
    page.click_at(&button).await;
    page.hears("Fetch.requestPaused", |told| told["requestId"] != first["requestId"]).await;
    page.ask("Fetch.disable", &json!({})).await;
    let code = stage.returns(&mut page, "code").await;
    assert_eq!(stage.codes().await, 1);
    stage.opens(&code).await;
}

#[tokio::test]
async fn a_request_that_is_allowed_again_has_one_code() {
    let Some((mut page, stage)) = asked("Again", None).await else { return };
    page.click(ALLOW).await;
    let first = stage.returns(&mut page, "code").await;
    page.back().await;
    page.arrives(&stage.at("/authorize")).await;
    page.click(ALLOW).await;
    // The browser may show the old page again, or fetch a new one.
    let second = stage.returns(&mut page, "code").await;
    page.go(&stage.authorize(&[]), ALLOW).await;
    page.click(ALLOW).await;
    let third = stage.returns(&mut page, "code").await;
    for code in [first, second] {
        assert_ne!(code, third);
        assert_eq!(stage.exchange(&code).await.1["error"], "invalid_grant");
    }
    stage.opens(&third).await;
}

#[tokio::test]
async fn an_app_is_called_by_its_own_scheme() {
    let app = "cursor://anysphere.cursor-retrieval/oauth/callback";
    let Some((mut page, stage)) = asked("Cursor", Some(app)).await else { return };
    let text = page.text().await;
    assert!(text.contains("the app that opens cursor: links"), "{text}");
    page.picture("consent-app").await;
    // The app may fail to open, or the person may decline to open it: the page stays, and the same answer works again.
    let mut codes = Vec::new();
    for _ in 0..2 {
        page.forget();
        page.click(ALLOW).await;
        let called = |told: &Value| told["request"]["url"].as_str().is_some_and(|url| url.starts_with(app));
        let told = page.hears("Network.requestWillBeSent", called).await;
        assert_eq!(told["redirectResponse"]["status"], 302);
        let place = told["request"]["url"].as_str().expect("a text").parse().expect("a URL");
        codes.push(stage.brings(&place, "code"));
        assert!(page.place().await.as_str().starts_with(&stage.at("/authorize")));
    }
    assert_eq!((codes[0] == codes[1], stage.codes().await), (true, 1));
    stage.opens(&codes[0]).await;
    page.click(ALLOW).await;
    page.arrives(&stage.at("/consent")).await;
    assert!(page.text().await.contains("This page has had its time"));
}

/// The lowest contrast of any text, by the formula of WCAG 2.
const CONTRAST: &str = "(() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = text => parts(text).slice(0, 3).map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = e => { const c = getComputedStyle(e).backgroundColor; return parts(c)[3] === 0 ? behind(e.parentElement) : c; };
    const told = [...document.body.querySelectorAll('*')].filter(e => e.innerText && e.type !== 'hidden').map(e => {
        const [low, high] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    });
    return Math.min(...told);
})()";

#[tokio::test]
async fn the_pages_can_be_read_in_light_and_dark_and_on_a_phone() {
    let Some(mut page) = Page::open().await else { return };
    let stage =
        Stage::open("A client whose name is as long as names of clients sometimes happen to be, and longer", None)
            .await;
    for (name, url) in [("consent", stage.authorize(&[])), ("refusal", stage.authorize(&[("client_id", "nobody")]))] {
        for (scheme, width) in [("light", 1000), ("dark", 1000), ("light", 360), ("dark", 360)] {
            let size = json!({"width": width, "height": 860, "deviceScaleFactor": 1, "mobile": width < 500});
            page.ask("Emulation.setDeviceMetricsOverride", &size).await;
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            page.ask("Emulation.setEmulatedMedia", &media).await;
            page.go(&url, "h1").await;
            page.picture(&format!("{name}-{scheme}-{width}")).await;
            let contrast = page.value(CONTRAST).await.as_f64().expect("a number");
            assert!(contrast >= 4.5, "{name}, {scheme}: {contrast}");
            let dark = page.value("getComputedStyle(document.body).backgroundColor").await != "rgb(242, 244, 247)";
            assert_eq!(dark, scheme == "dark");
            assert_eq!(
                page.value("document.documentElement.scrollWidth <= innerWidth").await,
                true,
                "{name} at {width}"
            );
            assert_eq!(page.value("document.documentElement.lang").await, "en");
        }
    }
    page.go(&stage.authorize(&[]), ALLOW).await;
    assert_eq!(page.value("document.getElementById('user').labels[0].innerText").await, "You are");
}
